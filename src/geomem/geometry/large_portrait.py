"""The portrait of a graph too large for node by node matrices: sampled pairs, bands of the spectrum.

What the numbers mean is the same as in `geomem.geometry.portrait`; how they are come by differs:

- Cosines by distance are means over pairs drawn from 256 source nodes (`geomem.geometry.sampling`), but the
  geometric level and the mean cosine are exact. The sample's nodes are permuted for the null, sources among
  sources and others among others, which keeps the test exact. The null of the level is that of the sampled
  edges, and so wider than need be.
- The spectrum is measured in bands (`geomem.geometry.bands`): whole eigenspaces at both ends, wide bands
  between. Where the Fiedler eigenspace has too many dimensions to be listed, its share of the energy takes
  the place of the alignment. The null is random rows (`geomem.geometry.random_rows`).
- Leaves are asked for their first hop one stretch after the other, at most `LEAVES` of them; the null
  permutes those leaves.

Nothing takes node² time or memory. The reading follows the same rules with the same thresholds; its two tests
give every sampled pair the same weight, so that near distances count as much as far ones.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int

from geomem.geometry.alignment import fiedler_alignment
from geomem.geometry.bands import Banded, BandedSpectrum, band_spectrum, measure_banded
from geomem.geometry.measurement import (
    PERMUTED,
    RANDOM,
    RANDOM_ROWS,
    Measurement,
    Portrait,
    affordable_draws,
    assemble_portrait,
    common_measurement,
    make_measurement,
    map_measurement,
    similarity_measurements,
)
from geomem.geometry.random_rows import (
    random_alignments,
    random_effective_ranks,
    random_mean_cosines,
    random_shares,
    row_moments,
)
from geomem.geometry.reading import (
    Profile,
    can_tell_sampled,
    other_likeness,
    read_profile,
    strong_candidates,
    uphold,
)
from geomem.geometry.sampling import (
    PairSample,
    edge_cosines_mean,
    permuted_sample_means,
    sample_pairs,
    sampled_cosines,
    sampled_shell_means,
)
from geomem.geometry.similarity import Shells, centre, effective_rank, mean_cosine, unit_rows
from geomem.geometry.spectrum import fiedler_modes
from geomem.worlds.graphs.graph import Graph, leaves_and_first_hops

LEAVES = 2048
"""Most leaves that are asked for their first hop; all of the first hops compete."""

# Multiplications allowed to the null of the effective rank: a few seconds.
RANK_WORK = 10_000_000_000


def measure_large(
    V: Float[np.ndarray, "run node width"],
    graph: Graph,
    *,
    permutations: int,
    seed: int,
    seen: Float[np.ndarray, "run node width"] | None = None,
) -> Portrait:
    """The portrait of finite embeddings that match the graph, with no node by node matrix.

    Spectrum and leaves are measured on `seen`, the rows less their mean, where it is given.

    >>> from geomem.worlds.graphs.families import cycle
    >>> angles = 2 * np.pi * np.arange(2000) / 2000
    >>> circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)[None]
    >>> portrait = measure_large(circle, cycle(2000), permutations=99, seed=0)
    >>> portrait.reading, round(portrait["fiedler_alignment"].mean, 6), portrait.sampled[:24]
    ('geometric', 1.0, '49,924 pairs of nodes at')
    """
    seen = V if seen is None else seen
    sample = sample_pairs(graph, seed=seed)
    shells = sample.shells
    pairs, sources = len(shells.first), len(sample.distances)
    count = affordable_draws(permutations, max(5 * pairs, 100 * len(shells.sizes)))
    rows = centre(V)
    raw = [_profile(run, graph, sample, count, seed) for run in V]
    centred = [_profile(run, graph, sample, count, seed) for run in rows]

    counted = replace(shells, sizes=np.maximum(np.rint(sample.pair_counts), 1).astype(np.int64))
    said = f"{pairs:,} pairs from {sources} sources"
    similarity, as_they_are = (
        [_say_sampled(made, said) for made in part]
        for part in similarity_measurements(raw, centred, counted, seed)
    )
    measurements = similarity
    if graph.coordinates is not None:
        measurements.append(map_measurement(V, graph.coordinates, permutations, seed))
    if graph.root is not None:
        leaves, first_hops = leaves_and_first_hops(graph)
        if len(np.unique(first_hops)) > 1:
            measurements.append(_leaf_measurement(seen, leaves, first_hops, permutations, seed))
    measurements += as_they_are
    measurements += [common_measurement(V, permutations, seed), *_spread_measurements(V, permutations, seed)]
    spectrum = band_spectrum(graph)
    banded = [measure_banded(run, graph, spectrum) for run in seen]
    measurements += _spectral_measurements(seen, graph, spectrum, banded, permutations, seed)

    tellable = can_tell_sampled(sample, count, seed=seed)
    readings = [
        uphold(
            read_profile(
                about_mean, shells, tellable=tellable, counted=counted, overall=float(mean_cosine(run))
            ),
            _other_profiles(run, sample, counted, count, seed),
            counted,
        )
        for run, about_mean in zip(rows, centred, strict=True)
    ]
    trivial = [spectrum.trivial_count] if spectrum.trivial_count else []
    return assemble_portrait(
        V,
        graph,
        measurements,
        (raw, centred),
        shells.distances,
        readings,
        fiedler=spectrum.fiedler,
        eigenvalues=np.r_[[spectrum.trivial_value] if trivial else [], spectrum.values],
        multiplicities=np.r_[trivial, spectrum.dimensions].astype(np.int64),
        energies=np.stack([_shares(found, bool(trivial)) for found in banded]),
        sampled=(
            f"{pairs:,} pairs of nodes at {len(shells.sizes)} distances, from {sources} source nodes; "
            f"spectrum in {len(spectrum.dimensions) + len(trivial)} bands"
            + ("" if spectrum.exact else ", their dimensions estimated")
        ),
        band_edges=spectrum.edges,
    )


def _say_sampled(made: Measurement, said: str) -> Measurement:
    exact = made.name in ("geometric_level", "centred_neighbour_cosine")
    how = f"All edges; null from {said}." if exact else f"Sampled: {said}."
    return replace(made, explanation=f"{made.explanation} {how}")


def _profile(
    embedding: Float[np.ndarray, "node width"], graph: Graph, sample: PairSample, count: int, seed: int
) -> Profile:
    """Cosines by distance of sampled pairs; at distance 1 the mean is that of all edges."""
    cosines = sampled_cosines(embedding, sample)  # one table at a time
    means, squares = sampled_shell_means(cosines, sample)
    means[0] = edge_cosines_mean(embedding, graph.edges)
    return Profile(means, squares, *permuted_sample_means(cosines, sample, count, seed=seed))


def _other_profiles(
    rows: Float[np.ndarray, "node width"], sample: PairSample, counted: Shells, count: int, seed: int
) -> Iterator[Profile]:
    """Of `other_likeness`, where it does follow graph distance."""

    def profile(table: Float[np.ndarray, "source column"]) -> Profile:
        return Profile(
            *sampled_shell_means(table, sample), *permuted_sample_means(table, sample, count, seed=seed)
        )

    tables = other_likeness(rows[sample.nodes], len(sample.distances))
    return strong_candidates(tables, profile, sample.shells, counted)


def _shares(found: Banded, with_trivial: bool) -> Float[np.ndarray, " band"]:
    energies = np.r_[[found.trivial] if with_trivial else [], found.energies]
    total = energies.sum()
    return energies / total if total > 0 else np.zeros_like(energies)


def _spectral_measurements(
    V: Float[np.ndarray, "run node width"],
    graph: Graph,
    spectrum: BandedSpectrum,
    banded: list[Banded],
    permutations: int,
    seed: int,
) -> list[Measurement]:
    """Fiedler alignment or share, and the energies at both ends; none of them where the ends are unknown."""
    if not spectrum.exact:
        return []
    total = int(spectrum.dimensions.sum())
    constant = np.ones((graph.node_count, 1))
    flat = measure_banded(constant, graph, spectrum)
    moments = [row_moments(run) for run in V]

    def measured(name: str, title: str, explanation: str, first: int, last: int, whole: bool) -> Measurement:
        """The share of bands first..last-1, of all energy or of what is not trivial."""
        values, draws, doubt = [], [], 0.0
        for number, (found, rows) in enumerate(zip(banded, moments, strict=True)):
            energy = found.energies.sum() + (found.trivial if whole else 0.0)
            part = found.energies[first:last].sum()
            # Trivial modes alone leave rounding, of which no share is taken.
            present = energy > 1e-20 * (energy + found.trivial)
            values.append(part / energy if present else 0.0)
            edges = [edge for edge in (first - 1, last - 1) if 0 <= edge < len(found.brackets)]
            if present:
                doubt = max(doubt, float(found.brackets[edges].sum()) / energy)
            draws.append(
                random_shares(
                    rows,
                    int(spectrum.dimensions[first:last].sum()),
                    total + (spectrum.trivial_count if whole else 0),
                    constant_inside=float(flat.energies[first:last].sum()),
                    constant_total=float(flat.energies.sum()) + (flat.trivial if whole else 0.0),
                    count=permutations,
                    seed=seed + number,
                )
            )
        known = f" Known to ±{doubt:.1g}." if doubt > 1e-3 else ""
        return make_measurement(
            name,
            title,
            explanation + known,
            np.array(values),
            seed=seed,
            null=RANDOM_ROWS,
            draws=np.stack(draws),
        )

    # Bands at either end that hold the three modes there, in whole eigenspaces.
    low = 1 + int(np.searchsorted(np.cumsum(spectrum.dimensions), 3))
    high = len(spectrum.dimensions) - 1 - int(np.searchsorted(np.cumsum(spectrum.dimensions[::-1]), 3))
    low, high = min(low, len(spectrum.dimensions)), max(high, 0)
    made = []
    if spectrum.fiedler is not None:
        listed = spectrum.fiedler
        F = listed.eigenvectors[:, fiedler_modes(listed)]
        constant_inside = F.sum(axis=0)
        constant_rest = float(flat.energies.sum() - np.square(constant_inside).sum())
        draws = int(np.clip(RANK_WORK // (2 * len(V) * V.shape[2] ** 3), min(permutations, 99), permutations))
        made.append(
            make_measurement(
                "fiedler_alignment",
                "Fiedler alignment",
                "Share of the main directions in the graph's smoothest (Fiedler) eigenspace: 1 all, 0 none.",
                np.array([float(fiedler_alignment(spectrum.project(run), listed)) for run in V]),
                seed=seed,
                null=RANDOM_ROWS,
                draws=np.stack(
                    [
                        random_alignments(
                            rows, constant_inside, constant_rest, total, count=draws, seed=seed + number
                        )
                        for number, rows in enumerate(moments)
                    ]
                ),
            )
        )
    else:
        made.append(
            measured(
                "fiedler_share",
                "Fiedler share",
                "Share of squared length, trivial modes apart, in the smoothest eigenspace; its "
                f"{spectrum.dimensions[0]:,} dimensions are too many to align with.",
                0,
                1,
                whole=False,
            )
        )
    made.append(
        measured(
            "low_energy",
            "Energy at the smooth end",
            "Share of squared length on the three lowest non-trivial Laplacian modes, in whole eigenspaces.",
            0,
            low,
            whole=True,
        )
    )
    if len(spectrum.highest_values) or spectrum.dimensions[high:].sum() < total:
        made.append(
            measured(
                "bottom_energy",
                "Energy at the rough end",
                "The same on the highest modes, along which neighbours have opposite signs: high in a "
                "zig-zag.",
                high,
                len(spectrum.dimensions),
                whole=True,
            )
        )
    return made


def _spread_measurements(
    V: Float[np.ndarray, "run node width"], permutations: int, seed: int
) -> list[Measurement]:
    """Whether the nodes are spread at all, against the distributions that random embeddings have."""
    runs, nodes, width = V.shape
    count = int(np.clip(RANK_WORK // (runs * min(nodes, width) ** 3), min(permutations, 19), permutations))
    ranks = random_effective_ranks(nodes, width, count=count * runs, seed=seed).reshape(runs, count)
    cosines = random_mean_cosines(nodes, width, count=permutations * runs, seed=seed).reshape(runs, -1)
    return [
        make_measurement(
            name, title, explanation, values, seed=seed, null=RANDOM, draws=draws, alternative="two-sided"
        )
        for name, title, explanation, values, draws in (
            (
                "mean_cosine",
                "Mean cosine of all pairs",
                "Near 1 all nodes are in one place (collapsed), near 0 they are spread around the origin.",
                np.array([float(mean_cosine(run)) for run in V]),
                cosines,
            ),
            (
                "effective_rank",
                "Effective rank",
                "How many directions share the spread of the nodes: few in a geometry, many in a lookup "
                "table.",
                np.array([float(effective_rank(run)) for run in V]),
                ranks,
            ),
        )
    ]


def _leaf_measurement(
    V: Float[np.ndarray, "run node width"],
    leaves: Int[np.ndarray, " leaf"],
    first_hops: Int[np.ndarray, " leaf"],
    permutations: int,
    seed: int,
) -> Measurement:
    """Leaf to first-hop retrieval of a sample of leaves; they alone change places for the null."""
    hops, own = np.unique(first_hops, return_inverse=True)
    generator = np.random.default_rng(seed)
    asked = np.sort(generator.choice(len(leaves), min(LEAVES, len(leaves)), replace=False))
    best = np.stack([_nearest_hop(run, leaves[asked], hops) for run in V])
    deals = np.stack([generator.permutation(len(asked)) for _ in range(permutations)])
    draws = np.stack([(nearest[deals] == own[asked]).mean(axis=1) for nearest in best])
    sampled = f" Of {len(asked):,} sampled leaves." if len(asked) < len(leaves) else ""
    return make_measurement(
        "leaf_retrieval",
        "Leaf to first hop retrieval",
        "Share of leaves whose most similar first hop is their own path's: 1 path-finding in one step."
        + sampled,
        (best == own[asked]).mean(axis=1),
        seed=seed,
        null=PERMUTED,
        draws=draws,
    )


def _nearest_hop(
    embedding: Float[np.ndarray, "node width"],
    leaves: Int[np.ndarray, " leaf"],
    hops: Int[np.ndarray, " hop"],
) -> Int[np.ndarray, " leaf"]:
    """Number of the first hop most similar to each leaf; -1 where several are."""
    rows, targets = unit_rows(embedding[leaves]), unit_rows(embedding[hops])
    stretch = max(1, 4_000_000 // len(hops))
    found = []
    for at in range(0, len(leaves), stretch):
        cosines = rows[at : at + stretch] @ targets.T
        best = cosines.max(axis=1, keepdims=True)
        found.append(np.where((cosines == best).sum(axis=1) == 1, cosines.argmax(axis=1), -1))
    return np.concatenate(found)
