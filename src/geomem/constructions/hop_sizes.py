"""Sizes of the multi-hop constructions, by formula: the rows of the trade-off between depth and width.

Derived here (notes A4 on arXiv 2605.12426), every row built and checked at 100 % by us. The
paper claims constructions with and without chain of thought and a trade-off between them; its own sizes were
not available to us. N subjects, R relations, A objects, codes of length m, k hops.
"""

from dataclasses import dataclass

from geomem.errors import InputError


@dataclass(frozen=True)
class HopSize:
    """What a multi-hop construction takes."""

    model: str
    layers: int
    """Stages, each of which looks up a vector or reads one; for chain of thought 1, run once per hop."""
    residual_size: int
    mlp_width: int
    """The widest stage."""
    subject_numbers: int
    """Numbers of the subject table that depend on the facts."""
    other_numbers: int
    """Other weights that depend on the facts."""
    stored_numbers: int
    """What is allocated: tables in full, of all other weights those that are not 0."""

    @property
    def fact_numbers(self) -> int:
        """All numbers that depend on the facts; each is one bit with binary words."""
        return self.subject_numbers + self.other_numbers


def chain_of_thought_size(subjects: int, relations: int, objects: int, length: int, hops: int) -> HopSize:
    """One layer, run once per hop: D = 2 R m + 2 R + 1 + m, MLP width 2 R m, N R m fact numbers, for any k.

    >>> chain_of_thought_size(256, 4, 256, 8, hops=4).residual_size
    81
    """
    _check(hops, layers=1)
    R, m = relations, length
    D = 2 * R * m + 2 * R + 1 + m
    stored = (subjects + R) * D + objects * m + 2 * R * m * 3 + R * m + R
    return HopSize("chain of thought", 1, D, 2 * R * m, subjects * R * m, 0, stored)


def flat_size(subjects: int, relations: int, objects: int, length: int, hops: int) -> HopSize:
    """One layer, all tuples in the subject: D = R^k m + k R + m, MLP width 2 R^k m, N R^k m fact numbers.

    >>> size = flat_size(256, 4, 256, 8, hops=4)
    >>> size.residual_size, size.other_numbers
    (2072, 0)
    """
    _check(hops, layers=1)
    R, m, tuples = relations, length, relations**hops
    D = tuples * m + hops * R + m
    stored = (subjects + R) * D + objects * m + 2 * tuples * m * (hops + 2) + tuples * m + hops * R
    return HopSize("flat", 1, D, 2 * tuples * m, subjects * tuples * m, 0, stored)


def wide_size(subjects: int, relations: int, objects: int, length: int, hops: int) -> HopSize:
    """One layer, a neuron per tuple and object: D = R m + k R + m, MLP width A R^k, (N R + A R^k) m numbers.

    >>> size = wide_size(256, 4, 256, 8, hops=4)
    >>> size.residual_size, size.mlp_width
    (56, 65536)
    """
    _check(hops, layers=1)
    R, m, tuples = relations, length, relations**hops
    D = R * m + hops * R + m
    other = objects * tuples * m
    stored = (subjects + R) * D + objects * m + objects * tuples * (2 * m + hops) + R * m + hops * R
    return HopSize("wide", 1, D, objects * tuples, subjects * R * m, other, stored)


def deep_size(subjects: int, relations: int, objects: int, length: int, hops: int, *, layers: int) -> HopSize:
    """L stages of h = ceil(k / L) hops: D = R^h m + k R + m, MLP width A + 2 R^h m, lookups of A R^h m each.

    Only ceil(k / h) stages are needed, and the first one does the hops that are left over. A stage is a
    selector, and but for the last one a lookup of the entity it found; with MLPs of one hidden layer these
    are two layers, of widths 2 R^h m and A. If all stages share one lookup, its numbers count once.

    Raises `InputError` for no layer.

    >>> sizes = [deep_size(256, 4, 256, 8, hops=4, layers=layers) for layers in (2, 4)]
    >>> [(size.residual_size, size.other_numbers) for size in sizes]
    [(152, 32768), (56, 24576)]
    """
    stages, per_stage, first = deep_stages(hops, layers)
    R, m, tuples = relations, length, relations**per_stage
    D = tuples * m + hops * R + m
    lookup = objects if stages > 1 else 0
    selectors = 2 * m * (relations**first * (first + 2) + (stages - 1) * tuples * (per_stage + 2))
    stored = (subjects + R) * D + objects * m + selectors + lookup * (tuples * m + 2 * m)
    # A head that fetches the payload, and one that clears it before each lookup.
    stored += (1 + (stages > 1)) * tuples * m + hops * R
    other = (stages - 1) * objects * tuples * m
    subject_numbers = subjects * relations**first * m
    return HopSize("deep", stages, D, lookup + 2 * tuples * m, subject_numbers, other, stored)


def deep_stages(hops: int, layers: int) -> tuple[int, int, int]:
    """Number of stages that are needed, hops of each, and hops of the first one, which may be fewer.

    >>> deep_stages(5, 2), deep_stages(4, 3)
    ((2, 3, 2), (2, 2, 2))
    """
    _check(hops, layers=layers)
    per_stage = -(-hops // layers)
    stages = -(-hops // per_stage)
    return stages, per_stage, hops - (stages - 1) * per_stage


def _check(hops: int, *, layers: int) -> None:
    for name, value in (("hops", hops), ("layers", layers)):
        if value < 1:
            raise InputError(f"{name} was {value}; give 1 or more.")
