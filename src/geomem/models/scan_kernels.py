"""Triton kernels for Mamba's selective scan, forward and backward.

A program walks over the tokens of one example with the states of a block of channels in registers.
For the backward pass the states are stored once in float32, half of what the plain scan keeps; computing them
anew from the start would cost a walk of t tokens for token t, and the decay cannot be run backwards without
losing the states. The last state is the scan's output, so only those before it are stored on top.

Sums over channels, tokens and examples are partial sums of every program, which torch adds up: no atomics,
so that the same step gives the same bits. How examples are grouped depends on shapes alone.
"""

from typing import Any, no_type_check

import torch
import triton  # pyright: ignore[reportMissingImports]
import triton.language as tl  # pyright: ignore[reportMissingImports]
from torch import Tensor

ELEMENTS = 512
"""States in the registers of one program."""
PROGRAMS = 2048
"""Programs of a backward scan, at most about: more examples than that are taken several to a program."""

WARPS = 1
"""Of a program of the backward scan: alone, a warp need not wait for others at every sum over channels."""


@triton.jit
@no_type_check
def load(pointer, mask):
    """Numbers in float32, zeros where the mask is off."""
    return tl.load(pointer, mask=mask, other=0.0).to(tl.float32)


@triton.jit(do_not_specialize=["examples", "tokens", "first"])
@no_type_check
def _compute(
    signal, signal_run, signal_row, steps, steps_run, steps_row, entry, entry_run, entry_row,
    exit, exit_run, exit_row, decay, state, state_run, state_example, outputs, last, states,
    examples, tokens, first, channels,
    SIZE: tl.constexpr, BLOCK: tl.constexpr, STATES: tl.constexpr,
):  # fmt: skip
    blocks = tl.cdiv(channels, BLOCK)
    program = tl.program_id(0)
    sequence = (program // blocks).to(tl.int64)
    run, example = sequence // examples, sequence % examples
    own = (program % blocks) * BLOCK + tl.arange(0, BLOCK)
    slot = tl.arange(0, STATES)
    inside, held = own < channels, slot < SIZE
    both = inside[:, None] & held[None, :]
    cell = own[:, None] * SIZE + slot[None, :]
    rates = load(decay + run * channels * SIZE + cell, both)
    values = tl.zeros([BLOCK, STATES], tl.float32)
    if state is not None:
        begun = state + run * state_run + example * state_example
        values += load(begun + cell, both)
    for token in range(tokens):
        row = example * tokens + token
        u = load(signal + run * signal_run + row * signal_row + own, inside)
        step = load(steps + run * steps_run + row * steps_row + own, inside)
        into = load(entry + run * entry_run + row * entry_row + slot, held)
        values = tl.exp(step[:, None] * rates) * values + (step * u)[:, None] * into[None, :]
        if states is not None:
            at = (sequence * (tokens - 1) + token) * channels * SIZE
            tl.store(states + at + cell, values, mask=both & (token < tokens - 1))
        if token >= first:
            out = load(exit + run * exit_run + row * exit_row + slot, held)
            total = tl.sum(values * out[None, :], axis=1)
            at = (sequence * (tokens - first) + token - first) * channels
            tl.store(outputs + at + own, total, mask=inside)
    tl.store(last + sequence * channels * SIZE + cell, values, mask=both)


@triton.jit(do_not_specialize=["examples", "tokens", "first", "groups"])
@no_type_check
def _differentiate(
    signal, signal_run, signal_row, steps, steps_run, steps_row, entry, entry_run, entry_row,
    exit, exit_run, exit_row, decay, state, state_run, state_example,
    upstream, upstream_run, upstream_row, last, states,
    for_signal, for_steps, for_decay, for_entry, for_exit, for_state,
    examples, tokens, first, groups, channels,
    SIZE: tl.constexpr, BLOCK: tl.constexpr, STATES: tl.constexpr, SHARED: tl.constexpr,
):  # fmt: skip
    blocks = tl.cdiv(channels, BLOCK)
    program = tl.program_id(0)
    block = (program % blocks).to(tl.int64)
    part = (program // blocks).to(tl.int64)
    run, group = part // groups, part % groups
    own = (program % blocks) * BLOCK + tl.arange(0, BLOCK)
    slot = tl.arange(0, STATES)
    inside, held = own < channels, slot < SIZE
    both = inside[:, None] & held[None, :]
    cell = own[:, None] * SIZE + slot[None, :]
    rates = load(decay + run * channels * SIZE + cell, both)
    decays = tl.zeros([BLOCK, STATES], tl.float32)
    begins = tl.zeros([BLOCK, STATES], tl.float32)
    each = (examples + groups - 1) // groups
    for example in range(group * each, tl.minimum((group + 1) * each, examples)):
        sequence = run * examples + example
        # The gradient in the state after the token.
        flow = tl.zeros([BLOCK, STATES], tl.float32)
        if last is not None:
            flow += load(last + sequence * channels * SIZE + cell, both)
        for back in range(tokens):
            token = tokens - 1 - back
            row = example * tokens + token
            u = load(signal + run * signal_run + row * signal_row + own, inside)
            step = load(steps + run * steps_run + row * steps_row + own, inside)
            into = load(entry + run * entry_run + row * entry_row + slot, held)
            at = (sequence * (tokens - 1) + token - 1) * channels * SIZE
            before = load(states + at + cell, both & (token > 0))
            if state is not None:
                begun = state + run * state_run + example * state_example
                before += load(begun + cell, both & (token == 0))
            kept = tl.exp(step[:, None] * rates)
            at = ((run * blocks + block) * examples * tokens + row) * SIZE
            if upstream is not None:
                read = inside & (token >= first)
                place = example * (tokens - first) + token - first
                above = load(upstream + run * upstream_run + place * upstream_row + own, read)
                out = load(exit + run * exit_run + row * exit_row + slot, held)
                flow += above[:, None] * out[None, :]
                values = kept * before + (step * u)[:, None] * into[None, :]
                tl.store(for_exit + at + slot, tl.sum(above[:, None] * values, axis=0), mask=held)
            tl.store(for_entry + at + slot, tl.sum((step * u)[:, None] * flow, axis=0), mask=held)
            entered = tl.sum(flow * into[None, :], axis=1)
            flow *= kept
            exponents = flow * before
            slope = entered * u + tl.sum(exponents * rates, axis=1)
            decays += exponents * step[:, None]
            at = (sequence * tokens + token) * channels
            tl.store(for_signal + at + own, entered * step, mask=inside)
            tl.store(for_steps + at + own, slope, mask=inside)
        if for_state is not None:
            if SHARED:
                begins += flow
            else:
                tl.store(for_state + sequence * channels * SIZE + cell, flow, mask=both)
    at = part * channels * SIZE
    tl.store(for_decay + at + cell, decays, mask=both)
    if SHARED:
        tl.store(for_state + at + cell, begins, mask=both)


def compute(
    signal: Tensor, steps: Tensor, decay: Tensor, entry: Tensor, exit: Tensor, state: Tensor | None,
    *, first: int, keeps: bool,
) -> tuple[tuple[Tensor, Tensor], list[Tensor]]:  # fmt: skip
    """What `scan_selectively` returns, and what the backward pass needs: the states before the last."""
    runs, examples, tokens, channels = signal.shape
    size = decay.shape[-1]
    outputs = signal.new_empty(runs, examples, tokens - first, channels)
    last = signal.new_empty(runs, examples, channels, size)
    shape = (runs, examples, tokens - 1, channels, size)
    states = signal.new_empty(shape, dtype=torch.float32) if keeps else None
    sizes = _sizes(size)
    launch(
        _compute, runs * examples * triton.cdiv(channels, sizes["BLOCK"]),
        *lay_rows(signal), *lay_rows(steps), *lay_rows(entry), *lay_rows(exit),
        decay.contiguous(), *_begun(state),
        outputs, last, states, examples, tokens, first, channels, **sizes,
    )  # fmt: skip
    return (outputs, last), [] if states is None else [states]


def differentiate(
    upstreams: tuple[Tensor | None, ...], kept: tuple[Tensor, ...],
    signal: Tensor, steps: Tensor, decay: Tensor, entry: Tensor, exit: Tensor, state: Tensor | None,
    *, first: int,
) -> tuple[Tensor | None, ...]:  # fmt: skip
    """The gradients in the inputs of `compute`, in their order."""
    runs, examples, tokens, channels = signal.shape
    upstream, last = upstreams
    sizes = _sizes(decay.shape[-1])
    size, blocks = sizes["SIZE"], triton.cdiv(channels, sizes["BLOCK"])
    groups = min(examples, max(1, triton.cdiv(PROGRAMS, runs * blocks)))
    each = (runs, groups, channels, size)
    for_decay = signal.new_empty(each, dtype=torch.float32)
    shared, for_state = False, None
    if state is not None:
        # Of a state that all examples begin from, a program adds up its examples' gradients.
        shared = state.shape[1] == 1
        shape = each if shared else (runs, examples, channels, size)
        for_state = signal.new_empty(shape, dtype=torch.float32)
    # First those of the entry, then those of the exit.
    upstream = None if upstream is None or not upstream.shape[2] else upstream
    read = upstream is not None
    parts = signal.new_empty(1 + read, runs, blocks, examples * tokens, size, dtype=torch.float32)
    for_signal, for_steps = (torch.empty_like(one, memory_format=torch.contiguous_format)
                             for one in (signal, steps))  # fmt: skip
    launch(
        _differentiate, runs * groups * blocks,
        *lay_rows(signal), *lay_rows(steps), *lay_rows(entry), *lay_rows(exit),
        decay.contiguous(), *_begun(state),
        *lay_rows(upstream), None if last is None else last.contiguous(), kept[0],
        for_signal, for_steps, for_decay, parts[0], parts[1] if read else None, for_state,
        examples, tokens, first, groups, channels, **sizes, SHARED=shared, num_warps=WARPS,
    )  # fmt: skip
    summed = add_up(parts, 2).unflatten(2, (examples, tokens))
    if state is not None and for_state is not None:
        for_state = (add_up(for_state, 1)[:, None] if shared else for_state).to(state.dtype)
    return (
        for_signal,
        for_steps,
        add_up(for_decay, 1).to(decay.dtype),
        summed[0].to(entry.dtype),
        summed[1].to(exit.dtype) if read else torch.zeros_like(exit),
        for_state,
    )


def sample(device: torch.device) -> tuple[list[Tensor], dict[str, int]]:
    """Small inputs and settings on which the kernels are tried: examples that begin from one state."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, 3, 4, 40), (2, 3, 4, 40), (2, 40, 5), (2, 3, 4, 5), (2, 3, 4, 5), (2, 1, 40, 5)]
    signal, steps, decay, *rest = (torch.randn(shape, generator=generator) for shape in shapes)
    inputs = [signal, steps.exp() / 3, -decay.exp(), *rest]
    return [one.to(device) for one in inputs], {"first": 1}


def launch(kernel: Any, programs: int, *given: Any, **settings: Any) -> None:
    """Start a kernel on the device of its first tensor."""
    with torch.cuda.device_of(given[0]):
        kernel[(programs,)](*given, **settings)


def _sizes(size: int) -> dict[str, int]:
    """States of a channel, the same as a power of two, and channels of a program."""
    states = triton.next_power_of_2(size)
    return {"SIZE": size, "STATES": states, "BLOCK": max(1, ELEMENTS // states)}


def lay_rows(given: Tensor | None) -> tuple[Tensor | None, int, int]:
    """A tensor [run, example, token, ·] and its steps from run to run and from row to row."""
    if given is None:
        return None, 0, 0
    rows = given.flatten(1, 2)
    rows = rows if rows.stride(-1) == 1 else rows.contiguous()
    return rows, rows.stride(0), rows.stride(1)


def _begun(state: Tensor | None) -> tuple[Tensor | None, int, int]:
    if state is None:
        return None, 0, 0
    state = state.contiguous()
    return state, state.stride(0), state.stride(1) if state.shape[1] > 1 else 0


def add_up(parts: Tensor, axis: int) -> Tensor:
    """The sum over an axis, which costs nothing where it is 1."""
    return parts.squeeze(axis) if parts.shape[axis] == 1 else parts.sum(axis)
