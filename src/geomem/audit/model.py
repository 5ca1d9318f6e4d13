"""The audit of a model or of vectors in one call: looked into, then judged, with its twins and answers."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

from geomem.audit.asking import ask_facts, move_answers
from geomem.audit.facts import SHUFFLES, FactsAudit, audit_facts
from geomem.audit.graph import GraphAudit, audit_graph
from geomem.audit.source import Reading, Source, graph_behaviour, object_states, read_source, twins
from geomem.errors import InputError
from geomem.geometry.nulls import PERMUTATIONS
from geomem.measure.vectors.reading import listed
from geomem.shown import shown_by
from geomem.version import find_version
from geomem.worlds.facts.several_answers import numbered_relations
from geomem.worlds.facts.table import FactTable
from geomem.worlds.graphs.graph import Graph

MANY_ENTITIES, TWINS = 1500, 3
"""Of more entities one re-initialised twin is looked into, else three: a twin takes as long as the model."""


@shown_by("geomem.report.card:show_audit")
@dataclass(frozen=True, eq=False)
class ModelAudit:
    """An audit, and what is to be known of how it was made."""

    source: Source
    world: Graph | FactTable
    audit: GraphAudit | FactsAudit
    notes: tuple[str, ...]
    """What was understood, checked and left out, one sentence each."""
    settings: Mapping[str, Any]
    """What was chosen, and the versions: all that a repetition needs."""


def audit_model(
    model: str | os.PathLike[str],
    world: Graph | FactTable,
    *,
    reading: Reading | None = None,
    questions: Mapping[str, str] | None = None,
    baseline: str | os.PathLike[str] | None = None,
    baseline_reading: Reading | None = None,
    twin_count: int | None = None,
    permutations: int = PERMUTATIONS,
    causal: bool = False,
    seed: int = 0,
) -> ModelAudit:
    """Whether a model's folder, or a file of vectors, holds a graph or facts as a geometry; and which words.

    `questions` ask the model itself: by relation, or under the graph's name, a template with two places such
    as `The capital of {} is {}`. Relations without one are asked with `usual_question`. `baseline` is a file
    of vectors that know which words stand together, as GloVe's; only for graphs. With `causal` the states of
    subjects are replaced and moved as well, and the model asked with these (`measure_causes`); only for facts
    and models that answer. The rules are those of `audit_graph` and `audit_facts`. Raises `InputError` for
    whatever `read_source` and these refuse.

    >>> import pathlib, tempfile
    >>> from geomem.worlds.graphs.families import grid
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "vectors.txt"
    ...     _ = file.write_text("\\n".join(f"{5 * x + y} {x} {y}" for x in range(5) for y in range(5)))
    ...     audit_model(file, grid(5, 5)).audit.word
    'geometry'
    """
    reading = reading or Reading()
    known = questions or {}
    if isinstance(world, Graph):
        if causal:
            raise InputError("--causal is about relations; leave it out with --graph.")
        if strange := sorted(known.keys() - {world.name}):
            raise InputError(
                f"The question of {strange[0]!r} is about no relation: {world.name!r} is a graph."
            )
        source = read_source(model, world.labels, reading)
        count = _usual_twins(source) if twin_count is None else twin_count
        beside = None
        if baseline is not None:
            beside = read_source(baseline, source.states.entities, baseline_reading)
        behaviour = graph_behaviour(source, world, known[world.name]) if known else None
        asked = tuple(f"Asked: {question!r}." for question in known.values())
        frequencies = source.frequencies if beside is None else beside.frequencies
        has_all = frequencies is not None and frequencies.keys() >= set(source.states.entities)
        audit = audit_graph(
            source.states,
            world,
            twins=(twin.states for twin in twins(source, count, seed=seed, say=reading.say)),
            baseline=None if beside is None else beside.states,
            known=behaviour,
            tokens=source.tokens,
            frequencies=frequencies if has_all else None,
            permutations=permutations,
            seed=seed,
        )
        of_baseline = () if beside is None else tuple(f"Baseline: {note}" for note in beside.notes)
        settings = _settings(source, world, reading, questions=known, twins=count, seed=seed)
        settings |= {"permutations": permutations, "rewired graphs": len(audit.rewired_mantels)}
        if baseline is not None:
            settings |= {"baseline": os.fspath(baseline)}
        notes = (*source.notes, *asked, *of_baseline, *audit.notes)
        return ModelAudit(source, world, audit, notes, settings)
    if baseline is not None:
        raise InputError("--baseline is about graphs; leave it out with --facts.")
    return _audit_facts(model, world, reading, known, twin_count, causal, seed)


def usual_question(relation: str) -> str:
    """How a relation is asked for if nobody says it better.

    >>> usual_question("main_language")
    'The main language of {} is {}'
    """
    return f"The {relation.replace('_', ' ')} of {{}} is {{}}"


def _usual_twins(source: Source) -> int:
    return 1 if len(source.states.entities) > MANY_ENTITIES else TWINS


def _audit_facts(
    model: str | os.PathLike[str],
    table: FactTable,
    reading: Reading,
    questions: Mapping[str, str],
    twin_count: int | None,
    causal: bool,
    seed: int,
) -> ModelAudit:
    table = numbered_relations(table)
    if strange := sorted(questions.keys() - set(table.relations)):
        raise InputError(
            f"{strange[0]!r} is no relation of {table.name!r}; it has {listed(table.relations)}."
        )
    source = read_source(model, table.subjects, reading)
    objects, notes = object_states(source, table.objects, reading)
    answered = None
    sentences = {name: questions.get(name, usual_question(name)) for name in table.relations}
    if questions or causal or (source.model is not None and source.model.answers):
        reading.say("Asking the model.")
        answered = ask_facts(source, table, objects, sentences, seed=seed)
        notes = (*notes, *(f"Asked: {question!r}." for question in sentences.values()))
    count = _usual_twins(source) if twin_count is None else twin_count
    audit = audit_facts(
        source.states,
        table,
        objects,
        behaviours=answered.behaviours if answered else None,
        twins=(
            (twin.states, object_states(twin, objects.entities, reading)[0])
            for twin in twins(source, count, seed=seed, say=reading.say)
        ),
        seed=seed,
    )
    if answered:
        audit = replace(audit, selection=answered.selection)
    if answered and causal:
        causes, left_out = move_answers(
            source,
            table,
            objects,
            sentences,
            audit.relations,
            seconds=answered.seconds,
            say=reading.say,
            seed=seed,
        )
        audit = replace(audit, causes=causes, notes=(*audit.notes, *left_out))
    asked = sentences if answered else {}
    settings = _settings(source, table, reading, questions=asked, twins=count, seed=seed)
    settings |= {"shuffles of the objects": SHUFFLES} | ({"answers moved": True} if causal else {})
    return ModelAudit(source, table, audit, (*source.notes, *notes, *audit.notes), settings)


def _settings(
    source: Source,
    world: Graph | FactTable,
    reading: Reading,
    *,
    questions: Mapping[str, str],
    twins: int,
    seed: int,
) -> dict[str, Any]:
    states, packages = source.states, ["numpy", "scipy"]
    found: dict[str, Any] = {"model": str(source.path), "world": world.name, "where": states.position}
    if source.draw is not None:
        packages += ["torch"]
        found |= {"re-initialised twins": twins}
        found |= {f"template {number + 1}": template for number, template in enumerate(states.templates)}
    elif source.model is None:
        found |= {"names of several words": reading.multiword}
        if reading.array is not None:
            found |= {"array": reading.array}
        if reading.labels is not None:
            labels = reading.labels
            is_file = isinstance(labels, str | os.PathLike)
            found |= {"labels": str(labels) if is_file else f"{len(labels):,} names"}
    else:
        packages += ["torch", "transformers"]
        found |= {"device": reading.device, "re-initialised twins": twins}
        found |= {f"template {number + 1}": template for number, template in enumerate(states.templates)}
    if reading.aliases:
        told = [f"{', '.join(given)} for {name}" for name, given in reading.aliases.items()]
        found |= {"aliases": "; ".join(told)}
    found |= {f"question, {relation}": question for relation, question in questions.items()}
    versions = {"geomem": find_version()} | {name: version(name) for name in packages}
    return found | {"seed": seed, "versions": versions}
