"""Cross-entropy over a large vocabulary without its logits: a chunk of rows at a time.

A batch of paths over 60,000 nodes has thousands of target positions, so its logits and their gradient would
take gigabytes; so would the grid of all questions about a large table of facts. Here each chunk of rows makes
its logits, its losses and its share of both gradients at once and is overwritten by the next: memory is chunk
times vocabulary.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from geomem.models.parameters import CHUNK_NUMBERS

# A device's memory by this: its logits then take a fortieth of it, and a step of the paper's sizes one chunk.
BYTES_PER_CHUNK_NUMBER = 160
# Of a grid of questions; on one core any number from 2¹⁵ to 2²² was equally fast within a tenth.
GRID_NUMBERS = 1 << 20
# On a CPU more rows are no faster (measured at 5,010 and 60,000 tokens), and fewer fit in the cache.
CPU_CHUNK_ROWS = 256


def chunked_cross_entropy(
    states: Float[Tensor, "run row width"],
    table: Float[Tensor, "run vocab width"],
    targets: Int[Tensor, "run_or_1 row slot"],
    weights: Float[Tensor, "run_or_1 row slot"],
    *,
    chunk_numbers: int | None = None,
) -> Float[Tensor, " run"]:
    """Weighted cross-entropy of each run over every slot of every row, exact, in chunks of rows.

        loss = sum_{row, slot} w (logsumexp(z) - z[target]),    z = E h

    Both gradients are made in the same pass: with g = (sum_slot w) softmax(z) - sum_slot w 1[target] that is
    dh = Eᵀ g and dE = sum_row g hᵀ. At most `chunk_numbers` logits are held, or what suits the device, but at
    least those of one row. A slot of weight 0 adds nothing, whatever its state; its target must still be a
    token. Losses add up in float32 even for states in bfloat16, and so does dE. A run that is not finite
    leaves the others alone.

    >>> states, table = torch.zeros(1, 2, 3), torch.ones(1, 8, 3)
    >>> targets, weights = torch.zeros(1, 2, 1, dtype=torch.int64), torch.ones(1, 2, 1)
    >>> round(chunked_cross_entropy(states, table, targets, weights).exp().item(), 3)
    64.0
    """
    differentiate = torch.is_grad_enabled() and (states.requires_grad or table.requires_grad)
    numbers = chunk_numbers or numbers_at_once(states.device, CHUNK_NUMBERS)
    return _CrossEntropy.apply(states, table, targets, weights, numbers, differentiate)


def given_cross_entropy(
    logits: Float[Tensor, "run row vocab"],
    targets: Int[Tensor, "run_or_1 row slot"],
    weights: Float[Tensor, "run_or_1 row slot"],
) -> Float[Tensor, " run"]:
    """The same loss of logits that are there already; autograd differentiates it.

    >>> logits, weights = torch.zeros(1, 2, 8), torch.ones(1, 2, 1)
    >>> round(given_cross_entropy(logits, torch.zeros(1, 2, 1, dtype=torch.int64), weights).exp().item(), 3)
    64.0
    """
    targets, weights = targets.expand(len(logits), -1, -1), weights.expand(len(logits), -1, -1)
    used = logits.masked_fill((weights == 0).all(dim=-1, keepdim=True), 0)
    return (weights * (used.logsumexp(dim=-1, keepdim=True) - used.gather(2, targets))).sum(dim=(1, 2))


def best_tokens(
    states: Float[Tensor, "run row width"],
    table: Float[Tensor, "run vocab width"] | None,
    *,
    candidates: Int[Tensor, " candidate"] | None = None,
    chunk_numbers: int | None = None,
) -> Int[Tensor, "run row"]:
    """The token of the largest logit of every row, among all tokens or `candidates`; the first of equals.

    Without a table the states are the logits.

    >>> table = torch.tensor([[[1.0], [3.0], [2.0]]])
    >>> best_tokens(torch.ones(1, 1, 1), table).item()
    1
    >>> best_tokens(torch.ones(1, 1, 1), table, candidates=torch.tensor([2, 0])).item()
    2
    """
    with torch.no_grad():
        if table is None:
            logits = states if candidates is None else states.index_select(2, candidates)
            best = logits.argmax(dim=-1)
            return best if candidates is None else candidates[best]
        table = table if candidates is None else table.index_select(1, candidates)
        best = torch.empty(states.shape[:2], dtype=torch.int64, device=states.device)
        numbers = chunk_numbers or numbers_at_once(states.device, CHUNK_NUMBERS)
        for runs, rows in _chunks(states, len(table[0]), numbers, _most_rows(states)):
            logits = torch.bmm(states[runs, rows], table[runs].transpose(1, 2))
            best[runs, rows] = logits.argmax(dim=-1)
        return best if candidates is None else candidates[best]


@dataclass(frozen=True, eq=False)
class Questions:
    """What every run is asked on a grid, and what it should answer."""

    targets: Int[Tensor, "run question"]
    """The right object; any where the weight is 0."""
    weights: Float[Tensor, "run question"]
    """Share of each fact in its run's loss; 0 where there is no fact."""
    penalties: Float[Tensor, "run object"] | None = None
    """0 for the objects that a run has, -infinity for those it is only padded with; None if all have all."""


