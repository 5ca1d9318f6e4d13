import numpy as np
import pytest
from hypothesis import given, settings

from geomem.constructions.answering import answer, recall_every_fact
from geomem.constructions.moment_curve import exact_logits, moment_curve
from geomem.errors import InputError
from geomem.worlds.facts.families import random_bijections
from geomem.worlds.facts.table import answers
from random_tables import answer_grids, table_of


@pytest.mark.parametrize(("subjects", "relations"), [(16, 2), (64, 3), (128, 5), (256, 8)])
def test_twelve_subjects_answer_all_relations_in_whole_numbers(subjects, relations):
    """S5: 24/24, 36/36, 60/60, 96/96 through the network, in 2 R + 1 dimensions."""
    table = random_bijections(subjects, relations)
    memory = moment_curve(table)
    assert memory.code.shape[1] == 2 * relations + 1
    asked = np.repeat(np.arange(12), relations), np.tile(np.arange(relations), 12)
    said = answer(memory.weights, *asked)
    assert (said.objects == answers(table)[asked]).sum() == 12 * relations
    assert said.leads.min() >= 1
    whole = memory.weights["subject_embedding"]
    assert whole.dtype == (np.float64 if subjects <= 64 else object)


@settings(max_examples=30)
@given(answer_grids(5))
def test_any_table_and_the_exact_polynomial(drawn):
    table = table_of(drawn)
    memory = moment_curve(table)
    said = recall_every_fact(memory.weights, table)
    if table.object_count > 1:
        assert said.margins.min() >= 1
        assert said.recall == 1
    assert (said.objects == table.facts[:, 2]).all()
    for subject, relation, target in table.facts[:6]:
        logits = exact_logits(memory, int(subject), int(relation))
        assert logits[target] == 0
        assert all(value <= -1 for place, value in enumerate(logits) if place != target)


def test_coefficients_take_about_two_r_log_n_bits_so_bits_do_grow():
    for subjects, relations in ((16, 2), (64, 3), (128, 5), (256, 8)):
        size = moment_curve(random_bijections(subjects, relations)).size
        longest = size.fact_bits / size.fact_numbers
        assert 1.8 <= longest / (relations * np.log2(subjects)) <= 2.5


def test_too_large_a_table_is_refused():
    with pytest.raises(InputError, match="moment curve of the table"):
        moment_curve(random_bijections(64, 3), numbers_limit=5000)
