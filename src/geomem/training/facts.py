"""Training recall models as a fleet: every run with its own facts, number of facts and width, one program.

Runs are padded to the largest of each size. Embeddings and neurons beyond a run's width are exactly zero and
get no gradient; subjects, relations and objects that a run lacks have no weight in its loss and no chance in
its softmax: a run in a fleet is the run alone, to float tolerance.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from geomem.models.configuration import Recall
from geomem.models.loss import Questions, differentiate_recall, measure_recall
from geomem.models.model import Parameters
from geomem.models.networks.recall import (
    all_paths,
    compute_recall_states,
    initialize_recall,
    recall_output_table,
)
from geomem.models.randomness import generator_for
from geomem.models.recall import EVALUATED, describe_recall_parameters, pad_models, pad_sizes
from geomem.training.capture import StaticStep, replays
from geomem.training.configuration import (
    RECALL_BETAS,
    RecallRun,
    RecallTraining,
    check_training,
    loop_training,
)
from geomem.training.loop import (
    FleetState,
    Problem,
    Progress,
    Row,
    Trained,
    copy_to_host,
    join_parameters,
    to_row,
    train_problem,
)
from geomem.training.metrics import compute_metrics


def train_recall(
    runs: Sequence[RecallRun],
    training: RecallTraining,
    *,
    state: FleetState | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    on_checkpoint: Callable[[FleetState], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    enough: Callable[[Row], bool] | None = None,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Trained:
    """Train every run on its facts: mean cross-entropy over all objects that the run has, AdamW.

    Peak learning rate, weight decay and scale are those of the runs' settings; `training` gives the schedule.
    Callbacks, checkpoints and the early end by `enough` are those of `geomem.training.loop.train_problem`.

    Raises `InputError` for invalid settings, `ValueError` for runs that do not fit one fleet.
    """
    check_training(training, subjects=min(run.size.subjects for run in runs))
    models, sizes = [run.model for run in runs], [run.size for run in runs]
    model, size = pad_models(models), pad_sizes(sizes)
    fresh = initialize_recall(
        models,
        sizes,
        seeds=[run.settings.seed for run in runs],
        scales=[run.settings.scale for run in runs],
        device=device,
        dtype=dtype,
    )
    described = describe_recall_parameters(model, size)
    names = [name for name, parameter in described.items() if parameter.trained]
    flat, parameters = join_parameters(fresh, names, state)
    gradient = torch.zeros_like(flat)
    leaves = {name: parameters[name].detach().requires_grad_() for name in names}
    live = parameters | leaves
    paths = all_paths(size.relations, model.hops).to(device)
    widths = torch.tensor([float(own.width) for own in models], dtype=dtype, device=device)
    grid = _put_grid(runs, device=device, dtype=dtype)
    batches = _Batches(runs, training.batch_subjects) if training.batch_subjects else None

    static = StaticStep(gradient)

    def differentiate(step: int) -> Tensor | None:
        drawn = [batches.draw(step).to(device)] if batches else []
        return static(differentiate_batch, drawn) if replays(flat.device) else differentiate_batch(*drawn)

    def differentiate_batch(subjects: Tensor | None = None) -> Tensor | None:
        states = compute_recall_states(model, live, paths, subjects=subjects, widths=widths)
        table = recall_output_table(model, live)
        asked = grid.all() if subjects is None else grid.of(subjects)
        for_states, for_table = differentiate_recall(states.flatten(1, 2), table, asked)
        outputs, upstream = [states], [for_states.view_as(states)]
        if table.requires_grad:
            outputs, upstream = [*outputs, table], [*upstream, for_table]
        # Runs share no parameter, so the gradient of the sum is every run's own gradient.
        gradients = torch.autograd.grad(outputs, list(leaves.values()), upstream)
        torch.cat([part.flatten(1) for part in gradients], dim=1, out=gradient)
        return states.detach() if batches is None else None

    def measure(step: int, states: Tensor | None) -> Row:
        if states is None:
            found = _evaluate(model, parameters, paths, widths, grid)
        else:
            table = recall_output_table(model, parameters)
            found = measure_recall(states.flatten(1, 2), table, grid.all())
        given = {
            "losses": found["loss"],
            "recalled": found["recalled"],
            "fact_counts": grid.facts,
            "margins": found["margin"],
            "embeddings": parameters["subject_embedding"],
            "parameters": parameters,
        }
        return to_row(compute_metrics("facts", given))

    curves = train_problem(
        Problem(flat, gradient, differentiate, measure, lambda: parameters["subject_embedding"]),
        [run.settings for run in runs],
        loop_training(training),
        state=state,
        on_progress=on_progress,
        on_checkpoint=on_checkpoint,
        should_stop=should_stop,
        enough=enough,
        betas=RECALL_BETAS,
    )
    return Trained(parameters=copy_to_host(parameters), **curves.as_fields())


@dataclass(frozen=True, eq=False)
class _Grid:
    """The facts of every run on one grid of questions, padded."""

    targets: Int[Tensor, "run subject path"]
    weights: Float[Tensor, "run subject path"]
    penalties: Float[Tensor, "run object"] | None
    facts: Int[Tensor, " run"]

    def all(self) -> Questions:
        """Every question."""
        return Questions(self.targets.flatten(1), self.weights.flatten(1), self.penalties)

    def of(self, subjects: Int[Tensor, "run subject"]) -> Questions:
        """The questions about some subjects of each run, their weights as they are in the whole."""
        rows = subjects[..., None].expand(-1, -1, self.targets.shape[2])
        targets, weights = self.targets.gather(1, rows), self.weights.gather(1, rows)
        return Questions(targets.flatten(1), weights.flatten(1), self.penalties)


def _put_grid(runs: Sequence[RecallRun], *, device: str, dtype: torch.dtype) -> _Grid:
    size, hops = pad_sizes([run.size for run in runs]), runs[0].model.hops
    answers = np.full((len(runs), size.subjects, *[size.relations] * hops), -1)
    objects = torch.zeros(len(runs), size.objects, dtype=dtype)
    for number, run in enumerate(runs):
        own = (run.size.subjects, *[run.size.relations] * hops)
        # A path of relations has another number where there are more relations, but the same digits.
        answers[number][tuple(map(slice, own))] = run.answers.reshape(own)
        objects[number, run.size.objects :] = float("-inf")
    targets = torch.tensor(answers).flatten(2)
    facts = (targets >= 0).sum(dim=(1, 2))
    weights = (targets >= 0).to(dtype) / facts[:, None, None]
    padded = any(run.size.objects < size.objects for run in runs)
    return _Grid(
        targets=targets.clamp(min=0).to(device),
        weights=weights.to(device),
        penalties=objects.to(device) if padded else None,
        facts=facts.to(device),
    )


class _Batches:
    """Which subjects every run sees at a step: every epoch a permutation of its own, cut into equal parts."""

    def __init__(self, runs: Sequence[RecallRun], size: int):
        self.runs, self.size = runs, size
        self.epochs = [-1] * len(runs)
        self.orders = [torch.empty(0, dtype=torch.int64)] * len(runs)

    def draw(self, step: int) -> Int[Tensor, "run subject"]:
        """The subjects of a step; what an epoch's last part lacks of a whole one is left out."""
        drawn = []
        for number, run in enumerate(self.runs):
            epoch, part = divmod(step, run.size.subjects // self.size)
            if epoch != self.epochs[number]:
                generator = generator_for(run.settings.seed, f"subjects of epoch {epoch}")
                self.orders[number] = torch.randperm(run.size.subjects, generator=generator)
                self.epochs[number] = epoch
            drawn.append(self.orders[number][part * self.size : (part + 1) * self.size])
        return torch.stack(drawn)


def _evaluate(
    model: Recall,
    parameters: Parameters,
    paths: Int[Tensor, "path hop"],
    widths: Float[Tensor, " run"],
    grid: _Grid,
) -> dict[str, Tensor]:
    """The numbers of `measure_recall`, some subjects at a time."""
    runs, subjects = grid.targets.shape[:2]
    table = recall_output_table(model, parameters)
    per_subject = (
        runs * len(paths) * (model.width + model.mlp_width) * (1 if model.layers == 1 else model.hops)
    )
    parts = []
    for rows in torch.arange(subjects, device=table.device).split(max(1, EVALUATED // per_subject)):
        chosen = rows.expand(runs, -1)
        states = compute_recall_states(model, parameters, paths, subjects=chosen, widths=widths)
        parts.append(measure_recall(states.flatten(1, 2), table, grid.of(chosen)))
    return {
        "loss": torch.stack([part["loss"] for part in parts]).sum(dim=0),
        "recalled": torch.stack([part["recalled"] for part in parts]).sum(dim=0),
        "margin": torch.stack([part["margin"] for part in parts]).amin(dim=0),
    }
