"""The gradient of a step recorded once as a CUDA graph and replayed: one launch instead of a thousand.

A recorded computation reads and writes the same memory every time. So what changes from step to step is
copied into tensors of fixed shapes first (batches are padded with rows of weight 0); the parameters, which
the optimizer changes in place, and the gradient stay where they are. Without a GPU nothing is recorded.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor

WARM_UPS = 2
"""Torch asks for some rounds on a stream of their own before it records."""
MOST_DIFFERENCE = 1e-2
"""Of a replayed gradient from the same one computed, as a share of its length; bfloat16 may add otherwise."""

_capturing: ContextVar[bool] = ContextVar("capturing", default=True)


@contextmanager
def uncaptured() -> Iterator[None]:
    """Inside, fleets on a GPU compute every step anew, as they did before; for comparisons.

    >>> with uncaptured():
    ...     replays(torch.device("cuda"))
    False
    """
    before = _capturing.set(False)
    try:
        yield
    finally:
        _capturing.reset(before)


def replays(device: torch.device) -> bool:
    """Whether steps on this device are recorded and replayed.

    >>> replays(torch.device("cpu")), replays(torch.device("cuda"))
    (False, True)
    """
    return device.type == "cuda" and _capturing.get()


class StaticStep:
    """A computation that fills `gradient` from inputs of fixed shapes, recorded when it is first called.

    Where recording fails, or a replay does not give the same gradient, it says so once and computes every
    step; on a CPU it always does. What it returns is overwritten by the next call.
    """

    def __init__(self, gradient: Tensor):
        self.gradient = gradient
        self.inputs: list[Tensor] | None = None
        self.outputs: Any = None
        self.replay: Callable[[], object] | None = None
        self.computes = gradient.device.type != "cuda"

    def __call__(self, compute: Callable[..., Any], inputs: Sequence[Tensor] = ()) -> Any:
        """What `compute` returns for the inputs, whose shapes are those of the first call.

        Raises `ValueError` for other shapes.
        """
        if self.inputs is None:
            self.inputs = [given.clone(memory_format=torch.contiguous_format) for given in inputs]
        for kept, given in zip(self.inputs, inputs, strict=True):
            if kept.shape != given.shape:
                raise ValueError(f"The step has inputs of {tuple(kept.shape)}, not of {tuple(given.shape)}.")
            kept.copy_(given)
        if not self.computes and self.replay is None:
            self._record(compute)
        if self.computes or self.replay is None:
            return compute(*self.inputs)
        self.replay()
        return self.outputs

    def _record(self, compute: Callable[..., Any]) -> None:
        try:
            self.replay, self.outputs = record(compute, self.inputs or [], self.gradient.device)
        except RuntimeError as error:
            self._give_up(f"could not be recorded ({str(error).splitlines()[0]})")
            return
        compute(*(self.inputs or []))
        computed = self.gradient.clone()
        self.gradient.zero_()
        self.replay()
        finite = computed.isfinite()
        difference = torch.where(finite, self.gradient - computed, 0).norm()
        # A gradient that is not finite says nothing about the replay.
        if not difference <= MOST_DIFFERENCE * torch.where(finite, computed, 0).norm():
            self._give_up("gave another gradient when it was replayed")

    def _give_up(self, why: str) -> None:
        self.computes, self.replay, self.outputs = True, None, None
        logging.getLogger(__name__).warning(
            "The step %s; every step is computed, which takes longer and changes nothing else.", why
        )


def record(
    compute: Callable[..., Any], inputs: Sequence[Tensor], device: torch.device
) -> tuple[Callable[[], object], Any]:
    """What replays the computation on these inputs on a CUDA device, and what it then overwrites.

    Raises `RuntimeError` if the computation waits for the device or the device lacks the memory.
    """
    with torch.cuda.device(device):
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UPS):
                compute(*inputs)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            outputs = compute(*inputs)
    return graph.replay, outputs
