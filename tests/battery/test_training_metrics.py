"""Every registered training metric: shapes, permuted runs, a run of NaN beside others, a slow definition."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from geomem.geometry import recovery, similarity
from geomem.measure.paths import distances_of_paths
from geomem.models.objective import put_examples
from geomem.training.metric import GIVEN, TRAINING_METRICS
from geomem.training.metrics import Answers, NameAnswers, compute_metrics, metrics_of
from geomem.worlds.graphs.families import irregular
from geomem.worlds.tasks import EdgeMemorization, directed_facts, edge_examples

GRAPH = irregular()
EXAMPLES = edge_examples(GRAPH, EdgeMemorization())
RUNS = 4
PATHS = np.arange(1, 13).reshape(4, 3)
"""Held-out paths without the root, which is 0."""
REGISTERED = [(track, metric.name) for track in GIVEN for metric in metrics_of(track)]


def draw(track):
    """What a metric can ask for, drawn at random."""
    random = np.random.default_rng(7)

    def tensor(*shape):
        return torch.tensor(random.normal(size=(RUNS, *shape)).astype(np.float32))

    def truths(*shape):
        return torch.tensor(random.random((RUNS, *shape)) < 0.6)

    def answers():
        return Answers(truths(5, 4), truths(5, 4), truths(5), tensor().abs(), 1)

    embeddings = tensor(GRAPH.node_count, 6)
    given = {
        "losses": tensor().abs(),
        "embeddings": embeddings,
        "parameters": {"token_embedding": embeddings},
    }
    if track == "edges":
        data = put_examples(EXAMPLES, EXAMPLES.vocabulary_size, device="cpu", dtype=torch.float32)
        pairs = torch.tensor(directed_facts(GRAPH, EdgeMemorization()))
        logits = tensor(EXAMPLES.example_count, EXAMPLES.vocabulary_size)
        return given | {"logits": logits, "examples": data, "pairs": pairs}
    if track == "paths":
        units = F.normalize(embeddings[:, np.insert(PATHS, 0, 0, axis=1)], dim=-1)
        own = {"answers": {"train": answers(), "held_out": answers()}, "retrieved": truths(4)}
        return given | own | {"units": units, "edge_losses": tensor().abs(), "edge_recalls": tensor().abs()}
    if track == "sentences":
        parts = ("train", "held_out", "two_steps", "ways", "held_out_ways")
        return given | {"answers": {part: NameAnswers(tensor(5).abs(), truths(5)) for part in parts}}
    counts = torch.tensor([3, 9, 27, 81])
    return given | {"recalled": counts // 3, "fact_counts": counts, "margins": tensor()}


def change(given, function):
    """The same with a function applied to every tensor that has a run axis."""
    if isinstance(given, dict):
        return {name: change(value, function) for name, value in given.items()}
    if isinstance(given, Answers):
        names = ("free", "forced", "among_arms", "losses")
        return replace(given, **{name: function(getattr(given, name)) for name in names})
    if isinstance(given, NameAnswers):
        return NameAnswers(function(given.recalled), function(given.first))
    has_runs = isinstance(given, torch.Tensor) and len(given) == RUNS
    return function(given) if has_runs else given


@pytest.mark.parametrize("track", GIVEN)
def test_everything_that_can_be_asked_for_is_given(track):
    assert draw(track).keys() == set(GIVEN[track])


@pytest.mark.parametrize("track", GIVEN)
def test_a_row_has_one_number_per_run(track):
    found = compute_metrics(track, draw(track))
    assert all(values.shape == (RUNS,) for values in found.values())
    names = {name.rpartition(".")[2] for name in found}
    for metric in metrics_of(track):
        assert metric.name in names or f"{metric.name}_1" in names


@pytest.mark.parametrize("track", GIVEN)
def test_permuted_runs_have_permuted_metrics(track):
    order = torch.tensor([2, 0, 3, 1])
    there = compute_metrics(track, draw(track))
    here = compute_metrics(track, change(draw(track), lambda values: values[order]))
    for name, values in there.items():
        np.testing.assert_allclose(here[name], values[order], rtol=1e-6, err_msg=name)


@pytest.mark.parametrize("track", GIVEN)
def test_a_run_of_nan_changes_no_other(track):
    def spoil(values):
        if not values.is_floating_point():
            return values
        spoiled = values.clone()
        spoiled[1] = float("nan")
        return spoiled

    others = torch.tensor([0, 2, 3])
    there, here = (compute_metrics(track, given) for given in (draw(track), change(draw(track), spoil)))
    for name, values in there.items():
        assert torch.equal(here[name][others], values[others]), name
        worst = here[name][1]
        # What has diverged has learned nothing: no share of right answers is above what was there.
        assert not worst > values[1], name


def facts_of(data):
    return data.fact_examples.numpy(), data.fact_targets.numpy()


def shares(hits):
    return lambda given, part: getattr(given["answers"][part], hits).numpy().mean(axis=1)


def distances(part, own):
    """Means over the diagonal of the matrix that the report draws, or over the rest."""

    def mean(given):
        found = distances_of_paths(given["embeddings"].double().numpy(), np.insert(PATHS, 0, 0, axis=1))[part]
        diagonal = np.eye(len(PATHS), dtype=bool)
        return found[:, diagonal if own else ~diagonal].mean(axis=1)

    return mean


REFERENCES = {
    "associative_accuracy": lambda given: recovery.associative_accuracy(
        given["logits"].numpy(), *facts_of(given["examples"])
    ),
    "top1_accuracy": lambda given: recovery.top1_accuracy(
        given["logits"].numpy(), *facts_of(given["examples"]), given["examples"].fact_weights.numpy()
    ),
    "geometric_level": lambda given: similarity.geometric_level(
        given["embeddings"].numpy(), given["pairs"].numpy()
    ),
    "exact_match": lambda given, part: given["answers"][part].free.numpy().all(axis=2).mean(axis=1),
    "first_hop": lambda given, part: given["answers"][part].free.numpy()[:, :, 1].mean(axis=1),
    "first_hop_among_arms": shares("among_arms"),
    "token": shares("free"),
    "forced_token": shares("forced"),
    "leaf_first_own": distances(0, True),
    "leaf_first_other": distances(0, False),
    "path_own": distances(1, True),
    "path_other": distances(1, False),
}
"""Definitions in NumPy; what is handed on as it is has none."""


@pytest.mark.parametrize("name", REFERENCES)
def test_the_metric_is_its_slow_definition(name):
    metric = TRAINING_METRICS[name]
    given = draw(metric.tracks[0])
    found = compute_metrics(metric.tracks[0], given)
    if "answers" not in metric.needs:
        np.testing.assert_allclose(found[name], REFERENCES[name](given), rtol=1e-5)
        return
    for part in given["answers"]:
        expected = REFERENCES[name](given, part).T
        names = [f"{part}.{name}"] if expected.ndim == 1 else [f"{part}.{name}_{k + 1}" for k in range(4)]
        np.testing.assert_allclose([found[own].numpy() for own in names], expected.reshape(-1, RUNS))


def test_without_edges_or_a_second_node_there_is_less():
    given = draw("paths")
    alone = {name: given[name] for name in ("losses", "embeddings", "parameters")}
    found = compute_metrics("paths", alone | {"answers": {"held_out": given["answers"]["held_out"]}})
    assert {name.partition(".")[0] for name in found} == {"loss", "held_out"}
    short = compute_metrics("paths", given | {"units": given["units"][:, :, :2]})
    assert compute_metrics("paths", given).keys() - short.keys() == {"path_own", "path_other"}


def test_no_metric_waits_for_the_device(monkeypatch):
    """Numbers come to the host once a row, by `to_row`."""
    given = {track: draw(track) for track in GIVEN}

    def refuse(*arguments, **options):
        raise AssertionError("a metric reads a number")

    for method in ("item", "tolist", "numpy", "cpu", "__bool__", "__int__", "__float__", "nonzero"):
        monkeypatch.setattr(torch.Tensor, method, refuse)
    for track in GIVEN:
        compute_metrics(track, given[track])


@pytest.mark.parametrize(("track", "name"), REGISTERED)
def test_every_metric_explains_itself(track, name):
    metric = TRAINING_METRICS[name]
    assert metric.explanation.endswith(".")
    assert metric.title[0].isupper()
    of_answers = {"train", "held_out"} | ({"ways", "held_out_ways"} if track == "sentences" else set())
    assert set(metric.lines) <= (of_answers if "answers" in metric.needs else {""})
