"""What can be known of a large graph's spectrum without solving it: its ends, and bands of what lies between.

Axis names: `band` (one eigenspace at either end of the spectrum, or a stretch of eigenvalues between), `edge`
(where two bands meet), `run`, `node`, `width`, `draw` (one of a null).
"""

from collections.abc import Callable
from dataclasses import dataclass

import networkx
import numpy as np
from jaxtyping import Float, Int

from geomem.errors import InputError
from geomem.geometry.filtering import SHORT_LIST, energy_by_band
from geomem.geometry.inertia import count_below, factorizes_cheaply
from geomem.geometry.lowest_modes import (
    LowEigenspaces,
    distinct_high_eigenvalues,
    distinct_low_eigenvalues,
    fiedler_spectrum,
    highest_modes,
    lowest_modes,
)
from geomem.geometry.spectrum import SMOOTH_NODES, Spectrum, fiedler_modes, laplacian_matrix, trivial_modes
from geomem.geometry.trivial import trivial_eigenpairs, trivial_projection
from geomem.worlds.graphs.graph import Graph, adjacency_matrix, component_labels

# Distinct eigenvalues asked for at the smooth end; fewer where they lie too close together to be told apart.
LOW_EIGENSPACES = (12, 3, 1)

# At the rough end, where only the energy of the last three modes is measured.
HIGH_EIGENSPACES = (3, 1)

# Bands between the ends. Odd, so that in a bipartite graph, whose spectrum is symmetric, no edge falls on the
# large eigenspace in the middle.
MIDDLE_BANDS = 7

# Bands of a graph whose spectrum's ends are unknown: from 0 to 4, odd for the same reason.
BLIND_BANDS = 15

# Numbers multiplied in one measurement of bands, about ten times each: a few seconds on one core.
BAND_WORK = 1_000_000_000

# Edges times columns times the square of the steps: two seconds.
QUADRATURE_WORK = 20_000_000


@dataclass(frozen=True, eq=False)
class BandedSpectrum:
    """The random-walk Laplacian's spectrum in bands, trivial modes apart."""

    edges: Float[np.ndarray, " edge"]
    """Ascending; the first band reaches down, the last one up without end."""
    values: Float[np.ndarray, " band"]
    """The eigenvalue of a band that is one eigenspace; of other bands the middle."""
    dimensions: Int[np.ndarray, " band"]
    exact: bool
    """Whether the ends are eigenspaces and dimensions are counted; otherwise dimensions are estimates."""
    trivial_value: float
    """Mean of the trivial eigenvalues, one per component; NaN if they are not set apart."""
    trivial_count: int
    """0 if they are not set apart."""
    project: Callable[[np.ndarray], np.ndarray]
    """Takes the trivial modes out of vectors."""
    lowest: Spectrum | None
    """The smooth end, where it is short enough to be listed."""
    fiedler: Spectrum | None
    """A list for `fiedler_modes` to choose from, where those are few; of a connected graph `lowest`."""
    highest: Float[np.ndarray, "node mode"]
    """Eigenvectors at the rough end, where short enough to be listed."""
    highest_values: Float[np.ndarray, " mode"]


@dataclass(frozen=True, eq=False)
class Banded:
    """Energies of one embedding in the bands of a spectrum."""

    trivial: float
    energies: Float[np.ndarray, " band"]
    brackets: Float[np.ndarray, " edge"]
    """Half the width of the bracket that the energy below each edge is known to lie in."""


