"""What a person sees while path finding is trained: a live table, or plain lines without a terminal."""

from time import monotonic
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from geomem.cli.progress import LINE_SECONDS, LiveTable, count_of, format_seconds
from geomem.runs.checkpoint import format_bytes

if TYPE_CHECKING:
    from geomem.runs.paths import PathAnnouncement, PathEvent
    from geomem.training.loop import Progress

COLUMNS = {
    "loss": "loss",
    "first hop": "held_out.first_hop",
    "among arms": "held_out.first_hop_among_arms",
    "full path": "held_out.exact_match",
    "retrieval": "retrieval",
}
"""Titles of the numbers, all of held-out paths but the loss, with the metric that each shows."""


class PathTable(LiveTable):
    """A table on standard error with the mean over the runs; `show` is the `on_progress` of `find_paths`.

    Use it as a context. When `quiet`, it says nothing.
    """

    def __init__(self, *, batches: int, quiet: bool = False, console: Console | None = None):
        self.batches = batches
        """Steps of an epoch."""
        self.announcement: PathAnnouncement | None = None
        self.progress: Progress | None = None
        self.ended = False
        self.began = monotonic()
        self.line_written = 0.0
        self.line_step = -1
        super().__init__(quiet=quiet, console=console)

    def show(self, event: "PathEvent") -> None:
        """Take in the announcement or progress."""
        if self.quiet:
            return
        # Told apart by what they have: importing their classes here would import torch for `geomem --help`.
        if hasattr(event, "first_step"):
            self._announce(event)  # pyright: ignore[reportArgumentType]
            return
        self.progress = event  # pyright: ignore[reportAttributeAccessIssue]
        if not self.live and monotonic() - self.line_written > LINE_SECONDS:
            self._write_line()

    def __exit__(self, *error: object) -> None:
        """Draw a last time; where there is no terminal, write the last line."""
        self.ended = error[0] is None
        if self.progress and not self.live and self.line_step != self.progress.step:
            self._write_line()
        if self.progress and (diverged := np.count_nonzero(~np.isfinite(self.progress.metrics["loss"]))):
            runs = count_of(len(self.progress.metrics["loss"]), "run")
            self._say(f"{diverged} of {runs} diverged (the loss is no number); try a smaller --learning-rate")
        super().__exit__(*error)  # pyright: ignore[reportArgumentType]

    def _announce(self, announcement: "PathAnnouncement") -> None:
        self.announcement, self.began = announcement, monotonic()
        if announcement.finished:
            self._say(f"already trained: {announcement.path}")
            return
        graph = announcement.graph
        paths = "prompts" if not announcement.fact_count and graph.name.startswith("in-context") else "paths"
        held = f"{announcement.fact_count:,} edges and {announcement.path_count:,} {paths} an epoch"
        runs = count_of(announcement.run_count, "run")
        self._say(f"{graph.name}: {graph.node_count:,} nodes, {held}; {announcement.model}, {runs}")
        epochs = -(-(announcement.steps - announcement.first_step) // self.batches)
        memory, disk = format_bytes(announcement.memory_bytes), format_bytes(announcement.disk_bytes)
        about = format_seconds(announcement.seconds)
        self._say(f"about {about} for {count_of(epochs, 'epoch')} at most, {memory} memory, {disk} disk")
        if announcement.first_step:
            self._say(f"going on from the checkpoint at epoch {announcement.first_step // self.batches}")

    def _write_line(self) -> None:
        if self.progress is None:
            return
        left = self.progress.seconds_left
        # Nothing is known of the pace before the first step, and nothing is left after the last.
        ending = f", {format_seconds(left)} left" if 0 < left < np.inf and not self.ended else ""
        self.line_written, self.line_step = monotonic(), self.progress.step
        numbers = ", ".join(f"{title} {value}" for title, value in self._numbers().items() if value)
        self._say(f"epoch {self._epoch()}: {numbers}, {format_seconds(self.progress.seconds)}{ending}")

    def _say(self, text: str) -> None:
        if not self.quiet:
            self.console.print(Text(text, style="dim" if self.live else ""), soft_wrap=not self.live)

    def _epoch(self) -> str:
        step = (
            self.progress.step if self.progress else self.announcement.first_step if self.announcement else 0
        )
        steps = self.announcement.steps if self.announcement else 0
        return f"{step // self.batches}/{steps // self.batches}"

    def _numbers(self) -> dict[str, str]:
        """Means over the runs; nothing where the task has no such number."""
        metrics = dict(self.progress.metrics) if self.progress else {}
        if "held_out.token_1" in metrics and "held_out.token_2" not in metrics:
            # The first hop alone is asked: to call it a whole path would mislead.
            del metrics["held_out.exact_match"]
        return {
            title: f"{np.mean(metrics[name]):.3f}" if name in metrics else ""
            for title, name in COLUMNS.items()
        }

    def render(self) -> Table:
        """The table as it stands; between two rows of the metrics the clock goes on."""
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        cells = {"epoch": "", **dict.fromkeys(COLUMNS, ""), "time": "", "left": ""}
        if self.announcement and self.announcement.finished:
            cells |= {"epoch": self._epoch(), "time": "kept"}
        elif self.announcement:
            cells |= {"epoch": self._epoch(), **self._numbers()}
            seconds = self.progress.seconds if self.progress and self.ended else monotonic() - self.began
            left = self.progress.seconds_left if self.progress else self.announcement.seconds
            cells |= {"time": format_seconds(seconds), "left": "done" if self.ended else format_seconds(left)}
        for title, cell in cells.items():
            table.add_column(title, justify="right", no_wrap=True, min_width=max(len(title), len(cell)))
        table.add_row(*[Text(cell) for cell in cells.values()])
        return table
