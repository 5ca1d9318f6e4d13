"""What a person sees while fleets train: one live table, or plain lines where there is no terminal."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from math import inf
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from geomem.cli.console import open_console
from geomem.models.own import OwnModule
from geomem.runs.configuration import FactRecall
from geomem.runs.directory import format_bytes
from geomem.runs.job import check_hours
from geomem.training.configuration import PathTraining
from geomem.training.metrics import Track, columns_of
from geomem.worlds.facts.table import FactTable, entropy_bits
from geomem.worlds.language.telling import Telling
from geomem.worlds.tasks import EdgeMemorization

if TYPE_CHECKING:
    from geomem.runs.train import Announcement, Event
    from geomem.training.loop import Progress

LINE_SECONDS = 10.0
"""Without a terminal, a line of progress at most this often."""


HOURS = 2.0
"""What a command may take without being told so by --hours."""

SAID_SECONDS = 10.0
"""What takes less is begun without a word on its time."""

AnyTable = TypeVar("AnyTable", bound="LiveTable")


class LiveTable(ABC):
    """A table on standard error, redrawn while its context lasts; `live` is None if quiet or no terminal.

    `hours` is what the work that it shows may take.
    """

    def __init__(
        self,
        *,
        quiet: bool = False,
        hours: float = inf,
        console: Console | None = None,
        refresh_per_second: int = 4,
    ):
        self.hours = hours
        self.console = console or open_console(stderr=True)
        self.quiet = quiet
        shown = self.console.is_terminal and not quiet
        self.live = (
            Live(
                console=self.console,
                get_renderable=self.render,
                refresh_per_second=refresh_per_second,
                redirect_stdout=False,  # it would take codes in what is printed for its own
                redirect_stderr=False,
            )
            if shown
            else None
        )

    @abstractmethod
    def render(self) -> RenderableType:
        """What is drawn now."""

    def allow(self, seconds: float) -> None:
        """Raise `InputError` for work that would take longer than the hours that were given."""
        check_hours(seconds, self.hours)

    def __enter__(self: AnyTable) -> AnyTable:
        if self.live:
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.live:
            self.live.stop()


@dataclass(frozen=True)
class Columns:
    """What the table shows of one kind of training."""

    track: Track
    place: Literal["step", "epoch"] = "step"
    named: bool = False
    """Whether there are columns for the world, the model and the number of runs."""

    @property
    def numbers(self) -> dict[str, str]:
        """Titles of the numbers, with the metric that each shows.

        They are means over the runs, of paths held-out ones; of the margin, by which the worst fact leads,
        the lowest run's.
        """
        return columns_of(self.track)


EDGE_COLUMNS = Columns("edges", named=True)
PATH_COLUMNS = Columns("paths", place="epoch")
FACT_COLUMNS = Columns("facts")
SENTENCE_COLUMNS = Columns("sentences", place="epoch")


@dataclass
class Row:
    """What the table says of one job."""

    announcement: "Announcement"
    progress: "Progress | None" = None
    began: float = field(default_factory=monotonic)
    line_written: float = 0.0
    line_step: int = -1
    done: bool = False

    @property
    def columns(self) -> Columns:
        """The columns of the job's kind."""
        task = self.announcement.job.task
        if isinstance(task, EdgeMemorization):
            return EDGE_COLUMNS
        if isinstance(task, Telling):
            return SENTENCE_COLUMNS
        return FACT_COLUMNS if isinstance(task, FactRecall) else PATH_COLUMNS

    def place(self, *, step: int | None = None) -> str:
        """How far it is, in steps or epochs."""
        job = self.announcement.job
        if step is None:
            step = self.progress.step if self.progress else self.announcement.first_step
        unit = job.training.batches if isinstance(job.training, PathTraining) else 1
        return f"{step // unit}/{job.steps // unit}"

    def numbers(self) -> dict[str, str]:
        """The numbers as they stand; nothing where there is none."""
        found = dict(self.progress.metrics) if self.progress else {}
        if "held_out.token_1" in found and "held_out.token_2" not in found:
            # The first hop alone is asked: to call it a whole path would mislead.
            del found["held_out.exact_match"]
        return {
            title: f"{(np.min if name == 'margin' else np.mean)(found[name]):.3f}" if name in found else ""
            for title, name in self.columns.numbers.items()
        }

    def cells(self) -> dict[str, str]:
        """The row by its titles; between two rows of the metrics the clock goes on."""
        announcement, progress, job = self.announcement, self.progress, self.announcement.job
        names = {"world": job.world.name, "model": job.kind, "runs": str(len(job.seeds))}
        cells = names if self.columns.named else {}
        cells |= {self.columns.place: self.place(), **self.numbers()}
        if announcement.finished:
            return cells | {"time": "kept", "left": ""}
        passed = progress.seconds if progress and self.done else monotonic() - self.began
        left = progress.seconds_left if progress else announcement.seconds
        return cells | {"time": format_seconds(passed), "left": "done" if self.done else format_seconds(left)}


