"""What shows a study: an HTML page, sections of a page in Markdown, pictures with their data."""

import os
from collections.abc import Sequence
from pathlib import Path

import polars as pl
from markupsafe import Markup

from geomem.claims.claim import Verdict
from geomem.claims.page import Opening
from geomem.claims.page import write_page as write_claims
from geomem.figures.drawing import save_figure, styled
from geomem.figures.page_svg import page_svg
from geomem.figures.palette import LIGHT, THEMES
from geomem.files import check_replaceable
from geomem.studies.markdown import (
    exchange_sections,
    format_cell,
    frame_lines,
    markdown_lines,
    write_sections,
)
from geomem.studies.running import Finding
from geomem.studies.study import Study


def check_page(study: Study, page: Path) -> None:
    """Raise `InputError`, before the work begins, where the sections of a page could not be written."""
    check_replaceable(page)
    exchange_sections(page, dict.fromkeys((*study.tables, "answer", "verdicts"), ()))


def write_page(finding: Finding, out: str | os.PathLike[str]) -> Path:
    """Write a study as one HTML page: question, rule, answer, figures, tables, verdicts of its claims.

    Raises `InputError` if the place cannot be written to.
    """
    study = finding.study
    parts = [Markup("<p class=lede><b>Rule, stated first.</b> {}</p>").format(study.rule)]
    parts += [Markup("<p class=lede>{}</p>").format(sentence) for sentence in finding.sentences]
    for name, draw in study.figures.items():
        picture = page_svg(styled(draw)(finding.table, LIGHT), name=f"study-{name}")
        parts.append(
            Markup('<figure role=img aria-label="Figure: {}">{}</figure>').format(name, Markup(picture))
        )
    parts += [_section(name, table) for name, table in finding.tables().items()]
    opening = Opening(study.title, study.question, Markup("\n").join(parts), f"geomem study {study.name}")
    return write_claims(finding.verdicts, out, scale=finding.scale.name, opening=opening)


def _section(name: str, table: pl.DataFrame) -> Markup:
    cells = Markup("<th scope=col>{}</th>")
    head = Markup("").join(cells.format(title) for title in table.columns)
    rows = [
        Markup("").join(Markup("<td>{}</td>").format(format_cell(value)) for value in row)
        for row in table.rows()
    ]
    body = Markup("").join(Markup("<tr>{}</tr>").format(row) for row in rows)
    return Markup(
        '<section class=comparison><h2>{}</h2><div class=scroll tabindex=0 role=region aria-label="{}">'
        "<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div></section>"
    ).format(f"{name[:1].upper()}{name[1:]}", name, head, body)


def write_markdown(finding: Finding, path: Path) -> None:
    """Write the tables, the answer and the verdicts of a study between the marks of a page in Markdown.

    The marks are called as the tables are, `answer` and `verdicts`. Raises `InputError` if one is missing.
    """
    sections: dict[str, Sequence[str]] = {
        name: frame_lines(table) for name, table in finding.tables().items()
    }
    sections["answer"] = [f"- {sentence}" for sentence in finding.sentences]
    sections["verdicts"] = verdict_lines(finding.verdicts)
    write_sections(path, sections)


def verdict_lines(verdicts: Sequence[Verdict]) -> list[str]:
    """The lines of a table of claims: rule, what came out, verdict."""
    rows = [
        (f"`{verdict.claim.id.partition('/')[2]}`", verdict.claim.rule, verdict.sentence, verdict.status)
        for verdict in verdicts
    ]
    return markdown_lines(("claim", "rule", "what came out", "verdict"), rows)


def save_pictures(finding: Finding, directory: Path) -> list[Path]:
    """Every figure as PDF and SVG, light and dark, with its data as CSV; the paths written."""
    return [
        path
        for name, draw in finding.study.figures.items()
        for shade, theme in THEMES.items()
        for path in save_figure(
            styled(draw)(finding.table, theme),
            finding.table,
            directory / f"{finding.study.name}-{name}-{shade}",
        )
    ]