def band_spectrum(graph: Graph) -> BandedSpectrum:
    """Find both ends of the spectrum and put bands between.

    Up to 12 of the lowest distinct eigenvalues and 3 of the highest are bands of their own, dimensions
    counted by inertia; `MIDDLE_BANDS` of equal width lie between. Where a factorisation of the Laplacian
    would fill up (large random graphs) the ends stay unknown: then there are `BLIND_BANDS` of equal width
    from 0 to 4, and dimensions are estimated from the energies of a random embedding.

    >>> from geomem.worlds.graphs.families import path_star
    >>> spectrum = band_spectrum(path_star(arms=1000, length=4))
    >>> spectrum.values.round(2).tolist(), spectrum.dimensions.tolist()
    ([0.2, 0.5, 2.0, 3.5, 3.8, 17.87], [999, 1, 999, 1, 999, 1])
    """
    if not _can_be_factorized(graph):
        return _blind_bands(graph)
    trivial_values, vector = trivial_eigenpairs(graph)
    total = graph.node_count - len(trivial_values)
    low = _first_found(lambda count: distinct_low_eigenvalues(graph, count), LOW_EIGENSPACES)
    high = _first_found(lambda count: distinct_high_eigenvalues(graph, count), HIGH_EIGENSPACES)
    if low is None:
        return _blind_bands(graph)
    # Edges by the number of non-trivial modes below them: an edge that both ends know is one edge.
    edges = dict(zip(np.cumsum(low.dimensions).tolist(), low.ends.tolist(), strict=True))
    values = dict(zip(edges, low.values.tolist(), strict=True))
    from_above = {}
    if high is not None:
        for end, value, count in zip(high.ends, high.values, np.cumsum(high.dimensions), strict=True):
            edges.setdefault(total - int(count), -float(end))
            from_above[total - int(count)] = -float(value)
    first = float(low.ends[-1])
    inner = [edge for count, edge in edges.items() if count < total and edge > first]
    if low.dimensions.sum() < total:
        last = min(inner) if inner else 4.0 - float(trivial_values.min())
        edges |= _middle_edges(graph, first, last, trivial_values)
    counts = np.array(sorted(count for count in edges if 0 < count < total), dtype=np.int64)
    places = np.array([edges[count] for count in counts.tolist()])
    bounds = [0, *counts.tolist(), total]
    ends = np.r_[places[:1], places, places[-1:]] if len(places) else np.full(2, low.values[0])
    middles = (ends[:-1] + ends[1:]) / 2
    labels = [
        values.get(above, from_above.get(below, float(middle)))
        for below, above, middle in zip(bounds[:-1], bounds[1:], middles, strict=True)
    ]
    listed, (high_values, high_vectors) = _list_ends(graph, low, high, trivial_values)
    return BandedSpectrum(
        edges=places,
        values=np.array(labels),
        dimensions=np.diff(bounds).astype(np.int64),
        exact=True,
        trivial_value=float(trivial_values.mean()),
        trivial_count=len(trivial_values),
        project=trivial_projection(vector, component_labels(graph)),
        lowest=listed,
        fiedler=_list_fiedler(graph, listed),
        highest=high_vectors,
        highest_values=high_values,
    )


def _can_be_factorized(graph: Graph) -> bool:
    """Nested dissection serves planar graphs of any size, which the first test need not recognise."""
    if factorizes_cheaply(adjacency_matrix(graph)):
        return True
    if graph.edge_count > 3 * graph.node_count - 6:
        return False
    return networkx.check_planarity(networkx.Graph(graph.edges.tolist()))[0]


def _first_found(find: Callable[[int], LowEigenspaces], counts: tuple[int, ...]) -> LowEigenspaces | None:
    """As many eigenvalues as can be told apart."""
    for count in counts:
        try:
            return find(count)
        except (InputError, ArithmeticError):
            continue
    return None


def _middle_edges(graph: Graph, first: float, last: float, trivial_values: np.ndarray) -> dict[int, float]:
    """Edges of equal bands between two others, by the number of non-trivial modes below them."""
    L = laplacian_matrix(graph)
    edges = {}
    for edge in np.linspace(first, last, MIDDLE_BANDS + 1)[1:-1].tolist():
        try:
            below = count_below(L, edge - 1e-6, edge + 1e-6)
        except ArithmeticError:
            continue  # on an eigenvalue; the two bands become one
        edges[below - int((trivial_values < edge).sum())] = edge
    return edges


def _list_ends(
    graph: Graph, low: LowEigenspaces, high: LowEigenspaces | None, trivial_values: np.ndarray
) -> tuple[Spectrum | None, tuple[np.ndarray, np.ndarray]]:
    """Eigenvectors of as many whole eigenspaces at each end as `SHORT_LIST` holds."""
    sizes = np.cumsum(low.dimensions) + (trivial_values < low.ends[:, None]).sum(axis=1)
    fitting = sizes[sizes <= SHORT_LIST]
    lowest, highest = None, (np.empty(0), np.empty((graph.node_count, 0)))
    try:
        lowest = lowest_modes(graph, int(fitting[-1])) if len(fitting) else None
        tops = np.cumsum(high.dimensions) if high is not None else np.empty(0)
        fitting = tops[tops <= SHORT_LIST]
        highest = highest_modes(graph, int(fitting[-1])) if len(fitting) else highest
    except (InputError, ArithmeticError):
        pass  # not listed, then: bands serve, with wider brackets
    return lowest, highest


