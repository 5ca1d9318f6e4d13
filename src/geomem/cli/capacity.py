"""`geomem capacity`: how wide a recall model must be for how many facts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich.table import Table

from geomem.cli.console import open_console
from geomem.cli.engine import EngineOptions
from geomem.cli.options import OptionGroup, first_line, parse_groups
from geomem.cli.progress import HOURS
from geomem.cli.sweep import SweepTable
from geomem.fields import Seeds
from geomem.models.configuration import Recall
from geomem.training.configuration import RecallTraining

if TYPE_CHECKING:
    from geomem.sweep.capacity import Capacity

USAGE = """Train recall models of many widths on tables of many sizes, and find where they recall every fact.

Each run learns random bijections of its own, with --tied from the subjects to themselves. Prints the
thresholds with their law, and writes curves and thresholds as tables beside the runs. Finished fleets are
kept: the same command goes on after Ctrl-C."""

FULL_SUBJECTS = (512, 1024)
"""What --full adds."""


@dataclass(frozen=True)
class CapacityOptions:
    """Which tables and sizes, how many runs, and where they go."""

    subjects: tuple[int, ...] = (64, 128, 256)
    """Numbers of subjects."""
    relations: tuple[int, ...] = (2, 4, 8, 16)
    """Numbers of relations."""
    full: bool = False
    """Add 512 and 1,024 subjects: hours on two cores, which --hours must allow."""
    varied: Literal["width", "mlp-width"] = "width"
    """What is varied: the width, with an MLP of --neurons-per-width times as many neurons, or the neurons."""
    sizes: tuple[int, ...] = ()
    """The widths, or neurons, tried for every table; if not given, those around 1.4 bits per weight."""
    neurons_per_width: int = 4
    """Neurons of the MLP as a multiple of the width; 0 leaves the MLP out."""
    seeds: Seeds = 3
    """Runs per table and size, with the seeds 0, 1, 2, ..."""
    directory: Path = Path("capacity")
    """Where the directory of the runs is made."""
    processes: int = 0
    """Processes of one thread each; 0 means one per core, and one on a card."""
    device: str = "cpu"
    """cpu, cuda, or cuda:1."""
    hours: float = HOURS
    """Begin nothing that would take longer."""
    out: Path | None = None
    """The figure: an .svg or .pdf (both are written, with the data as .csv)."""
    quiet: bool = False
    """Show no progress; print tables and paths alone."""


def run(arguments: Sequence[str]) -> int:
    """Train the grid; print the thresholds, the law and the paths written."""
    groups: list[OptionGroup] = [
        ("capacity", CapacityOptions, CapacityOptions(), "Tables and sizes, and where the runs go."),
        ("engine", EngineOptions, EngineOptions(), first_line(EngineOptions)),
        ("model", Recall, Recall(), "The recall model; its varied size is not taken from here."),
        ("training", RecallTraining, RecallTraining(), "How each run is trained."),
    ]
    given = parse_groups(groups, arguments, verb="capacity", description=USAGE)
    options: CapacityOptions = given.capacity
    engine = given.engine.chosen()
    if options.out:
        from geomem.figures.drawing import check_figure

        check_figure(options.out, "out")

    from geomem.sweep.capacity import capacity_curves
    from geomem.worlds.facts.families import random_bijections, random_permutations

    subjects = options.subjects + tuple(
        n for n in FULL_SUBJECTS if options.full and n not in options.subjects
    )
    with SweepTable(quiet=options.quiet, hours=options.hours) as table:
        found = capacity_curves(
            subjects,
            options.relations,
            sizes=options.sizes or None,
            varied="width" if options.varied == "width" else "mlp_width",
            neurons_per_width=options.neurons_per_width,
            model=given.model,
            training=given.training,
            # The same answers either way; under the same labels a tied model can read them out.
            facts=random_permutations if given.model.tied else random_bijections,
            seeds=options.seeds,
            directory=options.directory,
            processes=options.processes or None,
            engine=engine,
            device=options.device,
            on_progress=table.show,
        )
    show_thresholds(found)
    for path in write_tables(found):
        print(path)
    if options.out:
        for path in write_figure(found, options.out):
            print(path)
    return 0


def show_thresholds(found: "Capacity") -> None:
    """Print one row per table of facts, and the law they follow."""
    console, what = open_console(), "width" if found.varied == "width" else "neurons"
    titles = ("subjects", "relations", f"{what} at 0.99", "seeds' mean, 95 %", "at 0.95", "bits/weight")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    for row in found.thresholds.iter_rows(named=True):
        interval = f"{row['mean_99']:.1f} [{row['low_99']:.1f}, {row['high_99']:.1f}]"
        table.add_row(
            str(row["subjects"]),
            str(row["relations"]),
            _number(row["threshold"], 0),
            _number(row["mean_99"], 1) if row["low_99"] != row["low_99"] else interval,
            _number(row["best_95"], 1),
            _number(row["bits_per_weight"], 2),
        )
    console.print(table)
    if fit := found.fit:
        errors = ", ".join(f"{error:.2g}" for error in fit.errors)
        sign = "+" if fit.shift >= 0 else "-"
        console.print(
            f"{what} = {fit.offset:.2f} + R ({fit.slope:.3f} log2 N {sign} {abs(fit.shift):.2f}), "
            f"standard errors {errors}, R² {fit.explained:.3f}",
            soft_wrap=True,
        )


def _number(value: float, digits: int) -> str:
    return "not reached" if value != value else f"{value:.{digits}f}"


def write_tables(found: "Capacity") -> list[Path]:
    """Write the runs as parquet, curves and thresholds as CSV, into the directory of the fleets."""
    from geomem.files import csv_file, replace_file
    from geomem.runs.directory import table_file

    tables = {
        "runs.parquet": table_file(found.runs),
        "curves.csv": csv_file(found.curves),
        "thresholds.csv": csv_file(found.thresholds),
    }
    for name, write in tables.items():
        replace_file(found.path / name, write)
    return [found.path / name for name in tables]


def write_figure(found: "Capacity", out: Path) -> tuple[Path, ...]:
    """Write the figure as PDF and SVG, with its data as CSV."""
    from geomem.figures.drawing import save_figure
    from geomem.figures.recall_drawing import draw_capacity, tabulate_capacity

    law = found.fit.at if found.fit else None
    figure = draw_capacity(found.curves, found.thresholds, law)
    return save_figure(figure, tabulate_capacity(found.curves, found.thresholds, law), out.with_suffix(""))
