"""The matplotlib figure that every function here draws: a notebook shows it, pyplot or not."""

import io

from matplotlib.figure import Figure


class NotebookFigure(Figure):
    """A figure of its own, never pyplot's: no global state, nothing to close, safe in any thread.

    >>> NotebookFigure(figsize=(1, 1))._repr_png_()[1:4]
    b'PNG'
    """

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png", dpi=144)
        return file.getvalue()
