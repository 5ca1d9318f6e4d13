"""The training loop of every fleet: updates, curves, snapshots, checkpoints, resumption and early stops.

What is trained is a `Problem`: buffers of all trained numbers and of their gradient, a function that fills
the latter, one that measures and one that shows the embeddings. Edges, paths and recall each make one; the
loop knows nothing of models, examples or metrics' names.
"""

import os
import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from math import prod
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.utils import deterministic

from geomem.training.configuration import RunSettings, Training
from geomem.training.optimizer import AdamState, Rates, Rules, adamw_update, gradient_descent_update
from geomem.training.schedule import learning_rate_factor, snapshot_steps

CHECKPOINT_SECONDS = 10.0

Row = dict[str, Float[np.ndarray, " run"]]
"""One row of the metrics: every metric by name, one number per run."""


@dataclass(frozen=True, eq=False)
class Problem:
    """What a fleet trains on, as functions over parameters that change in place."""

    flat: Float[Tensor, "run parameter"]
    """Every trained number of each run: the tensors that the functions read are views of it."""
    gradient: Float[Tensor, "run parameter"]
    """What `differentiate` fills; of the shape, type and device of `flat`."""
    differentiate: Callable[[int], Any]
    """Write the gradient at a step into the buffer; what it returns is handed to `measure`.

    Whatever is random in it depends on (seed, stream, step) alone, so that a resumed training repeats it.
    """
    measure: Callable[[int, Any], Row]
    """The metrics of the parameters after so many updates, called without gradients; the second argument is
    what `differentiate` returned for the same parameters, None after the last update."""
    snapshot: Callable[[], Float[Tensor, "run node width"]]
    """The embeddings as they are now; the loop copies them."""
    average: Float[Tensor, "run parameter"] | None = None
    """A running mean of `flat` that the loop keeps after every update; `measure` may look at it."""
    averaging: float = 0.0
    """Share of the former mean in the next one; the rest is the numbers just updated."""
    rules: Rules | None = None
    """Rates, decays and Muon's matrices among the numbers of `flat`."""


@dataclass(frozen=True, eq=False)
class Progress:
    """Where a fleet stands at a row of its metrics."""

    step: int
    steps: int
    seconds: float
    """Since this process began or resumed the training."""
    seconds_left: float
    """At the mean pace so far; infinite before the first step."""
    metrics: Row


@dataclass(frozen=True, eq=False)
class Curves:
    """What a training has written down."""

    metrics: dict[str, Float[np.ndarray, "row run"]]
    metric_steps: Int[np.ndarray, " row"]
    snapshots: Float[np.ndarray, "snapshot run node width"]
    snapshot_steps: Int[np.ndarray, " snapshot"]

    def as_fields(self) -> dict[str, Any]:
        """The four by name, for the dataclasses that have them among their own fields."""
        return {field.name: getattr(self, field.name) for field in fields(Curves)}


@dataclass(frozen=True, eq=False)
class Trained(Curves):
    """What finished runs leave: curves, embeddings over time, final parameters (on the CPU)."""

    parameters: dict[str, Tensor]
    recalled: Bool[np.ndarray, "run fact"] | None = None
    """Which facts of the examples are among their prefix's best answers after the last step; edges only."""


@dataclass(frozen=True, eq=False)
class FleetState:
    """Everything a fleet needs to go on as if it had never stopped, with what it has written down so far."""

    step: int
    """Updates done."""
    parameters: Float[np.ndarray, "run parameter"]
    """The trained tensors of each run, flattened one after the other (`join_parameters`)."""
    optimizer_state: dict[str, Float[np.ndarray, "run parameter"]]
    metrics: dict[str, Float[np.ndarray, "row run"]]
    metric_steps: Int[np.ndarray, " row"]
    snapshots: Float[np.ndarray, "snapshot run node width"]
    snapshot_steps: Int[np.ndarray, " snapshot"]


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


def join_parameters(
    parameters: Mapping[str, Tensor], names: Sequence[str], state: FleetState | None = None
) -> tuple[Float[Tensor, "run parameter"], dict[str, Tensor]]:
    """One buffer of the named tensors [run, ...], and all tensors by name, the named ones views of it.

    With a state the buffer holds its numbers. The others, never trained, need not be in a state: they are
    drawn again from the seeds.

    >>> flat, joined = join_parameters({"a": torch.ones(1, 2), "b": torch.zeros(1, 1)}, ["a"])
    >>> flat.mul_(3).tolist(), joined["a"].tolist(), joined["b"].tolist()
    ([[3.0, 3.0]], [[3.0, 3.0]], [[0.0]])
    """
    flat = torch.cat([parameters[name].flatten(1) for name in names], dim=1)
    if state:
        flat = torch.tensor(state.parameters, device=flat.device)
    return flat, dict(parameters) | cut_parameters(flat, {name: parameters[name] for name in names})


