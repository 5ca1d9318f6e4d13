import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geomem.constructions.bounds import (
    bijection_bits,
    bits_over_bound,
    chain_bits,
    held_bits,
    single_hop_width,
    single_run_bits,
    trade_off_table,
)
from geomem.constructions.one_hop import block_superposition
from geomem.errors import InputError
from geomem.worlds.facts.families import many_to_one, random_bijections
from geomem.worlds.facts.table import entropy_bits
from random_tables import answer_grids, table_of


def test_bits_of_bijections_are_log_factorials():
    assert bijection_bits(5, 3) == pytest.approx(3 * math.log2(120))
    assert bijection_bits(4096, 2) / (2 * 4096) == pytest.approx(math.log2(4096) - 1.44, abs=0.01)
    assert bijection_bits(64, 4) == pytest.approx(entropy_bits(random_bijections(64, 4)))
    assert held_bits(10, 8.0) == 80


@settings(max_examples=40)
@given(answer_grids())
def test_no_block_superposition_is_below_the_bound(drawn):
    table = table_of(drawn)
    size = block_superposition(table).size
    assert size.fact_bits / table.subject_count >= single_hop_width(table) - 1e-9
    if entropy_bits(table) > 0:
        assert bits_over_bound(size, table) >= 1


def test_the_block_superposition_is_optimal_to_leading_order():
    overheads = [
        bits_over_bound(block_superposition(table).size, table)
        for table in (random_bijections(count, 2) for count in (16, 256, 4096))
    ]
    assert overheads == sorted(overheads, reverse=True)
    assert overheads[-1] == pytest.approx(12 / (12 - 1.44), abs=0.01)


def test_the_width_bound_is_monotone():
    by_count = [single_hop_width(random_bijections(count, 4)) for count in (16, 64, 256)]
    by_relations = [single_hop_width(random_bijections(64, relations)) for relations in (1, 2, 4)]
    table = random_bijections(64, 4)
    by_others = [-single_hop_width(table, other_numbers=others) for others in (0, 100, 10**6)]
    by_precision = [-single_hop_width(table, bits_per_number=bits) for bits in (1.0, 8.0, 32.0)]
    for widths in (by_count, by_relations, by_others, by_precision):
        assert widths == sorted(widths)
        assert widths[0] < widths[-1]
    assert by_others[-1] == 0
    assert single_hop_width(many_to_one(64, 4, 2)) < single_hop_width(many_to_one(64, 4, 16))


def test_l2_is_the_dichotomy_of_its_derivation():
    """Without other bits d b >= (5/12) R^k log2(N/2); with (5/96) N log2(N/2) of them nothing is demanded."""
    N, R, k = 4096, 2, 4
    roots = N // (8 * R**k)
    assert chain_bits(roots, N, R, k) == pytest.approx(5 / 6 * roots * R**k * math.log2(N / 2))
    alone = single_run_bits(N, R, k, other_bits=0.0)
    assert alone >= 5 / 12 * R**k * math.log2(N / 2)
    half = single_run_bits(N, R, k, other_bits=5 / 96 * N * math.log2(N / 2))
    assert half == pytest.approx(alone / 2)
    assert single_run_bits(N, R, k, other_bits=1e9) == 0
    assert math.isnan(single_run_bits(64, 4, 3, other_bits=0.0))


@given(st.integers(1, 5), st.floats(0, 1e5))
def test_l2_grows_with_hops_and_falls_with_other_weights(hops, others):
    N, R = 2**16, 3
    here = single_run_bits(N, R, hops, other_bits=0.0)
    assert single_run_bits(N, R, hops + 1, other_bits=0.0) >= 2 * here
    assert 0 <= single_run_bits(N, R, hops, other_bits=others) <= here
    assert single_run_bits(4 * N, R, hops, other_bits=0.0) > here


@pytest.mark.parametrize("entities", [64, 4096])
@pytest.mark.parametrize("relations", [2, 4])
@pytest.mark.parametrize("hops", [1, 2, 3, 4, 8])
def test_every_construction_stands_above_its_bound(entities, relations, hops):
    rows = trade_off_table(entities, relations, hops)
    models = [row.size.model for row in rows]
    assert models[:2] == ["chain of thought", "flat"]
    assert models[-1] == "wide"
    assert models.count("deep") == len({-(-hops // layers) for layers in range(2, hops + 1)})
    for row in rows:
        if not math.isnan(row.bound):
            assert row.vector_bits >= row.bound
            assert row.distance >= 1
    by_model = {row.size.model: row.size.residual_size for row in rows}
    assert by_model["flat"] >= by_model["wide"]


def test_the_examples_of_the_notes():
    """N = 256, R = 4, k = 4: flat 2072, deep with two layers 152 and with four 56, chain of thought 81."""
    rows = {(row.size.model, row.size.layers): row.size for row in trade_off_table(256, 4, 4)}
    found = {key: (size.residual_size, size.other_numbers) for key, size in rows.items()}
    assert found[("flat", 1)] == (2072, 0)
    assert found[("deep", 2)] == (152, 32_768)
    assert found[("deep", 4)] == (56, 24_576)
    assert found[("chain of thought", 1)] == (81, 0)


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (lambda: chain_bits(1, 64, 4, 3), "give at least 2 relations, 1 root and 1 hop"),
        (lambda: chain_bits(1, 64, 1, 1), "1 relations"),
        (lambda: single_hop_width(random_bijections(4, 2), bits_per_number=0.0), r"bits_per_number was 0\.0"),
        (lambda: trade_off_table(1, 2, 3), "A trade-off was asked for 1 entities"),
    ],
)
def test_bad_input_is_refused(ask, sentence):
    with pytest.raises(InputError, match=sentence):
        ask()
