import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geomem.constructions import codes
from geomem.errors import InputError

UNIT = ("binary", "signs", "sphere", "circle")


@settings(max_examples=30)
@given(st.integers(2, 200), st.integers(0, 6))
def test_binary_words_lead_by_two_over_their_length(count, spare):
    length = codes.binary_length(count) + spare
    code = codes.binary_code(count, length)
    assert len(np.unique(code, axis=0)) == count
    assert codes.code_margin(code) >= 2 / length - 1e-12


@settings(max_examples=30)
@given(st.integers(1, 70), st.sampled_from(UNIT), st.integers(0, 3))
def test_all_but_gaussian_codes_have_norm_one(count, kind, seed):
    code = codes.object_code(kind, count, seed=seed)
    assert len(code) == count
    assert np.allclose(np.linalg.norm(code, axis=1), 1)


@pytest.mark.parametrize("count", [1, 2, 3, 50])
def test_products_in_blocks_equal_the_whole_matrix(count, monkeypatch):
    monkeypatch.setattr(codes, "_BLOCK_NUMBERS", 7 * count)
    code = codes.gaussian_code(count, 4)
    products = code @ code.T
    own = products.diagonal().copy()
    np.fill_diagonal(products, -np.inf)
    assert codes.largest_inner_product(code) == pytest.approx(products.max())
    expected = (own - products.max(axis=1)).min() if count > 1 else own[0]
    assert codes.code_margin(code) == pytest.approx(expected)


def test_random_signs_repeat_and_distinct_ones_do_not():
    assert len(np.unique(codes.random_signs(16, 4, seed=1), axis=0)) < 16
    assert len(np.unique(codes.distinct_signs(16, 4, seed=1), axis=0)) == 16


@pytest.mark.parametrize("count", [64, 256])
def test_lengths_fail_as_often_as_they_may(count):
    """Success at least 0.9 at the formula's length, and clearly less at two thirds of it."""
    for draw, formula in (
        (codes.random_signs, codes.sign_length),
        (codes.gaussian_code, codes.gaussian_length),
    ):
        length = formula(count, 0.1)
        shares = [
            np.mean([codes.code_margin(draw(count, m, seed=seed)) > 1e-9 for seed in range(60)])
            for m in (length, 2 * length // 3)
        ]
        assert shares[0] >= 0.85
        assert shares[1] < 0.75


def test_coherence_length_keeps_inner_products_below():
    length = codes.coherence_length(64, 0.5, 0.1)
    kept = [
        codes.largest_inner_product(codes.random_signs(64, length, seed=seed)) < 0.5 for seed in range(20)
    ]
    assert np.mean(kept) >= 0.9


def test_a_circle_has_the_margin_of_its_angle():
    for count in (3, 16, 256):
        expected = 1 - math.cos(2 * math.pi / count)
        assert codes.code_margin(codes.circle_code(count)) == pytest.approx(expected)
    assert expected == pytest.approx(3.0e-4, rel=0.01)


def test_codes_follow_their_seed():
    for kind in ("signs", "sphere", "gaussian"):
        first, again, other = (codes.object_code(kind, 9, 12, seed=seed) for seed in (0, 0, 1))
        assert np.array_equal(first, again)
        assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (lambda: codes.binary_code(9, 3), "A binary code of length 3 cannot tell 9 objects apart"),
        (lambda: codes.distinct_signs(9, 3), "give a length of 4 or more"),
        (
            lambda: codes.object_code("circle", 9, 3),
            "A circle code of length 3 was asked for; its length is 2",
        ),
        (lambda: codes.object_code("sphere", 0), "0 objects was asked for"),
        (lambda: codes.object_code("sphere", 5, 0), "give a length of 1 or more"),
        (lambda: codes.sign_length(9, 0.0), r"failure was 0\.0"),
        (lambda: codes.coherence_length(9, 1.5, 0.1), r"coherence was 1\.5"),
    ],
)
def test_bad_input_is_refused(ask, sentence):
    with pytest.raises(InputError, match=sentence):
        ask()
