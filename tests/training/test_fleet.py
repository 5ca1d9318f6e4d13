"""Fleets: equal to runs alone, resumable bit for bit, blind to the names of nodes, unharmed by a bad run."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.devices import DEVICES

import geomem.training.loop as loop_module
from geomem.errors import InputError
from geomem.models.configuration import Associative, Bilinear, Node2Vec, Transformer
from geomem.training.configuration import RunSettings, Training
from geomem.training.edges import train_fleet
from geomem.training.loop import state_from_arrays, state_to_arrays
from geomem.training.metrics import metrics_of
from geomem.worlds.graphs.families import irregular, path_star
from geomem.worlds.tasks import EdgeMemorization, directed_facts, edge_examples

METRICS = tuple(metric.name for metric in metrics_of("edges"))
GRAPH = irregular()
EXAMPLES = edge_examples(GRAPH, EdgeMemorization())
PAIRS = directed_facts(GRAPH, EdgeMemorization())
SHORT = Training(steps=12, metric_every=5, snapshots=4, warmup_steps=2)
# What tests/battery does not draw from the fields: noise, and two deviations at once.
MODELS = [
    Transformer(width=8, frozen_embeddings=True, tied=False),
    Bilinear(width=8, dropout=0.3),
    Node2Vec(width=8, tied=False),
]
RUNS = [
    RunSettings(seed=4, learning_rate=0.01),
    RunSettings(seed=1, learning_rate=0.02, weight_decay=0.1),
    RunSettings(seed=4, learning_rate=0.01, scale=2.0),
]


def train(model, runs=RUNS, training=SHORT, **options):
    return train_fleet(model, EXAMPLES, PAIRS, GRAPH.node_count, runs, training, **options)


def same_bits(one, other):
    assert one.parameters.keys() == other.parameters.keys()
    assert all(torch.equal(one.parameters[name], other.parameters[name]) for name in one.parameters)
    assert all(np.array_equal(one.metrics[name], other.metrics[name], equal_nan=True) for name in METRICS)
    assert np.array_equal(one.snapshots, other.snapshots)
    assert np.array_equal(one.metric_steps, other.metric_steps)
    assert np.array_equal(one.snapshot_steps, other.snapshot_steps)


class Killed(Exception):
    """Stands for the end of the process."""


@settings(max_examples=10, deadline=None)
@given(st.sampled_from(MODELS), st.lists(st.sampled_from(RUNS), min_size=2, max_size=5), st.integers(0, 4))
def test_a_run_in_a_fleet_equals_the_run_alone(model, runs, place):
    place %= len(runs)
    fleet, alone = train(model, runs), train(model, [runs[place]])
    np.testing.assert_allclose(fleet.snapshots[:, place], alone.snapshots[:, 0], rtol=1e-3, atol=1e-4)
    for name in ("loss", "geometric_level"):
        np.testing.assert_allclose(
            fleet.metrics[name][:, place], alone.metrics[name][:, 0], rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("model", MODELS, ids=str)
def test_killed_anywhere_and_resumed_ends_in_the_same_bits(model, device, monkeypatch):
    monkeypatch.setattr(loop_module, "CHECKPOINT_SECONDS", 0.0)
    whole = train(model, device=device)
    for last in (1, 5, 7, SHORT.steps):
        saved = {}

        def checkpoint(state, saved=saved, last=last):
            saved.update(state_to_arrays(state))
            if state.step == last:
                raise Killed

        with pytest.raises(Killed):
            train(model, on_checkpoint=checkpoint, device=device)
        assert saved["step"] == last
        same_bits(whole, train(model, state=state_from_arrays(saved), device=device))


def test_snapshots_are_copies_and_belong_to_their_steps():
    fleet = train(Bilinear(width=8))
    assert fleet.snapshot_steps.tolist() == [0, 1, 3, 12]
    assert all(np.abs(np.diff(fleet.snapshots, axis=0)).max(axis=(1, 2, 3)) > 1e-3)
    final = fleet.parameters["token_embedding"][:, : GRAPH.node_count].numpy()
    np.testing.assert_array_equal(fleet.snapshots[-1], final)
    stopped = train(Bilinear(width=8), training=dataclasses.replace(SHORT, schedule="constant", steps=3))
    constant = train(Bilinear(width=8), training=dataclasses.replace(SHORT, schedule="constant"))
    np.testing.assert_array_equal(constant.snapshots[2], stopped.snapshots[-1])
    np.testing.assert_array_equal(constant.metrics["loss"][0], stopped.metrics["loss"][0])


def test_frozen_tensors_stay_as_drawn():
    for model in (Associative(width=8), Transformer(width=8, frozen_embeddings=True, positions="sinusoidal")):
        fleet = train(model)
        assert (fleet.snapshots == fleet.snapshots[:1]).all()
        assert (fleet.metrics["loss"][-1] < fleet.metrics["loss"][0]).all()


def test_a_diverging_run_is_recorded_and_harms_no_other():
    wild = RunSettings(seed=0, learning_rate=1e30)
    fleet = train(Node2Vec(width=8), [RUNS[0], wild], Training(steps=30, optimizer="gradient-descent"))
    calm = train(Node2Vec(width=8), RUNS[:1], Training(steps=30, optimizer="gradient-descent"))
    assert not np.isfinite(fleet.metrics["loss"][-1, 1])
    np.testing.assert_allclose(fleet.metrics["loss"][:, 0], calm.metrics["loss"][:, 0], rtol=1e-5)
    assert fleet.metrics["associative_accuracy"][-1, 1] == 0


def test_progress_is_told_at_every_metric_row():
    told = []
    fleet = train(Bilinear(width=8), on_progress=told.append)
    assert [progress.step for progress in told] == [0, 5, 10, 12] == fleet.metric_steps.tolist()
    assert told[-1].seconds_left == 0
    assert told[0].seconds_left == float("inf")
    np.testing.assert_array_equal([progress.metrics["loss"] for progress in told], fleet.metrics["loss"])


def test_a_larger_star_with_a_heavy_root_is_memorised():
    graph = path_star(arms=20, length=3)
    facts = directed_facts(graph, EdgeMemorization())
    examples = edge_examples(graph, EdgeMemorization())
    runs = [RunSettings(seed=seed, learning_rate=0.1) for seed in (0, 1)]
    fleet = train_fleet(
        Associative(width=256), examples, facts, 41, runs, Training(steps=20, schedule="constant")
    )
    assert (fleet.metrics["associative_accuracy"][-1] == 1).all()


def test_what_cannot_be_trained_is_refused():
    with pytest.raises(InputError, match="no run"):
        train(Bilinear(), [])
    with pytest.raises(InputError, match="steps is 0"):
        train(Bilinear(), training=Training(steps=0))
    with pytest.raises(InputError, match="heads must divide width"):
        train(Transformer(width=9, heads=2))
