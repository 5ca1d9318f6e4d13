"""The tables of an audit: one row for each layer, or for each relation, whoever shows them."""

from collections.abc import Sequence
from math import isfinite, nan

import numpy as np

from geomem.audit.behaviour import Behaviour
from geomem.audit.causal import Causes
from geomem.audit.facts import FactsAudit
from geomem.audit.graph import GraphAudit, Look

TEMPLATES_NOTE = (
    "Mantel: of similarity and graph distance, least to greatest over the templates; p after the maximum "
    "over all layers and templates. Other columns: means over the templates. neighbours: chance that two are "
    "more alike than two others. PC1: one direction's share of the variance."
)
"""What the columns of a profile are."""

MAPS_NOTE = (
    "hit@1 of maps on held-out subjects, at the best layer; answers are the model's own, of all tokens and "
    "among the relation's objects."
)
"""What the columns of the table of relations are."""


def looks_by_layer(audit: GraphAudit) -> dict[str, list[Look]]:
    """The looks of every layer under all templates, by the layer's name."""
    layers = dict.fromkeys(look.layer for look in audit.looks)
    return {layer: [look for look in audit.looks if look.layer == layer] for layer in layers}


GRAPH_COLUMNS = {
    "Mantel": lambda looks: _range([look.profile.mantel for look in looks]),
    "by chance": lambda looks: f"{short_number(looks[0].mantel_low)} to {short_number(looks[0].mantel_high)}",
    "p": lambda looks: f"{min(look.mantel_p for look in looks):.3f}",
    "twins": lambda looks: _mean([look.twin_mantel for look in looks]),
    "neighbours": lambda looks: _mean([look.profile.neighbour_auc for look in looks]),
    "map": lambda looks: _mean([look.map_correlation for look in looks]),
    "PC1": lambda looks: _mean([look.profile.first_share for look in looks]),
}
"""Titles of the profile of a graph, and the cell of the looks of one layer."""

MORE_GRAPH_COLUMNS = {
    "raw": lambda looks: _mean([look.profile.raw_mantel for look in looks]),
    "given names": lambda looks: _mean([look.partial_mantel for look in looks]),
    "lead": lambda looks: _mean([look.lead for look in looks]),
    "directions": lambda looks: f"{np.mean([look.profile.effective_rank for look in looks]):.1f}",
}
"""Further columns where there is room."""

MORE_TEMPLATES_NOTE = (
    "raw: Mantel of rows as they are, the mean row not taken off. given names: Mantel given how alike the "
    "names are, and their frequencies where they are known. lead: how far Mantel is ahead of the baseline's "
    "vectors. directions: effective rank."
)
"""What these are."""

FACT_COLUMNS = {
    "facts": lambda found: f"{found.facts:,}",
    "offset": lambda found: short_number(found.most("offset")),
    "linear": lambda found: short_number(found.most("linear")),
    "shuffled": lambda found: short_number(found.shuffled),
    "majority": lambda found: short_number(found.majority),
    "twins": lambda found: short_number(found.most("twin")),
    "at": lambda found: found.looks[found.best].layer,
    "answers": lambda found: _answered(found.behaviour),
}
"""Titles of the table of relations, and the cell of one relation."""

SELECTION_NOTE = (
    "selection: where a question is answered, the share of the variance that the objects of its relation "
    "explain, less that of other relations' objects."
)
"""What selection is."""

SUMS_NOTE = (
    "sum: held-out R² of subject vectors as sums of one map per relation of their objects, mean over the "
    f"templates; shuffled: the largest with subjects permuted. {SELECTION_NOTE}"
)
"""What the columns of the table of sums are."""

CAUSES_NOTE = (
    "Of held-out subjects, the share whose answer is right as it stands, and the share that becomes another "
    "subject's: by that subject's state in the place of theirs, by as much of the fitted map as says the "
    "gain, and by a random direction of the same length. p: sign test of map and random at gain 1."
)
"""What the columns of the tables of causes are."""


def sums_by_layer(audit: FactsAudit) -> dict[str, tuple[str, str, str]]:
    """The cells of every layer under `SUMS`."""
    strengths = {found.layer: found.strength for found in audit.selection}
    layers = dict.fromkeys([*(look.layer for look in audit.superposition), *strengths])
    rows = {}
    for layer in layers:
        looks = [look for look in audit.superposition if look.layer == layer]
        rows[layer] = (
            _mean([look.score for look in looks]) if looks else "-",
            short_number(max((look.shuffled for look in looks), default=nan)),
            short_number(strengths.get(layer, nan)),
        )
    return rows


SUMS = ("sum", "shuffled", "selection")
"""Titles of the table of sums."""

CAUSE_COLUMNS = {
    "swaps": lambda found: f"{found.swaps:,}",
    "untouched": lambda found: short_number(found.untouched),
    "replaced": lambda found: short_number(found.replaced),
    "p": lambda found: "<0.001" if found.p < 0.001 else f"{found.p:.3f}",
}
"""Titles of the table of causes, and the cell of those of one relation at one layer."""


def gains_of(found: Causes) -> tuple[list[str], list[str], list[str]]:
    """The gains, and the shares moved by the map and by a random direction."""
    return (
        [f"{gain:g}".replace("0.", ".", 1) for gain in found.gains.tolist()],
        [short_number(share) for share in found.moved.tolist()],
        [short_number(share) for share in found.random.tolist()],
    )


def _answered(behaviour: Behaviour | None) -> str:
    if behaviour is None:
        return "-"
    return f"{short_number(behaviour.first)}, {short_number(behaviour.right / behaviour.asked)}"


def _mean(values: Sequence[float]) -> str:
    return short_number(float(np.mean(values)))


def short_number(value: float) -> str:
    """Two digits, without the zero before them; a dash for no number.

    >>> short_number(0.456), short_number(-0.001), short_number(float("nan"))
    ('.46', '.00', '-')
    """
    return f"{round(value, 2) + 0.0:.2f}".replace("0.", ".", 1) if isfinite(value) else "-"


def _range(values: Sequence[float]) -> str:
    """One number, or the least and the greatest where they differ in what is shown.

    >>> _range([0.1, 0.3]), _range([0.1, 0.101]), _range([float("nan")])
    ('.10 to .30', '.10', '-')
    """
    low, high = short_number(min(values)), short_number(max(values))
    return low if low == high else f"{low} to {high}"
