"""What a portrait needs of a graph too large for node by node matrices: sampled pairs, bands of the spectrum.

What the numbers mean is the same as in `whole_graph`; how they are found differs:

- Cosines by distance are means over pairs drawn from 256 source nodes (`geomem.geometry.sampling`), but the
  geometric level and the mean cosine are exact. The sample's nodes are permuted for the null, sources among
  sources and others among others, which keeps the test exact. The null of the level is that of the sampled
  edges, and so wider than need be.
- The spectrum is measured in bands (`geomem.geometry.bands`): whole eigenspaces at both ends, wide bands
  between. Where the Fiedler eigenspace has too many dimensions to be listed, its share of the energy takes
  the place of the alignment. The null is random rows (`geomem.geometry.random_rows`).
- Leaves are asked for their first hop in chunks, at most `LEAVES` of them; the null permutes those leaves.

Nothing takes node² time or memory. The reading follows the same rules with the same thresholds; its two tests
give every sampled pair the same weight, so that near distances count as much as far ones.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from geomem.geometry.alignment import bottom_energy, fiedler_alignment, low_energy
from geomem.geometry.bands import Banded, BandedSpectrum, band_spectrum, measure_banded
from geomem.geometry.measurement import (
    RANDOM_ROWS,
    Definition,
    Measurement,
    affordable_draws,
    describe_graph,
    find_arguments,
    make_measurement,
    take_measurement,
    values_on,
)
from geomem.geometry.random_rows import (
    RowMoments,
    random_alignments,
    random_effective_ranks,
    random_mean_cosines,
    random_shares,
    row_moments,
)
from geomem.geometry.reading import Profile, Reading, can_tell_sampled, other_likeness, read_profile, uphold
from geomem.geometry.sampling import (
    PairSample,
    edge_cosines_mean,
    permuted_sample_means,
    sample_pairs,
    sampled_cosines,
    sampled_shell_means,
)
from geomem.geometry.similarity import (
    Shells,
    centre,
    effective_rank,
    leaf_retrieval,
    mean_cosine,
    neighbour_cosine,
    second_neighbour_cosine,
    unit_rows,
)
from geomem.geometry.spectrum import fiedler_modes
from geomem.geometry.whole_graph import Parts, Values, measure_cosines
from geomem.worlds.graphs.graph import Graph

LEAVES = 2048
"""Most leaves that are asked for their first hop; all of the first hops compete."""

# Multiplications allowed to the nulls of the effective rank and of the alignment: a few seconds each.
RANK_WORK = 10_000_000_000


@dataclass(frozen=True, eq=False)
class _Study:
    """Embeddings on a large graph, and what its measurements share."""

    seen: Float[np.ndarray, "run node width"]
    given: dict[str, Any]
    bands: BandedSpectrum
    energies: list[Banded]
    """By run, as the moments are."""
    flat: Banded | None
    """Energies of a constant; None where the ends of the spectrum are unknown."""
    moments: list[RowMoments]
    draws: int
    seed: int


def measure_large(
    V: Float[np.ndarray, "run node width"],
    seen: Float[np.ndarray, "run node width"],
    graph: Graph,
    draws: int,
    seed: int,
) -> Parts:
    """The parts of a portrait of `V`, with no node by node matrix; arguments as those of `measure_whole`.

    >>> from geomem.worlds.graphs.families import cycle
    >>> angles = 2 * np.pi * np.arange(2000) / 2000
    >>> circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)[None]
    >>> parts = measure_large(circle, circle, cycle(2000), 99, 0)
    >>> parts.readings[0].word, parts.spectrum["sampled"][:24]
    ('geometric', '49,924 pairs of nodes at')
    """
    sample = sample_pairs(graph, seed=seed)
    shells = sample.shells
    pairs, sources = len(shells.first), len(sample.distances)
    count = affordable_draws(draws, max(5 * pairs, 100 * len(shells.sizes)))
    rows = centre(V)
    raw = [_profile(run, graph, sample, count, seed) for run in V]
    centred = [_profile(run, graph, sample, count, seed) for run in rows]
    counted = replace(shells, sizes=np.maximum(np.rint(sample.pair_counts), 1).astype(np.int64))
    bands = band_spectrum(graph)
    study = _Study(
        *(seen, describe_graph(graph), bands),
        [measure_banded(run, graph, bands) for run in seen],
        measure_banded(np.ones((graph.node_count, 1)), graph, bands) if bands.exact else None,
        *([row_moments(run) for run in seen], draws, seed),
    )

    def measure(definition: Definition) -> Measurement | None:
        if definition.of in ("cosines", "centred cosines"):
            profiles = raw if definition.of == "cosines" else centred
            said = f"{pairs:,} pairs from {sources} sources"
            exact = definition.function is neighbour_cosine
            said = f"All edges; null from {said}." if exact else f"Sampled: {said}."
            return measure_cosines(_say(definition, f" {said}"), profiles, counted, seed)
        if definition.function in SAMPLED:
            return SAMPLED[definition.function](definition, V, study)
        looked_at = seen if definition.of == "seen rows" else V
        return take_measurement(definition, looked_at, study.given, draws=draws, seed=seed)

    tellable = can_tell_sampled(sample, count, seed=seed)
    readings = [
        _read(run, about_mean, sample, counted, count, seed, tellable=tellable)
        for run, about_mean in zip(rows, centred, strict=True)
    ]
    trivial = [bands.trivial_count] if bands.trivial_count else []
    sampled = (
        f"{pairs:,} pairs of nodes at {len(shells.sizes)} distances, from {sources} source nodes; "
        f"spectrum in {len(bands.dimensions) + len(trivial)} bands"
        + ("" if bands.exact else ", their dimensions estimated")
    )
    return Parts(
        *(measure, raw, centred, shells.distances, readings, bands.fiedler),
        {
            "eigenvalues": np.r_[[bands.trivial_value] if trivial else [], bands.values],
            "multiplicities": np.r_[trivial, bands.dimensions].astype(np.int64),
            "energies": np.stack([_shares(found, bool(trivial)) for found in study.energies]),
            "sampled": sampled,
            "band_edges": bands.edges,
        },
    )


def follow_large(
    graph: Graph, definitions: Sequence[Definition]
) -> Callable[[Float[np.ndarray, "run node width"]], dict[str, Values]]:
    """As `follow_whole`, with the cosine at distance 2 of sampled pairs; of cosines nothing else is followed.

    There is no alignment where the Fiedler eigenspace has too many dimensions to be listed.
    """
    given, bands, sample = describe_graph(graph), band_spectrum(graph), sample_pairs(graph)
    second = np.repeat(sample.shells.distances, sample.shells.sizes) == 2
    ends = sample.nodes[sample.shells.first[second]], sample.nodes[sample.shells.second[second]]
    pairs = {neighbour_cosine: graph.edges, second_neighbour_cosine: np.stack(ends, axis=1)}

    def values_of(definition: Definition, V: np.ndarray) -> Values:
        if definition.function in pairs:
            edges = pairs[definition.function]
            return np.array([edge_cosines_mean(run, edges) for run in V]) if len(edges) else None
        if definition.function is fiedler_alignment:
            return None if bands.fiedler is None else _alignments(V, bands)
        return values_on(definition, V, given)

    return lambda V: {definition.name: values_of(definition, V) for definition in definitions}


def _say(definition: Definition, more: str) -> Definition:
    return replace(definition, explanation=definition.explanation + more)


def _profile(
    embedding: Float[np.ndarray, "node width"], graph: Graph, sample: PairSample, count: int, seed: int
) -> Profile:
    """Cosines by distance of sampled pairs; at distance 1 the mean is that of all edges."""
    cosines = sampled_cosines(embedding, sample)  # one table at a time
    means, squares = sampled_shell_means(cosines, sample)
    means[0] = edge_cosines_mean(embedding, graph.edges)
    return Profile(means, squares, *permuted_sample_means(cosines, sample, count, seed=seed))


def _read(
    rows: Float[np.ndarray, "node width"],
    centred: Profile,
    sample: PairSample,
    counted: Shells,
    count: int,
    seed: int,
    *,
    tellable: bool,
) -> Reading:
    """The word for one embedding's centred rows, from a sample of its pairs."""

    def profile(table: Float[np.ndarray, "source column"]) -> Profile:
        null = permuted_sample_means(table, sample, count, seed=seed)
        return Profile(*sampled_shell_means(table, sample), *null)

    overall = float(mean_cosine(rows))
    reading = read_profile(centred, sample.shells, tellable=tellable, counted=counted, overall=overall)
    tables = other_likeness(rows[sample.nodes], len(sample.distances))
    return uphold(reading, tables, profile, sample.shells, counted)


