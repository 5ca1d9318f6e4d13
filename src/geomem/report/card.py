"""What a notebook shows of a result: its table and one picture, in the colours of the page around it.

Each is a piece of HTML that needs nothing else and runs no script. It follows Jupyter's theme, Visual Studio
Code's or the site's where the page says one, else the reader's.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from math import isfinite
from typing import Any

import numpy as np
import polars as pl
from markupsafe import Markup
from matplotlib.figure import Figure

from geomem.audit.columns import FACT_COLUMNS, GRAPH_COLUMNS, MAPS_NOTE, TEMPLATES_NOTE, looks_by_layer
from geomem.audit.facts import FactsAudit
from geomem.audit.graph import GraphAudit
from geomem.audit.model import ModelAudit
from geomem.errors import InputError
from geomem.figures.audit_drawing import draw_maps, draw_profile, tabulate_maps, tabulate_profile
from geomem.figures.drawing import draw_embedding, draw_map, draw_shells
from geomem.figures.memory_drawing import draw_subject, tabulate_subject
from geomem.figures.page_svg import NAMED, page_svg
from geomem.figures.palette import READING_COLOURS, THEMES, WORD_COLOURS, node_colours
from geomem.figures.views import describe_model, view_fleet
from geomem.geometry.measurement import Measurement
from geomem.geometry.portrait import Portrait
from geomem.measure.edges import measure_fleet
from geomem.memories.opened import model_table
from geomem.report.html import format_number, format_p_value, read_resource, render_html
from geomem.report.memories import describe_range, title_memory
from geomem.report.picture import Picture, picture_source
from geomem.runs.run import Run
from geomem.worlds.graphs.graph import Graph

QUICK_NODES = 600
"""Of so many nodes, those of all seeds together, the geometry is measured to be shown: about two seconds."""

QUICK_SUBJECTS = 512
"""Of so many subjects one is taken apart to be shown."""

MEASURED = ("", "mean", "95 % over seeds", "by chance", "")


@dataclass(frozen=True)
class Card:
    """What is shown of one result."""

    title: str
    over: str
    """The line above."""
    word: str = ""
    colour: str = "ink"
    """One of `NAMED`, of the word."""
    sentences: Sequence[str] = ()
    more: Sequence[str] = ()
    """Sentences that open with a click."""
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    hints: Mapping[str, str] = field(default_factory=dict)
    """What the pointer says at a row, by its first cell."""


def render_card(
    card: Card, picture: Figure | Picture | None = None, *, alt: str = "", width: int = 42, ramp: int = 0
) -> str:
    """A card as HTML, everything in it escaped; `width` is that of the picture, in units of the font.

    Colours of an inline figure become variables, also those of so many nodes along the `ramp`. A `Picture`,
    whose colours lie between those of a theme, is drawn in both themes.

    >>> render_card(Card("a < b", "cycle")).count("a &lt; b")
    1
    """
    shares = np.linspace(0, 1, ramp)
    ramps = {name: node_colours(shares, None, theme) for name, theme in THEMES.items()}
    key = "geomem-" + hashlib.sha256(repr((card, alt, ramp)).encode()).hexdigest()[:10]
    drawn = Markup("")
    if isinstance(picture, Picture):
        images = Markup('<img class="{}" alt="" src="{}">')
        drawn = Markup("").join(images.format(name, picture_source(picture, name)) for name in THEMES)
    elif picture is not None:
        more = {colour: f"node-{number}" for number, colour in enumerate(ramps["light"])}
        drawn = Markup(page_svg(picture, name=key, more=more))
    return render_html(
        read_resource("card.html"),
        key=key,
        named=NAMED,
        ramps=ramps,
        picture=drawn,
        alt=alt,
        width=width,
        **{entry.name: getattr(card, entry.name) for entry in fields(card)},
    )


def show_measurement(measured: Measurement) -> str:
    """One measurement with what it says."""
    card = Card(
        measured.title,
        "One measurement",
        sentences=(measured.explanation,),
        head=MEASURED,
        rows=(_measured_row(measured),),
    )
    return render_card(card)


def show_portrait(portrait: Portrait) -> str:
    """The measurements of a portrait, and its cosines by distance."""
    runs = len(portrait.readings)
    card = Card("Portrait", f"{runs} seed{'' if runs == 1 else 's'}", **_portrait_fields(portrait))
    figure = draw_shells(portrait) if portrait.shells.size else None
    return render_card(card, figure, alt="Mean cosine by graph distance", width=24)


def show_run(run: Run) -> str:
    """The portrait of finished runs and where their nodes lie; of large ones what was written down last."""
    try:
        return _show_graph(run) if isinstance(run.world, Graph) else _show_memory(run)
    except InputError as error:  # its files are gone or damaged, or no seed has numbers
        return render_card(Card(run.path.name, _over(run), sentences=(str(error),)))


def _show_graph(run: Run) -> str:
    title = describe_model(run.configuration)
    if run.graph.node_count * len(run.seeds) > QUICK_NODES:
        advice = "geomem.measure_fleet(run) measures the geometry of so many nodes."
        return render_card(_last_numbers(run, title, (advice,)))
    portrait = measure_fleet(run)
    card = Card(title, _over(run), **_portrait_fields(portrait))
    if not run.model.width:
        return render_card(card)
    view = view_fleet(run, portrait)
    figure = draw_embedding(view) if view.learned_maps is None else draw_map(view)
    ramp = len(view.nodes) if view.branches is None or view.learned_maps is not None else 0
    return render_card(card, figure, alt=f"Where the nodes of {run.graph.name} lie", ramp=ramp)


def _show_memory(run: Run) -> str:
    """Recall of a memory, and one of its subjects taken apart."""
    from geomem.measure.facts import describe_unmeasured, draw_portrait, question_names
    from geomem.runs.facts import question_answers

    note = describe_unmeasured(run)
    card = _last_numbers(run, title_memory(run), (note,) if note else ())
    if run.table.subject_count > QUICK_SUBJECTS or run.table.fact_count == 0:
        return render_card(card)
    known = question_answers(model_table(run), run.model.hops)
    try:
        fit = draw_portrait(run).fit
    except InputError:  # too few subjects to hold any out, or vectors that are not known
        return render_card(card)
    table = tabulate_subject(fit, run.embeddings()[0], known, relations=question_names(run))
    alt = "Parts of a subject vector and their shares"
    return render_card(card, Picture("subject", table, draw_subject, alt), alt=alt)


def show_audit(found: ModelAudit | GraphAudit | FactsAudit) -> str:
    """The layers of a graph, or the relations of facts, with their words."""
    audit = found.audit if isinstance(found, ModelAudit) else found
    notes = found.notes if isinstance(found, ModelAudit) else audit.notes
    return (
        _show_facts_audit(audit, notes) if isinstance(audit, FactsAudit) else _show_graph_audit(audit, notes)
    )


def _show_graph_audit(audit: GraphAudit, notes: Sequence[str]) -> str:
    layers = looks_by_layer(audit)
    trials = [
        f"{trial.name}, p {trial.p:.3f}, {'passed' if trial.passed else 'failed'}: {trial.sentence}."
        for trial in (*audit.trials, *audit.controls)
    ]
    card = Card(
        "Audit of a graph",
        f"{len(audit.entities):,} entities · {len(layers)} layer{'' if len(layers) == 1 else 's'}",
        word=audit.word,
        colour=WORD_COLOURS[audit.word],
        sentences=(f"{audit.reason[:1].upper()}{audit.reason[1:]}.",),
        more=(*trials, TEMPLATES_NOTE, *notes),
        head=("", *GRAPH_COLUMNS),
        rows=[(layer, *[cell(looks) for cell in GRAPH_COLUMNS.values()]) for layer, looks in layers.items()],
    )
    return render_card(
        card, draw_profile(tabulate_profile(audit)), alt="Correlation with distance by layer", width=36
    )


def _show_facts_audit(audit: FactsAudit, notes: Sequence[str]) -> str:
    words = [f"{found.relation}: {found.word}; {found.reason}." for found in audit.relations]
    rows = [
        (found.relation, found.word, *[cell(found) for cell in FACT_COLUMNS.values()])
        for found in audit.relations
    ]
    card = Card(
        "Audit of facts",
        f"{len(rows)} relation{'' if len(rows) == 1 else 's'}",
        sentences=(MAPS_NOTE,),
        more=(*words, *notes),
        head=("", "word", *FACT_COLUMNS),
        rows=rows,
    )
    return render_card(
        card, draw_maps(tabulate_maps(audit)), alt="Held-out objects that maps find by layer", width=36
    )


def _last_numbers(run: Run, title: str, sentences: Sequence[str] = ()) -> Card:
    numbers = [
        (name.replace("_", " ").replace(".", ", "), describe_range(pl.Series(values)))
        for name, values in run.final().items()
    ]
    return Card(title, _over(run), sentences=sentences, head=("", "after the last step"), rows=numbers)


def _over(run: Run) -> str:
    if isinstance(run.world, Graph):
        sizes = f"{run.world.node_count:,} nodes, {run.world.edge_count:,} edges"
    else:
        sizes = f"{run.world.subject_count:,} subjects, {run.world.fact_count:,} facts"
    seeds = f"{len(run.seeds)} seed{'' if len(run.seeds) == 1 else 's'}"
    return f"{run.world.name} · {sizes} · {seeds}"


def _portrait_fields(portrait: Portrait) -> dict[str, Any]:
    signs = [f"{sign.name}: {sign.sentence}" for sign in portrait.signatures if sign.sentence]
    return {
        "word": portrait.reading,
        "colour": READING_COLOURS.get(portrait.reading, "ink"),
        "sentences": (*signs, *portrait.notes),
        "head": MEASURED,
        "rows": [_measured_row(measured) for measured in portrait.measurements],
        "hints": {measured.title: measured.explanation for measured in portrait.measurements},
    }


def _measured_row(measured: Measurement) -> tuple[str, ...]:
    interval = f"{format_number(measured.low)} to {format_number(measured.high)}"
    chance = f"{format_number(measured.null_low)} to {format_number(measured.null_high)}"
    return (
        measured.title,
        format_number(measured.mean),
        interval if isfinite(measured.low) else "–",
        chance if measured.null else "–",
        format_p_value(measured.p_value),
    )
