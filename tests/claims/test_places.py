"""Every place of a claim resolves: in the notes by a heading or a row, in the paper by a number it has."""

import re
from pathlib import Path

import pytest

from geomem.claims.catalogue import CLAIMS
from geomem.claims.places import PAGES, anchor, cite, cited_sections, link_notes

DOCS = Path(__file__).parents[2] / "docs"
NOTES = {paper: (DOCS / "papers" / f"{page}.md").read_text() for paper, page in PAGES.items()}
ANCHORS = {paper: set(re.findall(r"^\((\S+)\)=$", text, re.MULTILINE)) for paper, text in NOTES.items()}


def rows_of(paper: str) -> set[str]:
    """Names of rows and of statements: at the start of a line of a table or of a list."""
    return set(
        re.findall(r"^(?:\| |- )\**(?:Our statement )?([A-Z](?:\d+|(?:\.\d)+))\b", NOTES[paper], re.MULTILINE)
    )


def places():
    for claim in CLAIMS.values():
        for place in dict.fromkeys([claim.place, *(entry.place for entry in claim.expected)]):
            yield pytest.param(place, claim.paper, id=f"{claim.id}: {place}")


@pytest.mark.parametrize(("place", "paper"), list(places()))
def test_what_a_claim_cites_of_the_notes_is_there(place, paper):
    for name, section in cited_sections(place, paper):
        assert anchor(section, paper) in ANCHORS[paper], f"the notes have no section {section}"
        assert name == section or name in rows_of(paper), f"the notes have no row {name}"


@pytest.mark.parametrize("paper", PAGES)
def test_links_lead_to_headings(paper):
    for claim in (claim for claim in CLAIMS.values() if claim.paper == paper):
        for target in re.findall(r"\]\(#([^)]+)\)", link_notes(claim.place, paper)):
            assert target in ANCHORS[paper]


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("Obs 3a; Fig 1 left; Refutation 3b of v2", "Obs 3a; Fig 1 left; Refutation 3b of v2"),
        ("Appendix E.1 of the paper; B.1; E.1, L9", "Appendix E.1 of the paper; notes B.1; E.1, L9"),
        ("App F.3", "App F.3"),
        ("v2 text and Fig 8, A.6 item 7", "v2 text and Fig 8, notes A.6 item 7"),
        ("section D, calibration", "notes D, calibration"),
    ],
)
def test_notes_are_told_from_the_paper(place, said):
    assert cite(place, "arXiv 2510.26745") == said


def test_every_heading_of_the_notes_has_an_anchor():
    for paper, text in NOTES.items():
        sections = re.findall(r"^#+ ([A-G](?:\.?\d)*(?:\.\d)*)\.? ", text, re.MULTILINE)
        assert {anchor(section, paper) for section in sections} <= ANCHORS[paper]


SOURCES = sorted((DOCS.parent / "src" / "geomem").rglob("*.py"))
CITED = re.compile(r"\bnotes ([A-G](?:\.\d)+|[A-G](?![\w.])|[A-GSL]\d+)")
BARE = re.compile(
    r"\((?:sections? )?[A-G](?:\.\d)+\)|\(section [A-G]\b|\([A-GS]\d{1,2}(?:, [A-GS]\d{1,2})*\)|paper file"
)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_docstrings_cite_notes_that_are_there(path):
    """B.3.5 and D are sections of the notes on the first paper, C2 of those on the second."""
    text = path.read_text(encoding="utf-8")
    for name in CITED.findall(text):
        paper = "arXiv 2605.12426" if re.fullmatch(r"[A-Z]\d+", name) else "arXiv 2510.26745"
        section = name if len(name) == 1 else cited_sections(name, paper)[0][1]
        assert anchor(section, paper) in ANCHORS[paper], f"the notes have no section {section}"
        assert name == section or name in rows_of(paper), f"the notes have no row {name}"
    if "claims" not in path.parts:
        assert not BARE.findall(text), "say that these are our notes, as in (notes B.3.5)"
