"""Sections of the page on an audit of a graph, one function each."""

from collections.abc import Sequence
from functools import partial
from math import isfinite

import numpy as np

from geomem.audit.columns import (
    GRAPH_COLUMNS,
    MORE_GRAPH_COLUMNS,
    MORE_TEMPLATES_NOTE,
    TEMPLATES_NOTE,
    looks_by_layer,
)
from geomem.audit.graph import GraphAudit, Look
from geomem.audit.model import ModelAudit
from geomem.audit.resampling import BOOTSTRAPS
from geomem.figures.audit_drawing import draw_places, draw_profile, tabulate_places, tabulate_profile
from geomem.figures.drawing import shortened
from geomem.report.audit_section import (
    Section,
    Table,
    answer_tables,
    describe_behaviour,
    place_of,
    real_minus,
    share,
    trial_table,
)
from geomem.report.html import format_p_value
from geomem.report.picture import Picture
from geomem.worlds.graphs.graph import Graph


def graph_sections(found: ModelAudit, audit: GraphAudit) -> list[Section | None]:
    """All of them, in their order."""
    return [
        show_trials(audit),
        show_layers(audit),
        show_places(found, audit),
        show_answers(audit),
        show_left_out(audit),
    ]


def show_trials(audit: GraphAudit) -> Section:
    """What decided, and the controls beside it."""
    power = f"A correlation of {audit.smallest_effect:.2f} would have been found in 80 % of cases."
    tables = [trial_table(audit.trials, "Trials")]
    if audit.controls:
        tables.append(trial_table(audit.controls, "Controls, which decide nothing"))
    return Section("What decided", sentences=(power,), tables=tables)


def show_layers(audit: GraphAudit) -> Section:
    """The profile of all layers, and its numbers."""
    layers = looks_by_layer(audit)
    picture = Picture("profile", tabulate_profile(audit), draw_profile, "Correlation with distance by layer")
    caption = (
        "How closely similarity falls with distance, upside down so that high is a geometry. Thin lines are "
        "templates, the thick one their mean. Grey is the central 95 % under permuted entities at each "
        "layer; the p of the table is stricter, after the maximum over all layers and templates."
    )
    columns = {**GRAPH_COLUMNS, **MORE_GRAPH_COLUMNS}
    if not isfinite(audit.baseline_mantel):
        columns.pop("lead")
    rows = [
        (layer, *[real_minus(cell(looks)) for cell in columns.values()]) for layer, looks in layers.items()
    ]
    tables = [Table(("Layer", *columns), rows, note=f"{TEMPLATES_NOTE} {MORE_TEMPLATES_NOTE}")]
    if len(audit.looks) > len(layers):
        tables.append(_look_table(audit.looks))
    return Section("Layer by layer", pictures={caption: picture}, tables=tables)


def show_places(found: ModelAudit, audit: GraphAudit) -> Section:
    """Where the best look has the entities, beside the true places where these are known."""
    graph = found.world
    assert isinstance(graph, Graph)
    look = audit.looks[audit.best]
    row = {label: at for at, label in enumerate(audit.entities)}
    labels = [[graph.labels[node] for node in edge] for edge in graph.edges]
    edges = np.array(
        [[row[tail], row[head]] for tail, head in labels if tail in row and head in row], dtype=np.int64
    ).reshape(-1, 2)
    known = graph.coordinates is not None
    title = shortened(f"At {place_of(look)}", 60) + (f", r = {look.map_correlation:.2f}" if known else "")
    picture = Picture(
        "map",
        tabulate_places(audit, graph),
        partial(draw_places, edges=edges, title=title),
        f"Where {found.source.path.name} has the nodes of {graph.name}",
    )
    first = f"The first direction holds {look.profile.first_share:.0%} of the variance."
    if not known:
        caption = f"The two principal directions at {place_of(look)}; lines are edges. {first}"
        return Section("Where the entities lie", pictures={caption: picture})
    most = max(audit.looks, key=lambda other: other.map_correlation)
    caption = (
        f"The two principal directions at {place_of(look)}, where the correlation with distance is farthest "
        "from its null, shifted, scaled, turned and if need be mirrored onto the true places (Procrustes); "
        f"lines are edges. The correlation of the two maps is {look.map_correlation:.2f}, "
        f"{format_p_value(look.map_p)} after the maximum over all layers and templates. {first}"
    )
    if most.map_correlation > look.map_correlation:
        caption += f" The largest is {most.map_correlation:.2f}, at {place_of(most)}."
    return Section("The map", pictures={caption: picture})


def show_answers(audit: GraphAudit) -> Section | None:
    """How the model itself answers."""
    if audit.behaviour is None:
        return None
    tables = answer_tables({"the model says": audit.behaviour.answers}, wanted="neighbours")
    return Section("The model's own answers", sentences=(describe_behaviour(audit.behaviour),), tables=tables)


def show_left_out(audit: GraphAudit) -> Section | None:
    """The nodes without vectors."""
    if not audit.left_out:
        return None
    many = len(audit.left_out)
    names = ", ".join(audit.left_out[:100]) + (f" and {many - 100:,} more" if many > 100 else "")
    what = f"{many:,} of {many + len(audit.entities):,} nodes have no vectors, and no part in any number:"
    return Section("Left out", sentences=(f"{what} {names}.",))


def _look_table(looks: Sequence[Look]) -> Table:
    rows = [
        (
            look.layer,
            look.template,
            share(look.profile.mantel),
            share(look.profile.raw_mantel),
            f"{look.mantel_p:.3f}",
            share(look.twin_mantel),
            share(look.profile.neighbour_auc),
            share(look.map_correlation),
        )
        for look in looks
    ]
    head = ("Layer", "template", "Mantel", "raw", "p", "twins", "neighbours", "map")
    title = "Every layer under every template"
    return Table(head, rows, title, words=frozenset(("template",)), folded=True)


def describe_graph_method(audit: GraphAudit) -> list[str]:
    """Every transform and count behind the numbers."""
    return [
        "Every vector is taken less the mean of all at its layer and template. Cosine and graph distance are "
        "compared as ranks over all pairs of one component (Mantel).",
        f"Entities are permuted {audit.permutations:,} times, alike at all layers and templates; scores are "
        "standardised at each, and p is that of the largest over all.",
        f"{len(audit.rewired_mantels)} graphs of the same degrees; {len(audit.twin_mantels) or 'no'} "
        "re-initialised twins. Leads over twins, and over a baseline, are judged in "
        f"{BOOTSTRAPS} resamples of the entities.",
    ]