def differentiate_recall(
    states: Float[Tensor, "run question width"],
    table: Float[Tensor, "run object width"] | None,
    questions: Questions,
) -> tuple[Float[Tensor, "run question width"], Float[Tensor, "run object width"] | None]:
    """Gradients of sum_q w_q (logsumexp(U y_q) - u_t · y_q) in the states y and the table U.

    With P = softmax - onehot: the states' is w (P U), the table's Pᵀ (w y). Without a table the states are
    the logits, and theirs is w P.

    >>> questions = Questions(torch.tensor([[0]]), torch.ones(1, 1))
    >>> differentiate_recall(torch.zeros(1, 1, 2), torch.eye(2)[None], questions)[0].tolist()
    [[[-0.5, 0.5]]]
    """
    states, table = states.detach(), None if table is None else table.detach()
    for_states, for_table = torch.empty_like(states), None if table is None else torch.zeros_like(table)
    for runs, rows in _chunks(states, _count_objects(states, table), _grid_numbers(states)):
        piece, weights = states[runs, rows], questions.weights[runs, rows, None]
        chances = _logits(piece, table, questions, runs).softmax(dim=-1)
        targets = questions.targets[runs, rows, None]
        chances.scatter_add_(2, targets, chances.new_full((1, 1, 1), -1.0).expand(targets.shape))
        if table is None or for_table is None:
            for_states[runs, rows] = chances * weights
            continue
        for_states[runs, rows] = (chances @ table[runs]) * weights
        for_table[runs] += chances.transpose(1, 2) @ (piece * weights)
    return for_states, for_table


def measure_recall(
    states: Float[Tensor, "run question width"],
    table: Float[Tensor, "run object width"] | None,
    questions: Questions,
) -> dict[str, Float[Tensor, " run"]]:
    """Loss, number of facts recalled and smallest margin of every run, over its facts alone.

    A fact is recalled if its object scores highest; a tie is wrong. Its margin is its object's score less the
    best other one, so those recalled have margins above 0. Without a table the states are the logits.

    >>> questions = Questions(torch.tensor([[0, 1]]), torch.full((1, 2), 0.5))
    >>> found = measure_recall(torch.eye(2)[None], torch.eye(2)[None], questions)
    >>> found["recalled"].item(), found["margin"].item()
    (2, 1.0)
    """
    losses, margins = torch.empty_like(questions.weights), torch.empty_like(questions.weights)
    for runs, rows in _chunks(states, _count_objects(states, table), _grid_numbers(states)):
        targets = questions.targets[runs, rows, None]
        logits = _logits(states[runs, rows], table, questions, runs)
        right = logits.gather(2, targets)
        losses[runs, rows] = logits.logsumexp(dim=-1) - right[..., 0]
        others = logits.scatter_(2, targets, float("-inf")).amax(dim=-1)
        margins[runs, rows] = right[..., 0] - others
    facts = questions.weights > 0
    return {
        "loss": (losses * questions.weights).sum(dim=1),
        "recalled": ((margins > 0) & facts).sum(dim=1),
        "margin": torch.where(facts, margins, float("inf")).amin(dim=1),
    }


def best_objects(
    states: Float[Tensor, "run question width"], table: Float[Tensor, "run object width"] | None
) -> tuple[Int[Tensor, "run question"], Float[Tensor, "run question"]]:
    """The object that scores highest after every question, and its lead over the second; 0 in a tie.

    Without a table the states are the logits.

    >>> objects, leads = best_objects(torch.tensor([[[1.0, 3.0]]]), torch.eye(2)[None])
    >>> objects.item(), leads.item()
    (1, 2.0)
    """
    objects = torch.empty(states.shape[:2], dtype=torch.int64, device=states.device)
    leads = torch.full(states.shape[:2], float("inf"), dtype=states.dtype, device=states.device)
    count = _count_objects(states, table)
    for runs, rows in _chunks(states, count, _grid_numbers(states)):
        piece = states[runs, rows]
        logits = piece if table is None else piece @ table[runs].transpose(1, 2)
        top = logits.topk(min(2, count), dim=-1)
        objects[runs, rows] = top.indices[..., 0]
        if count > 1:
            leads[runs, rows] = top.values[..., 0] - top.values[..., 1]
    return objects, leads


