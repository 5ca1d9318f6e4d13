"""Families of fact tables: the random bijections of arXiv 2605.12426, and what its setting leaves out.

The same seed gives the same table on every machine. Labels are `s0`, `r0`, `o0`, counted from zero; where
subjects and objects are the same things (`random_permutations`), `e0`.
"""

from dataclasses import replace
from typing import Annotated

import numpy as np
from annotated_types import Gt, Le
from jaxtyping import Float, Int

from geomem.fields import Count, NonNegative, WholeNumber
from geomem.worlds.facts.table import FactTable, check_table_size, select_facts
from geomem.worlds.registry import checked_arguments, table


@table
def random_bijections(
    subjects: Count = 256, relations: Count = 4, *, world_seed: WholeNumber = 0
) -> FactTable:
    """Random bijections: every relation is a uniform random bijection from the subjects to shared objects.

    N R facts, R log2 N! bits: the setting of arXiv 2605.12426. The first r relations of a table do not depend
    on how many more it has.

    Raises `InputError` for no subject, no relation, a negative seed, or too large a table.

    >>> table = random_bijections(4, 2)
    >>> table.subject_count, table.object_count, table.fact_count
    (4, 4, 8)
    """
    name = _checked(f"random-bijections-{subjects}-{relations}", subjects, relations, subjects, world_seed)
    return _table(name, _permutations(subjects, relations, world_seed), subjects)


@table
def disjoint_bijections(
    subjects: Count = 256, relations: Count = 4, *, world_seed: WholeNumber = 0
) -> FactTable:
    """Disjoint bijections: as `random-bijections`, but every relation has its own set of objects.

    N R objects; relation r answers with objects r N to r N + N - 1. An additive model can hold such a table,
    while shared objects need selection (appendix F of arXiv 2605.12426, by its title).

    Raises `InputError` as `random_bijections` does.

    >>> disjoint_bijections(4, 2).object_count
    8
    """
    objects = subjects * relations
    name = _checked(f"disjoint-bijections-{subjects}-{relations}", subjects, relations, objects, world_seed)
    answers = _permutations(subjects, relations, world_seed) + subjects * np.arange(relations)
    return _table(name, answers, objects)


@table
def random_permutations(
    entities: Count = 256, relations: Count = 4, *, world_seed: WholeNumber = 0
) -> FactTable:
    """Random permutations: as `random-bijections`, but objects are the subjects, so relations form chains.

    Raises `InputError` as `random_bijections` does.

    >>> random_permutations(3, 1).objects
    ('e0', 'e1', 'e2')
    """
    name = _checked(f"random-permutations-{entities}-{relations}", entities, relations, entities, world_seed)
    table = _table(name, _permutations(entities, relations, world_seed), entities)
    labels = _numbered("e", entities)
    return replace(table, subjects=labels, objects=labels)


@table
def many_to_one(
    subjects: Count = 256, relations: Count = 4, objects: Count = 16, *, world_seed: WholeNumber = 0
) -> FactTable:
    """Many to one: every subject draws one of the shared objects, all equally likely, for every relation.

    About N R log2 A bits for A objects. Raises `InputError` for no object, and as `random_bijections` does.

    >>> many_to_one(8, 2, objects=3).object_count
    3
    """
    name = f"many-to-one-{subjects}-{relations}-{objects}"
    name = _checked(name, subjects, relations, objects, world_seed)
    draw = [_generator(world_seed, r).integers(objects, size=subjects) for r in range(relations)]
    return _table(name, np.stack(draw, axis=1), objects)


@table
def zipf_facts(
    subjects: Count = 256,
    relations: Count = 4,
    objects: Count = 256,
    *,
    exponent: NonNegative = 1.0,
    world_seed: WholeNumber = 0,
) -> FactTable:
    """Zipf facts: every subject draws an object, the one of rank k with probability in ratio to k^-exponent.

    Every relation ranks the objects in its own random order. Exponent 0 is uniform.
    Raises `InputError` for an exponent that is negative or not finite, and as `many_to_one` does.

    >>> table = zipf_facts(1000, 1, objects=100)
    >>> int(np.bincount(table.facts[:, 2]).max()) > 100
    True
    """
    name = f"zipf-facts-{subjects}-{relations}-{objects}-{exponent:g}"
    name = _checked(name, subjects, relations, objects, world_seed)
    shares = zipf_shares(objects, exponent)
    columns = []
    for relation in range(relations):
        generator = _generator(world_seed, relation)
        by_rank = generator.permutation(objects)
        # Inverse of the distribution function; `side="right"` never lands on a rank of probability zero.
        ranks = np.searchsorted(np.cumsum(shares), generator.random(subjects), side="right")
        columns.append(by_rank[np.minimum(ranks, objects - 1)])
    return _table(name, np.stack(columns, axis=1), objects)


def zipf_shares(objects: int, exponent: float) -> Float[np.ndarray, " object"]:
    """Zipf's law: probabilities in ratio to rank^-exponent, for ranks 1 to `objects`.

    >>> zipf_shares(2, 1.0).round(3).tolist()
    [0.667, 0.333]
    """
    weights = np.arange(1, objects + 1, dtype=np.float64) ** -exponent
    return weights / weights.sum()


@checked_arguments
def partial_facts(
    table: FactTable, share: Annotated[float, Gt(0), Le(1)], *, world_seed: WholeNumber = 0
) -> FactTable:
    """The table with a random share of its facts, at least one, rounded to a whole number; labels stay.

    Raises `InputError` for a share outside 0 to 1 or a negative seed.

    >>> partial_facts(random_bijections(8, 2), 0.25).fact_count
    4
    """
    kept = np.zeros(table.fact_count, dtype=bool)
    order = np.random.default_rng(world_seed).permutation(table.fact_count)
    kept[order[: max(1, round(share * table.fact_count))]] = True
    return replace(select_facts(table, kept), name=f"{table.name}-share-{share:g}")


def _permutations(count: int, relations: int, world_seed: int) -> Int[np.ndarray, "subject relation"]:
    """A random permutation of the numbers below `count` in every column."""
    return np.stack([_generator(world_seed, r).permutation(count) for r in range(relations)], axis=1)


def _table(name: str, answers: Int[np.ndarray, "subject relation"], objects: int) -> FactTable:
    """The table that answers every question as told."""
    subjects, relations = answers.shape
    ids = np.indices(answers.shape).reshape(2, -1)
    facts = np.stack([*ids, answers.ravel()], axis=1)
    labels = _numbered("s", subjects), _numbered("r", relations), _numbered("o", objects)
    return FactTable(name, *labels, facts)


def _numbered(letter: str, count: int) -> tuple[str, ...]:
    return tuple(f"{letter}{number}" for number in range(count))


def _generator(world_seed: int, relation: int) -> np.random.Generator:
    """Every relation's own stream, so that a table with fewer relations holds the same first ones."""
    return np.random.default_rng([world_seed, relation])


def _checked(name: str, subjects: int, relations: int, objects: int, world_seed: int) -> str:
    """The table's name; raises `InputError` for sizes that are too large."""
    check_table_size(
        name, subjects=subjects, relations=relations, objects=objects, facts=subjects * relations
    )
    return f"{name}-seed{world_seed}"
