"""What the study of why geometry wins says is proven, and its measurements, against slower ways."""

import numpy as np
import pytest

from geomem.constructions.bilinear_memories import (
    BilinearMemory,
    at_least_cost,
    factored_memory,
    least_cost,
    lookup_memory,
)
from geomem.constructions.graph_memories import adjacency_table
from geomem.errors import InputError
from geomem.geometry.landscape import barrier, estimate_trace, largest_curvature, turn_onto
from geomem.geometry.similarity import geometric_level
from geomem.geometry.structure import contrast
from geomem.measure.landscape import edge_landscape, measure_sharpness
from geomem.models.configuration import Bilinear, Node2Vec, Transformer
from geomem.runs.edges import memorize
from geomem.studies import why_geometry_ends as ends
from geomem.studies import why_geometry_ways as ways
from geomem.training.configuration import Training
from geomem.worlds.graphs.families import cycle
from geomem.worlds.tasks import EdgeMemorization, edge_examples


def drawn_memory(generator: np.random.Generator, tokens: int = 6, width: int = 9) -> BilinearMemory:
    return BilinearMemory(generator.normal(size=(tokens, width)), generator.normal(size=(width, width)))


def test_no_memory_costs_less_than_the_least():
    generator = np.random.default_rng(0)
    for _ in range(50):
        memory = drawn_memory(generator)
        best = at_least_cost(memory)
        np.testing.assert_allclose(best.logits, memory.logits)
        assert least_cost(memory.logits) <= best.cost <= memory.cost
        scaled = BilinearMemory(1.01 * best.embedding, best.weight / 1.01**2)
        assert best.cost < scaled.cost


def test_a_lookup_table_over_orthonormal_rows_pays_by_the_formula():
    logits = ends.target_logits("star")
    lookup = at_least_cost(lookup_memory(logits, np.eye(len(logits), 64)))
    expected = 1.5 * np.cbrt(2) * (len(logits) * np.linalg.norm(logits)) ** (2 / 3)
    assert lookup.cost == pytest.approx(expected)
    assert factored_memory(logits, 64).cost == pytest.approx(least_cost(logits))
    np.testing.assert_allclose(lookup.logits, logits, atol=1e-9)


@pytest.mark.parametrize("name", ["star", "grid", "cycle", "irregular", "karate"])
def test_self_edges_bring_neighbours_together_in_the_cheapest_memory(name):
    edges = adjacency_table(ends.world_of(name))
    nodes = len(edges)
    for logits, low, high in ((edges, -0.01, 0.1), (edges + np.eye(nodes), 0.14, 0.5)):
        rows = factored_memory(logits, nodes).embedding
        assert low < geometric_level(rows, np.argwhere(edges)) < high
    assert contrast(factored_memory(edges, nodes).embedding[None], ends.world_of(name))[0] > 0.08


def test_memories_that_cannot_be_are_refused():
    with pytest.raises(InputError, match="rank 4 and the width is 3"):
        factored_memory(np.diag([1.0, -1.0, 2.0, 3.0]), 3)
    with pytest.raises(InputError, match="not symmetric"):
        factored_memory(np.array([[0.0, 1.0], [0.0, 0.0]]), 3)
    with pytest.raises(InputError, match="depend on each other"):
        lookup_memory(np.eye(3), np.ones((3, 4)))


@pytest.fixture(scope="module", params=[Bilinear(width=4), Transformer(width=4)], ids=["bilinear", "gpt"])
def place(request):
    """A landscape on a small ring and a point where nothing is special."""
    from geomem.models.model import initialize_parameters

    examples = edge_examples(cycle(5), EdgeMemorization())
    drawn = initialize_parameters(
        request.param, vocabulary_size=examples.vocabulary_size, context_length=2, node_count=5, seeds=[0]
    )
    weights = {name: tensor[0].numpy() for name, tensor in drawn.items()}
    landscape = edge_landscape(request.param, examples, weights)
    shift = np.random.default_rng(0).normal(size=landscape.size)
    return landscape, landscape.join(weights) + 0.5 * shift


def test_slopes_and_curvatures_are_those_of_finite_differences(place):
    landscape, point = place
    direction = np.random.default_rng(1).normal(size=(1, landscape.size))
    near = point + 1e-5 * direction * [[1], [-1]]
    rise = (landscape.losses(near[:1]) - landscape.losses(near[1:])) / 2e-5
    np.testing.assert_allclose(rise, (landscape.gradients(point[None]) * direction).sum(axis=1), rtol=1e-6)
    slopes = landscape.gradients(near)
    bend = (slopes[:1] - slopes[1:]) / 2e-5
    np.testing.assert_allclose(landscape.curve(point, direction), bend, rtol=1e-4, atol=1e-6)


