"""Path finding in context: every prompt is read back as a path-star, and its answer is found by search."""

from collections import Counter

import networkx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geomem.errors import InputError
from geomem.worlds.in_context import (
    InContextPathFinding,
    check_in_context,
    in_context_graph,
    in_context_rows,
    in_context_vocabulary,
    node_count,
)

TASKS = st.sampled_from(
    [
        InContextPathFinding(
            arms=arms, length=length, node_tokens=arms * (length - 1) + 1 + spare, target=target
        )
        for arms, length, spare in [(1, 2, 0), (2, 5, 41), (5, 3, 2), (10, 5, 0), (20, 5, 19)]
        for target in ("path", "first-hop", "reverse", "teacherless")
    ]
)


def read_prompt(task, prefix):
    """Edges, root and goal of a prompt, by its separators alone."""
    vocabulary = in_context_vocabulary(task)
    bar, slash, equals = (vocabulary.token(name) for name in ("|", "/", "[PAUSE]"))
    assert prefix[-1] == equals
    cut = prefix.index(slash)
    listed, query = [*prefix[:cut], bar], prefix[cut + 1 : -1]
    assert all(token == bar for token in listed[2::3])
    return list(zip(listed[0::3], listed[1::3], strict=True)), *query


@given(TASKS, st.integers(0, 20), st.integers(0, 20))
def test_every_prompt_is_a_path_star_whose_answer_is_right(task, seed, step):
    rows = in_context_rows(task, 6, seed=seed, step=step)
    hidden = in_context_vocabulary(task).token("$")
    for prefix, given_tokens, asked in zip(
        rows.prefixes.tolist(), rows.inputs.tolist(), rows.targets.tolist(), strict=True
    ):
        edges, root, goal = read_prompt(task, prefix)
        star = networkx.DiGraph(edges)
        assert star.number_of_edges() == len(edges) == task.arms * (task.length - 1)
        assert star.number_of_nodes() == node_count(task)
        assert 0 <= min(star) <= max(star) < task.node_tokens
        # Away from the root, in disjoint arms of one length.
        assert star.in_degree(root) == 0
        assert star.out_degree(root) == task.arms
        assert all(star.in_degree(node) == 1 and star.out_degree(node) <= 1 for node in set(star) - {root})
        leaves = [node for node in star if star.out_degree(node) == 0]
        assert {networkx.single_source_shortest_path_length(star, root)[leaf] for leaf in leaves} == {
            task.length - 1
        }
        assert goal in leaves
        answer = networkx.shortest_path(star, root, goal)
        expected = {
            "path": (answer, answer[:-1]),
            "reverse": (answer[::-1], answer[:0:-1]),
            "first-hop": (answer[1:2], []),
            "teacherless": (answer, [hidden] * (task.length - 1)),
        }[task.target]
        assert asked == expected[0]
        assert given_tokens == prefix + expected[1]
    assert rows.first_read == rows.prefixes.shape[1] - 1


def test_prompts_depend_on_seed_and_step_alone():
    task = InContextPathFinding()
    rows = in_context_rows(task, 50, seed=3, step=7)
    assert (rows.inputs == in_context_rows(task, 50, seed=3, step=7).inputs).all()
    assert (rows.inputs[:20] == in_context_rows(task, 20, seed=3, step=7).inputs).all()
    for seed, step in [(3, 8), (4, 7), (7, 3)]:
        assert (rows.inputs != in_context_rows(task, 50, seed=seed, step=step).inputs).any(axis=1).all()
    assert len(np.unique(rows.inputs, axis=0)) == 50


def test_no_token_and_no_place_gives_the_answer_away():
    """Each arm of 4 is named first, and each node token is the first hop, about equally often."""
    task = InContextPathFinding(arms=4, length=3, node_tokens=20)
    count = 8000
    rows = in_context_rows(task, count, seed=0, step=1)
    first_hops = rows.targets[:, 1]
    # Four standard deviations of a binomial count, for all 20 tokens.
    assert np.abs(np.bincount(first_hops, minlength=20) - count / 20).max() < 4 * (count / 20) ** 0.5
    edges = rows.prefixes[:, :-3].reshape(count, 8, 3)
    asked = (edges[:, :, 1] == first_hops[:, None]).argmax(axis=1)
    assert np.abs(np.bincount(asked, minlength=8) - count / 8).max() < 4 * (count / 8) ** 0.5
    of_root = edges[:, :, 0] == rows.targets[:, :1]
    named_first = edges[np.arange(count), of_root.argmax(axis=1), 1] == first_hops
    assert abs(named_first.sum() - count / 4) < 4 * (count / 4) ** 0.5
    assert Counter(of_root.sum(axis=1).tolist()) == {4: count}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"arms": 0}, "arms is 0; give a whole number of at least 1"),
        ({"length": 1}, "length is 1; give a whole number of at least 2"),
        ({"node_tokens": 8}, "has 9 nodes but node_tokens is 8; give node_tokens of at least 9"),
        ({"target": "leaf"}, "target is 'leaf'; give one of 'path', 'first-hop', 'reverse', 'teacherless'"),
    ],
)
def test_invalid_tasks(change, complaint):
    task = InContextPathFinding()
    for name, value in change.items():
        object.__setattr__(task, name, value)  # past the tests' type checks, as users are
    for use in (lambda: check_in_context(task), lambda: in_context_rows(task, 1, seed=0, step=0)):
        with pytest.raises(InputError, match=complaint):
            use()


@given(TASKS, st.integers(0, 20))
def test_the_world_of_a_run_directory_is_that_of_the_first_test_prompt(task, seed):
    graph = in_context_graph(task, seed=seed)
    edges, root, _ = read_prompt(task, in_context_rows(task, 3, seed=seed, step=0).prefixes[0].tolist())
    assert [tuple(edge) for edge in graph.edges.tolist()] == edges
    assert graph.root == root
    assert graph.labels == in_context_vocabulary(task).labels
