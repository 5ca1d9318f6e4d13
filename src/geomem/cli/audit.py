"""`geomem audit`: does a model, or do vectors, hold a graph or facts as a geometry, and by which rule."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tyro
from rich.table import Table
from rich.text import Text

from geomem.audit.causal import RelationCauses
from geomem.audit.columns import (
    CAUSE_COLUMNS,
    CAUSES_NOTE,
    FACT_COLUMNS,
    GRAPH_COLUMNS,
    MAPS_NOTE,
    SUMS,
    SUMS_NOTE,
    TEMPLATES_NOTE,
    gains_of,
    looks_by_layer,
    sums_by_layer,
)
from geomem.audit.facts import FactsAudit
from geomem.audit.graph import GraphAudit
from geomem.audit.model import ModelAudit, audit_model
from geomem.audit.prompts import read_templates
from geomem.audit.source import Reading
from geomem.audit.words import Trial
from geomem.cli.console import open_console
from geomem.cli.options import print_note, print_notes
from geomem.cli.progress import count_of
from geomem.cli.world_arguments import read_world_arguments
from geomem.errors import InputError
from geomem.geometry.nulls import PERMUTATIONS
from geomem.measure.vectors.aliases import read_aliases
from geomem.measure.vectors.reading import Multiword
from geomem.worlds.facts.table import FactTable
from geomem.worlds.graphs.graph import Graph

DESCRIPTION = """Does a model hold a graph, or facts, as a geometry, as a lookup table, or not at all?

MODEL is a folder that `save_pretrained` wrote (safetensors, a decoder or an encoder that transformers has,
with its tokenizer; it is opened offline and runs no code of its own), or a file of labelled vectors (GloVe,
word2vec text or .bin, .csv, .tsv, .parquet, .npz, .npy or .safetensors). --graph is a file of edges or a
built-in world, --facts a file of triples or a built-in table. Names are put into neutral sentences; what the
model holds at their tokens, layer by layer, is compared with permuted entities, with the same architecture
before any training, with graphs of the same degrees and, if you give one, with a baseline of word vectors."""


@dataclass(frozen=True)
class AuditOptions:
    """What is audited."""

    model: tyro.conf.Positional[Path | None] = None
    """A folder of a model, the directory of a run of `geomem tell`, or a file of labelled vectors."""
    graph: str | None = None
    """The graph that it may know: a file of edges, or a built-in world's name."""
    facts: str | None = None
    """The facts that it may know: a file of triples, or a built-in table's name."""
    question: tuple[str, ...] = ()
    """How the model is asked: relation=sentence with {} for the subject and {} for the answer; of a graph the
    sentence alone, as in 'A country that borders {} is {}'."""
    templates: Path | None = None
    """The sentences in which a model reads the names, one per line with {}; three neutral ones by default."""
    position: Literal["last", "mean"] = "last"
    """Where in a name: at its last token, or the mean of its tokens."""
    labels: Path | None = None
    """What the rows of a file of vectors are called, if it does not say."""
    array: str | None = None
    """The name of the vectors in an .npz or .safetensors file that holds several arrays."""
    multiword: Multiword = "whole"
    """Of vectors: whether a name of several words without a row is left out, or is the mean of its words."""
    aliases: Path | None = None
    """Two columns: a name of the world, and what the model or the vectors call it; of several lines for one
    name the first that is found counts."""
    baseline: Path | None = None
    """Vectors that know which words stand together, such as GloVe's; names of several words are means."""
    baseline_labels: Path | None = None
    """What the rows of --baseline are called, if it does not say."""
    causal: bool = False
    """Of facts: also put the states of other subjects in the place of the subject's, move it along the fitted
    maps and anywhere, and ask the model with these; as long as the model takes for some hundred questions of
    each relation."""
    twins: int | None = None
    """How many re-initialised models are looked into; 3, or 1 for more than 1,500 names, if not given."""
    permutations: int = PERMUTATIONS
    """How often the entities of a graph are permuted."""
    seed: int = 0
    """Of permutations, samples, and the weights of the re-initialised models."""
    device: str = "cpu"
    """cpu, cuda, or cuda:1: where a model is computed."""
    out: Path | None = None
    """An HTML file for the report: one page with pictures that opens without a network."""
    figures: Path | None = None
    """A directory for every picture of the report as PDF and SVG, with its data as CSV."""
    json: bool = False
    """Print JSON, with every layer and template, in place of the tables."""


def run(arguments: Sequence[str]) -> int:
    """Audit what the arguments name and print what was found, or JSON."""
    options, world = read_world_arguments(AuditOptions, arguments, verb="audit", description=DESCRIPTION)
    if options.model is None or world is None:
        raise InputError(
            "Give a model and what it may know, as in `geomem audit folder --graph europe` or "
            "`geomem audit vectors.txt --facts facts.tsv`."
        )
    if (options.twins is not None and options.twins < 0) or options.permutations < 1:
        raise InputError("--twins is a count of at least 0 and --permutations of at least 1.")
    if options.baseline is None and options.baseline_labels is not None:
        raise InputError("--baseline-labels is about --baseline; name the file of vectors as well.")
    if options.figures is not None and options.out is None:
        raise InputError(
            "--figures is about the pictures of the report; name the report as well, with --out."
        )
    if options.out is not None:
        from geomem.report.html import check_places

        check_places(options.out, options.figures)
    print_notes(world)
    names = world.labels if isinstance(world, Graph) else world.subjects + world.objects
    aliases = {} if options.aliases is None else read_aliases(options.aliases, names)
    found = audit_model(
        options.model,
        world,
        reading=Reading(
            templates=None if options.templates is None else read_templates(options.templates),
            position="last token" if options.position == "last" else "mean of tokens",
            labels=options.labels,
            array=options.array,
            multiword=options.multiword,
            aliases=aliases,
            device=options.device,
            say=print_note,
        ),
        questions=_questions(options.question, world),
        baseline=options.baseline,
        baseline_reading=Reading(labels=options.baseline_labels, multiword="mean", aliases=aliases),
        twin_count=options.twins,
        permutations=options.permutations,
        causal=options.causal,
        seed=options.seed,
    )
    if options.json:
        print(json.dumps(audit_json(found), ensure_ascii=False, indent=2))
    else:
        print_audit(found, f"{options.model.name} on {world.name}")
    if options.out is not None:
        from geomem.report.audit import write_audit

        command = shlex.join(("geomem", "audit", *arguments))
        place = write_audit(found, options.out, options.figures, command=command)
        print_note(str(place)) if options.json else print(place)
    return 0


