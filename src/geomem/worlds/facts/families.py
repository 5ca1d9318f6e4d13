"""Families of fact tables: the random bijections of arXiv 2605.12426, and what its setting leaves out.

The same seed gives the same table on every machine. Labels are `s0`, `r0`, `o0`, counted from zero; where
subjects and objects are the same things (`random_permutations`), `e0`.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int

from geomem.errors import InputError
from geomem.worlds.facts.table import FactTable, check_table_size, select_facts


def random_bijections(subjects: int = 256, relations: int = 4, *, world_seed: int = 0) -> FactTable:
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


def disjoint_bijections(subjects: int = 256, relations: int = 4, *, world_seed: int = 0) -> FactTable:
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


def random_permutations(entities: int = 256, relations: int = 4, *, world_seed: int = 0) -> FactTable:
    """Random permutations: as `random-bijections`, but objects are the subjects, so relations form chains.

    Raises `InputError` as `random_bijections` does.

    >>> random_permutations(3, 1).objects
    ('e0', 'e1', 'e2')
    """
    name = _checked(f"random-permutations-{entities}-{relations}", entities, relations, entities, world_seed)
    table = _table(name, _permutations(entities, relations, world_seed), entities)
    labels = _numbered("e", entities)
    return replace(table, subjects=labels, objects=labels)


def many_to_one(
    subjects: int = 256, relations: int = 4, objects: int = 16, *, world_seed: int = 0
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


def zipf_facts(
    subjects: int = 256, relations: int = 4, objects: int = 256, *, exponent: float = 1.0, world_seed: int = 0
) -> FactTable:
    """Zipf facts: every subject draws an object, the one of rank k with probability in ratio to k^-exponent.

    Every relation ranks the objects in its own random order. Exponent 0 is uniform.
    Raises `InputError` for an exponent that is negative or not finite, and as `many_to_one` does.

    >>> table = zipf_facts(1000, 1, objects=100)
    >>> int(np.bincount(table.facts[:, 2]).max()) > 100
    True
    """
    if not 0.0 <= exponent < np.inf:
        raise InputError(f"exponent was {exponent}; give a finite number from 0 on.")
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


def partial_facts(table: FactTable, share: float, *, world_seed: int = 0) -> FactTable:
    """The table with a random share of its facts, at least one, rounded to a whole number; labels stay.

    Raises `InputError` for a share outside 0 to 1 or a negative seed.

    >>> partial_facts(random_bijections(8, 2), 0.25).fact_count
    4
    """
    if not 0.0 < share <= 1.0:
        raise InputError(f"share was {share}; give a number above 0 and at most 1.")
    kept = np.zeros(table.fact_count, dtype=bool)
    order = np.random.default_rng(_checked_seed(world_seed)).permutation(table.fact_count)
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
    """The table's name, after its sizes and seed were looked at."""
    for parameter, value in (("subjects", subjects), ("relations", relations), ("objects", objects)):
        if value < 1:
            raise InputError(f"{parameter} was {value}; give 1 or more.")
    check_table_size(
        name, subjects=subjects, relations=relations, objects=objects, facts=subjects * relations
    )
    return f"{name}-seed{_checked_seed(world_seed)}"


def _checked_seed(world_seed: int) -> int:
    if world_seed < 0:
        raise InputError(f"world_seed was {world_seed}; give 0 or more.")
    return world_seed