def _shares(found: Banded, with_trivial: bool) -> Float[np.ndarray, " band"]:
    energies = np.r_[[found.trivial] if with_trivial else [], found.energies]
    total = energies.sum()
    return energies / total if total > 0 else np.zeros_like(energies)


def _alignments(V: np.ndarray, bands: BandedSpectrum) -> Float[np.ndarray, " run"]:
    assert bands.fiedler is not None
    return np.array([float(fiedler_alignment(bands.project(run), bands.fiedler)) for run in V])


def _measure_alignment(definition: Definition, V: np.ndarray, study: _Study) -> Measurement | None:
    """Fiedler alignment; where the Fiedler modes are too many to be listed, their share of the energy."""
    bands, seen, flat = study.bands, study.seen, study.flat
    if flat is None:
        return None
    if bands.fiedler is None:
        share = Definition(
            "fiedler_share",
            "Fiedler share",
            "Share of squared length, trivial modes apart, in the smoothest eigenspace; its "
            f"{bands.dimensions[0]:,} dimensions are too many to align with.",
        )
        return _measure_share(share, study, flat, slice(0, 1), whole=False)
    inside = bands.fiedler.eigenvectors[:, fiedler_modes(bands.fiedler)].sum(axis=0)
    rest = float(flat.energies.sum() - np.square(inside).sum())
    total = int(bands.dimensions.sum())
    work = 2 * len(seen) * seen.shape[2] ** 3
    count = affordable_draws(study.draws, work, allowed=RANK_WORK)
    draws = [
        random_alignments(rows, inside, rest, total, count=count, seed=study.seed + number)
        for number, rows in enumerate(study.moments)
    ]
    definition = replace(definition, null=RANDOM_ROWS)
    return make_measurement(definition, _alignments(seen, bands), seed=study.seed, draws=np.stack(draws))


