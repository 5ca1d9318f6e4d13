"""The report as text: one file, every fleet in it, nothing that could be taken for markup or an address."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from geomem.errors import InputError
from geomem.figures import view_fleet
from geomem.geometry.reading import READINGS
from geomem.geometry.signatures import SIGNATURES
from geomem.report import write_report
from geomem.report.content import fleet_data, packed, rounded, script_json
from geomem.report.html import format_number
from geomem.report.page import compared_measurements, hero_choice, interval_marks, page_title
from geomem.runs.edges import memorize
from geomem.training.configuration import Training
from geomem.worlds.graphs.atlas import europe
from geomem.worlds.graphs.families import complete, cycle, irregular, path, path_star
from handmade_fleets import HOSTILE_LABELS, hostile_graph, make_fleet


class Reader(HTMLParser):
    """Elements, attributes and the text of each script."""

    def __init__(self):
        super().__init__()
        self.elements, self.scripts, self.text, self.open = [], [], [], []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag == "script":
            self.scripts.append("")
        self.open.append(tag)

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data
        elif not (self.open and self.open[-1] == "style"):
            self.text.append(data)


@pytest.fixture(scope="module")
def fleets(tmp_path_factory):
    runs = tmp_path_factory.mktemp("runs")
    star = path_star(arms=3, length=4)
    return [make_fleet(runs, star, learns=False), make_fleet(runs, star), make_fleet(runs, hostile_graph())]


@pytest.fixture(scope="module")
def page(fleets, tmp_path_factory):
    reader = Reader()
    reader.feed(
        write_report(fleets, tmp_path_factory.mktemp("out") / "report.html").read_text(encoding="utf-8")
    )
    return reader


def test_page_loads_nothing(page):
    for tag, attributes in page.elements:
        assert tag not in ("iframe", "object", "embed", "base", "form")
        for name in ("src", "href", "action", "data", "poster", "srcset"):
            if name in attributes:
                assert attributes[name].startswith(("#", "data:")), (tag, attributes)
        assert not any(name.startswith("on") for name in attributes)
    policy = next(a["content"] for t, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy.partition("script-src")[2]


def test_hostile_labels_are_data_and_text_only(page):
    assert len(page.scripts) == 3
    data = json.loads(page.scripts[0])
    assert set(data["fleets"][2]["labels"]) == set(HOSTILE_LABELS)
    assert not re.search(r"[<>&\u2028]", page.scripts[0])
    assert "<i>hostile</i>" in "".join(page.text)
    assert "<u>noted</u>" in "".join(page.text)
    assert not [tag for tag, _ in page.elements if tag in ("i", "u", "img")]


def test_page_states_every_rule_and_every_measurement(page, fleets):
    text = " ".join("".join(page.text).split())
    for word, rule in READINGS.items():
        assert word in text
        assert rule in text
    for measurement in view_fleet(fleets[1]).portrait.measurements:
        assert measurement.title in text
        assert measurement.explanation in text
    assert "versions.numpy" in text
    assert "Procrustes correlation" in text


def test_packed_positions_are_those_of_the_view(fleets):
    view = view_fleet(fleets[1])
    data = fleet_data(view)
    import base64

    places = np.frombuffer(base64.b64decode(data["places"]), "<i2").reshape(view.places.shape) / 32767
    assert np.abs(places - view.places).max() < 2e-5
    cosines = (
        np.frombuffer(base64.b64decode(data["heatmap"]["cosines"]), "<i1").reshape(view.cosines.shape) / 100
    )
    assert np.abs(cosines - view.cosines).max() <= 0.005 + 1e-9


def test_heatmap_gives_up_the_slider_before_the_page_grows(fleets, monkeypatch):
    from geomem.report import content

    monkeypatch.setattr(content, "COSINE_BYTES", 100)
    data = fleet_data(view_fleet(fleets[0]))
    assert not data["heatmap"]["moving"]


def test_numbers_are_short_and_finite():
    assert rounded(np.array([1.23456789, np.nan, np.inf])) == [1.2346, None, None]
    assert script_json({"a": "\u2028</script>"}) == '{"a":"\\u2028\\u003c/script\\u003e"}'
    assert packed(np.array([1, 2]), "<i2") == "AQACAA=="
    assert [format_number(v) for v in (1.0, 0.5312, 14.123, 140.2, 0.0, 2e-7)] == [
        *("1.00", "0.531", "14.1", "140", "0", "0")
    ]


def test_marks_stay_on_their_scale(fleets):
    for measurement in view_fleet(fleets[1]).portrait.measurements:
        marks = interval_marks(measurement)
        if marks is not None:
            for place in (marks.mean, marks.low, marks.low + marks.width, marks.zero, marks.null_low):
                assert 0 <= place <= 100
            assert marks.low <= marks.mean <= marks.low + marks.width + 0.01 or np.isnan(measurement.low)


def test_head_shows_different_readings_of_one_graph_first(fleets):
    views = [view_fleet(fleet) for fleet in fleets]
    assert hero_choice(views) == [0, 1]
    assert hero_choice(views[1:]) == [0, 1]  # no graph twice: then every graph
    assert hero_choice(views[:2] * 3) == [0, 1, 2, 3]
    assert page_title(views) == "Two graphs, three memories"
    assert page_title(views[:2]) == "One graph, two memories"
    assert page_title(views[:1]) == "One graph, one memory"


def test_columns_stand_in_the_order_of_a_table_whichever_fleet_is_first(fleets, tmp_path):
    with_map = memorize(europe(), model="node2vec", training=Training(steps=2), seeds=1, directory=tmp_path)
    views = [view_fleet(fleet) for fleet in (*fleets, with_map)]
    wanted = [m.name for m in views[-1].portrait.measurements if m.compared]
    assert "map_correlation" in wanted
    for order in (views, views[::-1]):
        assert [name for name, _ in compared_measurements(order)] == wanted


def test_report_replaces_the_former_one_and_writes_figures(fleets, tmp_path):
    out = tmp_path / "deep" / "report.html"
    first = write_report(fleets[:1], out).read_bytes()
    assert write_report(fleets[:1], out, figures=tmp_path / "figures").read_bytes() == first
    written = sorted(path.name for path in (tmp_path / "figures" / fleets[0].path.name).iterdir())
    assert "embedding.pdf" in written
    assert "shells.csv" in written
    assert [path.name for path in out.parent.iterdir()] == ["report.html"]


@pytest.mark.parametrize(
    ("name", "message"), [("", "is a directory"), ("file/report.html", "could not be written")]
)
def test_a_place_that_cannot_be_written_is_one_sentence(fleets, tmp_path, name, message):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=message) as caught:
        write_report(fleets[:1], tmp_path / name)
    assert "\n" not in str(caught.value)


def test_no_fleet_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match="give at least one"):
        write_report([], tmp_path / "report.html")


def test_equal_graphs_without_root_or_map_make_a_page(tmp_path):
    fleet = make_fleet(tmp_path, cycle(5), seeds=(7,), steps=5)
    text = write_report([fleet], tmp_path / "report.html").read_text(encoding="utf-8")
    assert "True places" not in text
    assert 'class="seed"' not in text


def test_warnings_stand_with_their_rule_where_something_is_found_and_nowhere_else(tmp_path):
    graph = path_star(arms=3, length=4)
    sound, broken = (
        make_fleet(tmp_path / name, graph, seeds=(0, 1, 2), diverged=diverged)
        for name, diverged in (("sound", ()), ("broken", (1,)))
    )
    for fleet, warned in ((sound, False), (broken, True)):
        reader = Reader()
        reader.feed(write_report([fleet], tmp_path / "report.html").read_text(encoding="utf-8"))
        text = "".join(reader.text)
        assert ("1 of 3 runs: training diverged" in text) is warned
        assert (SIGNATURES["diverged"] in text) is warned
        # What cannot be drawn is left out; the rest is drawn as ever.
        assert json.loads(reader.scripts[0])["fleets"][0]["seeds"] == ([0, 2] if warned else [0, 1, 2])


@pytest.mark.parametrize("graph", [path(2), complete(3), irregular()], ids=lambda graph: graph.name)
def test_tiny_and_disconnected_graphs_make_a_page_and_figures(tmp_path, graph):
    fleet = make_fleet(tmp_path, graph, steps=20)
    out = write_report([fleet], tmp_path / "report.html", figures=tmp_path / "figures")
    data = fleet_data(view_fleet(fleet))
    assert len(data["labels"]) == graph.node_count
    assert "NaN" not in script_json(data)
    assert out.stat().st_size > 1_000_000