def _list_fiedler(graph: Graph, lowest: Spectrum | None) -> Spectrum | None:
    sizes = np.bincount(component_labels(graph))
    if len(sizes) == 1 or sizes.max() < SMOOTH_NODES:
        return lowest
    try:
        spectrum = fiedler_spectrum(graph)
    except (InputError, ArithmeticError):
        return None
    return spectrum if len(fiedler_modes(spectrum)) <= SHORT_LIST else None


def _blind_bands(graph: Graph) -> BandedSpectrum:
    edges = np.linspace(0.0, 4.0, BLIND_BANDS + 1)[1:-1]
    half = (edges[1] - edges[0]) / 2
    probe = np.random.default_rng(0).standard_normal((graph.node_count, 16))
    cumulated = np.cumsum(energy_by_band(probe, graph, edges, step_limit=100).energies)
    below = np.rint(cumulated / cumulated[-1] * graph.node_count).astype(np.int64)
    return BandedSpectrum(
        edges=edges,
        values=np.r_[edges - half, edges[-1] + half],
        dimensions=np.diff(below, prepend=0),
        exact=False,
        trivial_value=float("nan"),
        trivial_count=0,
        project=lambda x: x,
        lowest=None,
        fiedler=None,
        highest=np.empty((graph.node_count, 0)),
        highest_values=np.empty(0),
    )


def measure_banded(
    embedding: Float[np.ndarray, "node width"], graph: Graph, spectrum: BandedSpectrum
) -> Banded:
    """Energy of an embedding in each band: listed eigenspaces by projection, all else by `energy_by_band`.

    >>> from geomem.worlds.graphs.families import path_star
    >>> graph = path_star(arms=1000, length=4)
    >>> noise = np.random.default_rng(0).standard_normal((graph.node_count, 40))
    >>> energies = measure_banded(noise, graph, band_spectrum(graph)).energies
    >>> (energies / energies.sum()).round(2).tolist()
    [0.33, 0.0, 0.33, 0.0, 0.33, 0.0]
    """
    rest = spectrum.project(embedding)
    trivial = float(np.square(embedding).sum() - np.square(rest).sum()) if spectrum.trivial_count else 0.0
    listed = np.zeros(len(spectrum.dimensions))
    vectors, values = spectrum.highest, spectrum.highest_values
    if spectrum.lowest is not None:
        others = np.setdiff1d(np.arange(len(spectrum.lowest.eigenvalues)), trivial_modes(spectrum.lowest))
        # From below first: where the two lists meet, nothing is left for the second.
        rest = _take_out(
            rest,
            spectrum.lowest.eigenvectors[:, others],
            spectrum.lowest.eigenvalues[others],
            spectrum,
            listed,
        )
    rest = _take_out(rest, vectors, values, spectrum, listed)
    # Bands that are listed have given all their energy, so edges among them have nothing left to part.
    first = 0 if spectrum.lowest is None else len(np.unique(_bands_of(spectrum, spectrum.lowest.eigenvalues)))
    last = len(spectrum.edges) - len(np.unique(_bands_of(spectrum, values)))
    edges = spectrum.edges[first:last]
    brackets = np.zeros(len(spectrum.edges))
    left = float(np.square(rest).sum())
    if len(edges) == 0 or left <= 1e-24 * float(np.square(embedding).sum()):
        listed[min(first, len(listed) - 1)] += left
        return Banded(max(trivial, 0.0), listed, brackets)
    # Both the Lanczos steps and the quadratures of their matrices are to stay a matter of seconds.
    steps = min(BAND_WORK / rest.size, np.sqrt(QUADRATURE_WORK / (len(edges) * rest.shape[1])))
    bands = energy_by_band(rest, graph, edges, tolerance=1e-7, step_limit=int(np.clip(steps, 40, 400)))
    listed[first : first + len(bands.energies)] += bands.energies
    for edge in range(len(edges)):
        brackets[first + edge] = bands.uncertainties[edge] - (brackets[first + edge - 1] if edge else 0.0)
    return Banded(max(trivial, 0.0), listed, np.maximum(brackets, 0.0))


def _bands_of(spectrum: BandedSpectrum, values: np.ndarray) -> np.ndarray:
    return np.searchsorted(spectrum.edges, values)


def _take_out(
    rest: np.ndarray, vectors: np.ndarray, values: np.ndarray, spectrum: BandedSpectrum, energies: np.ndarray
) -> np.ndarray:
    """What is left of `rest` without the modes; their energy is added to that of their bands."""
    if vectors.shape[1] == 0:
        return rest
    parts = vectors.T @ rest
    np.add.at(energies, _bands_of(spectrum, values), np.square(parts).sum(axis=1))
    return rest - vectors @ parts
