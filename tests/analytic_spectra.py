"""Spectra known from theory: closed forms, and the symmetry of path-stars; nothing here builds a Laplacian.

A path-star with d arms of m nodes each splits by the symmetry of its arms. Vectors that sum to zero over the
arms vanish at the root and see one arm alone: a tridiagonal matrix of size m, each of its eigenvalues d - 1
times. Vectors equal on all arms see the root and one arm, joined by sqrt(d): a tridiagonal of size m + 1.
"""

import numpy as np
from scipy.linalg import eigh_tridiagonal

KINDS = ("random-walk", "combinatorial", "normalized")


def path_eigenvalues(nodes, kind="combinatorial"):
    """2 - 2 cos(pi k / n); normalized: 1 - cos(pi k / (n - 1)), k = 0 .. n - 1."""
    k = np.arange(nodes)
    if kind == "normalized":
        return 1 - np.cos(np.pi * k / (nodes - 1))
    return 2 - 2 * np.cos(np.pi * k / nodes)


def cycle_eigenvalues(nodes, kind="combinatorial"):
    """2 - 2 cos(2 pi k / n), half of it normalized."""
    values = np.sort(2 - 2 * np.cos(2 * np.pi * np.arange(nodes) / nodes))
    return values / 2 if kind == "normalized" else values


def complete_eigenvalues(nodes, kind="combinatorial"):
    """0, then n (combinatorial), n / (n - 1) (normalized) or twice that (random-walk), n - 1 times."""
    value = {
        "combinatorial": nodes,
        "normalized": nodes / (nodes - 1),
        "random-walk": 2 * nodes / (nodes - 1),
    }[kind]
    return np.r_[0.0, np.full(nodes - 1, value)]


def grid_eigenvalues(rows, columns):
    """Combinatorial: every sum of an eigenvalue of each side."""
    return np.sort(np.add.outer(path_eigenvalues(rows), path_eigenvalues(columns)).ravel())


def antisymmetric_eigenvalues(length):
    """Combinatorial, of an arm tied to 0 at the root: 2 - 2 cos((2k - 1) pi / (2m + 1)), m = length - 1."""
    m = length - 1
    return 2 - 2 * np.cos((2 * np.arange(1, m + 1) - 1) * np.pi / (2 * m + 1))


def path_star_tridiagonals(arms, length, kind):
    """((diagonal, off-diagonal) of the arm alone, the same with the root), root first."""
    degrees = np.r_[float(arms), np.full(length - 2, 2.0), 1.0]
    if kind == "combinatorial":
        diagonal, joins = degrees, -np.ones(length - 1)
    elif kind == "normalized":
        diagonal, joins = np.ones(length), -1 / np.sqrt(degrees[1:] * degrees[:-1])
    else:
        diagonal, joins = np.full(length, 2.0), -(1 / degrees[1:] + 1 / degrees[:-1])
    return (diagonal[1:], joins[1:]), (diagonal, np.r_[np.sqrt(arms) * joins[0], joins[1:]])


def path_star_eigenvalues(arms, length, kind="combinatorial"):
    """All eigenvalues of a path-star from its two tridiagonal matrices."""
    arm, whole = path_star_tridiagonals(arms, length, kind)
    alone = np.repeat(eigh_tridiagonal(*arm, eigvals_only=True), arms - 1)
    return np.sort(np.r_[alone, eigh_tridiagonal(*whole, eigvals_only=True)])


def arm_positions(graph, arms, length):
    """Node of every arm and position, [arm, position], read from the labels "arm.position"."""
    node_of = {label: node for node, label in enumerate(graph.labels)}
    names = sorted({label.split(".")[0] for label in graph.labels} - {"root"})
    assert len(names) == arms
    return np.array([[node_of[f"{name}.{position}"] for position in range(1, length)] for name in names])


def path_star_energies(embedding, graph, arms, length, kind):
    """Exact energy of an embedding per eigenvalue: ([value], [energy], [antisymmetric])."""
    arm, whole = path_star_tridiagonals(arms, length, kind)
    arm_values, arm_modes = eigh_tridiagonal(*arm)
    whole_values, whole_modes = eigh_tridiagonal(*whole)
    on_arms = embedding[arm_positions(graph, arms, length)].astype(float)
    mean = on_arms.mean(axis=0)
    on_arms -= mean
    arm_energies = np.zeros(length - 1)
    for mode in range(length - 1):
        arm_energies[mode] = np.square(np.tensordot(arm_modes[:, mode], on_arms, axes=(0, 1))).sum()
    symmetric = np.vstack([embedding[graph.root].astype(float), np.sqrt(arms) * mean])
    whole_energies = np.square(whole_modes.T @ symmetric).sum(axis=1)
    antisymmetric = np.r_[np.ones(length - 1, dtype=bool), np.zeros(length, dtype=bool)]
    return np.r_[arm_values, whole_values], np.r_[arm_energies, whole_energies], antisymmetric
