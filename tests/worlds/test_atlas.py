"""The two maps: borders against counts known from elsewhere, and a projection that keeps areas."""

from collections import Counter

import numpy as np
import pytest

from geomem.worlds.graphs.atlas import EARTH_RADIUS, europe, project, read_table, united_states
from geomem.worlds.graphs.graph import component_labels, distance_matrix, node_degrees

NEIGHBOURS_IN_EUROPE = {
    "Germany": 9,
    "Austria": 8,
    "France": 8,
    "Russia": 8,
    "Serbia": 8,
    "Hungary": 7,
    "Poland": 7,
    "Ukraine": 7,
    "Italy": 6,
    "Belarus": 5,
    "Bosnia and Herzegovina": 3,
    "Bulgaria": 5,
    "Croatia": 5,
    "Switzerland": 5,
    "Slovakia": 5,
    "Romania": 5,
    "Belgium": 4,
    "Czechia": 4,
    "Greece": 4,
    "Slovenia": 4,
    "Spain": 3,
    "Turkey": 2,
    "Portugal": 1,
    "Denmark": 1,
    "Monaco": 1,
    "San Marino": 1,
    "Vatican City": 1,
}
NEIGHBOURS_OF_STATES = {
    "Missouri": 8,
    "Tennessee": 8,
    "Kentucky": 7,
    "Arkansas": 6,
    "Colorado": 6,
    "Pennsylvania": 6,
    "Ohio": 5,
    "Utah": 5,
    "New Mexico": 4,
    "Arizona": 4,
    "Texas": 4,
    "Michigan": 3,
    "Delaware": 3,
    "California": 3,
    "Florida": 2,
    "Rhode Island": 2,
    "Washington": 2,
    "South Carolina": 2,
    "Maine": 1,
}


@pytest.mark.parametrize(
    ("graph", "known"), [(europe(), NEIGHBOURS_IN_EUROPE), (united_states(), NEIGHBOURS_OF_STATES)]
)
def test_numbers_of_neighbours(graph, known):
    degrees = dict(zip(graph.labels, node_degrees(graph).tolist(), strict=True))
    assert {name: degrees[name] for name in known} == known
    assert component_labels(graph).max() == 0


def test_distribution_of_neighbours_of_the_states():
    """One state with one neighbour, two with eight, ...: counted by hand from another list of borders."""
    assert Counter(node_degrees(united_states()).tolist()) == {
        1: 1,
        2: 4,
        3: 9,
        4: 13,
        5: 9,
        6: 9,
        7: 1,
        8: 2,
    }


@pytest.mark.parametrize("name", ["europe", "united_states"])
def test_tables_are_complete_ordered_and_without_repetition(name):
    borders, capitals = read_table(f"{name}_borders"), read_table(f"{name}_capitals")
    assert all(len(row) == 2 and row[0] < row[1] for row in borders)
    assert borders == sorted(borders)
    assert len({tuple(row) for row in borders}) == len(borders)
    assert all(len(row) == 4 for row in capitals)
    assert [row[0] for row in capitals] == sorted({label for row in borders for label in row})
    assert len({row[1] for row in capitals}) == len(capitals)


def test_what_was_decided_for_europe():
    borders = {frozenset(row) for row in read_table("europe_borders")}
    assert len(borders) == 88
    for one, other in [("Lithuania", "Russia"), ("Poland", "Russia"), ("Ireland", "United Kingdom")]:
        assert frozenset((one, other)) in borders
    for one, other in [("Spain", "United Kingdom"), ("Denmark", "Sweden"), ("Albania", "Serbia")]:
        assert frozenset((one, other)) not in borders
    assert not {"Ireland", "United Kingdom", "Iceland", "Malta", "Cyprus"} & set(europe().labels)
    assert any("Ireland and United Kingdom" in note for note in europe().notes)


