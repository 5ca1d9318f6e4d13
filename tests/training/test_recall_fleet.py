"""Recall fleets: a run alone, runs padded to any size, resuming, batches, learning, what is refused."""

import dataclasses

import numpy as np
import pytest
import torch
from tests.devices import DEVICES

import geomem.training.loop as loop_module
from geomem.errors import InputError
from geomem.models.configuration import Recall
from geomem.models.networks.recall import all_paths, compute_recall_logits
from geomem.models.recall import RecallSize, describe_recall_parameters
from geomem.training.configuration import RecallRun, RecallTraining, RunSettings
from geomem.training.facts import train_recall
from geomem.training.loop import state_from_arrays, state_to_arrays
from geomem.worlds.facts.families import random_bijections, random_permutations
from geomem.worlds.facts.hops import chain_answers
from geomem.worlds.facts.table import answers

SHORT = RecallTraining(steps=30, warmup_steps=3, metric_every=10, learning_rate=0.02)


def run_of(subjects, relations, width, seed, *, model=None, missing=0, **settings):
    model = dataclasses.replace(model or Recall(), width=width, mlp_width=2 * width)
    asked = answers(random_bijections(subjects, relations, world_seed=seed))
    asked.ravel()[:missing] = -1
    size = RecallSize(subjects, relations, subjects)
    return RecallRun(model, size, asked, RunSettings(seed, 0.02, **settings))


MIXED = [
    run_of(12, 3, 6, seed=1),
    run_of(7, 2, 4, seed=2, missing=3),
    run_of(9, 3, 3, seed=1, weight_decay=0.1, scale=0.5),
]
KINDS = [{}, {"layer_norm": True, "layers": 2}, {"attention": "uniform", "frozen": ("subjects", "objects")}]


@pytest.mark.parametrize("batch", [0, 3])
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_run_among_larger_ones_is_the_run_alone_and_unpadded(kind, batch):
    runs = [dataclasses.replace(run, model=dataclasses.replace(run.model, **kind)) for run in MIXED]
    training = dataclasses.replace(SHORT, batch_subjects=batch)
    fleet = train_recall(runs, training, dtype=torch.float64)
    for number, run in enumerate(runs):
        alone = train_recall([run], training, dtype=torch.float64)
        for name, own in alone.parameters.items():
            whole = fleet.parameters[name][number]
            inside = tuple(map(slice, own.shape[1:]))
            torch.testing.assert_close(whole[inside], own[0], rtol=1e-6, atol=1e-9)
            beyond = whole.clone()
            beyond[inside] = 0
            assert not beyond.any()
        for name, rows in alone.metrics.items():
            np.testing.assert_allclose(fleet.metrics[name][:, number], rows[:, 0], rtol=1e-6, atol=1e-9)


def test_frozen_tables_stay_as_drawn():
    kind = {"frozen": ("subjects", "relations", "objects")}
    run = dataclasses.replace(MIXED[0], model=dataclasses.replace(MIXED[0].model, **kind))
    before = train_recall([run], dataclasses.replace(SHORT, steps=1, warmup_steps=0, learning_rate=0.0))
    after = train_recall([run], SHORT)
    for name, parameter in describe_recall_parameters(run.model, run.size).items():
        assert torch.equal(before.parameters[name], after.parameters[name]) != parameter.trained


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("batch", [0, 2])
def test_killed_anywhere_and_resumed_ends_in_the_same_bits(batch, device, monkeypatch):
    monkeypatch.setattr(loop_module, "CHECKPOINT_SECONDS", 0.0)
    training = dataclasses.replace(SHORT, batch_subjects=batch)
    whole = train_recall(MIXED, training, device=device)
    for last in (1, 17, 30):
        saved = {}

        def checkpoint(state, saved=saved, last=last):
            saved.update(state_to_arrays(state))
            if state.step == last:
                raise Killed

        with pytest.raises(Killed):
            train_recall(MIXED, training, on_checkpoint=checkpoint, device=device)
        resumed = train_recall(MIXED, training, state=state_from_arrays(saved), device=device)
        assert all(torch.equal(whole.parameters[name], resumed.parameters[name]) for name in whole.parameters)
        assert all(np.array_equal(whole.metrics[name], resumed.metrics[name]) for name in whole.metrics)


def test_every_epoch_shows_every_subject_once():
    from geomem.training.facts import _Batches

    batches = _Batches(MIXED[:2], 3)
    first = torch.cat([batches.draw(step) for step in range(4)], dim=1)
    assert sorted(first[0].tolist()) == list(range(12))
    assert len(set(first[1, :6].tolist())) == 6
    assert torch.equal(_Batches(MIXED[:2], 3).draw(9), _Batches(MIXED[:2], 3).draw(9))


@pytest.mark.parametrize("batch", [0, 8])
def test_a_small_table_is_learned_and_the_metrics_are_those_of_the_weights(batch):
    runs = [run_of(16, 2, 8, seed) for seed in range(2)]
    training = RecallTraining(steps=300, learning_rate=0.02, metric_every=100, batch_subjects=batch)
    fleet = train_recall(runs, training)
    assert (fleet.metrics["recall"][-1] == 1).all()
    assert fleet.metric_steps.tolist() == [0, 100, 200, 300]
    logits = compute_recall_logits(runs[0].model, fleet.parameters, all_paths(2, 1)).double()
    for number, run in enumerate(runs):
        own, target = logits[number], torch.tensor(run.answers)[..., None]
        right = own.gather(2, target)
        losses = own.logsumexp(dim=2) - right[..., 0]
        margins = right[..., 0] - own.scatter(2, target, -torch.inf).amax(dim=2)
        assert fleet.metrics["loss"][-1, number] == pytest.approx(losses.mean().item(), rel=0.01)
        assert fleet.metrics["margin"][-1, number] == pytest.approx(margins.min().item(), rel=1e-4)


def test_two_hops_are_learned_as_questions_of_their_own():
    table = random_permutations(8, 2)
    paths = all_paths(2, 2).numpy()
    asked = chain_answers(table, np.arange(8).repeat(4), np.tile(paths, (8, 1))).reshape(8, 4)
    run = RecallRun(Recall(width=12, mlp_width=48, hops=2), RecallSize(8, 2, 8), asked, RunSettings(0, 0.02))
    fleet = train_recall([run], RecallTraining(steps=300))
    assert fleet.metrics["recall"][-1].item() == 1


def test_a_run_that_diverges_leaves_the_others_alone():
    wild = dataclasses.replace(MIXED[0], settings=RunSettings(0, 1e30))
    fleet = train_recall([wild, MIXED[0]], SHORT)
    assert not np.isfinite(fleet.metrics["loss"][-1, 0])
    assert fleet.metrics["recall"][-1, 0] == 0
    assert np.isfinite(fleet.metrics["loss"][-1, 1])


def test_enough_ends_the_training():
    fleet = train_recall([MIXED[0]], SHORT, enough=lambda row: bool((row["recall"] >= 0).all()))
    assert fleet.metric_steps.tolist() == [0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps is 0"),
        ({"batch_subjects": 8}, "batch_subjects is 8, the table has 7 subjects"),
        ({"learning_rate": -1.0}, "learning_rate is -1.0"),
    ],
)
def test_settings_that_cannot_be_meant(changes, message):
    with pytest.raises(InputError, match=message):
        train_recall(MIXED, dataclasses.replace(SHORT, **changes))
