"""How many eigenvalues of a sparse symmetric matrix lie below a number, without computing one."""

from heapq import heapify, heappop, heappush
from itertools import pairwise

import numpy as np
from scipy import sparse
from scipy.sparse import linalg


def factorize(matrix: sparse.csr_array) -> linalg.SuperLU:
    """L U factors of a sparse symmetric matrix, pivots on the diagonal so that U's diagonal shows inertia."""
    return linalg.splu(
        sparse.csc_array(matrix),
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )


def factorizes_cheaply(adjacency: sparse.csr_array, *, rest: int = 2000, degree: int = 64) -> bool:
    """Whether a factorisation of a graph's Laplacian stays sparse until at most `rest` nodes are left.

    Nodes are eliminated in order of their current degree, each leaving its neighbours joined to each other,
    as the factorisation would. It stays sparse while nobody in turn has more than `degree` neighbours; after
    that the rest fills up and costs rest³ / 3. True for trees, cycles and maps of any size we meet, false for
    random graphs of more than a few thousand nodes. Takes O(node * degree²) time at most.

    >>> from geomem.worlds.graphs.families import path_star, random_regular
    >>> from geomem.worlds.graphs.graph import adjacency_matrix
    >>> factorizes_cheaply(adjacency_matrix(path_star(arms=100, length=5)), rest=0)
    True
    >>> factorizes_cheaply(adjacency_matrix(random_regular(1000, 4)), rest=200)
    False
    """
    ends = np.asarray(adjacency.indptr).tolist()
    others = np.asarray(adjacency.indices).tolist()
    neighbours = [set(others[first:last]) for first, last in pairwise(ends)]
    # Among nodes of one degree those come first that have waited longest: that spreads over the graph evenly.
    queue = [(len(near), node, node) for node, near in enumerate(neighbours)]
    heapify(queue)
    left = turn = len(neighbours)
    while queue and left > rest:
        size, _, node = heappop(queue)
        near = neighbours[node]
        if size != len(near) or node in near:  # outdated, or eliminated before (marked by itself)
            continue
        if size > degree:
            break
        for other in near:
            joined = neighbours[other]
            before = len(joined)
            joined |= near
            joined -= {node, other}
            if len(joined) != before:
                turn += 1
                heappush(queue, (len(joined), turn, other))
        neighbours[node] = {node}
        left -= 1
    return left <= rest


def count_below(laplacian: sparse.csr_array, low: float, high: float) -> int:
    """Number of eigenvalues below a gap from `low` to `high`, copies included, without computing any.

    Sylvester's law of inertia: with L - x I = F D F^T, D diagonal, it is the number of negative entries of D.
    Any x inside the gap gives the same number, so where one meets a vanishing pivot another is tried. Raises
    `ArithmeticError` if none serves: then the gap is too narrow, or no gap at all.

    >>> from geomem.geometry.spectrum import laplacian_matrix
    >>> from geomem.worlds.graphs.families import complete
    >>> count_below(laplacian_matrix(complete(50), "combinatorial"), 0.0, 50.0)
    1
    """
    size = len(laplacian.diagonal())
    probe = np.random.default_rng(0).standard_normal(size)
    # The middle first; then places that do not fall on the round numbers our graphs have on their diagonals.
    for fraction in (0.5, 0.4142, 0.6180, 0.2718, 0.7321):
        matrix = laplacian - (low + fraction * (high - low)) * sparse.eye_array(size)
        try:
            factors = factorize(matrix)
        except RuntimeError:  # SuperLU: exactly singular
            continue
        # A small residual says that no pivot was lost to cancellation; off-diagonal pivots would void the
        # count.
        residual = np.linalg.norm(matrix @ factors.solve(probe) - probe) / np.linalg.norm(probe)
        if residual <= 1e-4 and (factors.perm_r == factors.perm_c).all():
            return int((factors.U.diagonal() < 0).sum())
    raise ArithmeticError(
        f"The eigenvalues below {low:.6g} cannot be counted: others are too close above, up to {high:.6g}."
    )
