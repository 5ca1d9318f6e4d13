"""The catalogue: every world builds with its defaults and says in one line what it is."""

import inspect
import re
import unicodedata

import networkx
import pytest

from geomem.errors import InputError
from geomem.worlds.catalogue import WORLDS, describe_world
from geomem.worlds.graphs.classics import fullerene
from geomem.worlds.graphs.graph import Graph
from geomem.worlds.graphs.installed import decompositions, imports


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


@pytest.mark.parametrize("name", ["karate-club", "les-miserables", "florentine-families", "davis-women"])
def test_classics_are_those_of_networkx(name):
    graph = WORLDS[name]()
    oracle = getattr(networkx, f"{name.replace('davis', 'davis-southern').replace('-', '_')}_graph")()
    named = {frozenset((graph.labels[one], graph.labels[other])) for one, other in graph.edges}
    assert named == {frozenset(map(str, edge)) for edge in oracle.edges}
    assert set(graph.labels) == set(map(str, oracle.nodes))


def test_the_fullerene_is_the_cut_off_icosahedron():
    """Every atom is in one pentagon and two hexagons; all are alike."""
    molecule = networkx.Graph(fullerene().edges.tolist())
    assert {degree for _, degree in molecule.degree} == {3}
    assert networkx.is_planar(molecule)
    rings = networkx.minimum_cycle_basis(molecule)
    assert sorted(map(len, rings)) == [5] * 12 + [6] * 19
    assert networkx.diameter(molecule) == 9


def test_decompositions_are_those_of_the_characters():
    graph = decompositions()
    for tail, head in graph.edges[:: len(graph.edges) // 50]:
        parts = [unicodedata.decomposition(graph.labels[end]).split() for end in (tail, head)]
        codes = [f"{ord(graph.labels[end]):04X}" for end in (tail, head)]
        assert codes[1] in parts[0] or codes[0] in parts[1]


def test_imports_are_found_in_the_source(tmp_path, monkeypatch):
    for name, source in {
        "json/__init__.py": "from . import decoder",
        "json/decoder.py": "import re, math",
        "re.py": "def f():\n    import json.decoder",
        "test/test_re.py": "import re",
        "nothing.py": "import re",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(source)
    monkeypatch.setattr("sysconfig.get_paths", lambda: {"stdlib": str(tmp_path)})
    graph = imports.__wrapped__()
    named = {tuple(graph.labels[end] for end in edge) for edge in graph.edges}
    assert named == {("json", "json.decoder"), ("json.decoder", "re"), ("json.decoder", "math")}
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr("sysconfig.get_paths", lambda: {"stdlib": str(tmp_path / "empty")})
    with pytest.raises(InputError, match="no source of the standard library"):
        imports.__wrapped__()
