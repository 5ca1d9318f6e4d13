"""The catalogue: every world builds with its defaults and says in one line what it is."""

import inspect
import re

import networkx
import pytest

from geomem.worlds.catalogue import WORLDS, describe_world
from geomem.worlds.graphs.graph import Graph


@pytest.mark.parametrize("name", WORLDS)
def test_every_world_builds_and_describes_itself(name):
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", name)
    assert all(
        parameter.default is not inspect.Parameter.empty
        for parameter in inspect.signature(WORLDS[name]).parameters.values()
    )
    graph = WORLDS[name]()
    assert isinstance(graph, Graph)
    assert graph.name.startswith(name)
    assert 20 < len(describe_world(name)) <= 110
    assert describe_world(name).endswith(".")


@pytest.mark.parametrize("name", ["karate-club", "les-miserables", "florentine-families"])
def test_classics_are_those_of_networkx(name):
    graph = WORLDS[name]()
    oracle = getattr(networkx, f"{name.replace('-', '_')}_graph")()
    named = {frozenset((graph.labels[one], graph.labels[other])) for one, other in graph.edges}
    assert named == {frozenset(map(str, edge)) for edge in oracle.edges}
    assert set(graph.labels) == set(map(str, oracle.nodes))
