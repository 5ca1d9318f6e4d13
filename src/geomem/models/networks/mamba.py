"""Mamba-1 along the run axis: a causal convolution and a selective scan per block, in plain torch.

The scan is a loop over tokens, never over examples or runs, and what a block keeps of the tokens before
is a value of its own (`ScanCache`): tokens that all prefixes share are passed once per run and their cache
goes on to every prefix, and a long sequence may be passed in pieces.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from geomem.models import fused
from geomem.models.layers import Parameters, apply_linear, normalize_layer, normalize_root_mean_square
from geomem.models.mamba import Mamba
from geomem.models.pieces import Piece, join_rows, keep_rows, split_rows


@dataclass(frozen=True, eq=False)
class ScanCache:
    """What one block keeps of the tokens it has passed; its example axis may be 1, the same for all."""

    signal: Float[Tensor, "run _ past channel"]
    """The last inputs of the convolution, one fewer than it has taps; zeros before the first token."""
    state: Float[Tensor, "run _ channel state"]
    """The scan's state after the last token."""


def apply_pieces(
    model: Mamba,
    parameters: Parameters,
    name: str,
    rows: Float[Tensor, "run row width"],
    pieces: Sequence[Piece],
) -> tuple[Float[Tensor, "run kept width"], list[ScanCache]]:
    """One block on the rows of all pieces, and what it keeps at the end of each.

        (u, z) = W_in LN(x),    u = SiLU(conv(u)),    (δ, B, C) = W_select u,
        Δ = softplus(W_step δ + b_step),    A = -exp(log_decay),
        y = scan(u, Δ, A, B, C) + D u,    out = W_out (y · SiLU(z))

    (Gu and Dao 2023, section 3.4 and algorithm 2.) A long sequence passed in pieces gives what it gives as a
    whole.
    """
    decay = -parameters[f"{name}.log_decay"].exp()
    shapes = [piece.shape for piece in pieces]
    normed = _normalize(model, parameters, f"{name}.norm", rows)
    signal, gate = _linear(parameters, f"{name}.input", normed).chunk(2, dim=-1)
    taps, bias = (parameters[f"{name}.convolution.{part}"] for part in ("weight", "bias"))
    channels, signals = _convolve(taps, bias, split_rows(signal, shapes), pieces)
    selected = _linear(parameters, f"{name}.selection", channels)
    rank, states = parameters[f"{name}.step_size.weight"].shape[-1], decay.shape[-1]
    low_rank, entry, exit = selected.split([rank, states, states], dim=-1)
    steps = apply_linear(low_rank, *(parameters[f"{name}.step_size.{part}"] for part in ("weight", "bias")))
    inputs = [channels, F.softplus(steps), entry, exit]
    if not fused.fits(*inputs):
        # Once for all pieces; the kernels read small numbers as they are.
        inputs = [part.to(channels.dtype) for part in inputs]
    scanned, caches = [], []
    for piece, kept, *own in zip(
        pieces, signals, *(split_rows(part, shapes) for part in inputs), strict=True
    ):
        past = caches[-1] if piece.follows else piece.past
        state = None if past is None else past.state
        outputs, state = scan_selectively(own[0], own[1], decay, own[2], own[3], state, first=piece.first)
        scanned.append(outputs)
        caches.append(ScanCache(kept, state))
    kept = keep_rows(rows, pieces)
    if not kept.shape[1]:
        return kept, caches
    skip = parameters[f"{name}.skip"][:, None]
    gated = torch.addcmul(join_rows(scanned), keep_rows(channels, pieces), skip)
    gated = gated * F.silu(keep_rows(gate, pieces))
    outputs = _linear(parameters, f"{name}.output", gated)
    return kept + outputs if model.residual else outputs, caches


