import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geomem.constructions.answering import recall_every_fact
from geomem.constructions.dense import dense_superposition, dense_width
from geomem.constructions.one_hop import block_superposition
from geomem.constructions.quantization import quantize_subjects
from geomem.errors import InputError
from geomem.worlds.facts.families import random_bijections
from random_tables import answer_grids, table_of


@settings(max_examples=40)
@given(answer_grids(), st.sampled_from([8, 4]), st.integers(1, 9))
def test_eight_and_four_bits_keep_every_binary_word(drawn, bits, block):
    table = table_of(drawn)
    memory = block_superposition(table)
    small = quantize_subjects(memory.weights, bits, block=block)
    assert recall_every_fact(small.weights, table).recall == 1
    assert np.allclose(small.weights["subject_embedding"], memory.weights["subject_embedding"])


@pytest.mark.parametrize(("subjects", "relations"), [(64, 2), (256, 4)])
def test_one_bit_per_number_is_all_a_full_table_needs(subjects, relations):
    table = random_bijections(subjects, relations)
    memory = block_superposition(table)
    small = quantize_subjects(memory.weights, 1)
    assert recall_every_fact(small.weights, table).recall == 1
    assert set(np.unique(small.levels)) == {-1, 0, 1}
    scales = -(-memory.size.fact_numbers // subjects // 32)
    assert small.bits == memory.size.fact_bits + 64 * scales


def test_levels_are_whole_and_within_their_bits():
    weights = dense_superposition(random_bijections(32, 3), 20).weights
    table = weights["subject_embedding"]
    for bits, most in ((8, 127), (4, 7), (1, 1)):
        small = quantize_subjects(weights, bits, block=6)
        assert np.abs(small.levels).max() == most
        read = small.weights["subject_embedding"]
        assert np.array_equal(read, small.levels * small.scales)
        assert not read[:, 20:].any()
        if bits > 1:
            assert (np.abs(read - table) <= small.scales / 2 + 1e-12).all()
        assert small.scales[:20].min() > 0
        assert small.bits == bits * 32 * 20 + 64 * 4


def test_real_codes_lose_recall_as_bits_fall():
    table = random_bijections(128, 4)
    memory = dense_superposition(table, dense_width(128, 4, 128) // 2)
    shares = [
        recall_every_fact(quantize_subjects(memory.weights, bits).weights, table).recall for bits in (8, 4, 1)
    ]
    full = recall_every_fact(memory.weights, table).recall
    assert shares[:2] == pytest.approx([full, full], abs=0.02)
    assert 0.2 < shares[2] < full - 0.03


def test_precision_and_other_arrays_stay():
    memory = block_superposition(random_bijections(8, 2))
    weights = {name: array.astype(np.float32) for name, array in memory.weights.items()}
    small = quantize_subjects(weights, 8)
    assert small.weights["subject_embedding"].dtype == np.float32
    assert all(small.weights[name] is array for name, array in weights.items() if "subject" not in name)


def test_bad_input_is_refused():
    weights = block_superposition(random_bijections(8, 2)).weights
    with pytest.raises(InputError, match="2 bits per number were asked for; give 8, 4 or 1"):
        quantize_subjects(weights, 2)
    with pytest.raises(InputError, match="block was 0"):
        quantize_subjects(weights, 8, block=0)
