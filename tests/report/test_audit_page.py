"""The page of an audit: everything that decided is on it, and nothing that could be taken for markup."""

import numpy as np
import polars as pl
import pytest
from test_report_page import Reader

from geomem.audit.columns import SUMS
from geomem.audit.words import WORDS
from geomem.errors import InputError
from geomem.figures.audit_drawing import tabulate_places
from geomem.geometry.alignment import procrustes_correlation
from geomem.report import write_audit
from geomem.report.audit import audit_sections
from geomem.worlds.graphs.families import cycle
from handmade_audits import TEMPLATES, facts_audit, graph_audit
from handmade_fleets import HOSTILE_LABELS


@pytest.fixture(scope="module")
def audits():
    return {"graph": graph_audit(), "facts": facts_audit()}


@pytest.fixture(scope="module")
def pages(audits, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    found = {}
    for name, audit in audits.items():
        figures = out / "figures" if name == "graph" else None
        page = write_audit(audit, out / f"{name}.html", figures, command="geomem audit '<b>'")
        found[name] = Reader()
        found[name].feed(page.read_text(encoding="utf-8"))
    return out, found


@pytest.mark.parametrize("name", ["graph", "facts"])
def test_a_page_loads_nothing_and_runs_nothing(pages, name):
    page = pages[1][name]
    assert page.scripts == []
    for tag, attributes in page.elements:
        assert tag not in ("iframe", "object", "embed", "base", "form", "script", "i", "u", "em", "s")
        assert not any(key.startswith("on") for key in attributes)
        for key in ("src", "href", "srcset"):
            assert attributes.get(key, "#").startswith(("#", "data:"))
    policy = next(a["content"] for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "script" not in policy


def test_the_page_of_a_graph_says_what_decided_and_how_it_was_made(pages, audits):
    text, audit = " ".join("".join(pages[1]["graph"].text).split()), audits["graph"].audit
    for trial in (*audit.trials, *audit.controls):
        assert trial.name in text
        assert " ".join(trial.sentence[1:].split()) in text
    for look in audit.looks:
        assert look.layer in text
    assert f"<i>model on {audits['graph'].world.name}" in text
    assert all(template in text for template in TEMPLATES)
    assert f"1 of {len(HOSTILE_LABELS)} nodes have no vectors" in text
    assert "6 of 7 (86%)" in text
    for said in ("99 times", "9 graphs", "1 re-initialised", "geomem audit '<b>'", "versions.geomem"):
        assert said in text
    assert f"The correlation of the two maps is {audit.looks[audit.best].map_correlation:.2f}" in text
    assert all(word in text for word in WORDS)


def test_the_page_of_facts_has_a_section_for_each_relation(pages, audits):
    text, audit = " ".join("".join(pages[1]["facts"].text).split()), audits["facts"].audit
    titles = [section.title for section in audit_sections(audits["facts"])]
    assert titles[1:3] == ["<em>first</em>", "second"]
    for relation in audit.relations:
        assert relation.word in text
        assert relation.reason[1:] in text
    assert f"✗ {HOSTILE_LABELS[1]}" in text
    assert f"✓ {HOSTILE_LABELS[0]} 0!" in text
    crossed, sums = audit_sections(audits["facts"])[-3:-1]
    assert [row[0] for row in crossed.tables[0].rows] == ["<em>first</em>", "second"]
    assert sums.tables[0].head == ("Layer", *SUMS, "<em>first</em>", "second")
    assert "<em>first</em>, block 1" in text
    assert "Fewer than 5 facts are left of third" in text


def test_every_picture_is_a_file_beside_its_data(pages, audits):
    out, _ = pages
    assert sorted(path.name for path in (out / "figures").iterdir()) == [
        f"{stem}.{ending}" for stem in ("map", "profile") for ending in ("csv", "pdf", "svg")
    ]
    parts = audit_sections(audits["facts"])
    names = [picture.name for section in parts for picture in section.pictures.values()]
    assert names == ["relations", "relation-1", "relation-2", "causes"]
    table = pl.read_csv(out / "figures" / "map.csv")
    found = procrustes_correlation(
        table.select("x", "y").to_numpy(), table.select("true_x", "true_y").to_numpy()
    )
    audit = audits["graph"].audit
    assert found == pytest.approx(audit.looks[audit.best].map_correlation)


def test_without_places_the_principal_directions_are_shown():
    found = graph_audit(cycle(9))
    table = tabulate_places(found.audit, found.world)
    assert table.columns == ["label", "x", "y"]
    assert np.allclose(table.select("x", "y").to_numpy(), found.audit.places)
    assert "Where the entities lie" in [section.title for section in audit_sections(found)]


def test_facts_that_nobody_asked_for_have_no_answers():
    found = facts_audit(answers=False)
    assert all("the model says" not in t.head for part in audit_sections(found) for t in part.tables)


def test_a_page_that_cannot_be_written_is_refused(audits, tmp_path):
    with pytest.raises(InputError, match="is a directory"):
        write_audit(audits["graph"], tmp_path)
