"""`geomem study`: list the studies, or do one: tables, answer, page, pictures."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import tyro
from rich.table import Table

from geomem.cli.console import open_console
from geomem.cli.engine import EngineOptions
from geomem.cli.options import parse_options
from geomem.cli.progress import HOURS
from geomem.errors import InputError
from geomem.fields import Seeds

if TYPE_CHECKING:
    from geomem.studies.study import Study

DESCRIPTION = """Do a study of what the papers leave open, or list the studies without a NAME.

Its question and its rule are printed first, and how long it takes. What is trained stays in --directory: the
same command again trains nothing, an interrupted one goes on. --full wants a GPU or hours."""


@dataclass(frozen=True)
class RunOptions:
    """How large a study is, and where things go."""

    full: tyro.conf.FlagCreatePairsOff[bool] = False
    """All of it, which wants a GPU or hours."""
    seeds: Seeds | None = None
    """How many runs of everything, with the seeds 0, 1, 2, ...; the study's own number if not given."""
    directory: Path = Path("runs")
    """Where run directories are made and looked for."""
    device: str = "cpu"
    """cpu, cuda, or cuda:1."""
    processes: int | None = None
    """Fleets and experiments at once; one per core if not given."""
    engine: EngineOptions = field(default_factory=EngineOptions)
    hours: float = HOURS
    """Begin nothing that would take longer."""
    out: Path | None = None
    """An HTML page that is written, if given."""
    figures: Path | None = None
    """A directory for the figures, light and dark, with their data, if given."""
    page: Path | None = None
    """A page in Markdown whose marked sections are written again, if given."""


@dataclass(frozen=True)
class StudyOptions:
    """Which study, how large, and where things go."""

    name: tyro.conf.Positional[str] = ""
    """The study."""
    run: tyro.conf.OmitArgPrefixes[RunOptions] = field(default_factory=RunOptions)


def run(arguments: Sequence[str]) -> int:
    """Do a study and print what came out, or list them all."""
    options = parse_options(StudyOptions, arguments, verb="study", description=DESCRIPTION)

    from geomem.studies.catalogue import STUDIES, find_study

    if not options.name:
        if options.run != RunOptions():
            raise InputError(f"Name the study first; give one of {', '.join(STUDIES)}.")
        for study in STUDIES.values():
            print(f"{study.name}: {study.question}")
        return 0
    return show_study(find_study(options.name), options.run)


def show_study(study: "Study", options: RunOptions) -> int:
    """Do a study; print its rule, its tables, its verdicts and its answer, and write what was asked for."""
    if options.processes is not None and options.processes < 1:
        raise InputError(f"processes is {options.processes}; give a whole number of at least 1.")
    engine = options.engine.chosen()
    from geomem.cli.verdicts import ClaimTable, print_verdicts
    from geomem.report.html import check_places
    from geomem.studies.markdown import format_cell
    from geomem.studies.page import check_page, save_pictures, write_markdown, write_page
    from geomem.studies.running import run_study

    check_places(options.out, options.figures)
    if options.page:
        check_page(study, options.page)
    console = open_console()
    console.print(f"{study.question}\n\nRule: {study.rule}\n", soft_wrap=True, highlight=False)
    with ClaimTable() as table:
        finding = run_study(
            study,
            scale="full" if options.full else "quick",
            seeds=options.seeds,
            directory=options.directory,
            device=options.device,
            processes=options.processes,
            engine=engine,
            hours=options.hours,
            on_event=table.show,
        )
    for name, frame in finding.tables().items():
        shown = Table(*frame.columns, title=name, title_justify="left", box=None, pad_edge=False)
        for row in frame.rows():
            shown.add_row(*(format_cell(value) for value in row))
        console.print(shown, "")
    print_verdicts(finding.verdicts)
    for sentence in finding.sentences:
        console.print(sentence, soft_wrap=True, highlight=False)
    if options.page:
        write_markdown(finding, options.page)
    if options.figures:
        save_pictures(finding, options.figures)
    for written in (options.page, options.figures):
        if written:
            print(written)
    if options.out:
        print(write_page(finding, options.out))
    return 0