def _measure_low_energy(definition: Definition, V: np.ndarray, study: _Study) -> Measurement | None:
    """The bands at the smooth end that hold three modes, in whole eigenspaces."""
    if study.flat is None:
        return None
    dimensions = study.bands.dimensions
    end = min(1 + int(np.searchsorted(np.cumsum(dimensions), 3)), len(dimensions))
    return _measure_share(definition, study, study.flat, slice(0, end), whole=True)


def _measure_bottom_energy(definition: Definition, V: np.ndarray, study: _Study) -> Measurement | None:
    """The same at the rough end; nothing where that end is unknown, or all that there is."""
    dimensions, bands = study.bands.dimensions, study.bands
    start = max(len(dimensions) - 1 - int(np.searchsorted(np.cumsum(dimensions[::-1]), 3)), 0)
    known = len(bands.highest_values) > 0 or dimensions[start:].sum() < dimensions.sum()
    if study.flat is None or not known:
        return None
    return _measure_share(definition, study, study.flat, slice(start, len(dimensions)), whole=True)


def _measure_share(
    definition: Definition, study: _Study, flat: Banded, chosen: slice, *, whole: bool
) -> Measurement:
    """The share of the chosen bands, of all energy or of what is not trivial."""
    bands = study.bands
    values, draws, doubt = [], [], 0.0
    for number, (found, rows) in enumerate(zip(study.energies, study.moments, strict=True)):
        energy = found.energies.sum() + (found.trivial if whole else 0.0)
        part = found.energies[chosen].sum()
        # Trivial modes alone leave rounding, of which no share is taken.
        present = energy > 1e-20 * (energy + found.trivial)
        values.append(part / energy if present else 0.0)
        edges = [edge for edge in (chosen.start - 1, chosen.stop - 1) if 0 <= edge < len(found.brackets)]
        if present:
            doubt = max(doubt, float(found.brackets[edges].sum()) / energy)
        draws.append(
            random_shares(
                rows,
                int(bands.dimensions[chosen].sum()),
                int(bands.dimensions.sum()) + (bands.trivial_count if whole else 0),
                constant_inside=float(flat.energies[chosen].sum()),
                constant_total=float(flat.energies.sum()) + (flat.trivial if whole else 0.0),
                count=study.draws,
                seed=study.seed + number,
            )
        )
    known = f" Known to ±{doubt:.1g}." if doubt > 1e-3 else ""
    definition = _say(replace(definition, null=RANDOM_ROWS), known)
    return make_measurement(definition, np.array(values), seed=study.seed, draws=np.stack(draws))


