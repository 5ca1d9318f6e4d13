"""Triton kernels for Mamba's causal convolution with its bias and SiLU, forward and backward.

A program computes a tile of tokens and channels. As in `scan_kernels` sums over tokens are partial sums of
every program, which torch adds up, so that the same step gives the same bits.
"""

from typing import no_type_check

import torch
import triton  # pyright: ignore[reportMissingImports]
import triton.language as tl  # pyright: ignore[reportMissingImports]
from torch import Tensor

from geomem.models.scan_kernels import add_up, launch, lay_rows, load

TILE = 32
"""Tokens, and channels, of one program."""


@triton.jit(do_not_specialize=["examples", "tokens"])
@no_type_check
def _compute(
    signal, signal_run, signal_row, weight, bias, outputs, sums,
    examples, tokens, channels, TAPS: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    blocks, tiles = tl.cdiv(channels, BLOCK), tl.cdiv(examples * tokens, ROWS)
    program = tl.program_id(0)
    own = (program % blocks) * BLOCK + tl.arange(0, BLOCK)
    run = (program // blocks // tiles).to(tl.int64)
    row = ((program // blocks) % tiles).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    inside, whole = own < channels, row < examples * tokens
    both = whole[:, None] & inside[None, :]
    # The signal has TAPS - 1 more rows an example than the outputs.
    near = run * signal_run + (row + row // tokens * (TAPS - 1)) * signal_row
    total = tl.zeros([ROWS, BLOCK], tl.float32)
    total += load(bias + run * channels + own, inside)[None, :]
    for tap in tl.static_range(TAPS):
        factor = load(weight + (run * channels + own) * TAPS + tap, inside)
        at = signal + (near + tap * signal_row)[:, None] + own[None, :]
        total += factor[None, :] * load(at, both)
    at = (run * examples * tokens + row)[:, None] * channels + own[None, :]
    if sums is not None:
        tl.store(sums + at, total, mask=both)
    tl.store(outputs + at, total / (1.0 + tl.exp(-total)), mask=both)


@triton.jit(do_not_specialize=["examples", "tokens"])
@no_type_check
def _differentiate(
    signal, signal_run, signal_row, weight, upstream, upstream_run, upstream_row, sums, for_signal, for_taps,
    examples, tokens, channels, TAPS: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    length = tokens + (TAPS - 1)
    blocks, tiles = tl.cdiv(channels, BLOCK), tl.cdiv(examples * length, ROWS)
    program = tl.program_id(0)
    own = (program % blocks) * BLOCK + tl.arange(0, BLOCK)
    part = (program // blocks).to(tl.int64)
    run = part // tiles
    row = (part % tiles) * ROWS + tl.arange(0, ROWS)
    inside, whole = own < channels, row < examples * length
    both = whole[:, None] & inside[None, :]
    example, place = row // length, row % length
    at = signal + (run * signal_run + row * signal_row)[:, None] + own[None, :]
    value = load(at, both)
    total = tl.zeros([ROWS, BLOCK], tl.float32)
    sink = for_taps + part * (TAPS + 1) * channels + own
    for tap in tl.static_range(TAPS):
        token = place - tap
        reached = both & ((token >= 0) & (token < tokens))[:, None]
        out = example * tokens + token
        at = upstream + (run * upstream_run + out * upstream_row)[:, None] + own[None, :]
        above = load(at, reached)
        at = sums + (run * examples * tokens + out)[:, None] * channels + own[None, :]
        summed = load(at, reached)
        share = 1.0 / (1.0 + tl.exp(-summed))
        above *= share * (1.0 + summed * (1.0 - share))
        factor = load(weight + (run * channels + own) * TAPS + tap, inside)
        total += factor[None, :] * above
        tl.store(sink + tap * channels, tl.sum(above * value, axis=0), mask=inside)
        if tap == 0:
            # Every tap meets every output once, so one of them counts for the bias.
            tl.store(sink + TAPS * channels, tl.sum(above, axis=0), mask=inside)
    at = for_signal + (run * examples * length + row)[:, None] * channels + own[None, :]
    tl.store(at, total, mask=both)


def sample(device: torch.device) -> tuple[list[Tensor], dict[str, int]]:
    """Small inputs and settings on which the kernels are tried."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, 3, 20, 40), (2, 40, 4), (2, 40)]
    return [torch.randn(shape, generator=generator).to(device) for shape in shapes], {}


def compute(signal: Tensor, weight: Tensor, bias: Tensor, *, keeps: bool) -> tuple[Tensor, list[Tensor]]:
    """SiLU(Σ_k w_k u_{t+k} + b) wherever all taps meet an input, and for the backward pass the sums."""
    runs, examples, length, channels = signal.shape
    taps = weight.shape[-1]
    tokens = length - taps + 1
    kind = torch.promote_types(signal.dtype, weight.dtype)
    outputs = torch.empty(runs, examples, tokens, channels, dtype=kind, device=signal.device)
    sums = torch.empty_like(outputs, dtype=torch.float32) if keeps else None
    launch(
        _compute, runs * triton.cdiv(examples * tokens, TILE) * triton.cdiv(channels, TILE),
        *lay_rows(signal), weight.contiguous(), bias.contiguous(), outputs, sums,
        examples, tokens, channels, TAPS=taps, ROWS=TILE, BLOCK=TILE,
    )  # fmt: skip
    return outputs, [] if sums is None else [sums]


def differentiate(
    upstreams: tuple[Tensor, ...], kept: tuple[Tensor, ...], signal: Tensor, weight: Tensor, bias: Tensor
) -> tuple[Tensor, ...]:
    """The gradients in the inputs of `compute`, in their order."""
    runs, examples, length, channels = signal.shape
    taps = weight.shape[-1]
    tiles = triton.cdiv(examples * length, TILE)
    for_signal = torch.empty_like(signal, memory_format=torch.contiguous_format)
    parts = signal.new_empty(runs, tiles, taps + 1, channels, dtype=torch.float32)
    launch(
        _differentiate, runs * tiles * triton.cdiv(channels, TILE),
        *lay_rows(signal), weight.contiguous(), *lay_rows(upstreams[0]), kept[0], for_signal, parts,
        examples, length - taps + 1, channels, TAPS=taps, ROWS=TILE, BLOCK=TILE,
    )  # fmt: skip
    summed = add_up(parts, 1)
    return (for_signal, summed[:, :taps].transpose(1, 2).to(weight.dtype), summed[:, taps].to(bias.dtype))