def cut_parameters(
    flat: Float[Tensor, "run parameter"], like: Mapping[str, Tensor]
) -> dict[str, Float[Tensor, "run ..."]]:
    """Views of a buffer by name, in the order and the shapes of the given tensors.

    >>> cut_parameters(torch.tensor([[1.0, 2.0, 3.0]]), {"a": torch.ones(1, 2), "b": torch.ones(1, 1)})
    {'a': tensor([[1., 2.]]), 'b': tensor([[3.]])}
    """
    parts = flat.split([prod(tensor.shape[1:]) for tensor in like.values()], dim=1)
    return {name: part.view(like[name].shape) for name, part in zip(like, parts, strict=True)}


def copy_to_host(parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors as they are now, on the CPU, with memory of their own."""
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in parameters.items()}


def to_row(metrics: Mapping[str, Float[Tensor, " run"]]) -> Row:
    """The metrics on the host in float64, in one transfer.

    >>> to_row({"loss": torch.ones(2)})
    {'loss': array([1., 1.])}
    """
    rows = torch.stack([values.double() for values in metrics.values()]).cpu().numpy()
    return dict(zip(metrics, rows, strict=True))


def train_problem(
    problem: Problem,
    runs: Sequence[RunSettings],
    training: Training,
    *,
    state: FleetState | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    on_checkpoint: Callable[[FleetState], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    enough: Callable[[Row], bool] | None = None,
    betas: tuple[float, float] = (0.9, 0.999),
) -> Curves:
    """Train the problem's buffer in place, and return what was written down.

    Row t of the metrics belongs to the parameters after t updates. `on_progress` is called at metric rows;
    `on_checkpoint` about every ten seconds, with a state that, given back as `state` (and to
    `join_parameters`), ends in the same bits as an uninterrupted training on the same machine. `should_stop`
    is asked after every step: on a yes a last checkpoint is given out and `KeyboardInterrupt` raised.
    `enough` is asked at every row of the metrics: once it says yes, the training ends with that row, which
    then is the last snapshot too. Peak learning rate and weight decay are those of `runs`; `training` gives
    the schedule, and its steps are the most that are taken; `betas` are AdamW's.
    """
    update, remembered = _make_update(problem, runs, training, state, betas)
    if problem.average is not None:
        if state:
            problem.average.copy_(torch.tensor(state.optimizer_state["average"]))
        remembered = remembered | {"average": problem.average}
    record = _Record.resume(state) if state else _Record()
    snapshot_rows = set(snapshot_steps(training).tolist())
    first = state.step if state else 0
    began = checkpointed = time.monotonic()

    def take_snapshot(step: int) -> None:
        # `copy` matters: on the CPU the embeddings are a view of what training changes next.
        record.snapshots.append(problem.snapshot().detach().to("cpu", copy=True).float().numpy())
        record.snapshot_steps.append(step)

    def write_down(step: int, found: Any) -> bool:
        """Whether this was enough."""
        if step in snapshot_rows:
            take_snapshot(step)
        if step % training.metric_every and step < training.steps:
            return False
        with torch.no_grad():
            row = problem.measure(step, found)
        record.write(step, row)
        if on_progress:
            seconds = time.monotonic() - began
            left = seconds * (training.steps - step) / (step - first) if step > first else float("inf")
            on_progress(Progress(step, training.steps, seconds, left, row))
        if enough is None or not enough(row):
            return False
        if step not in snapshot_rows:
            take_snapshot(step)
        return True

    differentiate = with_same_sums(problem.differentiate, problem.flat.device)
    for step in range(first, training.steps):
        found = differentiate(step)
        if write_down(step, found):
            return record.to_curves()
        update(step)
        if problem.average is not None:
            problem.average.lerp_(problem.flat, 1 - problem.averaging)
        stopping = should_stop is not None and should_stop()
        if on_checkpoint and (stopping or time.monotonic() - checkpointed >= CHECKPOINT_SECONDS):
            on_checkpoint(
                FleetState(
                    step=step + 1,
                    parameters=problem.flat.to("cpu", copy=True).numpy(),
                    optimizer_state={
                        name: tensor.to("cpu", copy=True).numpy() for name, tensor in remembered.items()
                    },
                    **record.to_curves().as_fields(),
                )
            )
            checkpointed = time.monotonic()
        if stopping:
            raise KeyboardInterrupt
    if not record.metric_steps or record.metric_steps[-1] < training.steps:
        write_down(training.steps, None)
    return record.to_curves()


def _make_update(
    problem: Problem,
    runs: Sequence[RunSettings],
    training: Training,
    state: FleetState | None,
    betas: tuple[float, float],
) -> tuple[Callable[[int], None], dict[str, Tensor]]:
    """The optimizer's step over the buffers, and the tensors it remembers between steps."""
    flat, gradient, rules = problem.flat, problem.gradient, problem.rules
    rates = Rates(
        learning_rates=torch.tensor(
            [[run.learning_rate] for run in runs], dtype=flat.dtype, device=flat.device
        ),
        weight_decays=torch.tensor(
            [[run.weight_decay] for run in runs], dtype=flat.dtype, device=flat.device
        ),
        decaying=any(run.weight_decay for run in runs),
    )
    rates, matrices = (rules.refine(rates), rules.muon) if rules else (rates, ())
    if training.optimizer == "gradient-descent":
        return lambda step: gradient_descent_update(
            flat, gradient, rates, factor=learning_rate_factor(training, step)
        ), {}
    remembered = {
        name: torch.tensor(state.optimizer_state[name], device=flat.device)
        if state
        else torch.zeros_like(flat)
        for name in ("first_moment", "second_moment", *(["momentum"] if matrices else []))
    }
    adam = AdamState(**remembered, scratch=torch.empty_like(flat))

    def update(step: int) -> None:
        factor = learning_rate_factor(training, step)
        adamw_update(flat, gradient, adam, rates, step=step, factor=factor, betas=betas, muon=matrices)

    return update, remembered


def with_same_sums(differentiate: Callable[[int], Any], device: torch.device) -> Callable[[int], Any]:
    """The same, but a GPU adds in the same order every time, so that the same step gives the same bits.

    Rows of an embedding's gradient would otherwise be added in the order in which they are ready. On a CPU
    the order is always the same.
    """
    if device.type != "cuda":
        return differentiate
    # Torch asks for it, for the products that would otherwise share memory between streams.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

    def differentiate_alike(step: int) -> Any:
        before = torch.are_deterministic_algorithms_enabled()
        filling = deterministic.fill_uninitialized_memory  # pyright: ignore[reportAttributeAccessIssue]
        torch.use_deterministic_algorithms(True)
        deterministic.fill_uninitialized_memory = False  # pyright: ignore[reportAttributeAccessIssue]
        try:
            return differentiate(step)
        finally:
            torch.use_deterministic_algorithms(before)
            deterministic.fill_uninitialized_memory = filling  # pyright: ignore[reportAttributeAccessIssue]

    return differentiate_alike


@dataclass(eq=False)
class _Record:
    """What a training has written down so far.

    Numbers lie in one array that grows: ten thousand small ones would keep the memory between them too.
    """

    former: dict[str, Float[np.ndarray, "row run"]] = field(default_factory=dict)
    """The rows of an earlier process."""
    names: tuple[str, ...] = ()
    """The metrics of the rows of this one, in their order."""
    numbers: array = field(default_factory=lambda: array("d"))
    """The rows of this one, one after the other."""
    metric_steps: list[int] = field(default_factory=list)
    snapshots: list[Float[np.ndarray, "run node width"]] = field(default_factory=list)
    snapshot_steps: list[int] = field(default_factory=list)

    @classmethod
    def resume(cls, state: FleetState) -> "_Record":
        return cls(
            former=dict(state.metrics),
            metric_steps=state.metric_steps.tolist(),
            snapshots=list(state.snapshots),
            snapshot_steps=state.snapshot_steps.tolist(),
        )

    def write(self, step: int, row: Row) -> None:
        """Write a row down."""
        self.names = tuple(row)
        self.numbers.frombytes(np.array([*row.values()], dtype=np.float64).tobytes())
        self.metric_steps.append(step)

    def to_curves(self) -> Curves:
        """Everything as arrays, copied; row 0 and snapshot 0 exist.

        Metrics are those of the rows of this process, in their order (rows read from a file come in the
        alphabet's); one that an earlier process did not know is NaN in its rows.
        """
        metrics = self.former
        if self.names:
            before = len(next(iter(self.former.values()), ()))
            shape = (len(self.metric_steps) - before, len(self.names), -1)
            rows = np.frombuffer(self.numbers).reshape(shape)
            unknown = np.full((before, rows.shape[-1]), np.nan)
            metrics = {
                name: np.concatenate([self.former.get(name, unknown), rows[:, place]])
                for place, name in enumerate(self.names)
            }
        return Curves(
            metrics=metrics,
            metric_steps=np.array(self.metric_steps, dtype=np.int64),
            snapshots=np.array(self.snapshots, dtype=np.float32),
            snapshot_steps=np.array(self.snapshot_steps, dtype=np.int64),
        )
