"""Training a fleet: runs of one shape as one program along the `run` axis, resumable bit for bit.

Where the time goes, for 64 one-layer width-32 Transformers on the tiny path-star (17 prefixes), per run and
step: 1.5 million operations, nearly all in matrix products (45 us on one core, matrices being this small),
and AdamW's passes over 14 thousand parameters and their moments (11 us). Measured: 105 us on one idle core,
64 us on two, and 0.9 ms for a run alone, which is the price of some hundred small tensor operations.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from geomem.errors import InputError
from geomem.models.configuration import Model, Node2Vec
from geomem.models.model import (
    Parameters,
    initialize_parameters,
    make_objective,
    node_embeddings,
    trainable_names,
)
from geomem.models.objective import put_examples
from geomem.training.configuration import RunSettings, Training, check_training
from geomem.training.metrics import METRICS, measure_fleet_step, recalled_facts
from geomem.training.optimizer import AdamState, Rates, adamw_update, gradient_descent_update
from geomem.training.schedule import learning_rate_factor, metric_steps, snapshot_steps
from geomem.worlds.tasks import Examples

CHECKPOINT_SECONDS = 10.0


@dataclass(frozen=True, eq=False)
class Progress:
    """Where a fleet stands at a row of its metrics."""

    step: int
    steps: int
    seconds: float
    """Since this process began or resumed the training."""
    seconds_left: float
    """At the mean pace so far; infinite before the first step."""
    metrics: dict[str, Float[np.ndarray, " run"]]


@dataclass(frozen=True, eq=False)
class FleetState:
    """Everything a fleet needs to go on as if it had never stopped, with what it has written down so far."""

    step: int
    """Updates done."""
    parameters: Float[np.ndarray, "run parameter"]
    """The trained tensors of each run, flattened in the order of `trainable_names`."""
    optimizer_state: dict[str, Float[np.ndarray, "run parameter"]]
    metrics: dict[str, Float[np.ndarray, "row run"]]
    metric_steps: Int[np.ndarray, " row"]
    snapshots: Float[np.ndarray, "snapshot run node width"]
    snapshot_steps: Int[np.ndarray, " snapshot"]


@dataclass(frozen=True, eq=False)
class TrainedFleet:
    """What a finished fleet leaves: final parameters (on the CPU), curves and embeddings over time."""

    parameters: Parameters
    metrics: dict[str, Float[np.ndarray, "row run"]]
    metric_steps: Int[np.ndarray, " row"]
    snapshots: Float[np.ndarray, "snapshot run node width"]
    snapshot_steps: Int[np.ndarray, " snapshot"]
    recalled: Bool[np.ndarray, "run fact"]
    """Which facts of the examples are among their prefix's best answers after the last step."""


def state_to_arrays(state: FleetState) -> dict[str, np.ndarray]:
    """A state as named arrays, for one safetensors file.

    >>> empty = np.zeros((0, 1))
    >>> snapshots = np.zeros((0, 1, 1, 1))
    >>> state = FleetState(3, np.ones((1, 2)), {}, {"loss": empty}, np.arange(0), snapshots, np.arange(0))
    >>> sorted(state_to_arrays(state))
    ['metric.loss', 'metric_steps', 'parameters', 'snapshot_steps', 'snapshots', 'step']
    """
    arrays = {
        "step": np.array([state.step]),
        "parameters": state.parameters,
        "metric_steps": state.metric_steps,
        "snapshots": state.snapshots,
        "snapshot_steps": state.snapshot_steps,
    }
    arrays |= {f"optimizer.{name}": array for name, array in state.optimizer_state.items()}
    return arrays | {f"metric.{name}": array for name, array in state.metrics.items()}