def _questions(given: Sequence[str], world: Graph | FactTable) -> dict[str, str]:
    """The sentences by relation; that of a graph by its name.

    >>> from geomem.worlds.graphs.families import path
    >>> _questions(["Beside {} is {}"], path(3))
    {'path-3': 'Beside {} is {}'}
    """
    if isinstance(world, Graph):
        if len(given) > 1:
            raise InputError(f"A graph takes one --question and {len(given)} were given.")
        return dict.fromkeys([world.name][: len(given)], given[0] if given else "")
    parts = [question.partition("=") for question in given]
    if wrong := [question for question, sign, _ in parts if not sign]:
        raise InputError(
            f"The question {wrong[0][:80]!r} does not say of which relation; write relation=sentence, as in "
            "'capital=The capital of {} is {}'."
        )
    return {relation: sentence for relation, _, sentence in parts}


def print_audit(found: ModelAudit, title: str) -> None:
    """The profile of all layers, the trials that decided and the word, for people."""
    console = open_console()
    console.print(Text(title, style="bold"), soft_wrap=True)
    for note in found.notes:
        console.print(Text(note, style="dim"))
    console.print()
    if isinstance(found.audit, GraphAudit):
        _print_graph(console, found.audit)
    else:
        _print_facts(console, found.audit)


def _print_graph(console: Any, audit: GraphAudit) -> None:
    table = _table("layer", *GRAPH_COLUMNS)
    for layer, looks in looks_by_layer(audit).items():
        table.add_row(Text(layer), *[Text(cell(looks)) for cell in GRAPH_COLUMNS.values()])
    console.print(table)
    console.print(Text(TEMPLATES_NOTE, "dim"))
    console.print()
    _print_trials(console, audit.trials, audit.controls)
    if audit.left_out:
        console.print(Text(f"Left out: {count_of(len(audit.left_out), 'node')} without vectors."))
    console.print(Text.assemble("Word: ", (audit.word, "bold")))
    console.print(Text(f"{audit.reason[:1].upper()}{audit.reason[1:]}."))


def _print_facts(console: Any, audit: FactsAudit) -> None:
    table = _table("relation", *FACT_COLUMNS)
    for relation in audit.relations:
        cells = [Text(cell(relation)) for cell in FACT_COLUMNS.values()]
        table.add_row(Text(relation.relation), *cells)
    console.print(table)
    console.print(Text(MAPS_NOTE, "dim"))
    console.print()
    for relation in audit.relations:
        console.print(
            Text.assemble(f"{relation.relation}: ", (relation.word, "bold"), f". {relation.reason}.")
        )
    console.print()
    table = _table("layer", *SUMS)
    for layer, cells in sums_by_layer(audit).items():
        table.add_row(Text(layer), *map(Text, cells))
    console.print(table)
    console.print(Text(SUMS_NOTE, "dim"))
    if audit.causes:
        _print_causes(console, audit.causes)


def _print_causes(console: Any, found: Sequence[RelationCauses]) -> None:
    console.print()
    table = _table("relation", "layer", *CAUSE_COLUMNS)
    gains = _table("relation", "layer", "moved by", *gains_of(found[0].causes)[0])
    for at in found:
        where = Text(at.relation), Text(at.layer)
        table.add_row(*where, *[Text(cell(at.causes)) for cell in CAUSE_COLUMNS.values()])
        _, moved, random = gains_of(at.causes)
        gains.add_row(*where, Text("map"), *map(Text, moved))
        gains.add_row("", "", Text("random"), *map(Text, random))
    console.print(table)
    console.print(gains)
    console.print(Text(CAUSES_NOTE, "dim"))


def _print_trials(console: Any, trials: Sequence[Trial], controls: Sequence[Trial]) -> None:
    for kind, entries in (("Trials", trials), ("Beside them", controls)):
        if not entries:
            continue
        console.print(Text(kind, style="bold"))
        for trial in entries:
            passed = "passed" if trial.passed else "failed"
            console.print(Text(f"  {passed}  p {trial.p:.3f}  {trial.name}: {trial.sentence}"))
    console.print()


def _table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold")
    for at, title in enumerate(titles):
        table.add_column(title, justify="left" if at == 0 else "right", no_wrap=True)
    return table


def audit_json(found: ModelAudit) -> dict[str, Any]:
    """An audit as JSON values; numbers that do not exist are null."""
    content = _plain(found.audit)
    assert isinstance(content, dict)
    return {"input": list(found.notes)} | content


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {entry.name: _plain(getattr(value, entry.name)) for entry in fields(value)}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    return None if isinstance(value, float) and not isfinite(value) else value
