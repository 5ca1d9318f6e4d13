"""Modules of a person's own as a fleet of 16 against the loop that people write over as many modules.

Theirs trains one `nn.Module` after the other: forward, cross-entropy of all facts, backward, `AdamW`. Both
take the same steps from the same weights on one thread and measure nothing on the way; they take turns after
a warm-up, and the best of each is compared, in processor time.
"""

import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.row import Row
from geomem.models.architecture import Sizes
from geomem.models.own import OwnModule, load_module
from geomem.runs.facts import fact_job
from geomem.training.configuration import RecallTraining, RunSettings, Training
from geomem.training.edges import train_fleet
from geomem.worlds.facts.families import random_bijections
from geomem.worlds.facts.table import object_tokens
from geomem.worlds.graphs.families import path_star
from geomem.worlds.tasks import EdgeMemorization, directed_facts, edge_examples

MODULES = Path(__file__).parents[1] / "examples" / "modules"
RUNS, STEPS, ROUNDS = 16, 100, 3
LEAST = {"lstm.py": 5.0}
"""How many times faster the fleet must be."""


def rows() -> list[Row]:
    torch.set_num_threads(1)
    return [*[compare(path.stem) for path in sorted(MODULES.glob("*.py"))], compare_facts("lstm")]


def compare(name: str) -> Row:
    graph, task = path_star(arms=4, length=5), EdgeMemorization()
    examples, pairs = edge_examples(graph, task), directed_facts(graph, task)
    sizes = Sizes(examples.vocabulary_size, examples.prefixes.shape[1], graph.node_count)
    model = load_module(f"{MODULES / name}.py:factory").fit(sizes)
    settings = [RunSettings(seed=seed, learning_rate=0.01) for seed in range(RUNS)]
    training = Training(steps=STEPS, metric_every=STEPS, snapshots=2)
    sources = torch.tensor(examples.prefixes[examples.fact_examples])
    targets, weights = torch.tensor(examples.fact_targets), torch.tensor(examples.fact_weights).float()

    def lose(module: nn.Module) -> Tensor:
        logits = module(sources)[:, -1]
        return (functional.cross_entropy(logits, targets, reduction="none") * weights).sum()

    def ours() -> None:
        train_fleet(model, examples, pairs, graph.node_count, settings, training)

    return time_both(f"{name}.py", model, ours, lose)


def compare_facts(name: str) -> Row:
    table = random_bijections(32, 2)
    training = RecallTraining(steps=STEPS, learning_rate=0.01, metric_every=STEPS)
    job = fact_job(table, model=load_module(f"{MODULES / name}.py:factory"), training=training, seeds=RUNS)
    subjects, relations, answers = torch.tensor(table.facts).T
    sources = torch.stack([subjects, table.subject_count + relations], dim=1)
    objects = torch.tensor(object_tokens(table))

    def lose(module: nn.Module) -> Tensor:
        return functional.cross_entropy(module(sources)[:, -1, objects], answers)

    return time_both(f"{name}.py, 64 facts", job.model, job.train, lose)


def time_both(
    what: str, model: OwnModule, ours: Callable[[], object], lose: Callable[[nn.Module], Tensor]
) -> Row:
    def theirs() -> None:
        for seed in range(RUNS):
            torch.manual_seed(seed)
            module = model.factory()(Sizes(*model.sizes))
            optimizer = torch.optim.AdamW(module.parameters(), lr=0.01, weight_decay=0.0)
            for _ in range(STEPS):
                optimizer.zero_grad()
                lose(module).backward()
                optimizer.step()

    best: dict[Callable[[], object], float] = {ours: float("inf"), theirs: float("inf")}
    for _ in range(ROUNDS + 1):
        for program in best:
            began = time.process_time()
            program()
            best[program] = min(best[program], time.process_time() - began)
    fleet, loop = (RUNS * STEPS / seconds for seconds in best.values())
    least = LEAST.get(what)
    return Row(
        what=f"{what}, {RUNS} runs, steps per second",
        ours=f"{fleet:,.0f}",
        theirs=f"{loop:,.0f}",
        ratio=fleet / loop,
        required=f"at least {least:g}" if least else "",
        holds=fleet / loop >= least if least else None,
    )