def state_from_arrays(arrays: dict[str, np.ndarray]) -> FleetState:
    """The state that `state_to_arrays` took apart; raises `KeyError` if a part is missing."""

    def part(prefix: str) -> dict[str, np.ndarray]:
        return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}

    return FleetState(
        step=int(arrays["step"][0]),
        parameters=arrays["parameters"],
        optimizer_state=part("optimizer."),
        metrics=part("metric."),
        metric_steps=arrays["metric_steps"],
        snapshots=arrays["snapshots"],
        snapshot_steps=arrays["snapshot_steps"],
    )


def train_fleet(
    model: Model,
    examples: Examples,
    graph_edges: Int[np.ndarray, "pair 2"],
    node_count: int,
    runs: Sequence[RunSettings],
    training: Training,
    *,
    state: FleetState | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    on_checkpoint: Callable[[FleetState], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    device: str = "cpu",
) -> TrainedFleet:
    """Train every run full-batch on the examples, in float32.

    `graph_edges` are the directed facts without self-edges, over which the geometric level is the mean
    cosine. Row t of the metrics belongs to the parameters after t updates. `on_progress` is called at metric
    rows, the only steps that wait for the device; `on_checkpoint` about every ten seconds, with a state that,
    given back as `state`, ends in the same bits as an uninterrupted training on the same machine.
    `should_stop` is asked after every step: once it says yes, a last checkpoint is given out and
    `KeyboardInterrupt` raised.
    Peak learning rate and weight decay are those of `runs`; `training` gives the schedule.

    A run that diverges never stops the others: its loss is recorded as NaN or infinity from then on.
    Raises `InputError` for settings that cannot be meant.
    """
    check_training(training)
    if not runs:
        raise InputError("The fleet has no run; give at least one seed.")
    flat, parameters = _start(model, examples, node_count, runs, state, device)
    gradient = torch.zeros_like(flat)
    objective = make_objective(model, parameters, gradient, examples, seeds=[run.seed for run in runs])
    update, remembered = _make_update(flat, gradient, runs, training, state)
    logit_count = node_count if isinstance(model, Node2Vec) else examples.vocabulary_size
    data = put_examples(examples, logit_count, device=device, dtype=flat.dtype)
    pairs = torch.tensor(graph_edges, device=device)
    record = _Record.resume(state) if state else _Record([], [], [], [])

    metric_rows, snapshot_rows = set(metric_steps(training).tolist()), set(snapshot_steps(training).tolist())
    first = state.step if state else 0
    began = checkpointed = time.monotonic()

    def write_down(step: int, evaluation: Callable) -> None:
        embeddings = node_embeddings(model, parameters, node_count)
        if step in snapshot_rows:
            # `copy` matters: on the CPU the embeddings are a view of what training changes next.
            record.snapshots.append(embeddings.to("cpu", copy=True).numpy())
            record.snapshot_steps.append(step)
        if step in metric_rows:
            with torch.no_grad():
                row = measure_fleet_step(evaluation(), embeddings, data, pairs).cpu().numpy()
            record.rows.append(row)
            record.metric_steps.append(step)
            if on_progress:
                seconds = time.monotonic() - began
                left = seconds * (training.steps - step) / (step - first) if step > first else float("inf")
                on_progress(
                    Progress(step, training.steps, seconds, left, dict(zip(METRICS, row, strict=True)))
                )

    for step in range(first, training.steps):
        evaluation = objective.differentiate(step)
        if step in metric_rows or step in snapshot_rows:
            write_down(step, lambda found=evaluation: found or objective.evaluate())
        update(step)
        stopping = should_stop is not None and should_stop()
        if on_checkpoint and (stopping or time.monotonic() - checkpointed >= CHECKPOINT_SECONDS):
            on_checkpoint(
                FleetState(
                    step=step + 1,
                    parameters=flat.to("cpu", copy=True).numpy(),
                    optimizer_state={
                        name: tensor.to("cpu", copy=True).numpy() for name, tensor in remembered.items()
                    },
                    **record.to_arrays(),
                )
            )
            checkpointed = time.monotonic()
        if stopping:
            raise KeyboardInterrupt
    if not record.metric_steps or record.metric_steps[-1] < training.steps:
        write_down(training.steps, objective.evaluate)
    return TrainedFleet(
        parameters={
            name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in parameters.items()
        },
        recalled=recalled_facts(objective.evaluate().logits, data).cpu().numpy(),
        **record.to_arrays(),
    )


def _start(
    model: Model,
    examples: Examples,
    node_count: int,
    runs: Sequence[RunSettings],
    state: FleetState | None,
    device: str,
) -> tuple[Float[Tensor, "run parameter"], Parameters]:
    """The flat buffer of all trained numbers, and every tensor by name: trained ones are views of the buffer.

    Frozen tensors are drawn again from the seeds, so a state need not hold them.
    """
    parameters = initialize_parameters(
        model,
        vocabulary_size=examples.vocabulary_size,
        context_length=examples.prefixes.shape[1],
        node_count=node_count,
        seeds=[run.seed for run in runs],
        scales=[run.scale for run in runs],
        device=device,
    )
    shapes = {name: parameters[name].shape for name in trainable_names(model)}
    if state:
        flat = torch.tensor(state.parameters, device=device)
    else:
        flat = torch.cat([parameters[name].flatten(1) for name in shapes], dim=1)
    parts = flat.split([prod(shape[1:]) for shape in shapes.values()], dim=1)
    return flat, parameters | {
        name: part.view(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)
    }


def _make_update(
    flat: Float[Tensor, "run parameter"],
    gradient: Float[Tensor, "run parameter"],
    runs: Sequence[RunSettings],
    training: Training,
    state: FleetState | None,
) -> tuple[Callable[[int], None], dict[str, Tensor]]:
    """The optimizer's step over the buffers, and the tensors it remembers between steps."""
    rates = Rates(
        learning_rates=torch.tensor(
            [[run.learning_rate] for run in runs], dtype=flat.dtype, device=flat.device
        ),
        weight_decays=torch.tensor(
            [[run.weight_decay] for run in runs], dtype=flat.dtype, device=flat.device
        ),
        decaying=any(run.weight_decay for run in runs),
    )
    factors = [learning_rate_factor(training, step) for step in range(training.steps)]
    if training.optimizer == "gradient-descent":
        return lambda step: gradient_descent_update(flat, gradient, rates, factor=factors[step]), {}
    remembered = {
        name: torch.tensor(state.optimizer_state[name], device=flat.device)
        if state
        else torch.zeros_like(flat)
        for name in ("first_moment", "second_moment")
    }
    adam = AdamState(**remembered, scratch=torch.empty_like(flat))
    return lambda step: adamw_update(flat, gradient, adam, rates, step=step, factor=factors[step]), remembered


@dataclass(frozen=True, eq=False)
class _Record:
    """What a training has written down so far; the lists grow."""

    rows: list[Float[np.ndarray, "metric run"]]
    metric_steps: list[int]
    snapshots: list[Float[np.ndarray, "run node width"]]
    snapshot_steps: list[int]

    @classmethod
    def resume(cls, state: FleetState) -> "_Record":
        rows = list(np.stack([state.metrics[name] for name in METRICS], axis=1))
        return cls(rows, state.metric_steps.tolist(), list(state.snapshots), state.snapshot_steps.tolist())

    def to_arrays(self) -> dict:
        """The shared fields of `FleetState` and `TrainedFleet`, copied; row 0 and snapshot 0 always exist."""
        rows = np.array(self.rows)
        return {
            "metrics": {name: rows[:, index].copy() for index, name in enumerate(METRICS)},
            "metric_steps": np.array(self.metric_steps, dtype=np.int64),
            "snapshots": np.array(self.snapshots, dtype=np.float32),
            "snapshot_steps": np.array(self.snapshot_steps, dtype=np.int64),
        }
