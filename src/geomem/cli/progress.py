"""What a person sees while fleets train: one live table, or plain lines where there is no terminal."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from geomem.runs.checkpoint import format_bytes

if TYPE_CHECKING:
    from geomem.runs.edges import Announcement, Event
    from geomem.training.loop import Progress

LINE_SECONDS = 10.0
"""Without a terminal, a line of progress at most this often."""


@dataclass(frozen=True)
class _Row:
    """What the table says of one fleet."""

    announcement: "Announcement"
    progress: "Progress | None" = None
    began: float = field(default_factory=monotonic)
    line_written: float = 0.0


AnyTable = TypeVar("AnyTable", bound="LiveTable")


class LiveTable(ABC):
    """A table on standard error, redrawn while its context lasts; `live` is None if quiet or no terminal."""

    def __init__(self, *, quiet: bool = False, console: Console | None = None, refresh_per_second: int = 4):
        self.console = console or Console(stderr=True, highlight=False)
        self.quiet = quiet
        shown = self.console.is_terminal and not quiet
        self.live = (
            Live(console=self.console, get_renderable=self.render, refresh_per_second=refresh_per_second)
            if shown
            else None
        )

    @abstractmethod
    def render(self) -> RenderableType:
        """What is drawn now."""

    def __enter__(self: AnyTable) -> AnyTable:
        if self.live:
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.live:
            self.live.stop()


class FleetTable(LiveTable):
    """A table on standard error with a row per fleet; `show` is the `on_progress` of `memorize`.

    Use it as a context: `with FleetTable() as table: memorize(..., on_progress=table.show)`. When `quiet`, it
    says nothing.
    """

    def __init__(self, *, quiet: bool = False, console: Console | None = None):
        self.rows: list[_Row] = []
        super().__init__(quiet=quiet, console=console, refresh_per_second=8)

    def show(self, event: "Event") -> None:
        """Take in an announcement or the progress of the fleet announced last."""
        if self.quiet:
            return
        # Told apart by what they have: importing their classes here would import torch for `geomem --help`.
        if hasattr(event, "first_step"):
            self._announce(event)  # pyright: ignore[reportArgumentType]
        else:
            self._advance(event)  # pyright: ignore[reportArgumentType]

    def _announce(self, announcement: "Announcement") -> None:
        self.rows.append(_Row(announcement))
        graph = announcement.graph
        for note in graph.notes:
            self.say(f"{graph.name}: {note}")
        if announcement.finished:
            self.say(f"already trained: {announcement.path}")
            return
        memory, disk = format_bytes(announcement.memory_bytes), format_bytes(announcement.disk_bytes)
        world = f"{graph.name}: {graph.node_count} nodes, {announcement.fact_count} facts"
        said = f"{world}; {memory} memory, {disk} disk"
        if not self.live:  # else the table says the rest
            runs = count_of(announcement.run_count, "run")
            said += f"; {announcement.model}, {runs}, {announcement.steps} steps"
        self.say(said)
        if announcement.first_step:
            self.say(f"going on from the checkpoint at step {announcement.first_step}")

    def _advance(self, progress: "Progress") -> None:
        row = replace(self.rows[-1], progress=progress)
        last = progress.step == progress.steps
        if not self.live and (last or monotonic() - row.line_written > LINE_SECONDS):
            row = replace(row, line_written=monotonic())
            numbers = ", ".join(f"{title} {value}" for title, value in _numbers(progress))
            left = "" if last else f", {format_seconds(progress.seconds_left)} left"
            self.say(
                f"step {progress.step}/{progress.steps}: {numbers}, {format_seconds(progress.seconds)}{left}"
            )
        self.rows[-1] = row
        if last and (diverged := np.count_nonzero(~np.isfinite(progress.metrics["loss"]))):
            runs = count_of(row.announcement.run_count, "run")
            self.say(f"{diverged} of {runs} diverged (the loss is no number); try a smaller --learning-rate")

    def say(self, text: str) -> None:
        """Write a line, above the table where there is one."""
        if self.quiet:
            return
        self.console.print(Text(text, style="dim" if self.live else ""), soft_wrap=not self.live)

    def render(self) -> Table:
        """The table as it stands; where the terminal is narrow, the worlds' names give way."""
        titles = ("world", "model", "runs", "step", "loss", "recall", "level", "time", "left")
        rows = [_cells(row) for row in self.rows]
        table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
        table.add_column(titles[0], overflow="ellipsis", no_wrap=True)
        for number, title in enumerate(titles[1:], start=1):
            width = max([len(title), *[len(row[number]) for row in rows]])
            table.add_column(title, justify="left" if title == "model" else "right", min_width=width)
        for row in rows:
            table.add_row(*[Text(cell) for cell in row])
        return table


def _cells(row: _Row) -> list[str]:
    announcement, progress = row.announcement, row.progress
    cells = [announcement.graph.name, announcement.model, str(announcement.run_count)]
    if announcement.finished:
        return [*cells, f"{announcement.steps}/{announcement.steps}", "", "", "", "kept", ""]
    if progress is None:
        return [*cells, f"{announcement.first_step}/{announcement.steps}", "", "", "", "", ""]
    numbers = [value for _, value in _numbers(progress)]
    done = progress.step == progress.steps
    return [
        *cells,
        f"{progress.step}/{progress.steps}",
        *numbers,
        # Between two rows of the metrics the clock goes on.
        format_seconds(progress.seconds if done else monotonic() - row.began),
        "done" if done else format_seconds(progress.seconds_left),
    ]


def _numbers(progress: "Progress") -> list[tuple[str, str]]:
    """Means over the runs of the three numbers that say what kind of memory is growing."""
    names = {"loss": "loss", "recall": "associative_accuracy", "level": "geometric_level"}
    return [(title, f"{np.mean(progress.metrics[name]):.3f}") for title, name in names.items()]


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
