"""Margins of a bilinear memory, logits(u) = E (W e_u + b), as it is and with W kept from mixing directions.

The release computes E W E^T instead (wrong orientation), drops b, and lets untrained special tokens compete.
Here only node rows count, W multiplies from the left as in the model, the bias stays, and a node never
competes with itself.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from geomem.errors import InputError


@dataclass(frozen=True, eq=False)
class Margins:
    """Lead of true neighbours over the rest, and share of nodes whose best answer is a true neighbour."""

    margin: Float[np.ndarray, "*run"] | float
    accuracy: Float[np.ndarray, "*run"] | float


def bilinear_logits(
    embeddings: Float[np.ndarray, "*run node width"],
    weight: Float[np.ndarray, "*run width width"],
    bias: Float[np.ndarray, "*run width"],
) -> Float[np.ndarray, "*run node node"]:
    """Logits of every node (column) after every node (row): logits[u, v] = e_v . (W e_u + b).

    >>> shift = np.array([[0.0, 0.0], [1.0, 0.0]])
    >>> bilinear_logits(np.eye(2), shift, np.zeros(2)).tolist()
    [[0.0, 1.0], [0.0, 0.0]]
    """
    E, W = np.asarray(embeddings, dtype=np.float64), np.asarray(weight, dtype=np.float64)
    hidden = E @ np.swapaxes(W, -1, -2) + np.asarray(bias, dtype=np.float64)[..., None, :]
    return hidden @ np.swapaxes(E, -1, -2)


def skewed_weight(
    embeddings: Float[np.ndarray, "*run node width"], weight: Float[np.ndarray, "*run width width"]
) -> Float[np.ndarray, "*run width width"]:
    """W allowed to act only diagonally in the singular basis of E: the paper's skewed low-rank version.

        E = U S V^T,    W' = V diag(V^T W V) V^T

    How much of the function survives in W' is how geometric the model is: a geometry reads neighbours off E's
    own directions, an associative memory keeps everything in how W mixes them. If singular values of E are
    equal the basis is the solver's choice.

    >>> swap = np.array([[0.0, 1.0], [1.0, 0.0]])
    >>> skewed_weight(np.diag([2.0, 1.0]), swap).tolist()
    [[0.0, 0.0], [0.0, 0.0]]
    """
    V = np.linalg.svd(np.asarray(embeddings, dtype=np.float64), full_matrices=False)[2]
    diagonal = np.einsum("...rw,...wv,...rv->...r", V, np.asarray(weight, dtype=np.float64), V)
    return np.swapaxes(V, -1, -2) @ (diagonal[..., None] * V)


def measure_margins(logits: Float[np.ndarray, "*run node node"], facts: Int[np.ndarray, "fact 2"]) -> Margins:
    """Mean lead of the best true neighbour over the best other node, and how often it leads at all.

        margin = mean over u of (max over v in N(u) of logits[u, v] - max over other v != u of logits[u, v])

    Over the nodes that have both a neighbour and a non-neighbour. Raises `InputError` if there is none.

    >>> logits = np.array([[9.0, 2.0, 1.0], [0.0, 9.0, 0.0], [4.0, 1.0, 9.0]])
    >>> margins = measure_margins(logits, np.array([[0, 1], [2, 1]]))
    >>> float(margins.margin), float(margins.accuracy)
    (-1.0, 0.5)
    """
    nodes = logits.shape[-1]
    neighbours = np.zeros((nodes, nodes), dtype=bool)
    neighbours[facts[:, 0], facts[:, 1]] = True
    np.fill_diagonal(neighbours, False)
    others = ~neighbours & ~np.eye(nodes, dtype=bool)
    rows = neighbours.any(axis=1) & others.any(axis=1)
    if not rows.any():
        raise InputError(
            f"No node of the {nodes} has both a neighbour and a non-neighbour among the facts, and a margin "
            "compares the two; use a graph that is not complete."
        )
    best_true = np.where(neighbours, logits, -np.inf).max(axis=-1)[..., rows]
    best_other = np.where(others, logits, -np.inf).max(axis=-1)[..., rows]
    return Margins((best_true - best_other).mean(axis=-1), (best_true > best_other).mean(axis=-1))
