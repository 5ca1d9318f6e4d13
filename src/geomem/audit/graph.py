"""Does a model hold a graph as a geometry? Every layer under every template, against seven rivals.

Axis names: `look` (one layer under one template), `draw` (as observed first, then as entities are permuted,
the graph rewired or entities resampled), `twin`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import norm

from geomem.audit.behaviour import Behaviour
from geomem.audit.pairs import (
    check_twin,
    cosine_table,
    each_look,
    entity_pairs,
    mantel_form,
    neighbour_form,
    pair_distances,
    pair_entries,
    pair_weights,
    permuted_sums,
    standard_ranks,
    standard_scores,
)
from geomem.audit.profile import Profile, describe_look
from geomem.audit.resampling import BOOTSTRAPS, draw_resamples, resample_pairs
from geomem.audit.rivals import Rewired, frequency_likeness, measure_rewired, name_likeness
from geomem.audit.states import States
from geomem.audit.trials import (
    after_maximum,
    best_look,
    try_ahead,
    try_chance,
    try_impossible,
    try_looks,
    where,
)
from geomem.audit.words import LEAST_MANTEL, MOST_SHARED, POWER, Trial, choose_word
from geomem.errors import InputError
from geomem.geometry.alignment import procrustes_correlation
from geomem.geometry.nulls import PERMUTATIONS, draw_permutations
from geomem.geometry.portrait import in_order_of_labels
from geomem.geometry.reading import SIGNIFICANCE, can_tell, can_tell_sampled
from geomem.geometry.sampling import PairSample
from geomem.shown import shown_by
from geomem.worlds.graphs.graph import Graph, induced_subgraph

NEIGHBOURS = "{where} neighbours are more alike than others in {value:.0%} of cases"
TWINS = "{where} it is ahead of re-initialised models by {value:.2f}"
BASELINE = "{where} it is ahead of the baseline's vectors by {value:.2f}"
TWINS_ALONE = "re-initialised models alone show no more than chance, {value:.2f} at most"
DEGREES = "{where} it does so by {value:.2f}, beyond graphs of the same degrees"
PARTIAL = "{where} it does so by {value:.2f}, given how alike GIVEN are"

FORMS = (mantel_form, neighbour_form)

REWIRINGS = 100

FEWEST = 3
"""Entities without which there is no second distance."""

DOMINANT = 0.5
"""From this share of the variance on, the first principal direction decides what is measured."""


@dataclass(frozen=True)
class Look:
    """What one layer shows under one template, beside what chance and rivals give."""

    layer: str
    template: str
    profile: Profile
    mantel_low: float
    """Central 95 % of Mantel's correlation under permuted entities."""
    mantel_high: float
    mantel_p: float
    """After the maximum over all looks, as the two that follow."""
    auc_p: float
    map_correlation: float
    """Procrustes correlation with the true places; NaN where the graph has none."""
    map_p: float
    twin_mantel: float
    """Mean over the re-initialised twins; NaN without them."""
    partial_mantel: float
    """Given how alike names are, and frequencies where they are known."""
    lead: float
    """By how much Mantel's correlation is ahead of the baseline's; NaN without one."""
    lead_error: float
    auc_lead: float


@shown_by("geomem.report.card:show_audit")
@dataclass(frozen=True, eq=False)
class GraphAudit:
    """The word for one graph, the trials that decided, and the profile of all layers."""

    word: str
    """One of `WORDS`."""
    reason: str
    looks: tuple[Look, ...]
    best: int
    """The look whose correlation is farthest from its null."""
    trials: tuple[Trial, ...]
    """Those that a geometry must pass; one against the baseline, if any, is the last."""
    controls: tuple[Trial, ...]
    """Others, which decide nothing."""
    behaviour: Behaviour | None
    """How the model itself answers, if it was asked."""
    smallest_effect: float
    """The smallest correlation that would have been found in 80 % of cases, at the median look."""
    twin_mantels: Float[np.ndarray, "twin look"]
    rewired_mantels: Float[np.ndarray, "draw look"]
    baseline_mantel: float
    """That of the baseline's vectors, on the entities that both have; NaN without them."""
    permutations: int
    entities: tuple[str, ...]
    places: Float[np.ndarray, "entity 2"]
    """Of the best look, along two principal directions."""
    left_out: tuple[str, ...]
    """Nodes of the graph that the model's states lack."""
    notes: tuple[str, ...]
    """What to know when reading the numbers, and what was sampled; one sentence each."""


@dataclass(frozen=True, eq=False)
class _Model:
    """All looks of a model, measured, without a null."""

    names: list[tuple[str, str]]
    profiles: list[Profile]
    ranks: Float[np.ndarray, "entry look"]
    places: Float[np.ndarray, "look entity 2"]

    @property
    def deviations(self) -> Float[np.ndarray, " look"]:
        """Deviations of the ranks of cosines."""
        return np.array([profile.rank_deviation for profile in self.profiles])


