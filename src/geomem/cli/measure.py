"""`geomem measure`: the measurements of a run, a memory of facts, or any embeddings on any graph.

Only a memory of facts needs torch: its network is asked anew, and trained on new facts.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from textwrap import fill
from typing import Any

import polars as pl
import tyro
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from geomem.cli.console import open_console
from geomem.cli.options import print_note, print_notes
from geomem.cli.progress import count_of
from geomem.cli.world_arguments import read_world_arguments
from geomem.errors import InputError
from geomem.measure.edges import READINGS, Portrait, measure_fleet, measure_vectors, portrait_table
from geomem.measure.paths import FIRST_PROMPT, stored_path_task
from geomem.measure.vectors.aliases import read_aliases
from geomem.measure.vectors.reading import Multiword, read_embeddings
from geomem.runs.run import holds_facts, read_run
from geomem.worlds.in_context import InContextPathFinding

DESCRIPTION = """Measure the geometry of a run's embeddings, or of any embeddings of a graph; or a memory.

Give a run directory, or --embeddings with --graph. Rows with labels are matched to the nodes of these labels;
rows without stand in the order of the nodes, which is said: by number if all labels are whole numbers, else
as they first appear in the file, and in a built-in world (whose options, such as --nodes, may follow) its
natural order. Of a memory of facts, trained or written down, everything on the docs page "Recall
measurements" is measured: about a minute per run at 1,000 subjects."""


@dataclass(frozen=True)
class MeasureOptions:
    """What is measured."""

    run: tyro.conf.Positional[Path | None] = None
    """A run directory, as `geomem memorize` prints it, or a memory, as `geomem learn` and `construct` do."""
    embeddings: Path | None = None
    """Node vectors: word2vec (text or .bin), GloVe, .csv, .tsv, .npz, .safetensors, .parquet or .npy."""
    labels: Path | None = None
    """What the rows of --embeddings are called, if they do not say: one label per line, or a JSON list."""
    array: str | None = None
    """The name of the vectors in an .npz or .safetensors file that holds several arrays."""
    multiword: Multiword = "whole"
    """Whether a name of several words without a row is left out, or is the mean of its words."""
    aliases: Path | None = None
    """Two columns: a name of the graph, and what --embeddings call it; of several lines for one name the
    first that is found counts."""
    graph: str | None = None
    """The graph that the embeddings should know: a file of edges, or a built-in world's name."""
    json: bool = False
    """Print JSON, with the values of every run, in place of the table."""
    seed: int = 0
    """Of the permutations and the bootstrap; of the subjects and new facts that a memory is tried on."""


def run(arguments: Sequence[str]) -> int:
    """Measure what the arguments name and print the table, or JSON."""
    options, graph = read_arguments(arguments)
    if options.embeddings is None and (options.labels or options.array or options.aliases):
        raise InputError(
            "--labels, --array and --aliases are about --embeddings; name the file of vectors as well."
        )
    notes: list[str] = []
    match options:
        case MeasureOptions(run=Path() as path, embeddings=None, graph=None) if holds_facts(path):
            return _measure_memory(path, options)
        case MeasureOptions(run=Path() as path, embeddings=None, graph=None):
            fleet = read_run(path, holding="graph")
            title, portrait = fleet.path.name, measure_fleet(fleet, seed=options.seed)
            if isinstance(stored_path_task(fleet), InContextPathFinding):
                notes.append(FIRST_PROMPT)
        case MeasureOptions(run=None, embeddings=Path() as path) if graph is not None:
            read = read_embeddings(
                path,
                graph,
                labels=options.labels,
                array=options.array,
                multiword=options.multiword,
                aliases={} if options.aliases is None else read_aliases(options.aliases, graph.labels),
            )
            print_notes(graph)
            notes += read.notes
            title = f"{path.name} on {graph.name}"
            portrait = measure_vectors(read.embeddings, read.graph, seed=options.seed)
            portrait = replace(portrait, notes=(*portrait.notes, *read.warnings))
        case _:
            raise InputError("Give either a run directory, or --embeddings with --graph.")
    for note in notes:
        print_note(note)
    if options.json:
        print(json.dumps(portrait_json(portrait) | {"input": notes}, ensure_ascii=False, indent=2))
    else:
        print_portrait(portrait, title)
    return 0


def read_arguments(arguments: Sequence[str]) -> tuple[MeasureOptions, Any]:
    """The options, and the graph they name: a file, or a built-in world by its options, in natural order.

    >>> options, graph = read_arguments(["--embeddings", "v.npy", "--graph", "path-star", "--arms", "2"])
    >>> graph.labels[:6]
    ('root', '1.1', '1.2', '1.3', '1.4', '2.1')
    """
    return read_world_arguments(MeasureOptions, arguments, verb="measure", description=DESCRIPTION)


def _measure_memory(path: Path, options: MeasureOptions) -> int:
    memory = read_run(path, holding="facts")

    from geomem.measure.facts import describe_unmeasured, measure_memory

    if note := describe_unmeasured(memory):
        print_note(note)
    rows = measure_memory(memory, seed=options.seed)
    if options.json:
        print(json.dumps({"runs": _finite(rows.to_dicts())}, ensure_ascii=False, indent=2))
    else:
        print_memory(rows, path.name)
    return 0


