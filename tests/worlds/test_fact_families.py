"""Families of fact tables: their sizes, their chances, and that a seed says all."""

import inspect
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geomem.errors import InputError
from geomem.worlds.catalogue import FACT_WORLDS, describe_world
from geomem.worlds.facts.families import (
    disjoint_bijections,
    many_to_one,
    partial_facts,
    random_bijections,
    random_permutations,
    zipf_facts,
    zipf_shares,
)
from geomem.worlds.facts.table import FactTable, answers, entropy_bits, frequency_bits, is_bijective

BIJECTIONS = (random_bijections, disjoint_bijections, random_permutations)


@pytest.mark.parametrize("name", FACT_WORLDS)
def test_every_fact_world_builds_and_describes_itself(name):
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", name)
    parameters = inspect.signature(FACT_WORLDS[name]).parameters.values()
    assert all(parameter.default is not inspect.Parameter.empty for parameter in parameters)
    table = FACT_WORLDS[name]()
    assert isinstance(table, FactTable)
    assert table.name.startswith(name)
    assert FACT_WORLDS[name]().digest == table.digest
    assert 20 < len(describe_world(name)) <= 110
    assert describe_world(name).endswith(".")


@given(st.sampled_from(BIJECTIONS), st.integers(1, 9), st.integers(1, 5), st.integers(0, 3))
def test_bijections(family, count, relations, seed):
    table = family(count, relations, world_seed=seed)
    assert is_bijective(table).all()
    assert table.fact_count == count * relations
    assert table.object_count == count * (relations if family is disjoint_bijections else 1)
    assert len(np.unique(answers(table))) == table.object_count
    assert entropy_bits(table) == pytest.approx(relations * math.log2(math.factorial(count)))
    assert (table.subjects == table.objects) == (family is random_permutations)


@pytest.mark.parametrize("family", [*BIJECTIONS, many_to_one, zipf_facts])
def test_a_seed_says_all_and_more_relations_keep_the_first(family):
    table = family(16, 3)
    assert family(16, 3, world_seed=0).digest == table.digest
    assert family(16, 3, world_seed=1).digest != table.digest
    assert (answers(family(16, 5))[:, :3] == answers(table)).all()


def test_all_bijections_are_equally_likely():
    """3! = 6 bijections over 300 seeds, chi-squared with 5 degrees of freedom: mean 5, deviation 3.2."""
    drawn = [tuple(answers(random_bijections(3, 1, world_seed=seed))[:, 0].tolist()) for seed in range(300)]
    counts = np.unique(drawn, axis=0, return_counts=True)[1]
    assert len(counts) == 6
    assert ((counts - 50) ** 2 / 50).sum() < 5 + 4 * 3.2


def test_relations_are_independent():
    """The answers to two relations agree for one subject on average, as of independent bijections."""
    agree = [(answers(random_bijections(16, 2, world_seed=seed)) @ [1, -1] == 0).sum() for seed in range(200)]
    assert np.mean(agree) == pytest.approx(1.0, abs=4 / 200**0.5)  # deviation 1 per table


def test_many_to_one_is_uniform():
    table = many_to_one(20_000, 2, objects=10)
    for relation in answers(table).T:
        counts = np.bincount(relation, minlength=10)
        assert ((counts - 2000) ** 2 / 2000).sum() < 9 + 4 * math.sqrt(18)
    assert frequency_bits(table) == pytest.approx(40_000 * math.log2(10), rel=1e-3)


@pytest.mark.parametrize("exponent", [0.0, 1.0, 1.5])
def test_zipf_facts_follow_the_law(exponent):
    table = zipf_facts(50_000, 2, objects=20, exponent=exponent)
    expected = zipf_shares(20, exponent) * 50_000
    assert expected.sum() == pytest.approx(50_000)
    assert expected[0] / expected[9] == pytest.approx(10**exponent)
    tops = []
    for relation in answers(table).T:
        counts = np.bincount(relation, minlength=20)
        tops.append(int(counts.argmax()))
        assert (np.abs(np.sort(counts)[::-1] - expected) < 5 * np.sqrt(expected)).all()
    assert exponent == 0 or tops[0] != tops[1]  # every relation ranks the objects in its own order


@given(st.integers(1, 8), st.integers(1, 4), st.floats(0.01, 1.0), st.integers(0, 3))
def test_partial_facts_are_facts(subjects, relations, share, seed):
    table = random_bijections(subjects, relations)
    part = partial_facts(table, share, world_seed=seed)
    assert part.fact_count == max(1, round(share * table.fact_count))
    assert set(map(tuple, part.facts.tolist())) <= set(map(tuple, table.facts.tolist()))
    assert (part.subjects, part.relations, part.objects) == (table.subjects, table.relations, table.objects)
    assert partial_facts(table, 1.0).digest == table.digest


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: random_bijections(0), "subjects is 0; give a whole number of at least 1"),
        (lambda: random_bijections(4, 0), "relations is 0"),
        (lambda: random_bijections(4, world_seed=-1), "world_seed is -1"),
        (lambda: random_permutations(4, -2), "relations is -2"),
        (lambda: random_bijections(10**7), "10,000,000 subjects"),
        (lambda: random_bijections(10**6, 11), "11,000,000 facts"),
        (lambda: disjoint_bijections(10**5, 11), "1,100,000 objects"),
        (lambda: many_to_one(4, 2, 0), "objects is 0"),
        (lambda: zipf_facts(exponent=-1.0), "exponent is -1.0"),
        (lambda: zipf_facts(exponent=math.nan), "exponent is nan"),
        (lambda: zipf_facts(exponent=math.inf), "exponent is inf"),
        (lambda: partial_facts(random_bijections(4), 0.0), "share is 0.0"),
        (lambda: partial_facts(random_bijections(4), 1.5), "share is 1.5"),
        (lambda: partial_facts(random_bijections(4), 0.5, world_seed=-1), "world_seed is -1"),
    ],
)
def test_refused_sizes(build, message):
    with pytest.raises(InputError) as error:
        build()
    assert message in str(error.value)
