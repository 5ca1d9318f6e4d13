"""Mamba's scan and convolution as one GPU kernel each way instead of one per operation.

The kernels (`scan_kernels`, `convolution_kernels`) are written in triton, which comes with torch for CUDA on
Linux. On a CPU, in float64 and where triton is missing, the plain computation goes on; where the kernels
fail, or give other numbers when they are first tried on a device, it does so after a warning.
"""

import functools
import importlib
import importlib.util
import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

_failed: set[str] = set()


def fits(*given: Tensor) -> bool:
    """Whether kernels compute with these tensors.

    >>> fits(torch.zeros(1))
    False
    """
    small = (torch.float32, torch.bfloat16)
    return not _failed and all(one.is_cuda and one.dtype in small for one in given) and _has_triton()


def fuse(name: str, plain: Callable[..., Any], *inputs: Tensor | None, **settings: int) -> Any:
    """`plain(*inputs, **settings)`, on a GPU by the kernels of this name, `scan` or `convolution`.

    >>> fuse("scan", lambda one, *, power: one**power, torch.tensor(3.0), power=2)
    tensor(9.)
    """
    given = [one for one in inputs if one is not None]
    if fits(*given) and _agree(name, plain, given[0].device):
        # A function on its own cannot see this: inside, gradients are always off.
        keeps = torch.is_grad_enabled() and any(one.requires_grad for one in given)
        try:
            return _Fused.apply(name, functools.partial(plain, **settings), keeps, settings, *inputs)
        except Exception as error:
            _give_up(error)
    return plain(*inputs, **settings)


@functools.cache
def _agree(name: str, plain: Callable[..., Any], device: torch.device) -> bool:
    """Whether the kernels give what plain torch gives for numbers of their own; asked once a device."""
    kernels = importlib.import_module(f"geomem.models.{name}_kernels")
    found = []
    try:
        given, settings = kernels.sample(device)
        plain = functools.partial(plain, **settings)
        for compute in (functools.partial(_Fused.apply, name, plain, True, settings), plain):
            leaves = [one.detach().requires_grad_() for one in given]
            with torch.enable_grad():
                outputs = compute(*leaves)
            outputs = outputs if isinstance(outputs, tuple) else (outputs,)
            upstreams = [output.detach().cos() for output in outputs]
            found.append([*outputs, *torch.autograd.grad(outputs, leaves, upstreams)])
        agree = all(torch.allclose(*pair, rtol=1e-3, atol=1e-4) for pair in zip(*found, strict=True))
        if not agree:
            raise RuntimeError("they give other numbers than plain torch")
    except Exception as error:
        _give_up(error)
    return not _failed


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx,
        name: str,
        plain: Callable[..., Any],
        keeps: bool,
        settings: dict[str, int],
        *inputs: Tensor | None,
    ) -> Any:
        kernels = importlib.import_module(f"geomem.models.{name}_kernels")
        ctx.set_materialize_grads(False)
        outputs, kept = kernels.compute(*inputs, **settings, keeps=keeps)
        ctx.kernels, ctx.plain, ctx.settings, ctx.given = kernels, plain, settings, len(inputs)
        ctx.save_for_backward(*inputs, *kept)
        return outputs

    @staticmethod
    def backward(ctx, *upstreams: Tensor | None) -> tuple[Any, ...]:
        inputs, kept = ctx.saved_tensors[: ctx.given], ctx.saved_tensors[ctx.given :]
        try:
            gradients = ctx.kernels.differentiate(upstreams, kept, *inputs, **ctx.settings)
        except Exception as error:
            _give_up(error)
            gradients = _differentiate_plainly(ctx.plain, inputs, upstreams)
        return None, None, None, None, *gradients


def _differentiate_plainly(
    plain: Callable[..., Any], inputs: tuple[Tensor | None, ...], upstreams: tuple[Tensor | None, ...]
) -> list[Tensor | None]:
    with torch.enable_grad():
        leaves = [None if one is None else one.detach().requires_grad_() for one in inputs]
        outputs = plain(*leaves)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    reached = [pair for pair in zip(outputs, upstreams, strict=True) if pair[1] is not None]
    found = torch.autograd.grad(
        [output for output, _ in reached],
        [leaf for leaf in leaves if leaf is not None],
        [upstream for _, upstream in reached],
        allow_unused=True,
    )
    left = iter(found)
    return [None if leaf is None else next(left) for leaf in leaves]


@functools.cache
def _has_triton() -> bool:
    return importlib.util.find_spec("triton") is not None


def _give_up(error: Exception) -> None:
    # Too little memory says nothing about the kernels, and the plain computation takes more of it.
    if isinstance(error, torch.OutOfMemoryError):
        raise error
    if not _failed:
        logging.getLogger(__name__).warning(
            "The GPU kernels of Mamba's scan failed (%s: %s); it is computed in plain torch, which takes "
            "longer and changes nothing else.",
            type(error).__name__,
            (str(error).strip() or "no reason given").splitlines()[-1],
        )
    _failed.add(type(error).__name__)
