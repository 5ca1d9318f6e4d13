"""The layers of the package, from the top to the bottom; `python tests/layers.py` writes docs/layers.md."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "geomem"
PAGE = ROOT / "docs" / "layers.md"

LAYERS = (
    ("__init__", "__main__"),
    ("cli",),
    ("studies", "claims"),
    ("report",),
    ("sweep",),
    ("figures",),
    ("audit",),
    ("checkpoints",),
    ("measure",),
    ("memories",),
    ("runs",),
    ("training",),
    ("models",),
    ("constructions",),
    ("geometry",),
    ("worlds",),
    ("fields",),
    ("files",),
    ("errors", "shown", "version"),
)
"""An import may point to the same layer or to a lower one."""

IMPORT_TORCH = {"models", "training", "runs", "memories", "measure", "checkpoints", "audit"}
"""Layers of which some modules import torch."""


def describe(name: str) -> str:
    """The first sentence of a layer's docstring."""
    path = PACKAGE / name / "__init__.py"
    text = ast.get_docstring(ast.parse((path if path.exists() else PACKAGE / f"{name}.py").read_text()))
    return " ".join((text or "").split("\n\n")[0].split())


def page() -> str:
    """The page docs/layers.md."""
    rows = [
        f"| `{name}` | {describe(name)} | {'some modules' if name in IMPORT_TORCH else ''} |"
        for names in LAYERS[1:]
        for name in names
    ]
    return "\n".join(
        [
            "# Layers",
            "",
            "Imports point down this list, never up, and there is no loop; a test checks it, and",
            "`python tests/layers.py` writes this page. What imports no torch works on anybody's embeddings",
            "and starts at once.",
            "",
            "| layer | what it holds | imports torch |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
