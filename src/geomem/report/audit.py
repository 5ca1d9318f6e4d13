"""The page of an audit: the word and what decided, by layer or by relation, and how it was made."""

import os
from pathlib import Path

from geomem.audit.facts import FactsAudit
from geomem.audit.model import ModelAudit
from geomem.audit.words import WORDS
from geomem.figures.palette import WORD_COLOURS
from geomem.report.audit_section import Section, capital
from geomem.report.fact_sections import describe_fact_method, fact_sections, summarize_words
from geomem.report.graph_sections import describe_graph_method, graph_sections
from geomem.report.html import check_places, read_resource, render_html, write_page
from geomem.report.picture import save_picture


def write_audit(
    found: ModelAudit,
    out: str | os.PathLike[str],
    figures: str | os.PathLike[str] | None = None,
    *,
    command: str = "",
) -> Path:
    """Write one self-contained HTML page about an audit; the path written.

    With `figures`, a directory, every picture is also written there as PDF and SVG with its data as CSV.
    `command` is what made the audit, if a command did, and stands on the page. The page holds all it needs,
    runs no script and asks for nothing from anywhere.

    Raises `InputError` if the place cannot be written to.

    >>> import tempfile
    >>> from geomem.audit.model import audit_model
    >>> from geomem.worlds.graphs.families import grid
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "vectors.txt"
    ...     _ = file.write_text("\\n".join(f"{x}.{y} {x} {y}" for x in range(1, 6) for y in range(1, 6)))
    ...     page = write_audit(audit_model(file, grid(5, 5), permutations=99), Path(folder) / "audit.html")
    ...     "vectors.txt on grid-5-5" in page.read_text()
    True
    """
    out = Path(out)
    check_places(out, figures)
    sections = audit_sections(found)
    write_page(render_audit(found, sections, command=command), out)
    if figures is not None:
        for section in sections:
            for picture in section.pictures.values():
                save_picture(picture, Path(figures))
    return out


def audit_sections(found: ModelAudit) -> list[Section]:
    """The parts of the page, in their order; those that have nothing to say are left out."""
    audit = found.audit
    sections = fact_sections(found, audit) if isinstance(audit, FactsAudit) else graph_sections(found, audit)
    return [section for section in sections if section is not None]


def render_audit(found: ModelAudit, sections: list[Section], *, command: str = "") -> str:
    """The page's HTML."""
    audit = found.audit
    if isinstance(audit, FactsAudit):
        word, lede, method = "", summarize_words(audit), describe_fact_method()
    else:
        word, lede, method = audit.word, f"{capital(audit.reason)}.", describe_graph_method(audit)
    return render_html(
        read_resource("audit.html"),
        title=f"{found.source.path.name} on {found.world.name}",
        word=word,
        lede=lede,
        sections=sections,
        command=command,
        method=method,
        notes=(*found.world.notes, *found.notes),
        settings=found.settings,
        words=WORDS,
        colours=WORD_COLOURS,
    )