def test_what_was_decided_for_the_united_states():
    borders = {frozenset(row) for row in read_table("united_states_borders")}
    for one, other in [
        ("Arizona", "Colorado"),
        ("New Mexico", "Utah"),
        ("Michigan", "Minnesota"),
        ("Illinois", "Michigan"),
        ("New York", "Rhode Island"),
    ]:
        assert frozenset((one, other)) not in borders
    for one, other in [("Delaware", "New Jersey"), ("Michigan", "Wisconsin"), ("Kentucky", "Missouri")]:
        assert frozenset((one, other)) in borders


@pytest.mark.parametrize(
    "name", ["europe_borders", "europe_capitals", "united_states_borders", "united_states_capitals"]
)
def test_files_name_their_source_and_date(name):
    from importlib import resources

    text = (resources.files("geomem.worlds") / "data" / f"{name}.tsv").read_text(encoding="utf-8")
    comment = [line for line in text.splitlines() if line.startswith("#")]
    assert text.startswith("# ")
    assert any("Source of the facts" in line for line in comment)
    assert any("2026" in line for line in comment)


def great_circle(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Kilometres between two places (latitude, longitude), by the haversine formula."""
    (f1, l1), (f2, l2) = np.radians(one), np.radians(other)
    h = np.sin((f2 - f1) / 2) ** 2 + np.cos(f1) * np.cos(f2) * np.sin((l2 - l1) / 2) ** 2
    return 2 * EARTH_RADIUS * np.arcsin(np.sqrt(h))


@pytest.mark.parametrize(("graph", "table"), [(europe(), "europe"), (united_states(), "united_states")])
def test_maps_keep_great_circle_distances_within_a_few_per_cent(graph, table):
    place = {row[0]: (float(row[2]), float(row[3])) for row in read_table(f"{table}_capitals")}
    for one, other in graph.edges:
        true = great_circle(place[graph.labels[one]], place[graph.labels[other]])
        assert np.linalg.norm(graph.coordinates[one] - graph.coordinates[other]) == pytest.approx(
            true, rel=0.05, abs=1.5
        )


def test_maps_have_north_up_and_east_right():
    for graph, north, south, east, west in [
        (europe(), "Norway", "Greece", "Russia", "Portugal"),
        (united_states(), "Montana", "Texas", "Maine", "California"),
    ]:
        place = dict(zip(graph.labels, graph.coordinates.tolist(), strict=True))
        assert place[north][1] > place[south][1]
        assert place[east][0] > place[west][0]


def test_neighbours_are_near():
    """Typing errors in a coordinate or a border would show as neighbours far apart on the map."""
    for graph, farthest in [(europe(), 1800), (united_states(), 1300)]:
        lengths = np.linalg.norm(
            graph.coordinates[graph.edges[:, 0]] - graph.coordinates[graph.edges[:, 1]], axis=1
        )
        assert lengths.max() < farthest
        apart = np.linalg.norm(graph.coordinates[:, None] - graph.coordinates, axis=2)
        steps = distance_matrix(graph)
        upper = np.triu_indices(graph.node_count, k=1)
        assert np.corrcoef(apart[upper], steps[upper])[0, 1] > 0.7


def test_projection_keeps_areas():
    """Small squares of one degree, far from and near the centre, keep their ratio to the sphere's area."""
    latitudes, longitudes = np.meshgrid(np.linspace(35, 65, 31), np.linspace(-5, 35, 41), indexing="ij")
    plane = project(latitudes.ravel(), longitudes.ravel()).reshape(31, 41, 2)
    first, second = plane[1:, 1:] - plane[:-1, :-1], plane[1:, :-1] - plane[:-1, 1:]
    areas = np.abs(first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0]) / 2
    band = np.sin(np.radians(latitudes[1:, 0])) - np.sin(np.radians(latitudes[:-1, 0]))
    sphere = EARTH_RADIUS**2 * np.radians(1) * band[:, None]
    assert np.allclose(areas, sphere, rtol=1e-3)
