"""What a portrait needs of a graph whose pairs and eigenvectors are all taken; larger ones: `large_graph`.

Axis names: `run`, `node`, `width`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from jaxtyping import Float

from geomem.geometry.alignment import energy_by_eigenspace
from geomem.geometry.measurement import (
    Definition,
    Measurement,
    affordable_draws,
    describe_graph,
    make_measurement,
    take_measurement,
    values_on,
)
from geomem.geometry.nulls import draw_permutations
from geomem.geometry.reading import Profile, Reading, can_tell, profile_tables, read_runs
from geomem.geometry.similarity import Shells, centre, cosine_similarity, graph_shells, shell_means
from geomem.geometry.spectrum import Spectrum, distinct_eigenvalues, laplacian_spectrum
from geomem.worlds.graphs.graph import Graph, distance_matrix

Values = Float[np.ndarray, " run"] | None


@dataclass(frozen=True, eq=False)
class Parts:
    """What a portrait is put together from, of a graph of any size."""

    measure: Callable[[Definition], Measurement | None]
    raw: Sequence[Profile]
    """Cosines of rows as they are, by run."""
    centred: Sequence[Profile]
    distances: Float[np.ndarray, " shell"]
    readings: Sequence[Reading]
    fiedler: Spectrum | None
    """Lists the modes that the alignment is measured on, where it is."""
    spectrum: dict[str, Any]
    """The portrait's fields `eigenvalues`, `multiplicities`, `energies`; of a large graph also `sampled`."""


def describe_whole(graph: Graph) -> dict[str, Any]:
    """All of `GIVEN` that the graph has."""
    distances = distance_matrix(graph)
    return describe_graph(graph) | {
        "distances": distances,
        "shells": graph_shells(distances),
        "spectrum": laplacian_spectrum(graph),
    }


def measure_whole(
    V: Float[np.ndarray, "run node width"],
    seen: Float[np.ndarray, "run node width"],
    graph: Graph,
    draws: int,
    seed: int,
) -> Parts:
    """The parts of a portrait of `V`; spectrum and leaves are those of `seen`, nulls of at most `draws`."""
    given = describe_whole(graph)
    shells, spectrum = given["shells"], given["spectrum"]
    # A gathered number costs about as much as five multiplied ones.
    count = affordable_draws(draws, 5 * len(shells.first))
    permutations = draw_permutations(count, graph.node_count, seed=seed)
    # A run at a time, both tables with the same permutations.
    profiles = [
        profile_tables(cosine_similarity(np.stack([run, rows])), shells, permutations)
        for run, rows in zip(V, centre(V), strict=True)
    ]
    raw, centred = zip(*profiles, strict=True)
    looked_at = {"rows": V, "seen rows": seen, "cosines": raw, "centred cosines": centred}

    def measure(definition: Definition) -> Measurement | None:
        if definition.of in ("cosines", "centred cosines"):
            return measure_cosines(definition, looked_at[definition.of], shells, seed)
        return take_measurement(definition, looked_at[definition.of], given, draws=draws, seed=seed)

    eigenvalues, multiplicities = distinct_eigenvalues(spectrum)
    energies = np.asarray(energy_by_eigenspace(seen, spectrum))
    tellable = can_tell(shells, graph.node_count, permutations)
    return Parts(
        *(measure, raw, centred, shells.distances),
        read_runs(V, centred, shells, permutations, tellable=tellable),
        fiedler=spectrum,
        spectrum={"eigenvalues": eigenvalues, "multiplicities": multiplicities, "energies": energies},
    )


def measure_cosines(
    definition: Definition, profiles: Sequence[Profile], shells: Shells, seed: int
) -> Measurement | None:
    """A measurement of cosines by distance, one profile per run; None where it returns None."""
    means, squares, null_means, null_squares = (
        np.stack([getattr(profile, part.name) for profile in profiles]) for part in fields(Profile)
    )
    values = definition.function(means, squares, shells)
    if values is None:
        return None
    draws = definition.function(null_means, null_squares, shells)
    return make_measurement(definition, values, seed=seed, draws=draws)


def follow_whole(
    graph: Graph, definitions: Sequence[Definition]
) -> Callable[[Float[np.ndarray, "run node width"]], dict[str, Values]]:
    """The function that gives the values of measurements, without nulls, of embeddings on this graph."""
    given = describe_whole(graph)
    shells = given["shells"]

    def follow(V: np.ndarray) -> dict[str, Values]:
        found, tables = {}, {}
        for definition in definitions:
            if definition.of in ("cosines", "centred cosines"):
                if definition.of not in tables:
                    rows = V if definition.of == "cosines" else centre(V)
                    pairs = cosine_similarity(rows)[:, shells.first, shells.second]
                    tables[definition.of] = shell_means(pairs, shells), shell_means(pairs**2, shells)
                found[definition.name] = definition.function(*tables[definition.of], shells)
            else:
                found[definition.name] = values_on(definition, V, given)
        return found

    return follow
