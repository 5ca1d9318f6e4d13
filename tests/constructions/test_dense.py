import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from geomem.constructions.answering import recall_every_fact
from geomem.constructions.dense import (
    VECTORS,
    dense_code,
    dense_failure,
    dense_margins,
    dense_superposition,
    dense_width,
    optimised_vectors,
    sum_vectors,
)
from geomem.errors import InputError
from geomem.worlds.facts.families import many_to_one, random_bijections
from random_tables import answer_grids, table_of


@settings(max_examples=20)
@given(answer_grids(5), st.sampled_from(list(VECTORS)), st.integers(1, 9))
def test_the_network_says_what_the_vectors_say(drawn, quality, width):
    table = table_of(drawn)
    memory = dense_superposition(table, width, quality=quality)
    code = dense_code(table.relation_count, table.object_count, width)
    margins = dense_margins(VECTORS[quality](table, code), table, code)
    assert np.allclose(recall_every_fact(memory.weights, table).margins, margins, atol=1e-9)
    assert memory.margin == pytest.approx(margins.min())
    size = memory.size
    assert (size.residual_size, size.mlp_width) == (
        2 * width + table.relation_count,
        2 * table.relation_count * width,
    )
    assert size.numbers == sum(array.size for array in memory.weights.values())


def test_rotations_are_rotations_and_independent_of_the_solver():
    code = dense_code(3, 7, 12, seed=2)
    Q = code.rotations
    assert np.allclose(Q @ Q.transpose(0, 2, 1), np.eye(12))
    assert np.linalg.norm(code.objects, axis=1) == pytest.approx(1)
    many = dense_code(2000, 1, 2).rotations
    # Uniform on O(2): entries average to 0, which the raw output of qr would not.
    assert abs(many.mean(axis=0)).max() < 0.06


def recall_at(subjects, relations, factor, seeds=2):
    """Mean recall of the plain sum at width `factor` (R - 1) ln N."""
    width = round(factor * (relations - 1) * math.log(subjects))
    shares = []
    for seed in range(seeds):
        table = random_bijections(subjects, relations, world_seed=seed)
        code = dense_code(relations, subjects, width, seed=seed)
        shares.append((dense_margins(sum_vectors(table, code), table, code) > 0).mean())
    return np.mean(shares)


def test_thresholds_of_the_plain_sum_lie_where_we_measured_them():
    """E4, coarsely at N = 256, R = 4: 95 % near 3.9, 99 % near 5.2, all facts near 8 times (R - 1) ln N."""
    assert recall_at(256, 4, 3.0) < 0.95 < recall_at(256, 4, 4.5)
    assert recall_at(256, 4, 4.2) < 0.99 < recall_at(256, 4, 6.5)
    assert recall_at(256, 4, 6.0) < 1
    assert recall_at(256, 4, 9.5) > 0.9985


def test_the_formula_for_all_facts_is_eight_to_leading_order():
    for count in (10**4, 10**8):
        share = dense_width(count, 2, count) / math.log(count)
        assert 8 < share < 8.8
    assert dense_width(256, 1, 256) == 1


def test_the_union_bound_holds_and_shrinks():
    widths = (200, 250, 300)
    bounds = [dense_failure(64, 4, 64, width) for width in widths]
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[-1] < 1e-4
    table = random_bijections(64, 4)
    assert dense_superposition(table, 300).margin > 0


def share_optimised(objects, relations, factor, seeds=2):
    """Share of random target tuples that some vector realises at width `factor` R ln N."""
    width = round(factor * relations * math.log(objects))
    shares = []
    for seed in range(seeds):
        table = many_to_one(48, relations, objects, world_seed=seed)
        code = dense_code(relations, objects, width, seed=seed)
        margins = dense_margins(optimised_vectors(table, code), table, code)
        shares.append((margins.reshape(48, relations).min(axis=1) > 0).mean())
    return np.mean(shares)


def test_half_of_all_tuples_are_realised_near_r_ln_n():
    """E5: (1.03 +- 0.12) R ln N."""
    assert share_optimised(32, 8, 0.85) < 0.5 < share_optimised(32, 8, 1.15)


def test_optimised_vectors_are_found_where_linear_programming_finds_one():
    """Of 24 tuples near the threshold the loop realises nearly all that can be, and none that cannot."""
    objects, relations, width = 16, 4, 11
    table = many_to_one(24, relations, objects)
    code = dense_code(relations, objects, width)
    margins = dense_margins(optimised_vectors(table, code), table, code).reshape(24, relations).min(axis=1)
    possible = []
    for subject in range(24):
        rows = []
        for _, relation, target in table.facts[table.facts[:, 0] == subject]:
            v = code.objects @ code.rotations[relation].T
            rows.append(np.delete(v, target, axis=0) - v[target])
        rows = np.vstack(rows)
        found = linprog(np.zeros(width), rows, -np.ones(len(rows)), bounds=(None, None))
        possible.append(found.status == 0)
    assert not (margins[~np.array(possible)] > 0).any()
    assert 0 < sum(possible) < 24
    assert (margins > 0).sum() >= sum(possible) - 2


def test_bad_input_is_refused():
    with pytest.raises(InputError, match="width 0 was asked for"):
        dense_code(2, 5, 0)
    with pytest.raises(InputError, match="more than the limit of 1,000"):
        dense_superposition(random_bijections(8, 2), 40, numbers_limit=1000)
