"""The pages about claims name the claims that there are: each in a table with verdicts, none that is gone."""

import re
from collections import Counter
from pathlib import Path

import pytest

from geomem.claims.catalogue import CLAIMS, find_claims
from geomem.studies.catalogue import STUDIES

DOCS = Path(__file__).parents[2] / "docs" / "claims"
GROUPS = {
    "node2vec": ("node2vec", "dynamics"),
    "theory": ("theory", "trajectory", "complexity"),
    "recall": tuple(dict.fromkeys(claim.group for claim in CLAIMS.values() if "recall" in claim.group)),
}
"""The groups of a page, where they are not the page's name."""

STUDY_PAGES = {name: DOCS.parent / "studies" / f"{name}.md" for name in STUDIES}
PAPER_PAGES = {page.stem: page for page in DOCS.glob("*.md") if page.stem != "index"}
PATHS = PAPER_PAGES | STUDY_PAGES
PAGES = sorted(PATHS)


def tables(page: str) -> list[list[list[str]]]:
    """The cells of every table of a page that has a column of verdicts."""
    text = PATHS[page].read_text(encoding="utf-8")
    found = re.findall(r"(?:^\|.*\|\n?)+", text, re.MULTILINE)
    cells = [
        [[cell.strip() for cell in line.strip(" |").split(" | ")] for line in table.splitlines()]
        for table in found
    ]
    return [table for table in cells if table[0][-1] == "verdict"]


def named(row: list[str]) -> list[str]:
    """The claims that a row is about, by the part of their ids after the slash."""
    return re.findall(r"`([a-z0-9-]+)`", row[0]) or re.findall(r"^`([a-z0-9-]+)`:", row[-1])


def claims_of(page: str):
    return [claim for claim in CLAIMS.values() if claim.group in GROUPS.get(page, (page,))]


@pytest.mark.parametrize("page", PAGES)
def test_tables_have_the_claims_that_there_are(page):
    there = Counter(name for table in tables(page) for row in table[2:] for name in named(row))
    claims = Counter(claim.id.partition("/")[2] for claim in claims_of(page))
    assert not there - claims, "named, and no claim"
    missing = claims - there
    quick = {claim.id.partition("/")[2] for claim in claims_of(page) if claim.cost == "quick"}
    assert not missing.keys() & quick, "claims without a row"
    text = PATHS[page].read_text(encoding="utf-8")
    for name in missing:  # what costs more than anyone has run may stand in the text
        assert f"`{name}`" in text


@pytest.mark.parametrize("page", PAGES)
def test_only_a_claim_with_a_deviation_deviates(page):
    documented = {claim.id.partition("/")[2] for claim in claims_of(page) if claim.deviation}
    for table in tables(page):
        for row in table[2:]:
            for name in named(row):
                assert ("deviates" in row[-1]) <= (name in documented), f"{name}: {row[-1]}"


def test_every_claim_has_a_page():
    on_pages = {claim.id for page in PAGES for claim in claims_of(page)}
    assert on_pages == CLAIMS.keys()


def test_the_first_page_counts_rightly():
    text = (DOCS / "index.md").read_text(encoding="utf-8")
    (count,) = re.findall(r"the (\d+) claims about small graphs", text)
    assert int(count) == len(find_claims(["small-graphs"]))
