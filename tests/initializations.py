"""The table of initialisations, from every `tensors`; `python tests/initializations.py` writes it."""

import inspect
from pathlib import Path

from geomem.models.configuration import MODELS
from geomem.models.recall import describe_recall_parameters

PAGE = Path(__file__).parents[1] / "docs" / "models.md"
BEGIN, END = "<!-- initialisations -->\n", "<!-- end of initialisations -->\n"


def section() -> str:
    """One table for all models, a row per tensor, and under it what holds of one model alone."""
    rows, remarks = ["| model | tensor | start |", "|---|---|---|"], []
    described = {kind.__name__: kind.tensors for kind in MODELS.values()} | {
        "Recall": describe_recall_parameters
    }
    for name, function in described.items():
        blocks = inspect.cleandoc(function.__doc__ or "").split("\n\n")[1:]
        first = name
        for block in blocks:
            if block.startswith("| tensor"):
                for row in block.splitlines()[2:]:
                    rows.append(f"| {first} {row}")
                    first = ""
            elif not block.startswith(">>>"):
                remarks.append(f"{name}: {' '.join(block.split())}")
        if first:
            summary = inspect.cleandoc(function.__doc__ or "").splitlines()[0]
            rows.append(f"| {name} | {summary} | |")
    return "\n".join([*rows, "", *[line for remark in remarks for line in (remark, "")]])


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}{section()}{END}{rest.partition(END)[2]}", encoding="utf-8")
