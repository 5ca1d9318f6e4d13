"""Metrics against slow definitions, ties and NaN included."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from geomem.models.objective import put_examples
from geomem.training.metrics import associative_accuracy, geometric_level, recalled_facts, top1_accuracy
from geomem.worlds.graphs.families import irregular, path_star
from geomem.worlds.tasks import EdgeMemorization, edge_examples

EXAMPLES = edge_examples(irregular(), EdgeMemorization())
DATA = put_examples(EXAMPLES, EXAMPLES.vocabulary_size, device="cpu", dtype=torch.float32)


def slow_associative_accuracy(logits, examples):
    """Sort each row with non-targets first among equals and count targets in the first d places."""
    shares = []
    for example, row in enumerate(logits):
        targets = examples.fact_targets[examples.fact_examples == example]
        order = sorted(range(len(row)), key=lambda token: (-row[token], token in targets))
        shares.append(len(set(order[: len(targets)]) & set(targets)) / len(targets))
    return np.mean(shares)


@given(st.integers(0, 10_000), st.integers(1, 40))
def test_top_d_recovery_with_pessimistic_ties(seed, levels):
    """Few levels make many ties."""
    logits = (
        np.random.default_rng(seed).integers(0, levels, (2, 16, EXAMPLES.vocabulary_size)).astype(np.float32)
    )
    fast = associative_accuracy(torch.tensor(logits), DATA)
    for run in range(2):
        assert fast[run].item() == pytest.approx(slow_associative_accuracy(logits[run], EXAMPLES), abs=1e-6)


def test_recalled_facts_are_those_that_the_accuracy_counts():
    random = np.random.default_rng(5)
    logits = random.normal(size=(3, 16, EXAMPLES.vocabulary_size)).astype(np.float32)
    logits[0, EXAMPLES.fact_examples, EXAMPLES.fact_targets] += 5
    logits[1, EXAMPLES.fact_examples, EXAMPLES.fact_targets] += 1
    recalled = recalled_facts(torch.tensor(logits), DATA).numpy()
    assert recalled.shape == (3, EXAMPLES.fact_count)
    degrees = np.bincount(EXAMPLES.fact_examples)
    for run in range(3):
        shares = np.bincount(EXAMPLES.fact_examples, recalled[run]) / degrees
        assert shares.mean() == pytest.approx(slow_associative_accuracy(logits[run], EXAMPLES))
    assert recalled[0].mean() > recalled[1].mean() > recalled[2].mean()
    # A fact that only a tie would let in is missing, and so is one without a number.
    tied = torch.zeros(1, 16, EXAMPLES.vocabulary_size)
    assert not recalled_facts(tied, DATA).any()
    assert not recalled_facts(tied * float("nan"), DATA).any()
    tied[0, DATA.fact_examples, DATA.fact_targets] = 1.0
    assert recalled_facts(tied, DATA).all()


def test_perfect_constant_and_undefined_logits():
    for graph in (irregular(), path_star(arms=7, length=3)):
        examples = edge_examples(graph, EdgeMemorization())
        data = put_examples(examples, examples.vocabulary_size, device="cpu", dtype=torch.float32)
        perfect = torch.zeros(1, examples.example_count, examples.vocabulary_size)
        perfect[0, data.fact_examples, data.fact_targets] = 1.0
        assert associative_accuracy(perfect, data).item() == 1
        assert associative_accuracy(torch.zeros_like(perfect), data).item() == 0
        assert associative_accuracy(perfect * float("nan"), data).item() == 0
        assert top1_accuracy(perfect * float("nan"), data).item() == 0
        # One target per prefix can be on top: the share of facts is prefixes over facts.
        assert top1_accuracy(perfect, data).item() == pytest.approx(
            examples.example_count / examples.fact_count
        )


def test_geometric_level_is_the_mean_cosine():
    generator = np.random.default_rng(0)
    embeddings, pairs = generator.normal(size=(3, 6, 4)), generator.integers(0, 6, (10, 2))
    level = geometric_level(torch.tensor(embeddings), torch.tensor(pairs))
    for run in range(3):
        E = embeddings[run]
        cosines = [E[u] @ E[v] / np.linalg.norm(E[u]) / np.linalg.norm(E[v]) for u, v in pairs]
        assert level[run].item() == pytest.approx(np.mean(cosines))
