"""Hop queries: chains of relations, where the object of one fact is the subject of the next.

An object goes on as the subject with the same label. A chain of k hops from x by r_1 ... r_k has the answers
y_1 = r_1(x), y_2 = r_2(y_1), ..., y_k; written out, all of them are asked for in turn (chain of thought),
else the last one alone.

Axis names: `query`, `hop`, as well as `subject`, `relation`, `object`, `fact`.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from geomem.errors import InputError
from geomem.worlds.facts.table import FactTable, check_ids, check_single_answers, object_subjects

MAXIMUM_CHAINS = 10_000_000
"""Largest number of chains that are listed or drawn at once."""


@dataclass(frozen=True, eq=False)
class HopQueries:
    """Chains of relations with every answer on the way; all have the same number of hops.

    Raises `InputError` if the shapes do not fit each other, or if there is no hop.
    """

    subjects: Int[np.ndarray, " query"]
    """Where each chain starts."""
    relations: Int[np.ndarray, "query hop"]
    answers: Int[np.ndarray, "query hop"]
    """The object after each hop."""

    def __post_init__(self) -> None:
        shape = self.relations.shape
        if self.answers.shape != shape or self.subjects.shape != shape[:1] or shape[1] < 1:
            raise InputError(
                f"The hop queries have subjects of shape {self.subjects.shape}, relations of shape {shape} "
                f"and answers of shape {self.answers.shape}; give [query], [query, hop] and [query, hop]."
            )

    @property
    def query_count(self) -> int:
        """Number of chains."""
        return len(self.subjects)

    @property
    def hops(self) -> int:
        """Number of relations in every chain."""
        return self.relations.shape[1]

    @cached_property
    def last_answers(self) -> Int[np.ndarray, " query"]:
        """The object at the end of each chain: what is asked without written-out intermediate answers."""
        return self.answers[:, -1]


def composable_share(table: FactTable) -> Float[np.ndarray, " relation"]:
    """The share of each relation's facts whose object is a subject; 0 for a relation without facts.

    >>> table = FactTable("line", ("a", "b"), ("next",), ("b", "c"), np.array([[0, 0, 0], [1, 0, 1]]))
    >>> composable_share(table).tolist()
    [0.5]
    """
    goes_on = object_subjects(table)[table.facts[:, 2]] >= 0
    total = np.bincount(table.facts[:, 1], minlength=table.relation_count)
    onward = np.bincount(table.facts[:, 1], weights=goes_on, minlength=table.relation_count)
    return onward / np.maximum(total, 1)


def composable_relations(table: FactTable) -> Bool[np.ndarray, " relation"]:
    """The relations a chain may go on from: at least half of their facts have an object that is a subject.

    Half, because a user's table rarely describes every object, and because single homonyms (Monaco is a
    country and its capital) do not make a relation composable.

    >>> from geomem.worlds.facts.families import random_permutations
    >>> composable_relations(random_permutations(3, 2)).tolist()
    [True, True]
    """
    return composable_share(table) >= 0.5


def follow_chains(
    table: FactTable, subjects: Int[np.ndarray, " query"], relations: Int[np.ndarray, "query hop"]
) -> Int[np.ndarray, "query hop"]:
    """The object after each hop of each chain; -1 from the hop on that no fact answers.

    Every relation may stand in every place; O(query hop log fact) time.
    Raises `InputError` if a subject or relation does not exist, or a question has several answers.

    >>> table = FactTable("line", ("a", "b"), ("next",), ("b", "c"), np.array([[0, 0, 0], [1, 0, 1]]))
    >>> follow_chains(table, np.array([0, 1]), np.array([[0, 0], [0, 0]])).tolist()
    [[0, 1], [1, -1]]
    """
    check_single_answers(table)
    check_ids("A chain", "subject", subjects, table.subject_count)
    check_ids("A chain", "relation", relations, table.relation_count)
    questions = table.facts[:, 0] * table.relation_count + table.facts[:, 1]
    goes_on = object_subjects(table)
    current = subjects
    result = np.full(relations.shape, -1, dtype=np.int64)
    for hop in range(relations.shape[1]):
        asked = current * table.relation_count + relations[:, hop]
        row = np.minimum(np.searchsorted(questions, asked), len(questions) - 1)
        known = (current >= 0) & (questions[row] == asked)
        result[known, hop] = table.facts[row[known], 2]
        current = np.where(known, goes_on[result[:, hop]], -1)
    return result


def chain_answers(
    table: FactTable, subjects: Int[np.ndarray, " query"], relations: Int[np.ndarray, "query hop"]
) -> Int[np.ndarray, " query"]:
    """The object at the end of each chain, -1 where a fact is missing on the way.

    >>> table = FactTable("line", ("a", "b"), ("next",), ("b", "c"), np.array([[0, 0, 0], [1, 0, 1]]))
    >>> chain_answers(table, np.array([0]), np.array([[0, 0]])).tolist()
    [1]
    """
    return follow_chains(table, subjects, relations)[:, -1]


def step_subjects(table: FactTable, queries: HopQueries) -> Int[np.ndarray, "query hop"]:
    """The subject that each hop asks about: the start, then the answers before it; -1 where none goes on.

    With written-out answers, hop i is the one-hop question (step subject i, relation i).

    >>> table = FactTable("line", ("a", "b"), ("next",), ("b", "c"), np.array([[0, 0, 0], [1, 0, 1]]))
    >>> step_subjects(table, all_chains(table, 2)).tolist()
    [[0, 1]]
    """
    onward = object_subjects(table)[queries.answers[:, :-1]]
    return np.concatenate([queries.subjects[:, None], onward], axis=1)


def has_chains(table: FactTable, hops: int) -> bool:
    """Whether any chain of so many hops has an answer, whatever relations it takes; O(hops fact) time.

    Raises `InputError` for no hop.

    >>> table = FactTable("line", ("a", "b"), ("next",), ("b", "c"), np.array([[0, 0, 0], [1, 0, 1]]))
    >>> has_chains(table, 2), has_chains(table, 3)
    (True, False)
    """
    if hops < 1:
        raise InputError(f"hops was {hops}; give 1 or more.")
    onward = object_subjects(table)[table.facts[:, 2]]
    starts = np.zeros(table.subject_count + 1, dtype=bool)  # the last for objects that are no subject: -1
    starts[table.facts[:, 0]] = True
    for _ in range(hops - 1):
        longer = np.zeros_like(starts)
        longer[table.facts[starts[onward], 0]] = True
        starts = longer
    return bool(starts.any())


def count_chains(table: FactTable, hops: int) -> int:
    """Number of chains of so many hops that have an answer: N R^k for R permutations of N entities.

    Every relation but the last is one of `composable_relations`.
    Raises `InputError` for no hop, and if there are more than 2^62 chains.

    >>> from geomem.worlds.facts.families import random_permutations
    >>> count_chains(random_permutations(5, 2), 3)
    40
    """
    return int(_chains_per_fact(table, hops)[0].sum())


def all_chains(table: FactTable, hops: int) -> HopQueries:
    """Every chain of so many hops that has an answer, sorted by subject, first relation, second, and so on.

    Every relation but the last is one of `composable_relations`.
    Raises `InputError` if there is none, and before it lists more than `MAXIMUM_CHAINS`.

    >>> from geomem.worlds.facts.families import random_permutations
    >>> all_chains(random_permutations(5, 2), 2).query_count
    20
    """
    total = count_chains(table, hops)
    if total > MAXIMUM_CHAINS:
        raise InputError(
            f"The table {table.name!r} has {total:,} chains of {hops} hops; "
            f"draw at most {MAXIMUM_CHAINS:,} with sample_chains."
        )
    return _chains_of_ranks(table, hops, np.arange(total))


def sample_chains(table: FactTable, hops: int, count: int, *, seed: int = 0) -> HopQueries:
    """So many different chains, every set of them equally likely; all of them if there are no more.

    Raises `InputError` for a count below 1 or above `MAXIMUM_CHAINS`, a negative seed, or no chain.

    >>> from geomem.worlds.facts.families import random_permutations
    >>> sample_chains(random_permutations(256, 4), 8, 1000).relations.shape
    (1000, 8)
    """
    if not 1 <= count <= MAXIMUM_CHAINS:
        raise InputError(f"count was {count:,}; give a number from 1 to {MAXIMUM_CHAINS:,}.")
    if seed < 0:
        raise InputError(f"seed was {seed}; give 0 or more.")
    total = count_chains(table, hops)
    generator = np.random.default_rng([seed, hops])
    if 2 * count >= total:
        return _chains_of_ranks(table, hops, generator.permutation(total)[:count])
    ranks = np.zeros(0, dtype=np.int64)
    while len(ranks) < count:  # the first different ones of a stream of draws are a fair set
        draws = np.concatenate([ranks, generator.integers(total, size=2 * count)])
        ranks = draws[np.sort(np.unique(draws, return_index=True)[1])][:count]
    return _chains_of_ranks(table, hops, ranks)


def describe_chain(table: FactTable, queries: HopQueries, query: int) -> str:
    """One chain in words: subject, then every relation and its answer.

    >>> table = FactTable("line", ("a", "b"), ("next",), ("b", "c"), np.array([[0, 0, 0], [1, 0, 1]]))
    >>> describe_chain(table, all_chains(table, 2), 0)
    'a, next: b, next: c'
    """
    steps = zip(queries.relations[query].tolist(), queries.answers[query].tolist(), strict=True)
    said = (f"{table.relations[relation]}: {table.objects[answer]}" for relation, answer in steps)
    return ", ".join((table.subjects[int(queries.subjects[query])], *said))


def _chains_per_fact(table: FactTable, hops: int) -> list[Int[np.ndarray, " fact"]]:
    """For 1 to `hops` hops still to go, how many chains start with each fact; the longest first."""
    if hops < 1:
        raise InputError(f"hops was {hops}; give 1 or more.")
    subject = table.facts[:, 0]
    onward = np.where(
        composable_relations(table)[table.facts[:, 1]], object_subjects(table)[table.facts[:, 2]], -1
    )
    counts = [np.ones(table.fact_count, dtype=np.int64)]
    for _ in range(hops - 1):
        # In floating point first: beyond 2^62 the whole numbers would wrap around in silence.
        starting = np.bincount(subject, weights=counts[0], minlength=table.subject_count)
        if starting[onward[onward >= 0]].sum() > 2.0**62:
            raise InputError(f"The table {table.name!r} has over 2^62 chains of {hops} hops; ask for fewer.")
        exact = np.zeros(table.subject_count, dtype=np.int64)
        np.add.at(exact, subject, counts[0])
        counts.insert(0, np.where(onward >= 0, exact[onward], 0))
    return counts


def _chains_of_ranks(table: FactTable, hops: int, ranks: Int[np.ndarray, " query"]) -> HopQueries:
    """The chains at these places of the sorted list of all, without listing the others.

    A chain's place is the number of chains before its first fact plus its place among those that go on alike.
    """
    if len(ranks) == 0:
        raise InputError(
            f"The table {table.name!r} has no chain of {hops} hops; "
            "give facts whose objects are subjects of others, under the same label."
        )
    goes_on = object_subjects(table)
    first_fact = np.searchsorted(table.facts[:, 0], np.arange(table.subject_count))
    rows = np.empty((len(ranks), hops), dtype=np.int64)
    start = np.zeros(len(ranks), dtype=np.int64)
    for hop, counts in enumerate(_chains_per_fact(table, hops)):
        before = np.concatenate([[0], np.cumsum(counts)])
        place = before[start] + ranks
        rows[:, hop] = np.searchsorted(before, place, side="right") - 1
        ranks = place - before[rows[:, hop]]
        start = first_fact[goes_on[table.facts[rows[:, hop], 2]]]
    return HopQueries(table.facts[rows[:, 0], 0], table.facts[rows, 1], table.facts[rows, 2])
