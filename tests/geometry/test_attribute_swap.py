import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from block_superposition import binary_codes, block_superposition, plain_answers, random_answers
from geomem.errors import InputError
from geomem.geometry.attribute_swap import draw_swaps, measure_attribute_swap, swapped_vectors
from geomem.geometry.superposition import fit_superposition


@pytest.mark.parametrize("relations", [2, 4])
def test_swaps_in_block_superposition_succeed_and_leave_the_rest(relations):
    answers = random_answers(256, relations)
    weights = block_superposition(answers, binary_codes(256))
    fit = fit_superposition(weights["subject_embedding"], weights["output_embedding"], answers)
    swaps = draw_swaps(answers, 300)
    curve = measure_attribute_swap(
        weights["subject_embedding"],
        fit.maps,
        fit.codes,
        swaps,
        lambda vectors: plain_answers(weights, vectors),
        gains=(0.0, 0.25, 1.0),
    )
    assert curve.success.tolist() == [0.0, 0.0, 1.0]
    assert curve.retention.tolist() == [1.0, 1.0, 1.0]
    assert curve.best == 1.0


def test_swaps_with_the_maps_of_another_relation_fail():
    answers = random_answers(256, 2)
    weights = block_superposition(answers, binary_codes(256))
    fit = fit_superposition(weights["subject_embedding"], weights["output_embedding"], answers)
    curve = measure_attribute_swap(
        weights["subject_embedding"],
        fit.maps[::-1],
        fit.codes,
        draw_swaps(answers, 200),
        lambda vectors: plain_answers(weights, vectors),
        gains=(1.0,),
    )
    # Not 0: a block pushed beyond M leaks through its shut gate.
    assert curve.success[0] < 0.2
    assert curve.retention[0] < 0.1
    assert curve.best < 0.1


def test_vectors_by_hand():
    generator = np.random.default_rng(0)
    S, maps, codes = (generator.normal(size=shape) for shape in ((30, 5), (3, 5, 4), (30, 4)))
    swaps = draw_swaps(random_answers(30, 3), 40)
    vectors = swapped_vectors(S, maps, codes, swaps, gain=1.5)
    for i in (0, 17, 39):
        x, r = int(swaps.subjects[i]), int(swaps.relations[i])
        old, new = int(swaps.old[i]), int(swaps.new[i])
        assert vectors[i] == pytest.approx(S[x] + 1.5 * maps[r] @ (codes[new] - codes[old]))


@given(st.integers(2, 40), st.integers(1, 4), st.integers(0, 999))
def test_drawn_swaps_are_facts_with_a_new_object_of_the_same_relation(subjects, relations, seed):
    generator = np.random.default_rng(seed)
    answers = generator.integers(-1, 5, size=(subjects, relations))
    used = [set(column[column >= 0].tolist()) for column in answers.T]
    if all(len(objects) < 2 for objects in used):
        with pytest.raises(InputError, match="nothing to exchange"):
            draw_swaps(answers, 9, seed=seed)
        return
    swaps = draw_swaps(answers, 10_000, seed=seed)
    assert np.array_equal(answers[swaps.subjects, swaps.relations], swaps.old)
    assert (swaps.old != swaps.new).all()
    assert all(int(new) in used[r] for r, new in zip(swaps.relations, swaps.new, strict=True))
    assert len(swaps.old) == sum(
        (column >= 0).sum() for column, objects in zip(answers.T, used, strict=True) if len(objects) > 1
    )
    assert len(draw_swaps(answers, 1, seed=seed).old) == 1


def test_new_objects_are_uniform():
    swaps = draw_swaps(np.repeat(np.arange(4), 3000)[:, None], 12_000)
    counts = np.array([(swaps.new[swaps.old == 0] == new).sum() for new in range(4)])
    assert counts[0] == 0
    assert np.abs(counts[1:] / 3000 - 1 / 3).max() < 0.04


def test_one_relation_has_nothing_to_retain():
    answers = random_answers(64, 1)
    weights = block_superposition(answers, binary_codes(64))
    fit = fit_superposition(weights["subject_embedding"], weights["output_embedding"], answers)
    curve = measure_attribute_swap(
        weights["subject_embedding"],
        fit.maps,
        fit.codes,
        draw_swaps(answers, 20),
        lambda vectors: plain_answers(weights, vectors),
        gains=(1.0,),
    )
    assert np.isnan(curve.retention).all()
    assert curve.best == 1.0
