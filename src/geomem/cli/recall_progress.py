"""What a person sees while a recall model is trained: a live table, or plain lines without a terminal."""

from time import monotonic
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from geomem.cli.facts import shown
from geomem.cli.progress import LINE_SECONDS, LiveTable, count_of, format_seconds
from geomem.runs.checkpoint import format_bytes

if TYPE_CHECKING:
    from geomem.runs.facts import MemoryAnnouncement, MemoryEvent
    from geomem.training.loop import Progress

TITLES = ("loss", "recall", "margin")
"""Means over the runs; of the margin, by which the worst fact leads, the lowest run's."""


class RecallTable(LiveTable):
    """A table on standard error with the numbers of all runs; `show` is the `on_progress` of `learn_facts`.

    Use it as a context. When `quiet`, it says nothing.
    """

    def __init__(self, *, quiet: bool = False, console: Console | None = None):
        self.announcement: MemoryAnnouncement | None = None
        self.progress: Progress | None = None
        self.began = monotonic()
        self.line_written = 0.0
        super().__init__(quiet=quiet, console=console)

    def show(self, event: "MemoryEvent") -> None:
        """Take in the announcement or progress."""
        if self.quiet:
            return
        # Told apart by what they have: importing their classes here would import torch for `geomem --help`.
        if hasattr(event, "first_step"):
            self._announce(event)  # pyright: ignore[reportArgumentType]
        else:
            self._advance(event)  # pyright: ignore[reportArgumentType]

    def _announce(self, announcement: "MemoryAnnouncement") -> None:
        self.announcement, self.began = announcement, monotonic()
        if announcement.finished:
            self._say(f"already trained: {announcement.path}")
            return
        table, model = announcement.table, announcement.model
        self._say(
            f"{shown(table.name)}: {count_of(table.fact_count, 'fact')} about "
            f"{count_of(table.subject_count, 'subject')}; width {model.width}, {model.mlp_width} neurons, "
            f"{count_of(announcement.run_count, 'run')}, {count_of(announcement.steps, 'step')}"
        )
        memory, disk = format_bytes(announcement.memory_bytes), format_bytes(announcement.disk_bytes)
        self._say(
            f"{announcement.bits_per_weight:.2g} bits of facts per weight, where about 1.4 is the most that "
            f"fits; {memory} memory, {disk} disk"
        )
        if announcement.first_step:
            self._say(f"going on from the checkpoint at step {announcement.first_step}")

    def _advance(self, progress: "Progress") -> None:
        self.progress = progress
        last = progress.step == progress.steps
        if not self.live and (last or monotonic() - self.line_written > LINE_SECONDS):
            self.line_written = monotonic()
            numbers = ", ".join(f"{title} {value}" for title, value in _numbers(progress).items())
            left = "" if last else f", {format_seconds(progress.seconds_left)} left"
            self._say(
                f"step {progress.step}/{progress.steps}: {numbers}, {format_seconds(progress.seconds)}{left}"
            )
        if last:
            self._advise(progress)

    def _advise(self, progress: "Progress") -> None:
        """What to try where a training did not end well."""
        runs = count_of(len(progress.metrics["loss"]), "run")
        if diverged := np.count_nonzero(~np.isfinite(progress.metrics["loss"])):
            self._say(f"{diverged} of {runs} diverged (the loss is no number); try a smaller --learning-rate")
        elif missed := np.count_nonzero(progress.metrics["recall"] < 1):
            self._say(f"{missed} of {runs} did not learn every fact; try more --steps or a greater --width")

    def _say(self, text: str) -> None:
        self.console.print(Text(text, style="dim" if self.live else ""), soft_wrap=not self.live)

    def render(self) -> Table:
        """The table as it stands; between two rows of the metrics the clock goes on."""
        cells = dict.fromkeys(("step", *TITLES, "time", "left"), "")
        if self.announcement and self.announcement.finished:
            cells |= {"step": f"{self.announcement.steps}/{self.announcement.steps}", "time": "kept"}
        elif self.progress:
            done = self.progress.step == self.progress.steps
            seconds = self.progress.seconds if done else monotonic() - self.began
            left = "done" if done else format_seconds(self.progress.seconds_left)
            cells |= {"step": f"{self.progress.step}/{self.progress.steps}", **_numbers(self.progress)}
            cells |= {"time": format_seconds(seconds), "left": left}
        elif self.announcement:
            cells |= {"step": f"{self.announcement.first_step}/{self.announcement.steps}"}
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for title, cell in cells.items():
            table.add_column(title, justify="right", no_wrap=True, min_width=max(len(title), len(cell)))
        table.add_row(*[Text(cell) for cell in cells.values()])
        return table


def _numbers(progress: "Progress") -> dict[str, str]:
    found = progress.metrics
    values = (np.mean(found["loss"]), np.mean(found["recall"]), np.min(found["margin"]))
    return {title: f"{value:.3f}" for title, value in zip(TITLES, values, strict=True)}
