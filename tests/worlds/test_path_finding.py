"""Path finding: paths against networkx, splits without a leak, rows whose tokens say what they should."""

from dataclasses import replace
from itertools import pairwise

import networkx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geomem.errors import InputError
from geomem.worlds.graphs.families import cycle, grid, irregular, path, path_star, tree_star
from geomem.worlds.graphs.graph import Graph
from geomem.worlds.path_finding import (
    PathFinding,
    check_path_finding,
    edge_rows,
    path_rows,
    root_paths,
    split_paths,
)
from geomem.worlds.tasks import EdgeMemorization, directed_facts
from geomem.worlds.vocabulary import Vocabulary

# Built once, not drawn: types are checked while a world is built, by a draw of Python's own random numbers.
WORLDS = st.sampled_from(
    [path_star(*size, world_seed=size[0]) for size in [(2, 2), (2, 6), (3, 3), (7, 4), (40, 5)]]
    + [tree_star(*size, world_seed=size[0]) for size in [(2, 2), (2, 4), (3, 3), (5, 5)]]
)
TASKS = st.builds(
    PathFinding,
    target=st.sampled_from(["path", "first-hop", "reverse", "teacherless"]),
    pauses=st.integers(0, 4),
    held_out=st.floats(0.01, 0.99),
    split=st.sampled_from(["leaf", "first-hop"]),
    split_seed=st.integers(0, 5),
    directions=st.sampled_from(["both", "forward", "reverse"]),
    self_edges=st.booleans(),
)


def rooted(name: str, edges: list[tuple[int, int]], root: int | None = 0) -> Graph:
    labels = tuple(str(node) for node in range(max(max(edge) for edge in edges) + 1))
    return Graph(name, labels, np.array(edges), root=root)


@given(WORLDS)
def test_root_paths_are_those_networkx_finds(world):
    oracle = networkx.Graph(world.edges.tolist())
    leaves = sorted(node for node in oracle if oracle.degree(node) == 1 and node != world.root)
    expected = [networkx.shortest_path(oracle, world.root, leaf) for leaf in leaves]
    assert root_paths(world).tolist() == expected


@given(WORLDS, st.integers(0, 100))
def test_relabelling_nodes_permutes_the_paths(world, seed):
    place = np.random.default_rng(seed).permutation(world.node_count)
    moved = replace(world, edges=place[world.edges], root=int(place[world.root]))
    moved_paths = {tuple(row) for row in place[root_paths(world)].tolist()}
    assert {tuple(row) for row in root_paths(moved).tolist()} == moved_paths


@given(WORLDS, TASKS)
def test_a_split_holds_every_path_once_and_leaks_none(world, task):
    train, held_out = split_paths(world, task)
    both = np.concatenate([train, held_out])
    assert sorted(both.tolist()) == sorted(root_paths(world).tolist())
    column = -1 if task.split == "leaf" else 1
    kept, unseen = set(train[:, column].tolist()), set(held_out[:, column].tolist())
    assert not kept & unseen
    assert min(len(kept), len(unseen)) >= 1
    kinds = len(kept | unseen)
    assert abs(len(unseen) - task.held_out * kinds) <= 0.5 or len(unseen) in (1, kinds - 1)
    if task.split == "first-hop":
        oracle = networkx.Graph(world.edges.tolist())
        oracle.remove_node(world.root)
        for hop in unseen:  # everything below a held-out first hop is unseen
            assert not networkx.node_connected_component(oracle, hop) & set(train[:, 1:].ravel().tolist())


def test_the_split_depends_on_its_seed_alone():
    world = path_star(arms=40, length=4)
    once, again, other = (split_paths(world, PathFinding(split_seed=seed))[1] for seed in (3, 3, 4))
    assert (once == again).all()
    assert (once != other).any()
    pauses = split_paths(world, PathFinding(split_seed=3, pauses=9, target="reverse"))[1]
    assert (once == pauses).all()


@given(WORLDS, TASKS)
def test_path_rows_say_leaf_then_pauses_then_the_answer(world, task):
    vocabulary = Vocabulary(world.labels)
    paths = split_paths(world, task)[0]
    rows = path_rows(world, task, paths)
    for path_nodes, prefix, given_tokens, asked in zip(
        paths.tolist(), rows.prefixes.tolist(), rows.inputs.tolist(), rows.targets.tolist(), strict=True
    ):
        start = [vocabulary.token("[PATH]"), path_nodes[-1]] + [vocabulary.token("[PAUSE]")] * task.pauses
        expected = {
            "path": (path_nodes, path_nodes[:-1]),
            "reverse": (path_nodes[::-1], path_nodes[:0:-1]),
            "first-hop": (path_nodes[1:2], []),
            "teacherless": (path_nodes, [vocabulary.token("$")] * (len(path_nodes) - 1)),
        }[task.target]
        assert prefix == start
        assert asked == expected[0]
        assert given_tokens == start + expected[1]
    assert rows.first_read == len(rows.prefixes[0]) - 1
    assert rows.inputs.shape[1] - rows.first_read == rows.targets.shape[1]


