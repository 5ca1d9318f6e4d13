"""Both memories of one table of logits in the bilinear network, logits(u) = E W e_u: looked up or factored.

A lookup table has rows that know nothing and all facts in the map; a factored memory has the logits' own
directions as its rows. What each costs, ‖E‖² + ‖W‖² (Frobenius), follows from the spectrum of the logits.
Axis names: `token`, `width`; rows of logits are what is asked, columns what is answered.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from geomem.errors import InputError

RANK = 1e-9
"""Singular values below this share of the largest are none."""


@dataclass(frozen=True, eq=False)
class BilinearMemory:
    """E and W of logits[u, v] = e_v · (W e_u)."""

    embedding: Float[np.ndarray, "token width"]
    weight: Float[np.ndarray, "width width"]

    @property
    def logits(self) -> Float[np.ndarray, "token token"]:
        """E Wᵀ Eᵀ."""
        return self.embedding @ self.weight.T @ self.embedding.T

    @property
    def cost(self) -> float:
        """‖E‖² + ‖W‖²: what weight decay shrinks, and a start near zero keeps small."""
        return float(np.square(self.embedding).sum() + np.square(self.weight).sum())


def least_cost(logits: Float[np.ndarray, "token token"]) -> float:
    """The least ‖E‖² + ‖W‖² at which a bilinear network of any width has these logits; a bound, if not
    symmetric.

        ‖E‖² + ‖W‖² >= 3/2 · 2^⅓ · Σ σ_i^⅔,    σ_i: singular values of E Wᵀ Eᵀ

    By Hölder's inequality of Schatten norms ‖E Wᵀ Eᵀ‖_⅔ <= ‖E‖ ‖W‖ ‖E‖, and ‖E‖² + ‖W‖² with ‖E‖² ‖W‖ given
    is least at ‖E‖² = 2 ‖W‖². `factored_memory` reaches it.

    >>> round(least_cost(2 * np.eye(4)), 6)
    12.0
    """
    singular = np.linalg.svd(logits, compute_uv=False)
    return float(1.5 * np.cbrt(2) * np.cbrt(singular**2).sum())


def factored_memory(logits: Float[np.ndarray, "token token"], width: int) -> BilinearMemory:
    """The cheapest memory of symmetric logits Q Λ Qᵀ: E = Q (2Λ²)^(1/6), W = sign(Λ) |Λ/2|^(1/3).

    Every eigenvector of the logits has an axis, the longer the larger its eigenvalue. The Gram matrix of the
    rows is 2^⅓ |Z|^⅔: for logits that follow a bipartite graph's edges neighbours are orthogonal and second
    neighbours alike. Raises `InputError` if the logits are not symmetric, or the width is below their rank.

    >>> from geomem.constructions.graph_memories import adjacency_table
    >>> from geomem.worlds.graphs.families import path
    >>> logits = 5 * adjacency_table(path(4))
    >>> memory = factored_memory(logits, 8)
    >>> bool(np.allclose(memory.logits, logits)), bool(np.isclose(memory.cost, least_cost(logits)))
    (True, True)
    >>> bool(np.allclose((memory.embedding @ memory.embedding.T)[logits > 0], 0))
    True
    """
    if not np.allclose(logits, logits.T):
        raise InputError("The logits are not symmetric, so they have no eigenvectors to share; give Z = Zᵀ.")
    values, vectors = np.linalg.eigh(logits)
    kept = np.abs(values) > RANK * np.abs(values).max(initial=0)
    values, vectors = values[kept], vectors[:, kept]
    if len(values) > width:
        raise InputError(
            f"The logits have rank {len(values)} and the width is {width}; give a width of at least that."
        )
    E, W = np.zeros((len(logits), width)), np.zeros((width, width))
    E[:, : len(values)] = vectors * np.cbrt(np.sqrt(2) * np.abs(values))
    W[range(len(values)), range(len(values))] = np.cbrt(values / 2)
    return BilinearMemory(E, W)


def lookup_memory(
    logits: Float[np.ndarray, "token token"], embedding: Float[np.ndarray, "token width"]
) -> BilinearMemory:
    """The same logits over given rows: W = (E⁺ Z E⁺ᵀ)ᵀ, the least W that has them.

    Over orthonormal rows this is W = Σ Z[u, v] e_v e_uᵀ, the associative memory of arXiv 2510.26745. Raises
    `InputError` if the rows depend on each other, since they then do not have every table of logits.

    >>> logits = np.array([[0.0, 1.0], [1.0, 0.0]])
    >>> lookup_memory(logits, np.eye(2)).weight.tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    if np.linalg.matrix_rank(embedding) < len(embedding):
        raise InputError(
            f"The {len(embedding)} rows of width {embedding.shape[1]} depend on each other; give more width."
        )
    inverse = np.linalg.pinv(embedding)
    return BilinearMemory(embedding, (inverse @ logits @ inverse.T).T)


def at_least_cost(memory: BilinearMemory) -> BilinearMemory:
    """The same logits at the scale that costs least: c E and W / c² with c⁶ = 2 ‖W‖² / ‖E‖².

    >>> memory = at_least_cost(BilinearMemory(np.eye(2), 2 * np.eye(2)))
    >>> round(memory.cost, 6), bool(np.allclose(memory.logits, 2 * np.eye(2)))
    (6.0, True)
    """
    E, W = np.linalg.norm(memory.embedding), np.linalg.norm(memory.weight)
    scale = np.cbrt(np.sqrt(2) * W / E)
    return replace(memory, embedding=scale * memory.embedding, weight=memory.weight / scale**2)


def imbalance(memory: BilinearMemory) -> float:
    """‖EᵀE - WWᵀ - WᵀW‖ / ‖EᵀE‖: what gradient flow never changes and decay λ shrinks as e^(-2λt).

    With logits Z = E Wᵀ Eᵀ and G the gradient in Z, Eᵀ G E and its transpose are in the rates of all three
    terms and cancel. A bias b adds -b bᵀ. Zero in a `factored_memory`; a lookup table keeps what its rows
    began with.

    >>> imbalance(BilinearMemory(np.eye(2), np.zeros((2, 2))))
    1.0
    >>> round(imbalance(factored_memory(np.array([[0.0, 1.0], [1.0, 0.0]]), 2)), 9)
    0.0
    """
    E, W = memory.embedding, memory.weight
    return float(np.linalg.norm(E.T @ E - W @ W.T - W.T @ W) / np.linalg.norm(E.T @ E))
