"""Embedding-only training: a fresh subject table learns new facts while every other weight stays (notes D8).

How fast a table learns through a network says how reusable the network is; one drawn at random is the
control.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int

from geomem.errors import InputError
from geomem.measure.probes import RecallNetwork, open_network, states_of
from geomem.models.configuration import Recall
from geomem.models.loss import Questions, differentiate_recall
from geomem.models.networks.recall import initialize_recall
from geomem.models.randomness import generator_for
from geomem.models.recall import RecallSize
from geomem.training.configuration import RECALL_BETAS, RunSettings, Training
from geomem.training.loop import Problem, train_problem


@dataclass(frozen=True, eq=False)
class SubjectTraining:
    """How a fresh subject table learned."""

    recall: Float[np.ndarray, " step"]
    """After 0, 1, 2, ... steps; ends early where everything is recalled."""

    @property
    def best(self) -> float:
        """Highest recall on the way."""
        return float(self.recall.max())

    def steps_to(self, recall: float = 0.99) -> float:
        """Steps until this recall; NaN if it was not reached."""
        reached = np.flatnonzero(self.recall >= recall)
        return float(reached[0]) if len(reached) else float("nan")


def train_subjects(
    network: RecallNetwork,
    answers: Int[np.ndarray, "subject chain"],
    *,
    steps: int = 250,
    learning_rate: float = 0.05,
    subjects: int = 256,
    seed: int = 0,
) -> SubjectTraining:
    """Train subject vectors alone, from a fresh start, full batch, Adam at a constant rate.

    With the network frozen no subject's loss depends on another's vector, and Adam steps every number by
    itself, so at most `subjects` of them, drawn at random, learn exactly as they would among all. Raises
    `InputError` for a tied network, whose subject table is also its read-out.

    >>> from geomem.models.configuration import Recall
    >>> model, size = Recall(width=32, mlp_width=64), RecallSize(subjects=8, relations=1, objects=8)
    >>> train_subjects(draw_network(model, size), np.arange(8)[:, None]).best
    1.0
    """
    model = network.model
    if model.tied:
        raise InputError(
            "The model is tied: its subject table is its read-out too and cannot be trained alone; untie it."
        )
    chosen = np.random.default_rng([seed, 6]).permutation(len(answers))[:subjects]
    targets = torch.tensor(answers[np.sort(chosen)]).flatten()[None]
    frozen = {name: values.float() for name, values in network.parameters.items()}
    small = RecallNetwork(model, frozen, network.paths, network.table.float())
    device, table = small.table.device, small.table[None]
    weights = (targets >= 0).float().to(device)
    questions = Questions(targets.clamp(min=0).to(device), weights / weights.sum())
    start = torch.randn(len(chosen), model.width, generator=generator_for(seed, "fresh subjects"))
    flat = (start * (model.subject_scale * model.width**-0.5)).view(1, -1).to(device)
    gradient = torch.zeros_like(flat)
    vectors = flat.view(len(chosen), model.width)

    def differentiate(step: int) -> torch.Tensor:
        leaf = vectors.detach().requires_grad_()
        states = states_of(small, leaf).flatten(0, 1)[None]
        upstream, _ = differentiate_recall(states, table, questions)
        gradient.copy_(torch.autograd.grad(states, leaf, upstream)[0].view(1, -1))
        return states.detach()

    def measure(step: int, states: torch.Tensor | None) -> dict[str, np.ndarray]:
        if states is None:
            states = states_of(small, vectors).flatten(0, 1)[None]
        right = 0.0
        # By subjects, so that logits of many objects are never held whole.
        for rows in torch.arange(states.shape[1], device=device).split(1024):
            logits = states[0, rows] @ table[0].T
            own = logits.gather(1, questions.targets[0, rows, None])
            # A tie is wrong: the right object must be the only one that scores as high.
            alone = (logits >= own).sum(dim=1) == 1
            right += float((alone & (weights[0, rows] > 0)).sum())
        return {"recall": np.array([right / float(weights.sum())])}

    curves = train_problem(
        Problem(flat, gradient, differentiate, measure, lambda: vectors[None]),
        [RunSettings(seed, learning_rate)],
        Training(steps=steps, learning_rate=learning_rate, schedule="constant", metric_every=1, snapshots=2),
        enough=lambda row: bool(row["recall"][0] >= 1),
        betas=RECALL_BETAS,
    )
    return SubjectTraining(curves.metrics["recall"][:, 0])


def draw_network(model: Recall, size: RecallSize, *, seed: int = 0) -> RecallNetwork:
    """A network of this size as it is before any training: the control of `train_subjects`.

    Its random streams are not those of the run of the same seed.
    """
    return open_network(model, initialize_recall([model], [size], seeds=[seed + 1_000_003]))