def _measure_mean_cosine(definition: Definition, V: np.ndarray, study: _Study) -> Measurement:
    """All pairs, against the distribution that random embeddings have in the limit of many nodes."""
    runs, nodes, width = V.shape
    draws = random_mean_cosines(nodes, width, count=study.draws * runs, seed=study.seed)
    values = np.array([float(mean_cosine(run)) for run in V])
    return make_measurement(definition, values, seed=study.seed, draws=draws.reshape(runs, -1))


def _measure_rank(definition: Definition, V: np.ndarray, study: _Study) -> Measurement:
    """All nodes, against random embeddings whose Wishart matrix alone is drawn."""
    runs, nodes, width = V.shape
    work = runs * min(nodes, width) ** 3
    count = affordable_draws(study.draws, work, allowed=RANK_WORK, fewest=19)
    draws = random_effective_ranks(nodes, width, count=count * runs, seed=study.seed)
    values = np.array([float(effective_rank(run)) for run in V])
    return make_measurement(definition, values, seed=study.seed, draws=draws.reshape(runs, -1))


def _measure_leaves(definition: Definition, V: np.ndarray, study: _Study) -> Measurement | None:
    """Leaf to first-hop retrieval of a sample of leaves; they alone change places for the null."""
    arguments = find_arguments(definition, study.given)
    if arguments is None:
        return None
    leaves, first_hops = arguments
    hops, own = np.unique(first_hops, return_inverse=True)
    generator = np.random.default_rng(study.seed)
    asked = np.sort(generator.choice(len(leaves), min(len(leaves), LEAVES), replace=False))
    best = np.stack([_nearest_hop(run, leaves[asked], hops) for run in study.seen])
    orders = np.stack([generator.permutation(len(asked)) for _ in range(study.draws)])
    draws = np.stack([(nearest[orders] == own[asked]).mean(axis=1) for nearest in best])
    if len(asked) < len(leaves):
        definition = _say(definition, f" Of {len(asked):,} sampled leaves.")
    return make_measurement(definition, (best == own[asked]).mean(axis=1), seed=study.seed, draws=draws)


def _nearest_hop(
    embedding: Float[np.ndarray, "node width"],
    leaves: Int[np.ndarray, " leaf"],
    hops: Int[np.ndarray, " hop"],
) -> Int[np.ndarray, " leaf"]:
    """Number of the first hop most similar to each leaf; -1 where several are."""
    rows, targets = unit_rows(embedding[leaves]), unit_rows(embedding[hops])
    chunk = max(1, 4_000_000 // len(hops))
    found = []
    for at in range(0, len(leaves), chunk):
        cosines = rows[at : at + chunk] @ targets.T
        best = cosines.max(axis=1, keepdims=True)
        found.append(np.where((cosines == best).sum(axis=1) == 1, cosines.argmax(axis=1), -1))
    return np.concatenate(found)


SAMPLED: dict[Callable[..., Any], Callable[[Definition, np.ndarray, _Study], Measurement | None]] = {
    leaf_retrieval: _measure_leaves,
    mean_cosine: _measure_mean_cosine,
    effective_rank: _measure_rank,
    fiedler_alignment: _measure_alignment,
    low_energy: _measure_low_energy,
    bottom_energy: _measure_bottom_energy,
}
"""How measurements are taken that would take too long, or need a list of eigenvectors, on a large graph."""
