"""Edge memorisation: the facts of every direction, and that computing a prefix once changes nothing."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from geomem.errors import InputError
from geomem.worlds.graphs.families import complete, cycle, grid, irregular, path_star
from geomem.worlds.tasks import EdgeMemorization, directed_facts, edge_examples, told_facts
from geomem.worlds.vocabulary import SPECIAL_TOKENS, Vocabulary

GRAPHS = [path_star(), grid(), cycle(), irregular()]
TASKS = st.builds(
    EdgeMemorization,
    directions=st.sampled_from(["both", "forward", "reverse"]),
    self_edges=st.booleans(),
    task_token=st.booleans(),
)


@given(st.sampled_from(GRAPHS), TASKS)
def test_facts_are_exactly_those_asked_for(graph, task):
    expected = set()
    for tail, head in graph.edges.tolist():
        if task.directions in ("both", "forward"):
            expected.add((tail, head))
        if task.directions in ("both", "reverse"):
            expected.add((head, tail))
    if task.self_edges:
        expected |= {(node, node) for node in range(graph.node_count)}
    facts = [tuple(fact) for fact in directed_facts(graph, task).tolist()]
    assert facts == sorted(expected)


@pytest.mark.parametrize("self_edges", [False, True])
def test_unknown_directions(self_edges):
    task = EdgeMemorization(self_edges=self_edges)
    object.__setattr__(task, "directions", "sideways")  # past the tests' type checks, as users are
    with pytest.raises(InputError, match="'sideways'"):
        directed_facts(cycle(), task)


@given(st.sampled_from(GRAPHS), TASKS)
def test_examples_hold_every_fact_once(graph, task):
    examples = edge_examples(graph, task)
    vocabulary = Vocabulary(graph.labels)
    facts = directed_facts(graph, task)
    sources = examples.prefixes[examples.fact_examples]
    assert (sources[:, -1] == facts[:, 0]).all()
    assert (examples.fact_targets == facts[:, 1]).all()
    assert len(np.unique(examples.prefixes, axis=0)) == examples.example_count == len(np.unique(facts[:, 0]))
    assert examples.fact_count == len(facts)
    assert examples.prefixes.shape[1] == 1 + task.task_token
    if task.task_token:
        assert (examples.prefixes[:, 0] == vocabulary.token("[EDGE]")).all()
    assert examples.fact_weights.sum() == pytest.approx(1, abs=1e-12)
    assert examples.vocabulary_size == graph.node_count + 9


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@given(graph=st.sampled_from(GRAPHS), task=TASKS, seed=st.integers(0, 100))
@settings(max_examples=25, deadline=None)
def test_unique_prefixes_give_the_loss_and_gradient_of_one_row_per_fact(dtype, graph, task, seed):
    """Criterion 2 of issue 2, on a table of logits per node that the last token of a prefix looks up."""
    torch.set_num_threads(1)
    examples = edge_examples(graph, task)
    start = torch.randn(
        examples.vocabulary_size,
        examples.vocabulary_size,
        generator=torch.Generator().manual_seed(seed),
        dtype=dtype,
    )

    def unique(table):
        logits = table[torch.from_numpy(examples.prefixes[:, -1])]
        rows, targets = torch.from_numpy(examples.fact_examples), torch.from_numpy(examples.fact_targets)
        weights = torch.from_numpy(examples.fact_weights).to(dtype)
        return (weights * (logits.logsumexp(1)[rows] - logits[rows, targets])).sum()

    def one_row_per_fact(table):
        facts = torch.from_numpy(directed_facts(graph, task))
        return torch.nn.functional.cross_entropy(table[facts[:, 0]], facts[:, 1])

    losses, gradients = [], []
    for loss_of in (unique, one_row_per_fact):
        table = start.clone().requires_grad_()
        loss = loss_of(table)
        losses.append(loss.item())
        gradients.append(torch.autograd.grad(loss, table)[0])
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)
    assert torch.allclose(gradients[0], gradients[1], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("graph", "task", "best", "floor"),
    [
        (path_star(), EdgeMemorization(), 53.125, 0.6931),
        (grid(), EdgeMemorization(), 33.3333, 1.1269),
        (cycle(), EdgeMemorization(), 50.0, 0.6931),
        (irregular(), EdgeMemorization(), 40.0, 0.9364),
        (path_star(), EdgeMemorization(self_edges=True), 34.6939, 1.0845),
    ],
)
def test_loss_floors_and_best_accuracies_of_the_paper(graph, task, best, floor):
    """Tables B.3.1 and B.3.3: the edge-weighted mean of log(out-degree), and prefixes per fact."""
    examples = edge_examples(graph, task)
    sizes = np.bincount(examples.fact_examples)
    assert 100 * examples.example_count / examples.fact_count == pytest.approx(best, abs=1e-4)
    assert (examples.fact_weights * np.log(sizes[examples.fact_examples])).sum() == pytest.approx(
        floor, abs=5e-5
    )


def test_vocabulary_is_nodes_then_the_nine_specials_of_the_release():
    vocabulary = Vocabulary(("a", "b", "[EDGE]"))
    assert vocabulary.node_count == 3
    assert vocabulary.size == 12
    assert [vocabulary.token(special) for special in SPECIAL_TOKENS] == list(range(3, 12))
    assert [vocabulary.text(token) for token in range(12)] == ["a", "b", "[EDGE]", *SPECIAL_TOKENS]
    with pytest.raises(ValueError, match="not in tuple"):
        vocabulary.token("[MASK]")


@given(st.sampled_from(GRAPHS), st.floats(0.01, 100))
def test_a_self_edge_weighs_what_is_asked_for(graph, weight):
    examples = edge_examples(graph, EdgeMemorization(self_edges=True, self_edge_weight=weight))
    own = examples.fact_targets == examples.prefixes[examples.fact_examples, -1]
    assert own.sum() == graph.node_count
    assert np.unique(examples.fact_weights[own]) == pytest.approx(
        weight * np.unique(examples.fact_weights[~own])
    )


def test_without_self_edges_their_weight_is_nothing():
    plain, weighted = (edge_examples(cycle(), EdgeMemorization(self_edge_weight=w)) for w in (1.0, 7.0))
    assert (plain.fact_weights == weighted.fact_weights).all()


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf")])
def test_a_weight_that_cannot_be_meant(weight):
    with pytest.raises(InputError, match="self_edge_weight is"):
        edge_examples(cycle(), EdgeMemorization(self_edges=True, self_edge_weight=weight))


def as_set(facts):
    return {tuple(fact) for fact in facts.tolist()}


@given(st.sampled_from(GRAPHS), st.integers(0, 9))
def test_a_share_of_reverses_lies_between_one_direction_and_both(graph, seed):
    forward, both = (
        as_set(directed_facts(graph, EdgeMemorization(directions=d))) for d in ("forward", "both")
    )
    fewer, more = (
        as_set(directed_facts(graph, EdgeMemorization(reverse_share=share, task_seed=seed)))
        for share in (0.25, 0.5)
    )
    assert forward < fewer < more < both
    assert len(more) == graph.edge_count + -(-graph.edge_count // 2)
    assert as_set(directed_facts(graph, EdgeMemorization(reverse_share=0.0))) == forward


@given(st.sampled_from(GRAPHS), st.floats(0.1, 3), st.integers(0, 9))
def test_edges_weigh_by_rank_in_both_directions(graph, exponent, seed):
    task = EdgeMemorization(zipf_exponent=exponent, task_seed=seed)
    examples = edge_examples(graph, task)
    sources = examples.prefixes[examples.fact_examples, -1].tolist()
    weights = {}
    for pair, weight in zip(
        zip(sources, examples.fact_targets.tolist(), strict=True), examples.fact_weights, strict=True
    ):
        weights.setdefault(frozenset(pair), set()).add(weight)
    assert all(len(found) == 1 for found in weights.values())
    found = np.sort([weight for (weight,) in weights.values()])[::-1]
    assert found / found[0] == pytest.approx(np.arange(1.0, graph.edge_count + 1) ** -exponent)


@given(st.sampled_from(GRAPHS), st.booleans(), st.integers(0, 9))
def test_noise_tells_wrong_nodes_of_the_same_sources(graph, self_edges, seed):
    facts = directed_facts(graph, EdgeMemorization(self_edges=self_edges))
    true, wrong = as_set(facts), []
    for share in (0.25, 0.5, 1.0):
        task = EdgeMemorization(noise_share=share, task_seed=seed, self_edges=self_edges)
        told = told_facts(graph, task)
        assert (told[:, 0] == facts[:, 0]).all()
        assert len(as_set(told)) == len(facts)
        wrong.append(as_set(told) - true)
        assert len(wrong[-1]) == round(share * 2 * graph.edge_count)
        assert all(source != target for source, target in wrong[-1])
        assert (directed_facts(graph, task) == facts).all()
        assert (edge_examples(graph, task).fact_targets == told[:, 1]).all()
    assert wrong[0] < wrong[1] < wrong[2]


def test_where_every_node_is_right_none_is_wrong():
    told = told_facts(complete(4), EdgeMemorization(noise_share=1.0))
    assert (told == directed_facts(complete(4), EdgeMemorization())).all()


@pytest.mark.parametrize(
    "wrong",
    [{"reverse_share": 1.5}, {"zipf_exponent": -1.0}, {"noise_share": float("nan")}, {"task_seed": -1}],
)
def test_a_dial_beyond_its_bounds(wrong):
    with pytest.raises(InputError, match=f"^{next(iter(wrong))} is"):
        edge_examples(cycle(), EdgeMemorization(**wrong))
