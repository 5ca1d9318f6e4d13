"""A small Transformer for chains of relations in NumPy: positional and content heads, sparse ReLU layers.

Prompt x r_1 .. r_k, read at its last position. Attention is a softmax over all positions before it, computed
as such: scores of different places differ by `SHARPNESS`, so every weight but one underflows to exactly 0.
(Scores of 40 for an entity and 20 position / (2 k + 2), as in our first notes, leave the newest of the
generated entities only about two thirds of the weight at k = 8.)
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

from geomem.constructions.answering import logit_margins
from geomem.constructions.hop_sizes import HopSize
from geomem.errors import InputError
from geomem.worlds.facts.table import check_ids

# exp(-1000) is 0 in float64 and float32, so a softmax over scores this far apart is exactly one-hot.
SHARPNESS = 1000.0

# Numbers of the states of one block of questions: 64 MiB in float64.
_BLOCK_NUMBERS = 2**23


@dataclass(frozen=True, eq=False)
class Head:
    """A head; from p it scores position j with S ([p - j = offset] + slope j + content h_j[flag])."""

    copy: sparse.csr_array
    """W_O W_V, [width, width]."""
    offset: int | None = None
    slope: float = 0.0
    flag: int | None = None
    content: float = 0.0


@dataclass(frozen=True, eq=False)
class Layer:
    """h <- h + sum of heads, then h <- h + contract^T relu(expand h + bias)."""

    heads: tuple[Head, ...]
    expand: sparse.csr_array
    """What each neuron reads, [neuron, width]."""
    bias: Float[np.ndarray, " neuron"]
    contract: sparse.csr_array
    """What each neuron writes, [neuron, width]."""


@dataclass(frozen=True, eq=False)
class HopModel:
    """Weights in closed form that answer chains of `hops` relations in `steps` runs of the layers."""

    size: HopSize
    hops: int
    steps: int
    """1, or for chain of thought one per hop: each emits an object and reads it again as a token."""
    subjects: Float[np.ndarray, "subject width"]
    relations: Float[np.ndarray, "relation width"]
    objects: sparse.csr_array
    """Read-out [object, width]."""
    entities: Int[np.ndarray, " object"]
    """The subject that an emitted object is read as, -1 if it is not a subject."""
    unknown: Float[np.ndarray, " width"]
    """The token of an object that is not a subject."""
    layers: tuple[Layer, ...]
    margin: float


@dataclass(frozen=True, eq=False)
class HopAnswers:
    """Objects emitted at each step, -1 where none leads, and the leads of their logits."""

    emitted: Int[np.ndarray, "question step"]
    leads: Float[np.ndarray, "question step"]

    @property
    def objects(self) -> Int[np.ndarray, " question"]:
        """The final answers; -1 where the chain breaks off."""
        return self.emitted[:, -1]


def answer_hops(
    model: HopModel, subjects: Int[np.ndarray, " question"], relations: Int[np.ndarray, "question hop"]
) -> HopAnswers:
    """The last object of every chain x -r_1-> y_1 -r_2-> ... -r_k-> y_k, in blocks of questions.

    A lead below half the guaranteed margin counts as no answer, -1: a fact of the chain is missing, or
    one of its objects is not a subject.

    Raises `InputError` for ids that do not exist or chains of another number of hops.

    >>> from geomem.constructions.multihop import chain_of_thought
    >>> from geomem.worlds.facts.families import random_permutations
    >>> model = chain_of_thought(random_permutations(8, 2), hops=3)
    >>> answer_hops(model, np.array([0, 5]), np.array([[0, 1, 1], [1, 0, 0]])).emitted.shape
    (2, 3)
    """
    _check_questions(model, subjects, relations)
    width = max(len(layer.bias) for layer in model.layers)
    width = max(width, (model.hops + model.steps) * model.subjects.shape[1])
    rows = max(1, _BLOCK_NUMBERS // width)
    emitted = np.zeros((len(subjects), model.steps), dtype=np.int64)
    leads = np.zeros(emitted.shape)
    for start in range(0, len(subjects), rows):
        block = slice(start, start + rows)
        tokens = np.concatenate(
            [model.subjects[subjects[block], None], model.relations[relations[block]]], axis=1
        )
        for step in range(model.steps):
            logits = _last_states(model.layers, tokens) @ model.objects.T
            best = logits.argmax(axis=1)
            leads[block, step] = logit_margins(logits, best)
            emitted[block, step] = np.where(leads[block, step] > model.margin / 2, best, -1)
            if step + 1 < model.steps:
                entities = np.append(model.entities, -1)[emitted[block, step]]
                read = np.where(entities[:, None] >= 0, model.subjects[entities], model.unknown)
                tokens = np.concatenate([tokens, read[:, None]], axis=1)
    return HopAnswers(emitted, leads)


def _last_states(
    layers: tuple[Layer, ...], tokens: Float[np.ndarray, "question seq width"]
) -> Float[np.ndarray, "question width"]:
    """The residual stream at the last position.

    From the second layer on, heads look at their own position only, so no other position is needed.
    """
    h = tokens[:, -1]
    for number, layer in enumerate(layers):
        seen = tokens if number == 0 else h[:, None]
        read = [_attend(head, seen) @ head.copy.T for head in layer.heads]
        h = sum(read, start=h)
        active = np.maximum(h @ layer.expand.T + layer.bias, 0)
        # Neurons that are off for the whole block add zeros.
        on = np.flatnonzero(active.any(axis=0))
        h = h + active[:, on] @ layer.contract[on]
    return h


def _attend(
    head: Head, tokens: Float[np.ndarray, "question seq width"]
) -> Float[np.ndarray, "question width"]:
    """What the last position sees: the softmax-weighted mean of all tokens."""
    positions = np.arange(tokens.shape[1])
    scores = np.tile(head.slope * positions, (len(tokens), 1))
    if head.offset is not None:
        scores += positions[-1] - positions == head.offset
    if head.flag is not None:
        scores += head.content * tokens[:, :, head.flag]
    weights = np.exp(SHARPNESS * (scores - scores.max(axis=1, keepdims=True)))
    weights /= weights.sum(axis=1, keepdims=True)
    return (weights[:, None] @ tokens)[:, 0]


def _check_questions(
    model: HopModel, subjects: Int[np.ndarray, " question"], relations: Int[np.ndarray, "question hop"]
) -> None:
    if relations.shape != (len(subjects), model.hops):
        raise InputError(
            f"{len(subjects):,} subjects came with relations of shape {relations.shape}; the model answers "
            f"chains of {model.hops}, so give shape ({len(subjects)}, {model.hops})."
        )
    check_ids("A question", "subject", subjects, len(model.subjects))
    check_ids("A question", "relation", relations, len(model.relations))