def _convolve(
    weight: Float[Tensor, "run channel tap"],
    bias: Float[Tensor, "run channel"],
    parts: Sequence[Float[Tensor, "run _ _ channel"]],
    pieces: Sequence[Piece],
) -> tuple[Float[Tensor, "run row channel"], list[Float[Tensor, "run _ past channel"]]]:
    """SiLU of every piece's causal convolution, and the inputs that the next tokens will still meet."""
    signals, kept = [], []
    for own, piece in zip(parts, pieces, strict=True):
        before = kept[-1] if piece.follows else None if piece.past is None else piece.past.signal
        if before is None:
            before = own.new_zeros(*own.shape[:2], weight.shape[-1] - 1, own.shape[-1])
        signals.append(torch.cat([before.expand(-1, piece.shape[0], -1, -1), own], dim=2))
        kept.append(signals[-1][:, :, piece.shape[1] :])
    if fused.fits(*signals, weight, bias):
        outputs = [fused.fuse("convolution", _convolve_plainly, signal, weight, bias) for signal in signals]
        return join_rows(outputs), kept
    return F.silu(join_rows([_weigh(signal, weight) for signal in signals]) + bias[:, None]), kept


def _convolve_plainly(
    signal: Float[Tensor, "run example seq channel"],
    weight: Float[Tensor, "run channel tap"],
    bias: Float[Tensor, "run channel"],
) -> Float[Tensor, "run example out channel"]:
    return F.silu(_weigh(signal, weight) + bias[:, None, None])


def _weigh(
    signal: Float[Tensor, "run example seq channel"], weight: Float[Tensor, "run channel tap"]
) -> Float[Tensor, "run example out channel"]:
    # [run, example, seq, channel, tap]: a view of the signal, no copy.
    windows = signal.unfold(2, weight.shape[-1], 1)
    return (windows * weight[:, None, None]).sum(-1)


def normalize_states(
    model: Mamba, parameters: Parameters, states: Float[Tensor, "run row width"]
) -> Float[Tensor, "run row width"]:
    """The normalisation between the last block and the read-out, if the model has one."""
    return _normalize(model, parameters, "final_norm", states) if model.final_norm else states


def scan_selectively(
    signal: Float[Tensor, "run example seq channel"],
    steps: Float[Tensor, "run example seq channel"],
    decay: Float[Tensor, "run channel state"],
    entry: Float[Tensor, "run example seq state"],
    exit: Float[Tensor, "run example seq state"],
    state: Float[Tensor, "run _ channel state"] | None = None,
    *,
    first: int = 0,
) -> tuple[Float[Tensor, "run example out channel"], Float[Tensor, "run example channel state"]]:
    """The selective scan's outputs, and its state after the last token.

        h_t = exp(Δ_t A) h_{t-1} + Δ_t B_t u_t,    y_t = C_t · h_t    (Gu and Dao 2023, equations 2 and 4)

    with zero-order hold for A and Euler's rule for B, as in the published implementation; u is `signal`, Δ
    `steps`, A `decay`, B `entry`, C `exit`. It starts from `state`, or from zero. Only the outputs from
    token `first` on are computed. Forward and backward take one operation a token, the rest is done at once.

    >>> one, two = torch.ones(1, 1, 2, 1), torch.tensor([[[[1.0], [2.0]]]])
    >>> outputs, state = scan_selectively(two, one, torch.tensor([[[-1.0]]]), one, one)
    >>> outputs.flatten().tolist(), state.item()
    ([1.0, 2.3678793907165527], 2.3678793907165527)
    """
    return fused.fuse("scan", _scan_plainly, signal, steps, decay, entry, exit, state, first=first)


def _scan_plainly(
    signal: Tensor,
    steps: Tensor,
    decay: Tensor,
    entry: Tensor,
    exit: Tensor,
    state: Tensor | None,
    *,
    first: int,
) -> tuple[Tensor, Tensor]:
    # The scan adds up in the channels' type, whatever that of the products.
    steps, entry, exit = (part.to(signal.dtype) for part in (steps, entry, exit))
    return _Scan.apply(signal, steps, decay, entry, exit, state, first)