def test_sharpness_is_that_of_the_dense_hessian(place):
    landscape, point = place
    hessian = landscape.curve(point, np.eye(landscape.size))
    np.testing.assert_allclose(hessian, hessian.T, atol=1e-9)
    largest, trace = landscape.sharpness(point)
    assert largest == pytest.approx(np.linalg.eigvalsh(hessian)[-1], rel=1e-3)
    error = np.linalg.norm(hessian - np.diag(np.diag(hessian))) * np.sqrt(2 / 64)
    assert abs(trace - np.trace(hessian)) < 3 * error
    assert estimate_trace(lambda rows: rows @ np.diag(np.diag(hessian)), len(point)) == pytest.approx(
        np.trace(hessian)
    )


def test_the_largest_curvature_is_the_largest_and_not_the_longest():
    assert largest_curvature(lambda rows: rows * np.linspace(-9, 2, 40), 40) == pytest.approx(2, rel=1e-3)


def test_barriers_and_turns():
    assert barrier(np.array([[0.0, 0.5, 1.0], [0.0, 2.0, 1.0]])).tolist() == [0.0, 1.5]
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(7, 5))
    R = np.linalg.qr(generator.normal(size=(5, 5)))[0]
    np.testing.assert_allclose(turn_onto(rows, rows @ R), R)


def test_sharpness_of_runs_needs_edges_and_a_vocabulary(tmp_path):
    run = memorize(cycle(5), model=Bilinear(width=4), training=Training(steps=3), seeds=2, directory=tmp_path)
    found = measure_sharpness(run)
    np.testing.assert_allclose(found["loss"], run.final()["loss"], rtol=1e-5)
    other = memorize(cycle(5), model=Node2Vec(width=4), training=Training(steps=3), directory=tmp_path)
    with pytest.raises(InputError, match="scores nodes alone"):
        measure_sharpness(other)


def test_written_memories_have_the_loss_of_the_closed_form():
    for name in ("star", "karate"):
        found = ends.measure_written(
            {"world": name, "seeds": [0]}, directory=None, device="cpu", on_progress=lambda share: None
        )
        for form in ("orthonormal rows", "drawn rows", "factored"):
            assert found[f"{form}.loss"][0] == pytest.approx(ends.target_loss(name))
        assert found["factored.cost"][0] < found["orthonormal rows.cost"][0] < found["drawn rows.cost"][0]


def test_memories_are_reached_at_one_loss_and_turning_keeps_it(monkeypatch):
    monkeypatch.setitem(
        ends.ENDS, "bilinear", {key: ends.ENDS["bilinear"][key] for key in ("lookup", "wide")}
    )
    found = ends.measure_ends(
        {"world": "cycle", "model": "bilinear", "seeds": [0]},
        directory=None,
        device="cpu",
        on_progress=lambda share: None,
    )
    aim = ends.target_loss("cycle")
    for end in ("lookup", "wide", "lookup, balanced", "wide, balanced"):
        assert found[f"{end}.loss"][0] == pytest.approx(aim)
        for way in ("segment", "turned"):
            np.testing.assert_allclose(found[f"{end}.{way}"][0, [0, -1]], aim)
    assert np.ptp(found["lookup.segment"]) < 1e-9
    assert abs(found["lookup.level"][0]) < 0.2, "its rows are as drawn"


@pytest.mark.parametrize("name", ["lookup, descent, decay", "identity, descent"])
def test_descent_keeps_its_balance(name, monkeypatch):
    way = ways.WAYS[name]
    monkeypatch.setitem(ways.WAYS, name, ways.Way(way.start, way.optimizer, way.rate, way.decay, 100))
    found = ways.follow(
        {"world": "cycle", "way": name, "seeds": [0, 1]},
        directory=None,
        device="cpu",
        on_progress=lambda share: None,
    )
    assert found["balance_error"].max() < 0.002
    fallen = found["loss"][0] - found["loss"][1]
    np.testing.assert_allclose(found["by_rows"][1] + found["by_map"][1], fallen, rtol=0.1, atol=1e-4)
    assert {len(array) for array in found.values()} == {len(found["steps"])}
    assert np.isnan(found["toward_factored"][-1]).all()
    assert (np.abs(found["toward_factored"][:-1]) <= 1).all()


@pytest.mark.parametrize(
    ("start", "grows"), [((0.1, 1.0), False), ((0.1, 0.08), False), ((0.1, 0.06), True), ((0.1, 0.0), True)]
)
def test_a_direction_that_the_loss_pushes_back_dies_unless_its_map_is_small(start, grows):
    """ds/dt = 2μsw, dw/dt = μs² with μ = -1: w(0) < s(0)/√2 = .0707 decides."""
    from scipy.integrate import solve_ivp

    def rates(time: float, values: np.ndarray) -> list[float]:
        s, w = values
        return [-2 * s * w, -(s**2)]

    def large(time: float, values: np.ndarray) -> float:
        return abs(values[0]) - 1

    vars(large)["terminal"] = True
    solved = solve_ivp(rates, (0, 400), start, events=large, rtol=1e-8)
    s, w = solved.y[:, -1]
    assert (s > 0.9) == grows
    assert (w < 0) == grows
    balance = start[0] ** 2 - 2 * start[1] ** 2
    assert s**2 - 2 * w**2 == pytest.approx(balance, abs=1e-4)
