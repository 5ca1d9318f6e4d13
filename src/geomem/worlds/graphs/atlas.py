"""Two real worlds: who borders whom in Europe and in the contiguous United States, with the true map.

The facts stand in `data/*.tsv`, whose first lines name their source, the date and what was decided.
"""

from importlib import resources

import numpy as np
from jaxtyping import Float

from geomem.worlds.graphs.graph import Graph
from geomem.worlds.registry import world

EARTH_RADIUS = 6371.0
"""Mean radius of the Earth in kilometres."""


@world
def europe() -> Graph:
    """Land borders of the 42 countries of mainland Europe, with the places of their capitals (kilometres).

    The islands are left out: Ireland and the United Kingdom border only each other, so nothing learned from
    borders could place them beside the mainland.

    >>> graph = europe()
    >>> graph.node_count, graph.edge_count
    (42, 87)
    """
    return _atlas("europe", left_out=("Ireland", "United Kingdom"))


@world
def united_states() -> Graph:
    """Land borders of the 48 contiguous United States, with the places of their capitals (kilometres).

    >>> graph = united_states()
    >>> graph.node_count, graph.edge_count
    (48, 105)
    """
    return _atlas("united_states", left_out=())


def project(
    latitudes: Float[np.ndarray, " node"], longitudes: Float[np.ndarray, " node"]
) -> Float[np.ndarray, "node 2"]:
    """Lambert's azimuthal equal-area map of places in degrees: x to the east, y to the north, in kilometres.

    Centred on the mean direction of the places, latitude f0 and longitude l0 (Snyder, Map Projections: A
    Working Manual, 1987, section 24, on the sphere):

        k = sqrt(2 / (1 + sin f0 sin f + cos f0 cos f cos(l - l0)))
        x = R k cos f sin(l - l0)
        y = R k (cos f0 sin f - sin f0 cos f cos(l - l0))

    >>> project(np.array([0.0, 0.0]), np.array([-1.0, 1.0])).round(1).tolist()
    [[-111.2, 0.0], [111.2, 0.0]]
    """
    f, l = np.radians(latitudes), np.radians(longitudes)  # noqa: E741
    x, y, z = np.cos(f) * np.cos(l), np.cos(f) * np.sin(l), np.sin(f)
    l0 = np.arctan2(y.mean(), x.mean())
    f0 = np.arctan2(z.mean(), np.hypot(x.mean(), y.mean()))
    k = np.sqrt(2 / (1 + np.sin(f0) * np.sin(f) + np.cos(f0) * np.cos(f) * np.cos(l - l0)))
    east = EARTH_RADIUS * k * np.cos(f) * np.sin(l - l0)
    north = EARTH_RADIUS * k * (np.cos(f0) * np.sin(f) - np.sin(f0) * np.cos(f) * np.cos(l - l0))
    return np.stack([east, north], axis=1)


def read_table(name: str) -> list[list[str]]:
    """Rows of one of the package's tables `data/<name>.tsv`, without its comments and its header.

    >>> read_table("europe_borders")[0]
    ['Albania', 'Greece']
    """
    text = (resources.files("geomem.worlds") / "data" / f"{name}.tsv").read_text(encoding="utf-8")
    return [line.split("\t") for line in text.splitlines() if not line.startswith("#")][1:]


def _atlas(name: str, left_out: tuple[str, ...]) -> Graph:
    """The world of a borders table and a capitals table; nodes in alphabetical order, as the tables are."""
    capitals = [row for row in read_table(f"{name}_capitals") if row[0] not in left_out]
    labels = tuple(row[0] for row in capitals)
    node = {label: number for number, label in enumerate(labels)}
    borders = [row for row in read_table(f"{name}_borders") if not set(row) & set(left_out)]
    places = np.array([row[2:] for row in capitals], dtype=np.float64)
    return Graph(
        name.replace("_", "-"),
        labels,
        np.array([[node[one], node[other]] for one, other in borders]),
        # Whole kilometres: the last bits of a sine differ between machines, a world's digest must not.
        coordinates=project(places[:, 0], places[:, 1]).round(),
        notes=(f"{' and '.join(left_out)} border only each other and are left out.",) if left_out else (),
    )
