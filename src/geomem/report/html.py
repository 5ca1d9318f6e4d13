"""HTML pages that hold all they need: one template environment, one policy, one way to write them."""

import base64
import hashlib
import math
import os
from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from geomem.figures.palette import THEMES
from geomem.files import check_place, make_parent, replace_file, text_file
from geomem.report.picture import picture_source

COUNT_WORDS = [
    "no",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
]


def render_html(template: str, *, scripts: Sequence[str] = (), style: str = "", **values: Any) -> str:
    """A page from a template, everything in it escaped; `style` follows the style of all pages.

    The page's policy lets nothing be loaded, and no script run but `scripts`, each by its hash.
    """
    environment = Environment(
        loader=FunctionLoader(read_resource),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": format_number, "p_value": format_p_value, "source": picture_source}
    # A browser reads line ends as \n before it hashes, and ends the element at the first closing tag.
    texts = [
        text.replace("\r\n", "\n").replace("\r", "\n").replace("</script", "<\\/script") for text in scripts
    ]
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts]
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; "
    policy += "form-action 'none'"
    if hashes:
        policy += "; script-src " + " ".join(f"'sha256-{digest}'" for digest in hashes)
    return environment.from_string(template).render(
        flatten=flatten_manifest,
        themes=THEMES,
        style=Markup(read_resource("style.css") + style),
        scripts=[Markup(text) for text in texts],
        policy=Markup(policy),
        **values,
    )


@cache
def read_resource(name: str) -> str:
    """A file of this package as text."""
    return resources.files("geomem.report").joinpath(name).read_text(encoding="utf-8")


def check_places(out: Path | None, figures: str | os.PathLike[str] | None) -> None:
    """Raise `InputError`, before anything is measured, where a page or its pictures could not be put."""
    if out is not None:
        check_place(out)
    if figures is not None:
        check_place(Path(figures) / "figure.pdf")


def write_page(html: str, out: Path) -> None:
    """Write a page whole or not at all, its directory too; `InputError` if it cannot be."""
    make_parent(out)
    replace_file(out, text_file(html))


def count_word(number: int) -> str:
    """A small number in words.

    >>> count_word(2), count_word(40)
    ('two', '40')
    """
    return COUNT_WORDS[number] if number < len(COUNT_WORDS) else str(number)


def format_number(value: float) -> str:
    """A number as people read it: three significant digits, a real minus, a dash for none.

    >>> format_number(0.98765), format_number(-0.00041), format_number(12345.6), format_number(float("nan"))
    ('0.988', '−0.00041', '12,346', '–')
    """
    if value is None or not math.isfinite(value):
        return "–"
    if abs(value) < 5e-6:
        return "0"
    if abs(value) >= 1000:
        text = f"{value:,.0f}"
    else:
        decimals = max(0, 2 - math.floor(math.log10(abs(value)))) if abs(value) >= 0.001 else 5
        text = f"{value:.{min(decimals, 3 if abs(value) >= 0.001 else 5)}f}"
    return text.replace("-", "−")


def format_p_value(value: float) -> str:
    """A p-value with its sign, which a line never breaks.

    >>> format_p_value(0.2534).split(), format_p_value(float("nan"))
    (['p', '=', '0.25'], '')
    """
    return (
        f"p\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{value:.2g}"
        if value is not None and math.isfinite(value)
        else ""
    )


def flatten_manifest(content: Any, prefix: str = "") -> list[tuple[str, str]]:
    """A manifest as rows of dotted name and value.

    >>> flatten_manifest({"model": {"kind": "node2vec"}, "seeds": [0, 1]})
    [('model.kind', 'node2vec'), ('seeds', '0, 1')]
    """
    if not isinstance(content, dict):
        text = ", ".join(str(item) for item in content) if isinstance(content, list) else str(content)
        return [(prefix, text)]
    rows = []
    for name, value in content.items():
        rows += flatten_manifest(value, f"{prefix}.{name}" if prefix else str(name))
    return rows