def print_memory(rows: pl.DataFrame, title: str) -> None:
    """The measurements of a memory, by the names of the docs page, each with its range over the runs."""
    console = open_console()
    console.print(Text(title, style="bold"), soft_wrap=True)
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold")
    table.add_column("measurement")
    titles = ("mean", "lowest", "highest") if len(rows) > 1 else ("value",)
    for column in titles:
        table.add_column(column, justify="right", no_wrap=True)
    for column in rows.drop("run", "seed"):
        values = column.to_numpy()
        # A number that some run does not have, as the steps to a recall never reached, has no mean.
        found = [values.mean(), values.min(), values.max()]
        cells = [str(values[0])] * len(titles) if column.dtype.is_integer() else [_number(v) for v in found]
        table.add_row(Text(column.name), *[Text(cell) for cell in cells[: len(titles)]])
    console.print(table)


def print_portrait(portrait: Portrait, title: str) -> None:
    """The table of measurements with intervals and null models, and the reading with its rule, for people."""
    console = open_console()
    runs = len(portrait.readings)
    console.print(Text(title, style="bold"), soft_wrap=True)
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold")
    table.add_column("measurement")
    table.add_column("mean" if runs > 1 else "value", justify="right", no_wrap=True)
    if runs > 1:
        table.add_column("95 % interval", justify="right", no_wrap=True)
    table.add_column("by chance", justify="right", no_wrap=True)
    table.add_column("p", justify="right", no_wrap=True)
    # What stands beside the titles takes 49 columns; a second line of a title is set in.
    width = max(console.width - 49, 20) if runs > 1 else max(console.width - 32, 20)
    for measured in portrait.measurements:
        title = fill(measured.title, width, subsequent_indent="  ")
        interval = [_interval(measured.low, measured.high)] if runs > 1 else []
        chance = _interval(measured.null_low, measured.null_high) if measured.null else ""
        p = f"{measured.p_value:.3f}" if measured.null else ""
        table.add_row(*[Text(cell) for cell in (title, _number(measured.mean), *interval, chance, p)])
    console.print(table)
    console.print()
    if portrait.sampled:
        console.print(Text(f"Of this large graph a part was sampled: {portrait.sampled}."))
    agreeing = portrait.readings.count(portrait.reading)
    share = f" ({agreeing} of {count_of(runs, 'run')})" if runs > 1 else ""
    if portrait.reading:
        console.print(Text.assemble("Reading: ", (portrait.reading, "bold"), share))
        console.print(Text(READINGS[portrait.reading]))
    if portrait.reading and portrait.reading in portrait.readings:
        run = portrait.readings.index(portrait.reading)
        where = f", run {run}" if runs > 1 else ""
        console.print(Text(f"Decided by{where}: {portrait.reasons[run]}."))
    for note in portrait.notes:
        console.print(Text.assemble(("Note", "bold"), f"  {note}"))
    found = [signature for signature in portrait.signatures if signature.sentence]
    if found:
        console.print()
        console.print(Text("Warnings"))
    for signature in found:
        console.print(Text.assemble((signature.name, "bold"), f"  {signature.sentence}"))
        console.print(Padding(Text(f"Rule: {signature.rule}", style="dim"), (0, 0, 0, 2)))


def portrait_json(portrait: Portrait) -> dict:
    """A portrait as JSON values; numbers that do not exist are null."""
    return {
        "reading": portrait.reading,
        "readings": list(portrait.readings),
        "reasons": list(portrait.reasons),
        "rule": READINGS.get(portrait.reading, ""),
        "signatures": [
            {
                "name": signature.name,
                "found": signature.found.tolist(),
                "quantity": signature.quantity,
                "values": _finite(signature.values.tolist()),
                "sentence": signature.sentence,
                "rule": signature.rule,
            }
            for signature in portrait.signatures
        ],
        "measurements": [_finite(row) for row in portrait_table(portrait).to_dicts()],
        "notes": list(portrait.notes),
        "sampled": portrait.sampled,
        "shells": {
            "distances": _finite(portrait.shell_distances.tolist()),
            "mean_cosines": _finite(portrait.shells.tolist()),
            "centred_mean_cosines": _finite(portrait.centred_shells.tolist()),
        },
        "spectrum": {
            "eigenvalues": _finite(portrait.eigenvalues.tolist()),
            "multiplicities": portrait.multiplicities.tolist(),
            "energies": _finite(portrait.energies.tolist()),
            "band_edges": None if portrait.band_edges is None else portrait.band_edges.tolist(),
        },
    }


def _finite(value):
    """The same value with None for every NaN and infinity, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def _number(value: float) -> str:
    return f"{value:.3f}" if isfinite(value) else "-"


def _interval(low: float, high: float) -> str:
    return f"{low:.3f} to {high:.3f}" if isfinite(low) and isfinite(high) else ""
