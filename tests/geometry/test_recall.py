import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax

from geomem.geometry.recovery import associative_accuracy, cross_entropy, loss_floor, top1_accuracy
from geomem.worlds.graphs.families import cycle, grid, irregular, path_star
from geomem.worlds.tasks import EdgeMemorization, edge_examples

GRAPHS = {"star": path_star(), "grid": grid(), "cycle": cycle(), "irregular": irregular()}


def plain_recovery(logits, facts):
    """One prefix after the other, with targets after everything they tie with."""
    shares = []
    for example in np.unique(facts[:, 0]):
        targets = set(facts[facts[:, 0] == example, 1])
        ranked = sorted(range(logits.shape[1]), key=lambda token: (-logits[example, token], token in targets))
        shares.append(len(targets & set(ranked[: len(targets)])) / len(targets))
    return np.mean(shares)


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_recovery_equals_the_plain_loop_ties_included(seed, levels):
    generator = np.random.default_rng(seed)
    examples = edge_examples(GRAPHS["irregular"], EdgeMemorization(self_edges=bool(seed % 2)))
    logits = generator.integers(0, levels, size=(2, examples.example_count, examples.vocabulary_size)).astype(
        float
    )
    facts = np.stack([examples.fact_examples, examples.fact_targets], axis=1)
    found = associative_accuracy(logits, examples.fact_examples, examples.fact_targets)
    assert found == pytest.approx([plain_recovery(run, facts) for run in logits])


def test_equal_logits_recall_nothing_and_every_lead_counts():
    examples = edge_examples(GRAPHS["star"], EdgeMemorization())
    logits = np.zeros((examples.example_count, examples.vocabulary_size))
    assert associative_accuracy(logits, examples.fact_examples, examples.fact_targets) == 0
    logits[examples.fact_examples, examples.fact_targets] = 1e-9
    assert associative_accuracy(logits, examples.fact_examples, examples.fact_targets) == 1
    logits[:, -1] = 1
    without_one = associative_accuracy(logits, examples.fact_examples, examples.fact_targets)
    degrees = np.bincount(examples.fact_examples)
    assert without_one == pytest.approx(np.mean((degrees - 1) / degrees))


@pytest.mark.parametrize(
    ("name", "directions", "self_edges", "floor", "highest"),
    [
        ("star", "both", False, 0.6931, 0.5312),
        ("grid", "both", False, 1.1269, 0.3333),
        ("cycle", "both", False, 0.6931, 0.5),
        ("irregular", "both", False, 0.9364, 0.4),
        ("star", "forward", False, 0.3466, 0.8125),
        ("grid", "forward", False, 0.5199, 0.625),
        ("cycle", "forward", False, 0.0, 1.0),
        ("irregular", "forward", False, 0.4421, 0.7),
        ("star", "both", True, 1.0845, 0.3469),
    ],
)
def test_floors_and_highest_top1_of_the_paper_file(name, directions, self_edges, floor, highest):
    examples = edge_examples(GRAPHS[name], EdgeMemorization(directions=directions, self_edges=self_edges))
    assert loss_floor(examples.fact_examples, examples.fact_weights) == pytest.approx(floor, abs=6e-5)
    best = np.full((examples.example_count, examples.vocabulary_size), -40.0)
    best[examples.fact_examples, examples.fact_targets] = 0
    parts = examples.fact_examples, examples.fact_targets, examples.fact_weights
    assert cross_entropy(best, *parts) == pytest.approx(floor, abs=6e-5)
    assert top1_accuracy(best, *parts) == pytest.approx(highest, abs=6e-5)


def test_loss_of_any_logits_is_above_the_floor_and_equal_to_one_row_per_fact():
    generator = np.random.default_rng(0)
    examples = edge_examples(GRAPHS["grid"], EdgeMemorization())
    logits = generator.normal(size=(3, examples.example_count, examples.vocabulary_size)) * 5
    parts = examples.fact_examples, examples.fact_targets, examples.fact_weights
    losses = cross_entropy(logits, *parts)
    rows = log_softmax(logits, axis=-1)[:, examples.fact_examples, examples.fact_targets]
    assert losses == pytest.approx(-rows.mean(axis=1))
    assert (losses > loss_floor(examples.fact_examples, examples.fact_weights)).all()
