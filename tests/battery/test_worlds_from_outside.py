"""Worlds that a person registers from outside the package are found by name, by every command."""

import json
from typing import Annotated

import numpy as np
import pytest
from annotated_types import Ge

from geomem import cli
from geomem.errors import InputError
from geomem.worlds import registry
from geomem.worlds.facts.table import FactTable
from geomem.worlds.find import find_facts, find_world
from geomem.worlds.graphs.graph import Graph


@pytest.fixture
def worlds():
    """A graph and a table of facts, defined as in somebody's own module."""

    @registry.world
    def wheel(spokes: Annotated[int, Ge(3)] = 5, *, world_seed: Annotated[int, Ge(0)] | None = 0) -> Graph:
        """Wheel: a hub that is joined to every node of a ring."""
        ring = 1 + np.arange(spokes)
        edges = [*zip(np.zeros(spokes, int), ring, strict=True), *zip(ring, np.roll(ring, -1), strict=True)]
        order = np.arange(spokes + 1)
        if world_seed is not None:
            order = np.random.default_rng(world_seed).permutation(order)
        labels = tuple(map(str, np.argsort(order)))
        return Graph(f"wheel-{spokes}", labels, order[np.array(edges)])

    @registry.table
    def parity(numbers: Annotated[int, Ge(2)] = 4) -> FactTable:
        """Parity: whether each number is even or odd."""
        facts = np.stack([np.arange(numbers), np.zeros(numbers, int), np.arange(numbers) % 2], axis=1)
        labels = tuple(map(str, range(numbers)))
        return FactTable(f"parity-{numbers}", labels, ("is",), ("even", "odd"), facts)

    yield wheel, parity
    del registry.WORLDS["wheel"], registry.NATURAL_ORDER["wheel"], registry.FACT_WORLDS["parity"]


def test_a_world_from_outside_is_listed_and_found(worlds, capsys):
    assert cli.main(["worlds", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed["wheel"]["description"] == "Wheel: a hub that is joined to every node of a ring."
    assert listed["wheel"]["options"] == {"spokes": 5, "world_seed": 0}
    assert listed["parity"]["options"] == {"numbers": 4}
    assert find_world("wheel").digest == worlds[0]().digest
    assert find_facts("parity").digest == worlds[1]().digest


def test_a_world_from_outside_is_memorised_and_swept(worlds, tmp_path, capsys):
    small = ["--model", "associative", "--steps", "3", "--seeds", "1", "--directory", str(tmp_path)]
    assert cli.main(["memorize", "wheel", "--spokes", "4", *small]) == 0
    assert "wheel-4" in capsys.readouterr().out
    assert cli.main(["sweep", "wheel", "--over", "learning-rate=0.1,0.2", "--processes", "1", *small]) == 0
    capsys.readouterr()
    with pytest.raises(InputError, match="spokes is 2; give a whole number of at least 3"):
        worlds[0](spokes=2)
    assert cli.main(["memorize", "wheel", "--spokes", "2", *small]) == 2
    assert "spokes is 2" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", ["taken", "no default", "no docstring"])
def test_what_cannot_be_registered_is_refused(wrong):
    def grid(rows: int = 2) -> Graph: ...

    def lattice(rows: int) -> Graph:
        "Lattice: no default."
        raise AssertionError

    def bare(rows: int = 2) -> Graph: ...

    function = {"taken": grid, "no default": lattice, "no docstring": bare}[wrong]
    with pytest.raises(InputError, match=wrong.replace("taken", "already")):
        registry.world(function)
