"""The frame of studies on a small one, and the studies there are on made-up measurements."""

import re
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from geomem.claims.catalogue import CLAIMS, find_claims
from geomem.claims.check import check
from geomem.claims.claim import OURS, claim, expects, needs
from geomem.claims.counterexamples import associative
from geomem.claims.evidence import Evidence, final
from geomem.claims.need import FleetRequest, Scale
from geomem.cli import main
from geomem.errors import InputError
from geomem.figures.drawing import dressed_axes, new_figure
from geomem.figures.palette import LIGHT
from geomem.models.configuration import Transformer
from geomem.studies import headroom
from geomem.studies.catalogue import STUDIES
from geomem.studies.markdown import write_sections
from geomem.studies.page import save_pictures, write_markdown, write_page
from geomem.studies.running import run_study
from geomem.studies.study import Study
from geomem.sweep.engines import Ray
from geomem.training.configuration import Training
from geomem.training.treatment import INTERVENTIONS, Treatment
from geomem.worlds.graphs.families import cycle, path

DOCS = Path(__file__).parents[2] / "docs" / "studies"


def small_fleets(scale: Scale):
    model, training = Transformer(width=8), Training(steps=4, snapshots=2)
    return tuple(
        FleetRequest(name, cycle(6), model, training, scale.seeds, treatment=treatment)
        for name, treatment in (("plain", Treatment()), ("treated", Treatment(network_rate=0.1)))
    )


@claim("small/level", place="docs/studies")
@needs(small_fleets, counterexample=associative)
@expects("at least -1", "own measurement", "docs/studies")
def small_level(runs):
    """Levels are levels.

    A mean of cosines is at least -1.
    """
    for name, fleet in runs.fleets.items():
        yield check(f"level, {name}", final(fleet, "geometric_level"), at_least=-1)


def tabulate(runs: Evidence) -> pl.DataFrame:
    rows = [
        {"arm": name, "seed": seed, "level": level}
        for name, fleet in runs.fleets.items()
        for seed, level in zip(fleet.request.seeds, final(fleet, "geometric_level"), strict=True)
    ]
    return pl.DataFrame(rows)


def draw(table, theme):
    figure = new_figure(3.0, 2.0, theme)
    dressed_axes(figure, theme, 1, 1, 1).plot(table["level"])
    return figure


SMALL = Study(
    name="small",
    title="A small study",
    question="Are levels levels?",
    rule="They are if they are at least -1.",
    claims=(small_level,),
    tabulate=tabulate,
    tables={"levels": lambda table: table.group_by("arm", maintain_order=True).agg(pl.col("level").mean())},
    figures={"levels": draw},
    conclude=lambda table: (f"There are {len(table)} levels.",),
    seeds=2,
)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def finding(directory):
    return run_study(SMALL, directory=directory, processes=1)


def test_a_study_ends_in_table_verdicts_and_answer(finding):
    assert finding.table.shape == (4, 3)
    assert [verdict.status for verdict in finding.verdicts] == ["reproduced"]
    assert finding.sentences == ("There are 4 levels.",)
    assert small_level.paper == "arXiv 2510.26745", "only a file of geomem.studies is ours"


def test_a_study_again_trains_nothing(finding, directory):
    events = []
    again = run_study(SMALL, directory=directory, on_event=events.append)
    assert events[0].missing.total == 0
    assert again.table.equals(finding.table)


def test_a_study_goes_to_any_engine(tmp_path):
    with pytest.raises(InputError, match=r"^No Ray cluster answers at 127"):
        run_study(SMALL, directory=tmp_path, engine=Ray("127.0.0.1:1"))


def test_a_failed_study_says_what_failed(directory):
    broken = replace(small_level, needs=(lambda scale: small_fleets(scale) * 2,))
    with pytest.raises(InputError, match="not complete: small/level was not run"):
        run_study(replace(SMALL, claims=(broken,)), directory=directory, processes=1)


def test_a_page_needs_nothing_else(finding, tmp_path):
    text = write_page(finding, tmp_path / "page.html").read_text(encoding="utf-8")
    for part in ("A small study", "Are levels levels?", "at least -1", "There are 4 levels.", "<svg"):
        assert part in text
    assert "geomem study small --quick" in text
    assert not re.findall(r'(?:src|href)="http', text)