def audit_graph(
    states: States,
    graph: Graph,
    *,
    twins: Iterable[States] = (),
    baseline: States | None = None,
    known: Behaviour | None = None,
    tokens: Mapping[str, Sequence[int]] | None = None,
    frequencies: Mapping[str, float] | None = None,
    permutations: int = PERMUTATIONS,
    rewirings: int = REWIRINGS,
    seed: int = 0,
) -> GraphAudit:
    """Whether vectors of entities hold a graph as a geometry; `WORDS` has the rules.

    | rival | how it is met |
    |---|---|
    | chance | entities permuted, alike for all looks; p of the largest score over looks |
    | the architecture | `twins`: states of re-initialised models; bootstrap over entities |
    | degrees | graphs rewired with degrees kept; the difference from the twins where there are any |
    | impossible twins | how many rewired graphs permuted entities alone would pass |
    | co-occurrence | first vectors of `baseline`; bootstrap over entities, largest ratio over looks |
    | names, frequency | partial correlations, given `tokens` (else letters), `frequencies`; decide nothing |

    `twins` may be a generator: one is held at a time. `known` says how the model answers. The order of the
    entities changes nothing. Beyond `EXACT_ENTITIES` pairs are sampled, as the notes say: 13 layers, three
    templates, 5,000 entities, width 768 and a twin take 40 s on one core and 1.2 GiB beside the states.
    Raises `InputError` for entities that are no nodes, for fewer than three of them, for NaN, and for twins
    of another shape.

    >>> from geomem.audit.states import Layer
    >>> from geomem.worlds.graphs.families import grid
    >>> world, places = grid(5, 5), np.stack(np.divmod(np.arange(25.0), 5), axis=1)
    >>> states = States(world.labels, ("",), "last token", (Layer("vectors", places[None] + 7),))
    >>> audit = audit_graph(states, world)
    >>> audit.word, [trial.p for trial in audit.trials]
    ('geometry', [0.001, 0.009900990099009901])
    """
    graph, order, left_out = match_graph(states, graph)
    sample = entity_pairs(graph, seed=seed)
    forms = np.stack([form(pair_distances(sample), pair_weights(sample)) for form in FORMS])
    model = _measure_looks(states, graph, sample, order)
    looks = len(model.names)
    twin_ranks, twin_pairs = _measure_twins(twins, states, model, sample, order)
    twin_mantels = np.array([forms[0] @ Z for Z in twin_pairs]).reshape(-1, looks)
    ranks = np.concatenate([model.ranks, twin_ranks], axis=1)
    sums = permuted_sums(ranks, forms, sample, permutations, seed=seed)
    mantels, aucs = sums[:, 0, :looks], 0.5 + model.deviations * sums[:, 1, :looks]
    trials = [try_chance(model.names, mantels)]
    controls = [try_looks("neighbours", model.names, aucs, NEIGHBOURS, sign=1)]
    if twin_pairs:
        leads = _leads_of_twins(model, twin_pairs, sample, seed)
        trials.append(try_ahead("re-initialised twins", model.names, leads, TWINS))
        alone = sums[:, 0, looks:]
        controls.append(try_looks("twins alone", model.names, alone, TWINS_ALONE, wanted=False))
    nuisances = [name_likeness(graph.labels, tokens, sample)]
    if frequencies is not None:
        nuisances.append(frequency_likeness(graph.labels, frequencies, sample))
    ranked = np.stack([standard_ranks(nuisance, sample)[0] for nuisance in nuisances])
    rewired = measure_rewired(ranks, ranked, graph, sample, rewirings, seed=seed)
    on_rewired = rewired.mantels[:, :looks]
    # Less the twins': what all models share is then no more than chance on any graph.
    beyond = on_rewired - rewired.mantels[:, looks:] if twin_pairs else on_rewired
    trials.append(try_looks("rewired graphs", model.names, beyond, DEGREES))
    controls.append(try_impossible(mantels, on_rewired[1:]))
    given = "names" if frequencies is None else "names and frequencies"
    controls.append(
        try_looks(given, model.names, rewired.partials[:, :looks], PARTIAL.replace("GIVEN", given))
    )
    maps, map_p = _measure_map(model, graph, permutations, seed)
    ahead, nothing = None, np.full((2, looks), np.nan)
    leads, auc_leads, of_baseline = nothing, nothing, float("nan")
    if baseline is not None:
        leads, auc_leads, of_baseline = _leads_of_baseline(model, baseline, graph, sample, seed)
        ahead = try_ahead("co-occurrence", model.names, leads, BASELINE)
    smallest = _smallest_effect(mantels)
    word, reason = choose_word(
        trials,
        behaviour=known,
        smallest=smallest,
        untellable=_untellable(model, sample, rewired, seed),
        ahead=ahead,
    )
    columns = {
        "profile": model.profiles,
        "mantel_low": np.quantile(mantels[1:], 0.025, axis=0),
        "mantel_high": np.quantile(mantels[1:], 0.975, axis=0),
        "mantel_p": after_maximum(standard_scores(mantels, -1)),
        "auc_p": after_maximum(standard_scores(aucs, 1)),
        "map_correlation": maps,
        "map_p": map_p,
        "twin_mantel": twin_mantels.mean(axis=0) if twin_pairs else nothing[0],
        "partial_mantel": rewired.partials[0, :looks],
        "lead": leads[0],
        "lead_error": leads[1:].std(axis=0),
        "auc_lead": auc_leads[0],
    }
    lists = [np.asarray(values, dtype=object).tolist() for values in columns.values()]
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*lists, strict=True)]
    best = best_look(mantels, -1)
    return GraphAudit(
        word=word,
        reason=reason,
        looks=tuple(Look(*names, **row) for names, row in zip(model.names, rows, strict=True)),
        best=best,
        trials=(*trials, *([] if ahead is None else [ahead])),
        controls=tuple(controls),
        behaviour=known,
        smallest_effect=smallest,
        twin_mantels=twin_mantels,
        rewired_mantels=on_rewired[1:],
        baseline_mantel=of_baseline,
        permutations=permutations,
        entities=graph.labels,
        places=model.places[best],
        left_out=left_out,
        notes=_notes(model, sample, best),
    )


