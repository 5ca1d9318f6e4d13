"""How a training goes on, for who calls Python: a line with a bar, drawn again in notebooks and terminals."""

import sys
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any

from geomem.cli.progress import LINE_SECONDS, Row, count_of
from geomem.cli.streams import escape_controls

if TYPE_CHECKING:
    from geomem.runs.train import Event

REDRAWN_SECONDS = 0.25
"""A line is drawn again at most so often."""

BAR_LENGTH = 20
"""Characters of the bar in a terminal."""


class Line:
    """What is drawn of one training, and where."""

    def __init__(self, row: Row):
        self.row = row
        self.draw, self.every = _place()
        self.drawn = monotonic()
        self.draw(self)

    def show(self, progress: Any) -> None:
        """Take in the progress; it is drawn if it is the last or nothing was for a while."""
        self.row.progress = progress
        self.row.done = progress.step == progress.steps
        if self.row.done or monotonic() - self.drawn > self.every:
            self.drawn = monotonic()
            self.draw(self)

    @property
    def share(self) -> float:
        """How much is done, 0 to 1."""
        announcement, progress = self.row.announcement, self.row.progress
        step = progress.step if progress else announcement.first_step
        return step / announcement.job.steps

    @property
    def text(self) -> str:
        """What stands beside the bar."""
        announcement = self.row.announcement
        job = announcement.job
        name = f"{job.world.name}, {job.kind}, {count_of(len(job.seeds), 'run')}"
        if announcement.finished:
            return f"{name}: already trained, {announcement.path}"
        numbers = [f"{title} {value}" for title, value in self.row.numbers().items() if value]
        cells = self.row.cells()
        left = "done" if self.row.done else f"{cells['left']} left"
        return ", ".join(
            [f"{name}: {self.row.columns.place} {self.row.place()}", *numbers, cells["time"], left]
        )


_current: list[Line] = []


def progress(event: "Event") -> None:
    """Draw how a training goes on, one line with a bar for each: give it as `on_progress`.

    In a notebook the line is HTML that the notebook draws again, without widgets; in a terminal it is written
    over; elsewhere a line is written to standard error every ten seconds, and the last.

    >>> import tempfile
    >>> from geomem.runs.edges import memorize
    >>> from geomem.training.configuration import Training
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run = memorize("cycle", model="node2vec", training=Training(steps=5), directory=folder,
    ...         on_progress=progress)
    """
    # Told apart by what they have: importing their classes would import torch.
    if hasattr(event, "job"):
        _current[:] = [Line(Row(event))]  # pyright: ignore[reportArgumentType]
    elif _current:
        _current[0].show(event)


def _place() -> tuple[Callable[[Line], None], float]:
    """How a line is drawn here, and the seconds that pass before it is drawn again."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    if getattr(shell, "kernel", None) is not None:
        return _in_notebook(), REDRAWN_SECONDS
    if sys.stderr.isatty():
        return _in_terminal, REDRAWN_SECONDS
    return _in_file, LINE_SECONDS


def _in_notebook() -> Callable[[Line], None]:
    from IPython.display import display  # pyright: ignore[reportMissingImports]

    from geomem.report.html import read_resource, render_html

    handles: list[Any] = []

    def draw(line: Line) -> None:
        html = render_html(read_resource("bar.html"), text=line.text, percent=round(100 * line.share, 1))
        content = {"text/html": html, "text/plain": line.text}
        if handles:
            handles[0].update(content, raw=True)
        else:
            handles.append(display(content, raw=True, display_id=True))

    return draw


def _in_terminal(line: Line) -> None:
    full = round(BAR_LENGTH * line.share)
    ended = line.row.done or line.row.announcement.finished
    bar = "#" * full + "-" * (BAR_LENGTH - full)
    sys.stderr.write(f"\r{bar} {escape_controls(line.text)}\x1b[K" + ("\n" if ended else ""))
    sys.stderr.flush()


def _in_file(line: Line) -> None:
    print(escape_controls(line.text), file=sys.stderr, flush=True)
