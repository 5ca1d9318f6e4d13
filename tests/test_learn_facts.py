"""Learning a table of facts: the job, its directory, its cache, Ctrl-C, answers, and what is refused."""

import dataclasses
import sys

import numpy as np
import pytest
import torch

import geomem.memories.answers as answers_module
import geomem.training.loop as loop_module
from geomem.errors import InputError
from geomem.memories.answers import memory_answers, recalled_facts
from geomem.models.configuration import Recall
from geomem.runs.facts import fact_job, learn_facts, question_answers
from geomem.runs.train import Announcement
from geomem.training.configuration import RecallTraining
from geomem.worlds.facts.families import partial_facts, random_bijections, random_permutations
from geomem.worlds.facts.reader import write_facts
from geomem.worlds.facts.table import answers

TABLE = random_bijections(12, 3)
SHORT = RecallTraining(steps=200, learning_rate=0.02, warmup_steps=4)


def test_a_table_is_learned_once(tmp_path):
    told = []
    memory = learn_facts(TABLE, training=SHORT, seeds=2, directory=tmp_path, on_progress=told.append)
    assert isinstance(told[0], Announcement)
    assert not told[0].finished
    assert told[-1].step == 200
    assert recalled_facts(memory).all()
    found = memory_answers(memory)
    np.testing.assert_array_equal(found.objects, np.stack([answers(TABLE)] * 2))
    margins = told[-1].metrics["margin"]
    np.testing.assert_allclose(found.leads.min(axis=(1, 2)), margins, rtol=1e-3)
    doubles = memory_answers(memory, subjects=np.array([3, 5]), paths=np.array([[1]]), dtype=torch.float64)
    np.testing.assert_array_equal(doubles.objects, found.objects[:, [3, 5]][:, :, [1]])
    again = []
    kept = learn_facts(TABLE, training=SHORT, seeds=2, directory=tmp_path, on_progress=again.append)
    assert (kept.path, kept.table.digest, kept.manifest) == (memory.path, TABLE.digest, memory.manifest)
    assert [event.finished for event in again] == [True]


def test_answers_in_pieces_are_the_same(tmp_path, monkeypatch):
    memory = learn_facts(TABLE, training=dataclasses.replace(SHORT, steps=5), directory=tmp_path)
    whole = memory_answers(memory)
    monkeypatch.setattr(answers_module, "EVALUATED", 1)
    pieces = memory_answers(memory)
    np.testing.assert_array_equal(whole.objects, pieces.objects)


def test_interrupted_and_continued_ends_in_the_same_bits(tmp_path, monkeypatch):
    whole = learn_facts(TABLE, training=SHORT, directory=tmp_path / "whole").weights()
    monkeypatch.setattr(loop_module, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(sys.modules["geomem.runs.train"], "CHECKPOINT_SHARE", 0)

    def interrupt(event):
        if getattr(event, "step", 0) == 100:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="goes on from step 100 of 200"):
        learn_facts(TABLE, training=SHORT, directory=tmp_path / "cut", on_progress=interrupt)
    told = []
    memory = learn_facts(TABLE, training=SHORT, directory=tmp_path / "cut", on_progress=told.append)
    assert told[0].first_step == 100
    weights = memory.weights()
    assert all(np.array_equal(whole[name], weights[name]) for name in whole)


def test_a_file_of_triples_with_gaps_is_learned(tmp_path):
    table = partial_facts(TABLE, 0.6)
    write_facts(table, tmp_path / "facts.tsv")
    memory = learn_facts(tmp_path / "facts.tsv", training=SHORT, seeds=[5], directory=tmp_path)
    assert memory.table.fact_count == table.fact_count
    assert recalled_facts(memory).all()


def test_two_hops(tmp_path):
    table = random_permutations(6, 2)
    model = Recall(width=12, mlp_width=48, hops=2, tied=False)
    memory = learn_facts(table, model=model, training=SHORT, seeds=1, directory=tmp_path)
    np.testing.assert_array_equal(memory_answers(memory).objects[0], question_answers(table, 2))


def test_what_is_refused_before_anything_is_allocated(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="give tied=False"):
        fact_job(TABLE, model=Recall(tied=True))
    with pytest.raises(InputError, match=r"531,441 questions|questions, .* GiB of answers"):
        fact_job(random_permutations(12, 9), model=Recall(hops=9))
    with pytest.raises(InputError, match=r"has no chain of 2 hops to learn; .* or hops=1"):
        fact_job(random_bijections(12, 2), model=Recall(hops=2))
    with pytest.raises(InputError, match="neither a built-in table"):
        fact_job("contries")
    huge = Recall(width=2_000_000, mlp_width=0)
    with pytest.raises(InputError, match=r"needs about .* of memory"):
        learn_facts(TABLE, model=huge, directory=tmp_path)
    assert not list(tmp_path.iterdir())