class RunTable(LiveTable):
    """A table on standard error with a row per job; `show` is the `on_progress` of every training.

    Use it as a context: `with RunTable() as table: memorize(..., on_progress=table.show)`. When `quiet`, it
    says nothing.
    """

    def __init__(self, *, quiet: bool = False, hours: float = inf, console: Console | None = None):
        self.rows: list[Row] = []
        super().__init__(quiet=quiet, hours=hours, console=console, refresh_per_second=8)

    def __exit__(self, *error: Any) -> None:
        """Draw a last time; where there is no terminal, write the last line."""
        self._end(done=error[0] is None)
        super().__exit__(*error)

    def show(self, event: "Event") -> None:
        """Take in an announcement, or the progress of the job announced last."""
        # Told apart by what they have: importing their classes here would import torch for `geomem --help`.
        announced = hasattr(event, "job")
        if announced:
            self.allow(event.seconds)
        if self.quiet:
            return
        if announced:
            self._end(done=False)
            self.rows.append(Row(event))  # pyright: ignore[reportArgumentType]
            for line in describe_announcement(self.rows[-1], whole=not self.live):
                self.say(line)
            return
        row, progress = self.rows[-1], event
        row.progress = progress  # pyright: ignore[reportAttributeAccessIssue]
        if progress.step == progress.steps:  # pyright: ignore[reportAttributeAccessIssue]
            self._end(done=True)
        elif not self.live and monotonic() - row.line_written > LINE_SECONDS:
            self._write_line(row)

    def _end(self, *, done: bool) -> None:
        """Say what is left to say of the last row."""
        if not self.rows or self.rows[-1].done:
            return
        row = self.rows[-1]
        row.done = done
        if (progress := row.progress) is None:
            return
        if not self.live and row.line_step != progress.step:
            self._write_line(row)
        runs = count_of(len(progress.metrics["loss"]), "run")
        if diverged := np.count_nonzero(~np.isfinite(progress.metrics["loss"])):
            self.say(
                f"{diverged} of {runs} diverged (loss is NaN or infinite); try a smaller --learning-rate"
            )
        elif row.columns is FACT_COLUMNS and (missed := np.count_nonzero(progress.metrics["recall"] < 1)):
            self.say(f"{missed} of {runs} did not learn every fact; try more --steps or a greater --width")

    def _write_line(self, row: Row) -> None:
        if (progress := row.progress) is None:
            return
        row.line_written, row.line_step = monotonic(), progress.step
        numbers = ", ".join(f"{title} {value}" for title, value in row.numbers().items() if value)
        left = progress.seconds_left
        # Nothing is known of the pace before the first step, and nothing is left after the last.
        ending = f", {format_seconds(left)} left" if 0 < left < np.inf and not row.done else ""
        self.say(f"{row.columns.place} {row.place()}: {numbers}, {format_seconds(progress.seconds)}{ending}")

    def say(self, text: str) -> None:
        """Write a line, above the table where there is one."""
        if not self.quiet:
            self.console.print(Text(text, style="dim" if self.live else ""), soft_wrap=not self.live)

    def render(self) -> Table:
        """The table as it stands; where the terminal is narrow, the worlds' names give way."""
        table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
        rows = [row.cells() for row in self.rows]
        for title in rows[0] if rows else ():
            if title == "world":
                table.add_column(title, overflow="ellipsis", no_wrap=True)
                continue
            width = max([len(title), *[len(row[title]) for row in rows]])
            justify = "left" if title == "model" else "right"
            table.add_column(title, justify=justify, min_width=width, no_wrap=True)
        for row in rows:
            table.add_row(*[Text(cell) for cell in row.values()])
        return table


def describe_announcement(row: Row, *, whole: bool) -> list[str]:
    """What is said before the first step, a line each; `whole` if no table says the rest."""
    announcement, job = row.announcement, row.announcement.job
    if announcement.finished:
        return [f"already trained: {announcement.path}"]
    world, runs = job.world, count_of(len(job.seeds), "run")
    about = f"about {format_seconds(announcement.seconds)}"
    needed = f"{format_bytes(job.cost.memory_bytes)} memory, {format_bytes(job.disk_bytes)} disk"
    took = f"{about}, {needed}" if announcement.seconds >= SAID_SECONDS else needed
    if isinstance(world, FactTable):
        bits = entropy_bits(world) / max(1, job.cost.trained_parameters)
        lines = [
            f"{world.name}: {count_of(world.fact_count, 'fact')} about "
            f"{count_of(world.subject_count, 'subject')}; {describe_fact_model(job.model)}, {runs}, "
            f"{count_of(job.steps, 'step')}",
            f"{bits:.2g} bits of facts per weight, where about 1.4 is the most that fits; {took}",
        ]
    elif row.columns is EDGE_COLUMNS:
        rest = f"; {job.kind}, {runs}, {job.steps} steps" if whole else ""
        lines = [f"{world.name}: {world.node_count} nodes, {job.counts['facts']} facts; {took}{rest}"]
    else:
        held = " and ".join(f"{count:,} {noun}" for noun, count in job.counts.items())
        epochs = row.place(step=job.steps - announcement.first_step).partition("/")[0]
        lines = [
            f"{world.name}: {world.node_count:,} nodes, {held} an epoch; {job.kind}, {runs}",
            f"{about} for {count_of(int(epochs), 'epoch')} at most, {needed}",
        ]
    if announcement.first_step:
        place = row.place(step=announcement.first_step).partition("/")[0]
        lines.append(f"going on from the checkpoint at {row.columns.place} {place}")
    return lines


def describe_fact_model(model: Any) -> str:
    """What learns facts: the sizes of a recall model, or the module of a person's own.

    >>> from geomem.models.configuration import Recall
    >>> describe_fact_model(Recall())
    'width 32, 128 neurons'
    """
    if isinstance(model, OwnModule):
        return f"module {model.source}"
    return f"width {model.width:,}, {model.mlp_width:,} neurons"


def count_of(count: int, noun: str) -> str:
    """A number with its noun.

    >>> count_of(1, "run"), count_of(3, "run")
    ('1 run', '3 runs')
    """
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def format_seconds(seconds: int | float) -> str:
    """A duration for people.

    >>> format_seconds(0.42), format_seconds(75), format_seconds(7300), format_seconds(float("inf"))
    ('0.4 s', '1:15', '2:01:40', '...')
    """
    if not np.isfinite(seconds):
        return "..."
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