class _Scan(torch.autograd.Function):
    """The scan; its gradient is the same recurrence from the last token to the first.

    With g_t the gradient in h_t: g_{t-1} gets exp(Δ_t A) g_t, and Δ_t A gets g_t h_{t-1} exp(Δ_t A).
    """

    @staticmethod
    def forward(
        ctx,
        signal: Tensor,
        steps: Tensor,
        decay: Tensor,
        entry: Tensor,
        exit: Tensor,
        state: Tensor | None,
        first: int,
    ) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        ctx.first = first
        # Without a state nothing decays into the first token.
        began = int(state is None)
        rates = (steps[:, :, began:, :, None] * decay[:, None, None]).exp_()
        states = (steps * signal).unsqueeze(-1) * entry.unsqueeze(-2)
        before = state
        for token, own in enumerate(states.unbind(2)):
            if before is not None:
                own.addcmul_(rates[:, :, token - began], before)
            before = own
        ctx.save_for_backward(signal, steps, decay, entry, exit, state, rates, states)
        last = states[:, :, -1]
        # A cache is to hold its own state alone, not those of all tokens.
        last = last.clone() if states.shape[2] > 1 else last
        if first == states.shape[2]:
            return signal[:, :, first:], last
        return _read_out(states[:, :, first:], exit[:, :, first:]), last

    @staticmethod
    def backward(ctx, *upstreams: Tensor | None) -> tuple[Tensor | None, ...]:
        signal, steps, decay, entry, exit, state, rates, states = ctx.saved_tensors
        upstream, last = upstreams
        if ctx.first == states.shape[2]:
            upstream = None
        began, unread = int(state is None), ctx.first if upstream is not None else states.shape[2]
        if upstream is None:
            for_states, for_exit = torch.zeros_like(states), torch.zeros_like(exit)
        else:
            for_states = upstream.unsqueeze(-1) * exit[:, :, unread:].unsqueeze(-2)
            for_exit = (upstream.unsqueeze(-2) @ states[:, :, unread:]).squeeze(-2)
            if unread:
                for_states = torch.cat([torch.zeros_like(states[:, :, :unread]), for_states], dim=2)
                for_exit = torch.cat([torch.zeros_like(exit[:, :, :unread]), for_exit], dim=2)
        tokens = for_states.unbind(2)
        if last is not None:
            tokens[-1].add_(last)
        for token in range(len(tokens) - 1, 0, -1):
            tokens[token - 1].addcmul_(rates[:, :, token - began], tokens[token])
        for_entered = _read_out(for_states, entry)
        for_entry = ((steps * signal).unsqueeze(-2) @ for_states).squeeze(-2)
        for_signal, for_steps = for_entered * steps, for_entered * signal
        for_decay, for_state = torch.zeros_like(decay), None
        if rates.shape[2]:
            exponents = for_states[:, :, began:] * rates
            if state is not None:
                # Kept apart, since the next line writes over what would else be the same numbers.
                into_first = exponents[:, :, 0]
                alike = into_first.shape == state.shape
                for_state = into_first.clone() if alike else into_first.sum_to_size(state.shape)
                into_first.mul_(state)
            if len(tokens) > 1:
                exponents[:, :, 1 - began :].mul_(states[:, :, :-1])
            for_steps[:, :, began:].add_((exponents * decay[:, None, None]).sum(-1))
            for_decay = exponents.mul_(steps[:, :, began:, :, None]).sum(dim=(1, 2))
        return for_signal, for_steps, for_decay, for_entry, for_exit, for_state, None


def _read_out(
    states: Float[Tensor, "run example token channel state"], by: Float[Tensor, "run example token state"]
) -> Float[Tensor, "run example token channel"]:
    return (states @ by.unsqueeze(-1)).squeeze(-1)


def _linear(parameters: Parameters, name: str, inputs: Float[Tensor, "run row input"]) -> Tensor:
    return apply_linear(inputs, parameters[f"{name}.weight"])


def _normalize(
    model: Mamba, parameters: Parameters, name: str, inputs: Float[Tensor, "run row width"]
) -> Float[Tensor, "run row width"]:
    if model.norm == "root-mean-square":
        return normalize_root_mean_square(inputs, parameters[f"{name}.weight"])
    return normalize_layer(inputs, parameters[f"{name}.weight"], parameters[f"{name}.bias"])
