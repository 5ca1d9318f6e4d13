"""Sections of the page on an audit of facts, one function each."""

import numpy as np
from jaxtyping import Int

from geomem.audit.columns import (
    CAUSE_COLUMNS,
    CAUSES_NOTE,
    FACT_COLUMNS,
    MAPS_NOTE,
    SUMS,
    SUMS_NOTE,
    gains_of,
    sums_by_layer,
)
from geomem.audit.facts import FactsAudit
from geomem.audit.held_out import STRENGTHS
from geomem.audit.model import ModelAudit
from geomem.audit.resampling import BOOTSTRAPS
from geomem.audit.words import WORDS
from geomem.figures.audit_drawing import (
    draw_causes,
    draw_relation,
    draw_relations,
    tabulate_causes,
    tabulate_maps,
    tabulate_relations,
)
from geomem.report.audit_section import (
    Section,
    Table,
    answer_tables,
    capital,
    describe_behaviour,
    place_of,
    real_minus,
    share,
    trial_table,
)
from geomem.report.picture import Picture
from geomem.worlds.facts.table import FactTable

MOST_RELATIONS = 24
"""Relations that have a section of their own; of more the table has all."""


def fact_sections(found: ModelAudit, audit: FactsAudit) -> list[Section | None]:
    """All of them, in their order."""
    return [
        show_relations(audit),
        *(show_relation(audit, number) for number in range(min(MOST_RELATIONS, len(audit.relations)))),
        show_crossed(found, audit),
        show_sums(found, audit),
        show_causes(audit),
    ]


def show_relations(audit: FactsAudit) -> Section:
    """All relations side by side."""
    rows = [
        (found.relation, found.word, *[real_minus(cell(found)) for cell in FACT_COLUMNS.values()])
        for found in audit.relations
    ]
    picture = Picture("relations", tabulate_relations(audit), draw_relations, "Shares of objects found")
    caption = (
        "A map is fitted on all subjects but one and asked for that one's object; filled dots are ridge "
        "regressions, open ones the mean difference of object and subject. Beyond the grey bar a map finds "
        "more than its controls."
    )
    more = len(audit.relations) - MOST_RELATIONS
    sentences = [f"The first {MOST_RELATIONS} relations have a section below."] if more > 0 else []
    table = Table(("Relation", "word", *FACT_COLUMNS), rows, note=MAPS_NOTE, words=frozenset(("word", "at")))
    return Section("All relations", sentences=sentences, pictures={caption: picture}, tables=[table])


def show_relation(audit: FactsAudit, number: int) -> Section:
    """One relation: why its word, its layers, and what maps and model answer."""
    found = audit.relations[number]
    sentences, pictures = [f"{capital(found.reason)}."], {}
    answers = {"the map finds": found.held_out}
    if found.behaviour is not None:
        sentences.append(describe_behaviour(found.behaviour))
        answers["the model says"] = found.behaviour.answers
    if len({look.layer for look in found.looks}) > 1:
        table = tabulate_maps(audit).filter(relation=found.relation)
        caption = (
            "Held-out objects that maps find at each layer; thin lines are templates, thick ones their "
            "means. The band reaches to the larger of the two controls."
        )
        alt = f"Held-out objects found by layer: {found.relation}"
        pictures[caption] = Picture(f"relation-{number + 1}", table, draw_relation, alt)
    look = found.looks[found.best_linear]
    note = f"The map is the best linear one, at {place_of(look)}; the subject it is asked for was left out."
    tables = [trial_table(found.trials, "Trials"), *answer_tables(answers, wanted="right", note=note)]
    return Section(found.relation, found.word, sentences, pictures, tables)


