"""The report on memories of facts: portraits over the dimensions to spare, and each memory taken apart."""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from math import isfinite
from pathlib import Path

import polars as pl

from geomem.errors import InputError
from geomem.figures.bits_drawing import draw_bits, tabulate_bits
from geomem.figures.memory_drawing import draw_selector, draw_subject, tabulate_selector, tabulate_subject
from geomem.figures.portrait_drawing import PORTRAITS, draw_portraits, tabulate_portraits
from geomem.memories.opened import model_table
from geomem.models.configuration import Recall
from geomem.models.own import OwnModule
from geomem.report.html import check_places, count_word, format_number, read_resource, render_html, write_page
from geomem.report.picture import Picture, save_picture
from geomem.runs.run import Run
from geomem.worlds.facts.table import entropy_bits

CAPTIONS = {
    "superposition": "Subject vectors fitted as sums of one map per relation of their attributes' codes, and "
    "judged on subjects held out; shuffled ones say what no relation between them gives. Dots are means over "
    "runs, bars reach from the lowest to the highest.",
    "selector": "An ideal selector reads with maps that share nothing between relations, the same for all "
    "subjects, and opens its gates by the relation alone. The affine surrogate is what one fixed map per "
    "relation recalls in place of the network.",
    "transfer": "New facts, drawn like the old ones, with every weight as it was but the subject vectors: "
    "written by a rule that was chosen on old facts, or trained. With wrong maps every attribute is written "
    "as if it belonged to the next relation.",
    "subject": "The subject is the held-out one whose own R² is their median. Ridge shrinks the parts, so "
    "that their shares add up to less than what the sum explains.",
    "maps": "Cosines between the mean Jacobians of every two relations, plain and as they move logits; and "
    "the share of subjects for which each neuron is open, by the relation that opens it most.",
    "bits": "Recall when nothing but the subject table is rounded. L1 is the bound: less than one bit per "
    "bit of the facts cannot recall them all; weights that were trained count in full, at 32 bits each.",
}
"""What stands under each picture."""


@dataclass(frozen=True, eq=False)
class MemoryView:
    """What the page shows of one memory."""

    memory: Run
    rows: pl.DataFrame
    """One row of numbers per run."""
    pictures: tuple[Picture, ...]
    """Of its first run."""
    note: str = ""
    """What is not measured of it, and why."""


def view_memory(memory: Run, *, training_steps: int = 250, seed: int = 0) -> MemoryView:
    """Measure every run of a memory, about a minute each at 1,000 subjects, and take the first one apart."""
    from geomem.measure.facts import (
        describe_unmeasured,
        draw_portrait,
        question_names,
        recall_with,
        tabulate_portrait_numbers,
    )
    from geomem.measure.recall_portrait import Unmeasured
    from geomem.runs.facts import question_answers

    runs = range(len(memory.seeds))
    portraits = [draw_portrait(memory, run, training_steps=training_steps, seed=seed) for run in runs]
    first, names = portraits[0], question_names(memory)
    known = question_answers(model_table(memory), memory.model.hops)
    who, pictures = f"of run 0 of {memory.table.name}", []
    with suppress(Unmeasured):
        subject = tabulate_subject(first.fit, first.embeddings, known, relations=names)
        alt = f"Parts of a subject vector {who} and their shares"
        pictures.append(Picture("subject", subject, draw_subject, alt))
        maps = tabulate_selector(first.map_cosines, first.read_out_cosines, first.gate_rates, relations=names)
        alt = f"Cosines of the relations' maps and gates {who}"
        pictures.append(Picture("maps", maps, draw_selector, alt))
    bits = entropy_bits(model_table(memory))
    # A tied table is read out as well as in: rounding it would change more than the subjects.
    if bits and isinstance(memory.model, Recall) and not memory.model.tied:
        weights = {name: values[0] for name, values in memory.weights().items()}
        others = sum(array.size for name, array in weights.items() if name != "subject_embedding")
        written = "fact_bits" in memory.manifest["configuration"]["training"]
        rounded = tabulate_bits(
            *(weights, partial(recall_with, memory)),
            memory=f"width {memory.model.width:,}",
            facts_bits=bits,
            other_bits=0.0 if written else 32.0 * others,
        )
        pictures.append(Picture("bits", rounded, draw_bits, f"Recall over bits {who}"))
    rows, note = tabulate_portrait_numbers(memory, portraits), describe_unmeasured(memory)
    return MemoryView(memory, rows, tuple(pictures), note)


def compare_memories(views: Sequence[MemoryView]) -> tuple[Picture, ...]:
    """The pictures of all memories together, over d / (R ln N)."""
    rows = pl.concat([view.rows for view in views])
    pictures = []
    for name, picture in PORTRAITS.items():
        with suppress(InputError):  # no memory has any of its numbers
            table, alt = tabulate_portraits(rows, picture), f"Lines over d / (R ln N): {picture.title}"
            pictures.append(Picture(name, table, partial(draw_portraits, picture=picture), alt))
    return tuple(pictures)


def write_memory_report(
    memories: Sequence[Run],
    out: str | os.PathLike[str],
    figures: str | os.PathLike[str] | None = None,
    *,
    training_steps: int = 250,
) -> Path:
    """Write one HTML page about memories of facts, trained or written down; the path written.

    With `figures`, a directory, every picture is also written there as PDF and SVG with its data as CSV,
    those of single memories in subdirectories. Memories of several widths become curves. The page holds all
    it needs, runs no script and asks for nothing from anywhere.

    Raises `InputError` if there is no memory or the place cannot be written to.
    """
    if not memories:
        raise InputError("No memory was given to report on; give at least one directory of a memory.")
    out = Path(out)
    check_places(out, figures)
    views = [view_memory(memory, training_steps=training_steps) for memory in memories]
    shared = compare_memories(views)
    write_page(render_memories(views, shared), out)
    if figures is not None:
        for picture in shared:
            save_picture(picture, Path(figures))
        for number, view in enumerate(views):
            own = Path(figures) / f"{number + 1}-{view.memory.path.name}"
            for picture in view.pictures:
                save_picture(picture, own)
    return out


def render_memories(views: Sequence[MemoryView], shared: Sequence[Picture]) -> str:
    """The page's HTML."""
    return render_html(
        read_resource("memories.html"),
        title=f"{count_word(len(views)).capitalize()} memor{'y' if len(views) == 1 else 'ies'} of facts",
        views=views,
        shared=shared,
        numbers=[name for name in views[0].rows.columns if name not in ("run", "seed")],
        captions=CAPTIONS,
        range_of=lambda view, name: describe_range(view.rows[name]),
        title_of=title_memory,
    )


def title_memory(memory: Run) -> str:
    """What a page calls a memory: its table, and its width or the module of a person's own."""
    model = memory.model
    said = model.source if isinstance(model, OwnModule) else f"width {model.width:,}"
    return f"{memory.table.name}, {said}"


def describe_range(values: pl.Series) -> str:
    """A number's mean over runs, with its range where runs differ; a dash where no run has it.

    Whole numbers, which are sizes, are the same in all runs.

    >>> describe_range(pl.Series([0.25, 0.75])), describe_range(pl.Series([float("nan")]))
    ('0.500 (0.250 to 0.750)', '–')
    >>> describe_range(pl.Series([1024, 1024]))
    '1,024'
    """
    if values.dtype.is_integer():
        return f"{values[0]:,}"
    found = [float(value) for value in values if isfinite(value)]
    if not found:
        return "–"
    low, high = format_number(min(found)), format_number(max(found))
    mean = format_number(sum(found) / len(found))
    return mean if low == high else f"{mean} ({low} to {high})"
