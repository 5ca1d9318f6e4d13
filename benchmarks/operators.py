"""Operators of one training step of the paper's middle size: what a GPU launches, counted on the CPU.

On a GPU a step of these models is bound by its launches: 4,551 of them kept an H100 busy for 13 % of a step.
The number does not depend on the arms or the width, so it is counted on a small world: every operator below
autograd counts once, views and empty tensors not at all. Torch does some in two kernels and a few differently
on the CPU; at the commit before this count was made it read 4,904 where the GPU's profiler read 4,551.
"""

from collections import Counter
from dataclasses import replace

from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.row import Row
from geomem.models.configuration import Model
from geomem.models.model import initialize_parameters, trainable_names
from geomem.runs.presets import PATH_PRESETS
from geomem.training.loop import Problem, join_parameters
from geomem.training.path_batches import context_length, path_examples
from geomem.training.paths import make_path_problem
from geomem.worlds.graphs.families import path_star

PRESET = PATH_PRESETS["paper-10000x6"]
ARMS, WIDTH, BATCHES = 100, 64, 4
"""So few that the CPU does all logits of a batch in one chunk, as a GPU does at the full size."""
BEFORE = {
    ("transformer", "float32"): 3448,
    ("transformer", "bfloat16"): 4904,
    ("mamba", "float32"): 6936,
    ("mamba", "bfloat16"): 8772,
}
"""What a gradient took while every piece of every task passed the network alone."""
MOST = {"transformer": 1200, "mamba": 2600}
FREE = {"detach", "empty", "empty_like", "empty_strided", "new_empty", "_unsafe_view", "lift_fresh"}


class CountOperators(TorchDispatchMode):
    """Counts what runs inside the `with` by name."""

    def __init__(self) -> None:
        super().__init__()
        self.names: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if not func.is_view and name not in FREE:
            self.names[name] += 1
        return func(*args, **(kwargs or {}))


def make_step(model: Model, precision: str) -> Problem:
    """The preset's problem on a small world."""
    examples = path_examples(path_star(arms=ARMS, length=PRESET.length), PRESET.task)
    drawn = initialize_parameters(
        model,
        vocabulary_size=examples.vocabulary_size,
        context_length=context_length(examples),
        node_count=examples.node_count,
        seeds=[0],
    )
    flat, parameters = join_parameters(drawn, trainable_names(model))
    training = replace(PRESET.training, batches=BATCHES, precision=precision)
    problem, _ = make_path_problem(
        model, examples, flat, parameters, training, seeds=[0], node_count=examples.node_count
    )
    return problem


def count_operators(name: str, precision: str) -> Counter[str]:
    """Operators by name of one gradient of the preset's model; the update of the weights adds six."""
    problem = make_step(replace(PRESET.models[name], width=WIDTH), precision)
    problem.differentiate(0)
    with CountOperators() as counted:
        problem.differentiate(1)
    return counted.names


def rows() -> list[Row]:
    """One row for each architecture and precision."""
    table = []
    for (name, precision), before in BEFORE.items():
        count = sum(count_operators(name, precision).values())
        table.append(
            Row(
                f"operators of a gradient of paper-10000x6, {name}, {precision}",
                f"{count:,}",
                f"{before:,} before",
                count / before,
                f"≤ {MOST[name]:,}",
                count <= MOST[name],
            )
        )
    return table
