"""Cross-entropy and recall over a grid of questions, in pieces: [question, object] is never held whole."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

PIECE = 1 << 20
"""Logits held at a time; on one core any number from 2¹⁵ to 2²² was equally fast within a tenth."""


@dataclass(frozen=True, eq=False)
class Questions:
    """What every run is asked, and what it should answer."""

    targets: Int[Tensor, "run question"]
    """The right object; any where the weight is 0."""
    weights: Float[Tensor, "run question"]
    """Share of each fact in its run's loss; 0 where there is no fact."""
    penalties: Float[Tensor, "run object"] | None = None
    """0 for the objects that a run has, -infinity for those it is only padded with; None if all have all."""


def differentiate_recall(
    states: Float[Tensor, "run question width"],
    table: Float[Tensor, "run object width"],
    questions: Questions,
) -> tuple[Float[Tensor, "run question width"], Float[Tensor, "run object width"]]:
    """Gradients of sum_q w_q (logsumexp(U y_q) - u_t · y_q) in the states y and the table U.

    With P = softmax - onehot: the states' is w (P U), the table's Pᵀ (w y).

    >>> questions = Questions(torch.tensor([[0]]), torch.ones(1, 1))
    >>> differentiate_recall(torch.zeros(1, 1, 2), torch.eye(2)[None], questions)[0].tolist()
    [[[-0.5, 0.5]]]
    """
    states, table = states.detach(), table.detach()
    for_states, for_table = torch.empty_like(states), torch.zeros_like(table)
    for runs, rows in _pieces(states, table):
        piece, weights = states[runs, rows], questions.weights[runs, rows, None]
        chances = _logits(piece, table[runs], questions, runs).softmax(dim=-1)
        targets = questions.targets[runs, rows, None]
        chances.scatter_add_(2, targets, chances.new_full((1, 1, 1), -1.0).expand(targets.shape))
        for_states[runs, rows] = (chances @ table[runs]) * weights
        for_table[runs] += chances.transpose(1, 2) @ (piece * weights)
    return for_states, for_table


def measure_recall(
    states: Float[Tensor, "run question width"],
    table: Float[Tensor, "run object width"],
    questions: Questions,
) -> dict[str, Float[Tensor, " run"]]:
    """Loss, number of facts recalled and smallest margin of every run, over its facts alone.

    A fact is recalled if its object scores highest; a tie is wrong. Its margin is its object's score less the
    best other one, so those recalled have margins above 0.

    >>> questions = Questions(torch.tensor([[0, 1]]), torch.full((1, 2), 0.5))
    >>> found = measure_recall(torch.eye(2)[None], torch.eye(2)[None], questions)
    >>> found["recalled"].item(), found["margin"].item()
    (2, 1.0)
    """
    losses, margins = torch.empty_like(questions.weights), torch.empty_like(questions.weights)
    for runs, rows in _pieces(states, table):
        targets = questions.targets[runs, rows, None]
        logits = _logits(states[runs, rows], table[runs], questions, runs)
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
    states: Float[Tensor, "run question width"], table: Float[Tensor, "run object width"]
) -> tuple[Int[Tensor, "run question"], Float[Tensor, "run question"]]:
    """The object that scores highest after every question, and its lead over the second; 0 in a tie.

    >>> objects, leads = best_objects(torch.tensor([[[1.0, 3.0]]]), torch.eye(2)[None])
    >>> objects.item(), leads.item()
    (1, 2.0)
    """
    objects = torch.empty(states.shape[:2], dtype=torch.int64, device=states.device)
    leads = torch.full(states.shape[:2], float("inf"), dtype=states.dtype, device=states.device)
    for runs, rows in _pieces(states, table):
        top = (states[runs, rows] @ table[runs].transpose(1, 2)).topk(min(2, table.shape[1]), dim=-1)
        objects[runs, rows] = top.indices[..., 0]
        if table.shape[1] > 1:
            leads[runs, rows] = top.values[..., 0] - top.values[..., 1]
    return objects, leads


def _logits(piece: Tensor, table: Tensor, questions: Questions, runs: slice) -> Tensor:
    if questions.penalties is None:
        return piece @ table.transpose(1, 2)
    return torch.baddbmm(questions.penalties[runs, None], piece, table.transpose(1, 2))


def _pieces(states: Tensor, table: Tensor) -> Iterator[tuple[slice, slice]]:
    """Several whole runs at a time, or parts of one."""
    runs, rows, objects = *states.shape[:2], table.shape[1]
    run_step = max(1, PIECE // (rows * objects))
    row_step = rows if run_step > 1 or rows * objects <= PIECE else max(1, PIECE // objects)
    for run in range(0, runs, run_step):
        for row in range(0, rows, row_step):
            yield slice(run, run + run_step), slice(row, row + row_step)