def match_graph(states: States, graph: Graph) -> tuple[Graph, Int[np.ndarray, " entity"], tuple[str, ...]]:
    """The graph of the entities that have states, their rows in its order, and the nodes that have none.

    Nodes are in the order of their labels, so that nothing depends on the order of the entities. Raises
    `InputError` for an entity that is no node, and for fewer than `FEWEST` entities.

    >>> from geomem.worlds.graphs.families import path
    >>> kept, rows, missing = match_graph(States(("3", "1", "2"), ("",), "last token", ()), path(4))
    >>> kept.labels, rows.tolist(), missing
    (('1', '2', '3'), [1, 2, 0], ('0',))
    """
    place = {entity: row for row, entity in enumerate(states.entities)}
    if strangers := sorted(place.keys() - set(graph.labels)):
        raise InputError(
            f"{len(strangers)} of the {len(place)} entities, such as {strangers[0]!r}, are no nodes of the "
            f"graph {graph.name!r}; give states of its nodes alone."
        )
    nodes = np.array([node for node, label in enumerate(graph.labels) if label in place], dtype=np.int64)
    if len(nodes) < FEWEST:
        raise InputError(
            f"{len(nodes)} nodes of the graph {graph.name!r} have states; an audit needs at least {FEWEST}."
        )
    kept = graph if len(nodes) == graph.node_count else induced_subgraph(graph, nodes)
    _, kept = in_order_of_labels(np.zeros((kept.node_count, 1)), kept)
    rows = np.array([place[label] for label in kept.labels])
    return kept, rows, tuple(label for label in graph.labels if label not in place)


def _measure_looks(states: States, graph: Graph, sample: PairSample, order: np.ndarray) -> _Model:
    names, profiles, places, ranks = [], [], [], []
    for layer, template, vectors in each_look(states):
        profile, ranked, coordinates = describe_look(vectors[order], graph, sample)
        names.append((layer, template))
        profiles.append(profile)
        places.append(coordinates)
        ranks.append(ranked)
    return _Model(names, profiles, np.stack(ranks, axis=1), np.stack(places))


def _measure_twins(
    twins: Iterable[States], states: States, model: _Model, sample: PairSample, order: np.ndarray
) -> tuple[np.ndarray, list[np.ndarray]]:
    """The mean of the twins' ranks [entry, look], without twins no column; those of each [pair, look]."""
    total, of_pairs = np.zeros_like(model.ranks), []
    for twin in twins:
        check_twin(states, twin)
        own = np.empty((len(sample.shells.first), total.shape[1]), total.dtype)
        for look, (_, _, vectors) in enumerate(each_look(twin)):
            ranks, _ = standard_ranks(cosine_table(vectors[order], sample, centred=True), sample)
            own[:, look] = ranks[pair_entries(sample)]
            total[:, look] += ranks
        of_pairs.append(own)
    return total[:, : total.shape[1] if of_pairs else 0] / max(1, len(of_pairs)), of_pairs