@given(WORLDS, TASKS, st.integers(1, 5))
def test_edge_rows_hold_every_fact_once_held_out_paths_included(world, task, slots):
    rows = edge_rows(world, task, slots=slots)
    assert (rows.prefixes[:, 0] == Vocabulary(world.labels).token("[EDGE]")).all()
    assert set(np.unique(rows.weights)) <= {0.0, 1.0}
    assert (rows.targets[rows.weights == 0] == 0).all()
    assert (rows.weights.sum(axis=1) > 0).all()
    at, slot = np.nonzero(rows.weights)
    facts = np.stack([rows.prefixes[at, 1], rows.targets[at, slot]], axis=1)
    expected = directed_facts(
        world, EdgeMemorization(directions=task.directions, self_edges=task.self_edges)
    ).tolist()
    assert sorted(facts.tolist()) == expected
    known = {tuple(fact) for fact in facts.tolist()}
    for path_nodes in split_paths(world, task)[1].tolist():
        for pair in pairwise(path_nodes):
            assert task.directions == "reverse" or pair in known
            assert task.directions == "forward" or pair[::-1] in known


def test_a_large_root_takes_several_rows_and_nothing_grows_with_its_degree():
    rows = edge_rows(path_star(arms=10_000, length=10), PathFinding())
    assert rows.targets.shape == (313 + 90_000, 32)
    assert rows.weights.sum() == 180_000


@pytest.mark.parametrize(
    ("world", "reason"),
    [
        (grid(), r"'grid-4-4': it has a cycle, so that more than one path"),
        (cycle(), r"'cycle-15': it has a cycle, so that more than one path"),
        (irregular(), "it has a cycle"),
        (path(5), "it has no root that every path starts from"),
        (rooted("two", [(0, 1), (2, 3)]), "no path leads from the root to some of its nodes"),
        (rooted("uneven", [(0, 1), (0, 2), (2, 3)]), "its leaves are at different distances"),
        (rooted("lasso", [(0, 1), (1, 2), (2, 0)]), "it has a cycle"),
    ],
    ids=["grid", "cycle", "irregular", "no-root", "unconnected", "uneven", "rooted-cycle"],
)
def test_worlds_on_which_path_finding_is_ill_posed(world, reason):
    with pytest.raises(InputError, match=reason) as caught:
        root_paths(world)
    assert str(caught.value).startswith("Path finding is ill-posed on '")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"held_out": 0.0}, "held_out is 0.0; give a share above 0 and below 1"),
        ({"held_out": 1.0}, "held_out is 1.0; give a share above 0 and below 1"),
        ({"held_out": float("nan")}, "held_out is nan"),
        ({"pauses": -1}, "pauses is -1; give a whole number of at least 0"),
        ({"split_seed": -1}, "split_seed is -1"),
        ({"edge_weight": 0.0, "path_weight": 0.0}, "edge_weight and path_weight are both 0"),
        ({"edge_weight": -1.0}, "edge_weight is -1.0"),
        ({"path_weight": float("inf")}, "path_weight is inf"),
        ({"target": "leaf"}, "target is 'leaf'; give one of 'path', 'first-hop', 'reverse', 'teacherless'"),
        ({"split": "arm"}, "split is 'arm'; give one of 'leaf', 'first-hop'"),
        ({"directions": "up"}, "directions is 'up'; give one of 'both', 'forward', 'reverse'"),
    ],
)
def test_invalid_tasks(change, complaint):
    task = PathFinding()
    for name, value in change.items():
        object.__setattr__(task, name, value)  # past the tests' type checks, as users are
    world = path_star()
    for use in (
        lambda: check_path_finding(task),
        lambda: split_paths(world, task),
        lambda: path_rows(world, task, root_paths(world)),
        lambda: edge_rows(world, task),
    ):
        with pytest.raises(InputError, match=complaint):
            use()


@pytest.mark.parametrize(
    ("world", "split", "noun"),
    [
        (path_star(1, 4), "leaf", "leaf"),
        (path_star(1, 4), "first-hop", "first hop"),
        (tree_star(1, 4), "first-hop", "first hop"),
    ],
)
def test_one_of_a_kind_cannot_be_split(world, split, noun):
    with pytest.raises(InputError, match=f"has only one {noun}, and some have to be held out"):
        split_paths(world, PathFinding(split=split))