def numbers_at_once(device: torch.device, on_cpu: int) -> int:
    """Logits that are held at once: on a CPU as many as given, on a GPU as its memory allows.

    >>> numbers_at_once(torch.device("cpu"), 1 << 20)
    1048576
    """
    if device.type != "cuda":
        return on_cpu
    memory = torch.cuda.get_device_properties(device).total_memory
    return max(on_cpu, memory // BYTES_PER_CHUNK_NUMBER)


def _logits(piece: Tensor, table: Tensor | None, questions: Questions, runs: slice) -> Tensor:
    if table is None:
        return piece.clone() if questions.penalties is None else piece + questions.penalties[runs, None]
    if questions.penalties is None:
        return piece @ table[runs].transpose(1, 2)
    return torch.baddbmm(questions.penalties[runs, None], piece, table[runs].transpose(1, 2))


def _count_objects(states: Tensor, table: Tensor | None) -> int:
    return states.shape[2] if table is None else table.shape[1]


def _grid_numbers(states: Tensor) -> int:
    return numbers_at_once(states.device, GRID_NUMBERS)


def _chunks(
    states: Float[Tensor, "run row width"], vocabulary: int, numbers: int, most_rows: int | None = None
) -> Iterator[tuple[slice, slice]]:
    """Runs and rows of each chunk: as many rows as fit, and where all rows of a run do, several runs."""
    run_count, row_count, _ = states.shape
    at_once = max(1, numbers // vocabulary)
    if most_rows is not None:
        at_once = min(at_once, most_rows)
    runs_at_once = max(1, at_once // max(1, row_count))
    for run in range(0, run_count, runs_at_once):
        for row in range(0, row_count, at_once):
            yield slice(run, run + runs_at_once), slice(row, row + at_once)


def _most_rows(states: Tensor) -> int | None:
    return CPU_CHUNK_ROWS if states.device.type == "cpu" else None


class _CrossEntropy(torch.autograd.Function):
    """The losses; where they will be differentiated, the gradients of their sum are made on the way."""

    @staticmethod
    def forward(
        ctx,
        states: Tensor,
        table: Tensor,
        targets: Tensor,
        weights: Tensor,
        chunk_numbers: int,
        differentiate: bool,
    ) -> Tensor:
        runs = len(states)
        targets, weights = targets.expand(runs, -1, -1), weights.expand(runs, -1, -1)
        exact = torch.promote_types(states.dtype, torch.float32)
        losses = states.new_zeros(runs, dtype=exact)
        state_gradient, table_gradient = None, None
        if differentiate:
            state_gradient = torch.empty_like(states)
            table_gradient = torch.zeros_like(table, dtype=exact, memory_format=torch.contiguous_format)
        for chunk in _chunks(states, len(table[0]), chunk_numbers, _most_rows(states)):
            weight = weights[chunk].to(exact)
            row_weight = weight.sum(dim=-1, keepdim=True)
            # A row without weight may be anything, even infinite; 0 times that would be NaN.
            used = states[chunk].masked_fill((weight == 0).all(dim=-1, keepdim=True), 0)
            embeddings = table[chunk[0]].to(states.dtype)
            logits = torch.bmm(used, embeddings.transpose(1, 2))
            picked = logits.gather(2, targets[chunk]).to(exact)
            top = logits.amax(dim=-1, keepdim=True).to(exact)
            # One pass over the logits, which makes the gradient with respect to them but for the targets.
            if logits.dtype == exact:
                chances = torch.softmax(logits, dim=-1, out=logits)
            else:
                chances = torch.softmax(logits, dim=-1, dtype=exact)
            # The best token's chance is one over the sum of exp(logit - top).
            losses[chunk[0]] += (weight * (top - chances.amax(dim=-1, keepdim=True).log() - picked)).sum(
                dim=(1, 2)
            )
            if state_gradient is None or table_gradient is None:
                continue
            # The rows' own weights are left to the products, which have fewer numbers.
            shares = weight / row_weight.clamp(min=torch.finfo(exact).tiny)
            chances.scatter_add_(2, targets[chunk], -shares)
            for_logits = chances.to(states.dtype)
            state_gradient[chunk] = torch.bmm(for_logits, embeddings) * row_weight
            weighted = (used * row_weight).to(states.dtype)
            if used.dtype == exact:
                # A product added in place spares a second table per chunk.
                table_gradient[chunk[0]].baddbmm_(for_logits.transpose(1, 2), weighted)
            else:
                table_gradient[chunk[0]] += torch.bmm(for_logits.transpose(1, 2), weighted)
        if differentiate:
            ctx.save_for_backward(state_gradient, table_gradient)
            ctx.table_dtype = table.dtype
        return losses

    @staticmethod
    def backward(ctx, *upstreams: Tensor) -> tuple[Tensor | None, ...]:
        upstream = upstreams[0][:, None, None]
        state_gradient, table_gradient = ctx.saved_tensors
        for_states, for_table = ctx.needs_input_grad[:2]
        return (
            (state_gradient * upstream).to(state_gradient.dtype) if for_states else None,
            (table_gradient * upstream).to(ctx.table_dtype) if for_table else None,
            None,
            None,
            None,
            None,
        )
