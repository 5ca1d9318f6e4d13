"""Training on facts as a fleet: every run with its own facts, number of facts and width, one program.

Runs of recall models are padded to the largest of each size. Embeddings and neurons beyond a run's width are
exactly zero and get no gradient; subjects, relations and objects that a run lacks have no weight in its loss
and no chance in its softmax: a run in a fleet is the run alone, to float tolerance. Modules of a person's own
are asked the same questions as tokens, and of their logits those of the objects count.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from geomem.models.architecture import Sizes
from geomem.models.loss import Questions, differentiate_recall, measure_recall
from geomem.models.model import Parameters, initialize_parameters, node_embeddings, trainable_names
from geomem.models.networks import network_of
from geomem.models.networks.recall import (
    all_paths,
    compute_recall_states,
    initialize_recall,
    recall_output_table,
)
from geomem.models.own import OwnModule
from geomem.models.randomness import generator_for
from geomem.models.recall import EVALUATED, Recall, describe_recall_parameters, pad_models, pad_sizes
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
    answering = _answer_with(runs, device=device, dtype=dtype)
    flat, parameters = join_parameters(answering.fresh, answering.trained, state)
    gradient = torch.zeros_like(flat)
    leaves = {name: parameters[name].detach().requires_grad_() for name in answering.trained}
    live = parameters | leaves
    grid = _put_grid(runs, device=device, dtype=dtype)
    batches = _Batches(runs, training.batch_subjects) if training.batch_subjects else None

    static = StaticStep(gradient)

    def differentiate(step: int) -> Tensor | None:
        drawn = [batches.draw(step).to(device)] if batches else []
        return static(differentiate_batch, drawn) if replays(flat.device) else differentiate_batch(*drawn)

    def differentiate_batch(subjects: Tensor | None = None) -> Tensor | None:
        states, table = answering.read(live, subjects), answering.table(live)
        asked = grid.all() if subjects is None else grid.of(subjects)
        for_states, for_table = differentiate_recall(states.flatten(1, 2), table, asked)
        outputs, upstream = [states], [for_states.view_as(states)]
        if table is not None and table.requires_grad:
            outputs, upstream = [*outputs, table], [*upstream, for_table]
        # Runs share no parameter, so the gradient of the sum is every run's own gradient.
        gradients = torch.autograd.grad(outputs, list(leaves.values()), upstream, materialize_grads=True)
        torch.cat([part.flatten(1) for part in gradients], dim=1, out=gradient)
        return states.detach() if batches is None else None

    def measure(step: int, states: Tensor | None) -> Row:
        if states is None:
            found = _evaluate(answering, parameters, grid)
        else:
            found = measure_recall(states.flatten(1, 2), answering.table(parameters), grid.all())
        given = {
            "losses": found["loss"],
            "recalled": found["recalled"],
            "fact_counts": grid.facts,
            "margins": found["margin"],
            "parameters": parameters,
        }
        vectors = answering.vectors(parameters)
        given |= {"embeddings": vectors} if vectors.shape[2] else {}
        return to_row(compute_metrics("facts", given))

    curves = train_problem(
        Problem(flat, gradient, differentiate, measure, lambda: answering.vectors(parameters)),
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
class _Answering:
    """How the models of a fleet answer."""

    fresh: Parameters
    trained: tuple[str, ...]
    read: Callable[[Parameters, Tensor | None], Float[Tensor, "run subject path width"]]
    """What is read out after all questions about all subjects, or some of each run; logits if no table."""
    table: Callable[[Parameters], Float[Tensor, "run object width"] | None]
    vectors: Callable[[Parameters], Float[Tensor, "run subject width"]]
    """Of the subjects; without a column where a module has none that are known."""
    per_subject: int
    """Numbers held while all questions about a subject are answered."""


def _answer_with(runs: Sequence[RecallRun], *, device: str, dtype: torch.dtype) -> _Answering:
    sizes, first = [run.size for run in runs], runs[0].model
    size = pad_sizes(sizes)
    paths = all_paths(size.relations, first.hops).to(device)
    seeds, scales = ([getattr(run.settings, name) for run in runs] for name in ("seed", "scale"))
    drawn = {"seeds": seeds, "scales": scales, "device": device, "dtype": dtype}
    if isinstance(first, OwnModule):
        objects = torch.tensor(runs[0].object_tokens, device=device)
        answer = partial(network_of(first).answer_questions, first)
        return _Answering(
            fresh=initialize_parameters(first, **asdict(Sizes(*first.sizes)), **drawn),
            trained=trainable_names(first),
            read=lambda own, subjects: answer(own, paths, objects, subjects=subjects),
            table=lambda own: None,
            vectors=lambda own: node_embeddings(first, own, size.subjects),
            per_subject=len(runs) * paths.numel() * first.count_activations(first.sizes[1]),
        )
    models = [run.model for run in runs if isinstance(run.model, Recall)]
    model = pad_models(models)
    described = describe_recall_parameters(model, size)
    widths = torch.tensor([float(own.width) for own in models], dtype=dtype, device=device)
    return _Answering(
        fresh=initialize_recall(models, sizes, **drawn),
        trained=tuple(name for name, parameter in described.items() if parameter.trained),
        read=lambda own, subjects: compute_recall_states(model, own, paths, subjects=subjects, widths=widths),
        table=lambda own: recall_output_table(model, own),
        vectors=lambda own: own["subject_embedding"],
        per_subject=len(runs)
        * len(paths)
        * (model.width + model.mlp_width)
        * (1 if model.layers == 1 else model.hops),
    )


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


def _evaluate(answering: _Answering, parameters: Parameters, grid: _Grid) -> dict[str, Tensor]:
    """The numbers of `measure_recall`, some subjects at a time."""
    runs, subjects = grid.targets.shape[:2]
    table, parts = answering.table(parameters), []
    for rows in torch.arange(subjects, device=grid.targets.device).split(
        max(1, EVALUATED // answering.per_subject)
    ):
        chosen = rows.expand(runs, -1)
        states = answering.read(parameters, chosen)
        parts.append(measure_recall(states.flatten(1, 2), table, grid.of(chosen)))
    return {
        "loss": torch.stack([part["loss"] for part in parts]).sum(dim=0),
        "recalled": torch.stack([part["recalled"] for part in parts]).sum(dim=0),
        "margin": torch.stack([part["margin"] for part in parts]).amin(dim=0),
    }
