"""What notebooks show: escaped, complete, in both themes, asking for nothing; and lazily."""

import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

from geomem.audit.facts import audit_facts
from geomem.audit.graph import audit_graph
from geomem.audit.states import Layer, States
from geomem.claims.catalogue import find_claims
from geomem.claims.claim import Scale, reach_verdict
from geomem.figures.palette import DARK, LIGHT
from geomem.measure.edges import measure_fleet
from geomem.memories.construct import construct_memory
from geomem.report.card import QUICK_NODES
from geomem.worlds.facts.families import random_bijections
from geomem.worlds.graphs.families import cycle, path_star
from handmade_fleets import HOSTILE_LABELS, hostile_graph, make_fleet

VOID = {"img", "path", "use", "image", "rect", "br", "stop"}


class Balanced(HTMLParser):
    """Elements in the order they open; every one must be closed by its own tag."""

    def __init__(self, html: str):
        super().__init__()
        self.elements, self.open, self.text = [], [], []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    facts = [
        (f"{label} {i}", relation, label) for i in range(4) for label in HOSTILE_LABELS for relation in "ab"
    ]
    claim = find_claims(["node2vec"])[0]
    judgement = claim.judge(claim.counterexample(claim.fleets(Scale("quick", (0, 1, 2)))))
    hostile = make_fleet(folder, hostile_graph())
    results = {
        "hostile": hostile,
        "portrait": measure_fleet(hostile),
        "star": make_fleet(folder, path_star(arms=3, length=4)),
        "large": make_fleet(folder, cycle(QUICK_NODES), steps=2),
        "diverged": make_fleet(folder, cycle(5), diverged=(0, 1)),
        "memory": construct_memory(facts, folder / "memory"),
        "verdict": reach_verdict(claim, judgement),
    }
    places = np.stack(np.divmod(np.arange(len(HOSTILE_LABELS)), 3), axis=1)[None].repeat(2, axis=0)
    hostile_states = States(HOSTILE_LABELS, ("<i>{}</i>", "{}"), "mean", (Layer("<b>0</b>", places * 1.0),))
    results["graph audit"] = audit_graph(hostile_states, hostile_graph(), twins=[hostile_states], rewirings=9)
    table = random_bijections(20, 2)
    towns = np.random.default_rng(0).normal(size=(table.object_count, 8))
    held = Layer("vectors", towns[None, :20])
    states = States(table.subjects, ("",), "mean", (held,))
    objects = States(table.objects, ("",), "mean", (Layer("vectors", towns[None]),))
    results["facts audit"] = audit_facts(states, table, objects, shuffles=9)
    results["measurement"] = results["portrait"]["associative_accuracy"]
    return {name: result._repr_html_() for name, result in results.items()}


NAMES = (
    "graph audit",
    "facts audit",
    "hostile",
    "portrait",
    "measurement",
    "star",
    "large",
    "diverged",
    "memory",
    "verdict",
)


@pytest.mark.parametrize("name", NAMES)
def test_a_card_is_whole_and_asks_for_nothing(shown, name):
    page = Balanced(shown[name])
    allowed = {
        "div",
        "style",
        "p",
        "span",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "img",
        "svg",
        "g",
        "path",
    }
    allowed |= {
        "defs",
        "use",
        "rect",
        "text",
        "tspan",
        "clippath",
        "lineargradient",
        "stop",
        "image",
        "details",
        "summary",
    }
    assert {tag for tag, _ in page.elements} <= allowed
    for _, attributes in page.elements:
        assert not [key for key in attributes if key.startswith("on")]
        for key in ("src", "href", "xlink:href"):
            assert attributes.get(key, "#").startswith(("#", "data:image/"))
    text = re.sub(r'xmlns(:\w+)?="[^"]*"', "", shown[name])
    assert "http" not in text
    assert "url(" not in re.sub(r"url\(#", "", text)


def test_hostile_labels_stay_text(shown):
    text = "".join(Balanced(shown["hostile"]).text)
    assert "<i>hostile</i>" in text
    for label in HOSTILE_LABELS[:5]:
        assert label in text
    assert "<script" not in shown["hostile"] + shown["memory"]


@pytest.mark.parametrize("name", NAMES)
def test_both_themes_are_there_and_either_can_be_chosen(shown, name):
    style = shown[name].partition("</style>")[0]
    assert style.count(f"--ink:{LIGHT.ink}") == style.count(f"--ink:{DARK.ink}") == 2
    drawn = shown[name].partition("</style>")[2]
    assert not set(re.findall("#[0-9a-f]{6}", re.sub('(?:src|href)="[^"]*"', "", drawn))) & {
        LIGHT.ink,
        LIGHT.accent,
    }


def test_what_is_measured_stands_in_the_table(shown):
    star = "".join(Balanced(shown["star"]).text)
    assert "geometric" in star
    assert "Fiedler alignment" in star
    assert "<svg" in shown["star"]
    assert "associative accuracy" in shown["large"]
    assert "Fiedler" not in shown["large"]
    assert "diverged" in shown["diverged"] or "NaN" in shown["diverged"]
    assert shown["memory"].count("<img") == 2
    assert "expected" in shown["verdict"]
    assert "&lt;b&gt;0&lt;/b&gt;" in shown["graph audit"]
    assert "Mantel" in shown["graph audit"]
    assert shown["facts audit"].count("<tr>") == 3


def test_two_cards_of_one_page_share_no_name(shown):
    ids = [
        set(re.findall(r' id="([^"]+)"', shown[name])) for name in ("hostile", "star", "portrait", "verdict")
    ]
    assert len(set.union(*ids)) == sum(map(len, ids))


def test_files_that_are_gone_are_said(tmp_path):
    import shutil

    run = make_fleet(tmp_path, cycle(5))
    shutil.rmtree(run.path)
    assert "weights.safetensors" in run._repr_html_()


def test_nothing_is_imported_to_be_shown_before_it_is():
    code = "import sys, geomem.runs.run, geomem.geometry.portrait; "
    code += "sys.exit(bool({'matplotlib', 'jinja2', 'torch', 'geomem.report'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_seed_alone_has_no_interval(tmp_path):
    html = make_fleet(tmp_path, cycle(6), seeds=(0,))._repr_html_()
    assert "1 seed<" in html
    assert ">nan" not in html
