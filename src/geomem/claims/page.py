"""The page of verdicts: one HTML file that holds all it needs, and the same numbers as JSON."""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from math import isfinite
from pathlib import Path
from typing import Any

from markupsafe import Markup

from geomem.claims.check import Quantity
from geomem.claims.claim import PAPERS, Expected, Status, Verdict, count_statuses, group_by_paper
from geomem.claims.drawing import draw_claim
from geomem.claims.need import Cost
from geomem.claims.places import cite
from geomem.figures.page_svg import NAMED, page_svg
from geomem.report.card import Card, render_card
from geomem.report.html import format_number, render_html
from geomem.report.html import write_page as write_html
from geomem.version import find_version

STATUS_COLOURS: dict[Status, str] = {
    "reproduced": "accent",
    "deviates as documented": "gold",
    "not reproduced": "warm",
    "not run": "muted",
}
"""Which of a theme's colours a verdict is printed in."""

STATUS_MEANINGS: dict[Status, str] = {
    "reproduced": "The rule holds: our measurements say what the paper says.",
    "deviates as documented": "The paper says too much, and what we measure departs from it as we wrote down "
    "beforehand.",
    "not reproduced": "The rule does not hold, or the documented deviation did not appear.",
    "not run": "A fleet failed, a run directory is damaged, the time did not suffice, or the check itself "
    "broke; nothing is said about the claim.",
}

SHOWN = 4
"""Rows of a claim's table that are open; the others are one click away."""

SCRIPT = """document.querySelector(".theme").addEventListener("click", () => {
const root = document.documentElement, dark = matchMedia("(prefers-color-scheme: dark)").matches;
root.dataset.theme = (root.dataset.theme || (dark ? "dark" : "light")) === "dark" ? "light" : "dark"; });"""


@dataclass(frozen=True)
class Opening:
    """How the page of a study begins, before its verdicts."""

    title: str
    lede: str
    """The question."""
    body: Markup
    """Answer, figures and tables."""
    command: str


def write_page(
    verdicts: Sequence[Verdict],
    out: str | os.PathLike[str],
    *,
    scale: Cost = "quick",
    opening: Opening | None = None,
) -> Path:
    """Write one self-contained HTML page of verdicts with a figure each; the path written.

    Raises `InputError` if the place cannot be written to.
    """
    out = Path(out)
    write_html(render_page(verdicts, scale=scale, opening=opening), out)
    return out


def render_page(verdicts: Sequence[Verdict], *, scale: Cost = "quick", opening: Opening | None = None) -> str:
    """The page's HTML."""
    papers = group_by_paper(verdicts)
    here = resources.files("geomem.claims")
    return render_html(
        (here / "page.html").read_text("utf-8"),
        scripts=[SCRIPT],
        style=(here / "page.css").read_text("utf-8"),
        title=opening.title if opening else page_title(verdicts),
        opening=opening,
        command=opening.command if opening else "geomem reproduce",
        papers=papers,
        paper_titles=PAPERS,
        counts=count_statuses(verdicts),
        paper_counts={
            paper: count_statuses([verdict for group in groups.values() for verdict in group])
            for paper, groups in papers.items()
        },
        meanings=STATUS_MEANINGS,
        colours=STATUS_COLOURS,
        figures={verdict.claim.id: Markup(_figure(verdict)) for verdict in verdicts},
        expected={verdict.claim.id: _beside(verdict) for verdict in verdicts},
        shown=SHOWN,
        cite=cite,
        scale=scale,
        version=find_version(),
        named=NAMED,
    )


def page_title(verdicts: Sequence[Verdict]) -> str:
    """The heading: how many claims, and how many came out as expected."""
    expected = sum(verdict.as_expected for verdict in verdicts)
    many = len(verdicts)
    return f"{many} claim{'' if many == 1 else 's'}, {'all' if expected == many else expected} as expected"


def show_verdict(verdict: Verdict) -> str:
    """What a notebook shows of a verdict: the statement, what was measured beside what was expected."""
    claim, judgement, expected = verdict.claim, verdict.judgement, _beside(verdict)
    quantities = judgement.quantities if judgement else ()
    card = Card(
        claim.title,
        f"{claim.id} · {claim.paper}, {cite(claim.place, claim.paper)}",
        word=verdict.status,
        colour=STATUS_COLOURS[verdict.status],
        sentences=(claim.statement, verdict.sentence),
        head=("", "mean", "95 % over seeds", "expected"),
        rows=[_quantity_row(quantity, expected.get(quantity.name)) for quantity in quantities],
    )
    figure = draw_claim(judgement, claim.expected) if judgement and quantities else None
    return render_card(card, figure, alt=f"What was measured: {claim.title}", width=26)


def _quantity_row(quantity: Quantity, expected: Expected | None) -> tuple[str, ...]:
    interval = f"{format_number(quantity.low)} to {format_number(quantity.high)}"
    value = "–" if expected is None else expected.value
    return (
        quantity.name,
        format_number(quantity.mean),
        interval if isfinite(quantity.low) else "–",
        value if isinstance(value, str) else format_number(value),
    )


def verdicts_json(verdicts: Sequence[Verdict], *, scale: Cost, seeds: int) -> dict[str, Any]:
    """Every verdict with its claim, expected and measured values as JSON values; no number is NaN."""
    return {
        "geomem": find_version(),
        "scale": scale,
        "seeds": seeds,
        "claims": [_verdict_json(verdict) for verdict in verdicts],
    }


def _verdict_json(verdict: Verdict) -> dict[str, Any]:
    claim, judgement = verdict.claim, verdict.judgement
    told = ("id", "paper", "title", "statement", "conditions", "rule", "deviation", "cost")
    return {name: getattr(claim, name) for name in told} | {
        "aliases": list(claim.aliases),
        "place": cite(claim.place, claim.paper),
        "expected": [asdict(entry) | {"place": cite(entry.place, claim.paper)} for entry in claim.expected],
        "status": verdict.status,
        "as_expected": verdict.as_expected,
        "sentence": verdict.sentence,
        "quantities": [_quantity_json(one) for one in (judgement.quantities if judgement else ())],
    }


def _quantity_json(quantity: Quantity) -> dict[str, Any]:
    return {
        "name": quantity.name,
        **{name: _finite(getattr(quantity, name)) for name in ("mean", "low", "high")},
        "seeds": len(quantity.values),
        "held": None if quantity.held is None else quantity.held.tolist(),
        "values": [_finite(value) for value in quantity.values.tolist()],
    }


def _finite(value: float) -> float | None:
    return value if isfinite(value) else None


def _beside(verdict: Verdict) -> dict[str, Expected]:
    """What is expected of a quantity that was measured, by its name."""
    names = {quantity.name for quantity in (verdict.judgement.quantities if verdict.judgement else ())}
    return {entry.quantity: entry for entry in verdict.claim.expected if entry.quantity in names}


def _figure(verdict: Verdict) -> str:
    if verdict.judgement is None or not verdict.judgement.quantities:
        return ""
    name = verdict.claim.id.replace("/", "-")
    return page_svg(draw_claim(verdict.judgement, verdict.claim.expected), name=name)