def show_crossed(found: ModelAudit, audit: FactsAudit) -> Section | None:
    """The map of one relation, asked for every other."""
    names, measured = _measured_relations(found, audit)
    if len(names) < 2 or len(names) > MOST_RELATIONS:
        return None
    crossed = audit.crossed[np.ix_(measured, measured)]
    own = frozenset((at, at + 1) for at in range(len(names)))
    rows = [(name, *[share(value) for value in values]) for name, values in zip(names, crossed, strict=True)]
    sentence = (
        "The best linear map of the relation at the left, asked for the objects of the relation above. A map "
        "that does as well for others reads something coarser than its relation (arXiv 2510.26543)."
    )
    return Section(
        "One relation's map asked for another",
        sentences=(sentence,),
        tables=[Table(("Map of", *names), rows, strong=own)],
    )


def show_sums(found: ModelAudit, audit: FactsAudit) -> Section | None:
    """The superposition fit of every layer, and what asking selects there."""
    layers = sums_by_layer(audit)
    if not layers:
        return None
    names, measured = _measured_relations(found, audit)
    shown = measured if len(names) <= MOST_RELATIONS else measured[:0]
    rows = []
    for layer, cells in layers.items():
        looks = [look.shares for look in audit.superposition if look.layer == layer]
        shares = np.mean(looks, axis=0)[shown].tolist() if looks else [float("nan")] * len(shown)
        rows.append((layer, *map(real_minus, cells), *map(share, shares)))
    sentence = (
        "Are the subjects' vectors sums of attribute vectors, one per relation (arXiv 2605.12426)? At the "
        "right the share of the variance that each relation explains, mean over the templates."
    )
    table = Table(("Layer", *SUMS, *names[: len(shown)]), rows, note=SUMS_NOTE)
    return Section("Sums of attributes", sentences=(sentence,), tables=[table])


def show_causes(audit: FactsAudit) -> Section | None:
    """Whether answers follow the subject's state, if that was asked for."""
    if not audit.causes:
        return None
    gains, *_ = gains_of(audit.causes[0].causes)
    rows, moves = [], []
    for found in audit.causes:
        name = f"{found.relation}, {found.layer}"
        _, moved, random = gains_of(found.causes)
        rows.append((name, *[cell(found.causes) for cell in CAUSE_COLUMNS.values()]))
        moves += [(name, "map", *map(real_minus, moved)), (name, "random", *map(real_minus, random))]
    picture = Picture(
        "causes", tabulate_causes(audit), draw_causes, "Answers that follow a moved state, by gain"
    )
    caption = (
        "Share of answers that become another subject's when the state is moved along the fitted map (solid) "
        "and as far in a random direction (dotted), by how many times as far as the map says."
    )
    tables = [
        Table(("Relation", *CAUSE_COLUMNS), rows, note=CAUSES_NOTE),
        Table(
            ("Relation", "moved by", *gains), moves, "By gain", words=frozenset(("moved by",)), folded=True
        ),
    ]
    return Section("Causes", pictures={caption: picture}, tables=tables)


def _measured_relations(
    found: ModelAudit, audit: FactsAudit
) -> tuple[list[str], Int[np.ndarray, " relation"]]:
    assert isinstance(found.world, FactTable)
    measured = np.flatnonzero(np.isfinite(audit.crossed.diagonal()))
    return [found.world.relations[relation] for relation in measured], measured


def summarize_words(audit: FactsAudit) -> str:
    """Every word with its relations, in the order of the words."""
    words = [word for word in WORDS if any(found.word == word for found in audit.relations)]
    return " ".join(
        f"{capital(word)}: {', '.join(found.relation for found in audit.relations if found.word == word)}."
        for word in sorted(words, key=lambda word: word != "geometry")
    )


def describe_fact_method() -> list[str]:
    """Every transform and count behind the numbers."""
    strengths = ", ".join(f"{strength:g}" for strength in STRENGTHS)
    return [
        "A map that leaves a subject out predicts a vector for it, and the object of the relation with the "
        "largest cosine to it, both less the mean object, is the answer.",
        f"Linear maps are ridge regressions with intercept, of the strengths {strengths} times the mean "
        "energy of the subjects' directions; the offset adds the mean difference of object and subject.",
        "p is that of the largest share of objects found over all layers, templates and maps, with objects "
        f"shuffled; against twins, of {BOOTSTRAPS} resamples of the subjects.",
    ]
