"""Lower bounds in bits, and how far each construction is from them.

That a matching information-theoretic lower bound accompanies the trade-off is a claim of arXiv 2605.12426
(Theorem 4.2, by a third party's digest), whose exact form was not available to us. L1 and L2 here are derived
in this project. Both take the attribute codes as fixed before the facts are drawn; a trained output table has
N d numbers of its own and belongs to the other weights.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from geomem.constructions.codes import binary_length
from geomem.constructions.hop_sizes import HopSize, chain_of_thought_size, deep_size, flat_size, wide_size
from geomem.constructions.one_hop import RecallSize
from geomem.errors import InputError
from geomem.worlds.facts.table import FactTable, entropy_bits


def bijection_bits(subjects: int, relations: int) -> float:
    """Bits of R random bijections of N subjects: R log2 N! = N R (log2 N - 1.44) + O(R log N).

    >>> round(bijection_bits(256, 4), 1)
    6736.0
    """
    return relations * math.lgamma(subjects + 1) / math.log(2)


def held_bits(numbers: int, bits_per_number: float) -> float:
    """Most bits that so many numbers of this precision can hold.

    >>> held_bits(8192, 1.0)
    8192.0
    """
    return numbers * bits_per_number


def single_hop_width(table: FactTable, *, bits_per_number: float = 1.0, other_numbers: int = 0) -> float:
    """L1: the least numbers per subject with which a model can answer every fact of the table.

        N d b + P b >= bits of the facts,    so d >= (bits / b - P) / N,    and never below 0

    with P numbers outside the subject table, b bits each. Condition: the model is right on every fact, and
    the facts are uniform among tables with the same object counts. For R bijections d >= (R / b)
    (log2 N - 1.44) - P / N.

    Raises `InputError` for precision that is not above 0.

    >>> from geomem.worlds.facts.families import random_bijections
    >>> table = random_bijections(256, 4)
    >>> round(single_hop_width(table), 2), round(single_hop_width(table, bits_per_number=32.0), 2)
    (26.31, 0.82)
    """
    _check_precision(bits_per_number)
    return max(0.0, (entropy_bits(table) / bits_per_number - other_numbers) / table.subject_count)


def bits_over_bound(size: RecallSize, table: FactTable) -> float:
    """A one-hop construction's distance from L1: bits of its fact numbers over the bits of the facts.

    1 would be optimal. For binary words about log2 N / (log2 N - 1.44): optimal to leading order.

    >>> from geomem.constructions.one_hop import block_superposition
    >>> from geomem.worlds.facts.families import random_bijections
    >>> table = random_bijections(256, 4)
    >>> round(bits_over_bound(block_superposition(table).size, table), 2)
    1.22
    """
    return size.fact_bits / entropy_bits(table)


def chain_bits(roots: int, entities: int, relations: int, hops: int) -> float:
    """L2: bits that M subject vectors and all other weights together hold if k hops take a single run.

        M d b + P b >= (5/6) M R^k log2(N / 2)

    Conditions: entities are subjects and objects at once, R >= 2 uniform random permutations of them,
    M R^k <= N / 8, all k-hop questions right, no chain of thought. Depth does not enter.

    Raises `InputError` if a condition is not met.

    >>> round(chain_bits(1, 256, 2, 3), 1)
    46.7
    """
    if relations < 2 or roots < 1 or hops < 1 or 8 * roots * relations**hops > entities:
        raise InputError(
            f"The bound was asked for {roots} roots, {entities:,} entities, {relations} relations and {hops} "
            "hops; give at least 2 relations, 1 root and 1 hop, with 8 M R^k at most N."
        )
    return 5 / 6 * roots * relations**hops * math.log2(entities / 2)


def single_run_bits(entities: int, relations: int, hops: int, *, other_bits: float) -> float:
    """Bits that one subject vector must hold without chain of thought, given the bits of all other weights.

        d b >= max over M of chain_bits(M) / M - P b / M,    at the largest M = floor(N / (8 R^k))

    So either d b >= (5/12) R^k log2(N / 2), or P b >= (5/96) N log2(N / 2) up to rounding of M: an embedding
    exponential in k, or other weights linear in N. 0 where P is large enough, not a number where L2's
    conditions fail (no M is left).

    >>> round(single_run_bits(4096, 2, 4, other_bits=0.0), 1)
    146.7
    """
    roots = entities // (8 * relations**hops)
    if relations < 2 or roots < 1:
        return math.nan
    return max(0.0, (chain_bits(roots, entities, relations, hops) - other_bits) / roots)


@dataclass(frozen=True)
class TradeOff:
    """One row of the trade-off between depth, width and chain of thought, with 1 bit per fact number."""

    size: HopSize
    vector_bits: int
    """Bits of facts in one subject vector."""
    bound: float
    """Bits that one subject vector must hold, given its other weights; not a number if no bound is."""

    @property
    def distance(self) -> float:
        """The row's vector over its bound: 1 would be optimal, infinite where the bound is 0."""
        return self.vector_bits / self.bound if self.bound != 0 else math.inf


def trade_off_table(entities: int, relations: int, hops: int) -> tuple[TradeOff, ...]:
    """All multi-hop constructions for R permutations of N entities: chain of thought, flat, deep, wide.

    Deep ones with every number of layers from 2 to k that needs fewer hops per layer than the one before. The
    bound of chain of thought is L1, which it shares with a single hop; that of the others `single_run_bits`.
    For k = 1 all are bounded by L1.

    Raises `InputError` for fewer than 2 entities, or no relation or hop.

    >>> for row in trade_off_table(4096, 2, 4):
    ...     print(row.size.model, row.size.layers, row.vector_bits, round(row.bound, 1))
    chain of thought 1 24 21.1
    flat 1 192 146.7
    deep 2 48 0.0
    deep 4 24 0.0
    wide 1 24 0.0
    """
    if entities < 2 or relations < 1 or hops < 1:
        raise InputError(
            f"A trade-off was asked for {entities} entities, {relations} relations and {hops} hops; "
            "give at least 2 entities, 1 relation and 1 hop."
        )
    return tuple(_rows(entities, relations, hops))


def _rows(entities: int, relations: int, hops: int) -> Iterator[TradeOff]:
    N, R, m = entities, relations, binary_length(entities)
    sizes = [chain_of_thought_size(N, R, N, m, hops), flat_size(N, R, N, m, hops)]
    deeper = {-(-hops // layers): layers for layers in range(hops, 1, -1)}
    sizes += [deep_size(N, R, N, m, hops, layers=layers) for layers in sorted(deeper.values())]
    sizes.append(wide_size(N, R, N, m, hops))
    for size in sizes:
        if size.model == "chain of thought" or hops == 1:
            bound = max(0.0, (bijection_bits(N, R) - size.other_numbers) / N)
        else:
            bound = single_run_bits(N, R, hops, other_bits=float(size.other_numbers))
        yield TradeOff(size, size.subject_numbers // N, bound)


def _check_precision(bits_per_number: float) -> None:
    if not bits_per_number > 0:
        raise InputError(f"bits_per_number was {bits_per_number}; give a number above 0.")