def test_a_page_in_markdown_is_written_again_between_its_marks(finding, tmp_path):
    page = tmp_path / "small.md"
    names = ("levels", "answer", "verdicts")
    page.write_text("# Small\n" + "".join(f"<!-- {n} -->\nold\n<!-- end of {n} -->\n" for n in names))
    write_markdown(finding, page)
    text = page.read_text(encoding="utf-8")
    assert "old" not in text
    assert text.startswith("# Small\n<!-- levels -->\n| arm | level |\n")
    assert "| `level` | Level at least -1" in text
    write_markdown(finding, page)
    assert page.read_text(encoding="utf-8") == text


def test_a_page_without_marks_stays(tmp_path):
    page = tmp_path / "small.md"
    page.write_text("# Small\n")
    with pytest.raises(InputError, match="has not one line <!-- levels -->"):
        write_sections(page, {"levels": ["new"]})
    assert page.read_text() == "# Small\n"


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("--page=page.md", "has not one line <!-- "),
        ("--page=latin.md", "is not UTF-8; give a page in Markdown."),
        ("--page=missing.md", "missing.md"),
        ("--figures=page.md", "page.md"),
        ("--out=folder", "is a directory; give the name of a file."),
    ],
)
def test_places_are_checked_before_the_work(option, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("page.md").write_text("# Small\n")
    Path("latin.md").write_bytes(b"\xe9\n")
    assert main(["study", "headroom", option]) == 2
    printed = capsys.readouterr()
    assert sentence in printed.err
    assert printed.out == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "latin.md", "page.md"]


def test_pictures_are_saved_light_and_dark_with_their_data(finding, tmp_path):
    written = {path.name for path in save_pictures(finding, tmp_path)}
    assert written == {
        f"small-levels-{shade}.{end}" for shade in ("light", "dark") for end in ("pdf", "svg", "csv")
    }


@pytest.mark.parametrize("study", STUDIES.values(), ids=lambda study: study.name)
def test_studies_make_something_of_measurements(study):
    """Made-up ones, of memories that are lookup tables; nothing is trained."""
    scale = Scale("quick", (0, 1, 2))
    fleets, arrays = {}, {}
    for own in study.claims:
        evidence = own.counterexample(own.fleets(scale))
        fleets |= evidence.fleets
        arrays |= evidence.arrays
    table = study.tabulate(Evidence(fleets, arrays))
    assert table.height
    assert all(make(table).height for make in study.tables.values())
    assert all(draw(table, LIGHT).axes for draw in study.figures.values())
    assert study.conclude(table)
    assert all(sentence.endswith(".") for sentence in study.conclude(table))


@pytest.mark.parametrize("study", STUDIES.values(), ids=lambda study: study.name)
def test_studies_have_pages_and_claims_of_ours(study):
    page = (DOCS / f"{study.name}.md").read_text(encoding="utf-8")
    for section in (*study.tables, "answer", "verdicts"):
        assert f"<!-- {section} -->" in page, section
    assert f"geomem study {study.name}" in page
    for own in study.claims:
        assert CLAIMS[own.id] is own
        assert (own.paper, own.group) == (OURS, study.name)


def test_claims_of_ours_are_checked_when_asked_for():
    assert not [own for own in find_claims([]) if own.paper == OURS]
    assert {own.id for own in find_claims(["ours"])} == {
        own.id for study in STUDIES.values() for own in study.claims
    }


def test_the_commands_list_and_refuse(capsys):
    assert main(["study"]) == 0
    assert capsys.readouterr().out.startswith("headroom: ")
    assert main(["study", "headrom"]) == 2
    assert "did you mean headroom" in capsys.readouterr().err
    assert main(["headroom", "cycle", "cycle"]) == 2
    assert "give each world once" in capsys.readouterr().err


def test_arms_are_made_of_interventions():
    used = {name for names in headroom.ARMS.values() for name in names}
    assert used == INTERVENTIONS.keys()
    assert {*headroom.KEPT, *headroom.LONG} <= headroom.ARMS.keys()


def test_other_worlds_are_judged_whole():
    study = headroom.headroom_on({"line": path(5)})
    (own,) = study.claims
    requests = own.fleets(Scale("quick", (0, 1)))
    assert {request.world.name for request in requests} == {"path-5"}
    evidence = own.counterexample(requests)
    assert all(make(study.tabulate(evidence)).height for make in study.tables.values())
    assert study.tabulate(evidence)["world"].unique().to_list() == ["line"]
    assert own.judge(evidence).outcome == "fails"