def _measure_map(
    model: _Model, graph: Graph, permutations: int, seed: int
) -> tuple[Float[np.ndarray, " look"], list[float]]:
    looks = len(model.names)
    if graph.coordinates is None:
        return np.full(looks, np.nan), [float("nan")] * looks
    dealt = draw_permutations(permutations, graph.node_count, seed=seed)
    orders = np.concatenate([np.arange(graph.node_count)[None], dealt])
    found = [
        np.atleast_1d(procrustes_correlation(model.places, graph.coordinates[order])) for order in orders
    ]
    return found[0], after_maximum(standard_scores(np.array(found), 1))


def _leads_of_baseline(
    model: _Model, baseline: States, graph: Graph, sample: PairSample, seed: int
) -> tuple[Float[np.ndarray, "draw look"], Float[np.ndarray, "draw look"], float]:
    """Lead of Mantel's correlation, and of AUC, on the entities that both have; the baseline's Mantel."""
    place = {entity: row for row, entity in enumerate(baseline.entities)}
    shared = np.array([label in place for label in graph.labels])
    if shared.sum() < FEWEST:
        raise InputError(
            f"The baseline has vectors of {shared.sum()} of the {len(shared)} entities; "
            f"give one with at least {FEWEST}."
        )
    _, _, vectors = next(each_look(baseline))
    rows = np.zeros((len(shared), vectors.shape[1]), dtype=vectors.dtype)
    rows[shared] = vectors[[place[label] for label, has in zip(graph.labels, shared, strict=True) if has]]
    # Entities that the baseline lacks stand at the mean of the others; they take no part.
    rows[~shared] = rows[shared].mean(axis=0)
    ranks, deviation = standard_ranks(cosine_table(rows, sample, centred=True), sample)
    Z = np.concatenate([model.ranks, ranks[:, None]], axis=1)[pair_entries(sample)]
    among = shared[sample.nodes]
    times = np.zeros((1 + BOOTSTRAPS, len(among)))
    times[:, among] = draw_resamples(int(among.sum()), seed=seed)
    mantels, neighbours = resample_pairs(Z, sample, times)
    aucs = neighbours * np.append(model.deviations, deviation)
    return mantels[:, -1:] - mantels[:, :-1], aucs[:, :-1] - aucs[:, -1:], float(mantels[0, -1])


def _leads_of_twins(
    model: _Model, twin_pairs: list[np.ndarray], sample: PairSample, seed: int
) -> Float[np.ndarray, "draw look"]:
    """Lead of Mantel's correlation over the mean of the twins'."""
    times = draw_resamples(len(sample.nodes), seed=seed)
    own, *others = (
        resample_pairs(Z, sample, times)[0] for Z in (model.ranks[pair_entries(sample)], *twin_pairs)
    )
    return np.mean(others, axis=0) - own


def _smallest_effect(mantels: Float[np.ndarray, "draw look"]) -> float:
    largest = standard_scores(mantels, -1)[1:].max(axis=1)
    needed = np.quantile(largest, 1 - SIGNIFICANCE) + norm.ppf(POWER)
    return max(LEAST_MANTEL, float(np.median(needed * mantels.std(axis=0) - mantels.mean(axis=0))))


def _untellable(model: _Model, sample: PairSample, rewired: Rewired, seed: int) -> str:
    """Why nothing could be told, if so."""
    nodes = len(sample.nodes)
    if not model.ranks.any():
        return "all vectors are equal"
    exact = sample.distances.shape[0] == nodes
    dealt = draw_permutations(199, nodes if exact else 1, seed=seed)
    if not (can_tell(sample.shells, nodes, dealt) if exact else can_tell_sampled(sample, 199, seed=seed)):
        return f"the graph of {nodes} entities is too small or too symmetric to tell"
    if rewired.shared > MOST_SHARED:
        return f"degrees leave no other graph: {rewired.shared:.0%} of the edges stay when it is rewired"
    return ""


def _notes(model: _Model, sample: PairSample, best: int) -> tuple[str, ...]:
    sources, columns = sample.distances.shape
    profile, place = model.profiles[best], where(model.names, best)
    dominated = sum(profile.first_share > DOMINANT for profile in model.profiles)
    found = (
        f"{len(sample.shells.first):,} pairs of {columns:,} entities at {len(sample.shells.sizes)} distances "
        f"were sampled, from {sources} source entities."
        if sources < columns
        else "",
        f"{place[:1].upper()}{place[1:]} one direction holds {profile.first_share:.0%} of the variance: it "
        "may be something all models do with a first token."
        if profile.first_share > DOMINANT
        else f"In {dominated} of {len(model.profiles)} places one direction holds more than {DOMINANT:.0%} "
        "of the variance."
        if dominated
        else "",
    )
    return tuple(note for note in found if note)
