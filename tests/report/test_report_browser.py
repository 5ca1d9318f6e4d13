"""A real browser opens the report: it draws, it moves, it asks for nothing, and labels stay text."""

import io
import shutil
from contextlib import contextmanager

import numpy as np
import polars as pl
import pytest
from PIL import Image

from geomem.claims.need import Scale
from geomem.memories.construct import construct_memory
from geomem.models.configuration import Transformer
from geomem.report import write_audit, write_memory_report, write_report
from geomem.runs.paths import find_paths
from geomem.studies.page import write_page
from geomem.studies.running import Finding
from geomem.studies.study import Study
from geomem.training.configuration import PathTraining
from geomem.worlds.facts.table import FactTable
from geomem.worlds.graphs.families import cycle, path_star
from handmade_audits import facts_audit, graph_audit
from handmade_fleets import HOSTILE_LABELS, hostile_graph, make_fleet

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = next(
    filter(
        None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"))
    ),
    None,
)
pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")]

DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
HERO_DRAWN = "() => document.querySelector('.hero canvas').width > 0"
PICTURES_DRAWN = "() => [...document.images].every((image) => image.complete && image.naturalWidth > 0)"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    runs = tmp_path_factory.mktemp("runs")
    star = path_star(arms=4, length=5)
    fleets = [make_fleet(runs, star, learns=False), make_fleet(runs, star), make_fleet(runs, hostile_graph())]
    return write_report(fleets, tmp_path_factory.mktemp("out") / "a report.html").as_uri()


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as engine:
        chromium = engine.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@contextmanager
def watched(browser):
    """Open reports in windows of a size and a colour scheme; afterwards nothing bad may have happened."""
    contexts, complaints = [], []

    def open_page(address, viewport=DESKTOP, scheme="light", motion="reduce", ready=HERO_DRAWN):
        context = browser.new_context(viewport=viewport, color_scheme=scheme, reduced_motion=motion)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        context.on(
            "request",
            lambda request: (
                request.url in (address, page.url)
                or request.url.startswith(("data:", "blob:"))
                or complaints.append(f"request: {request.url[:80]}")
            ),
        )
        page.goto(address)
        page.wait_for_function(ready)
        return page

    open_page.complaints = complaints
    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def open_page(browser):
    with watched(browser) as open_page:
        yield open_page


@pytest.fixture(scope="module")
def desktop(browser, report):
    with watched(browser) as open_page:
        yield open_page(report), open_page.complaints


@pytest.fixture
def page(desktop):
    """The report on a desktop, opened once: to open it takes longer than most questions about it."""
    page, complaints = desktop
    page.evaluate("scrollTo({ top: 0, behavior: 'instant' })")
    yield page
    assert complaints == []


def walk_through(page):
    """Scroll the whole page by less than a window each time, so that everything is drawn once."""
    height = page.evaluate("document.documentElement.scrollHeight")
    for top in range(0, height, 600):
        page.evaluate("top => scrollTo({ top, behavior: 'instant' })", top)
        page.wait_for_timeout(60)
    return height


def bring_into_view(page, selector):
    page.evaluate(
        "s => document.querySelector(s).scrollIntoView({ block: 'center', behavior: 'instant' })", selector
    )
    # The page learns that a chart is near only when the browser says so, later.
    page.wait_for_function(
        "s => (({ chart }) => !chart || (chart.drawn && !chart.dirty))(document.querySelector(s))",
        arg=selector,
    )


def wait_for_charts(page, scope):
    page.wait_for_function(
        """scope => [...document.querySelectorAll(`${scope} [data-chart]`)]
        .filter((e) => e.chart.near).every((e) => e.chart.drawn && !e.chart.dirty)""",
        arg=scope,
    )


def picture(locator):
    return np.asarray(Image.open(io.BytesIO(locator.screenshot())).convert("RGB")).astype(float)


def sticking_out(page):
    """What reaches beyond the window, but for what scrolls on its own."""
    return page.evaluate(
        """() => [...document.querySelectorAll("body *")]
        .filter((e) => !e.closest(".scroll, .pan, svg, .js-plotly-plot, .skip"))
        .filter((e) => e.getBoundingClientRect().right > innerWidth + 1)
        .map((e) => e.outerHTML.slice(0, 80))"""
    )


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_opens_without_complaint_and_never_scrolls_sideways(open_page, report, viewport, scheme):
    page = open_page(report, viewport, scheme)
    walk_through(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    assert sticking_out(page) == []
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (int(ground[4:].split(",")[0]) < 60) == (scheme == "dark")


def test_no_figure_is_blank(page):
    for index in range(3):
        for name in (
            "cosines",
            "distances",
            "curves",
            "shells",
            "spectrum",
            "projections",
            "gradients",
            "true-map",
        ):
            selector = f"#fleet-{index} [data-chart={name}]"
            if page.locator(selector).count():
                bring_into_view(page, selector)
                wait_for_charts(page, f"#fleet-{index}")
                image = picture(page.locator(selector))
                far = np.abs(image - np.median(image, axis=(0, 1))).max(axis=2)
                assert (far > 40).mean() > 0.004, (index, name)
        bring_into_view(page, f"#fleet-{index} canvas")
        page.wait_for_function(f"() => document.querySelector('#fleet-{index} canvas').width > 300")
        page.wait_for_timeout(100)
        image = picture(page.locator(f"#fleet-{index} canvas"))
        # Nodes are coloured, ground and lines are not.
        assert ((image.max(axis=2) - image.min(axis=2)) > 60).mean() > 0.002


def test_slider_moves_points_heatmap_and_marker(page):
    bring_into_view(page, "#fleet-1 canvas")
    wait_for_charts(page, "#fleet-1")
    state = """() => { const s = document.querySelector("#fleet-1"); return {
        points: [...s.scene.positions], pixels: s.querySelector("canvas").toDataURL(),
        marker: s.querySelector("[data-chart=curves]").layout.shapes[0].x0,
        step: s.querySelector("output").textContent } }"""
    page.wait_for_timeout(150)
    last = page.evaluate(state)
    slider = page.locator("#fleet-1 input[type=range]")
    slider.focus()
    page.keyboard.press("Home")
    page.wait_for_timeout(200)
    first = page.evaluate(state)
    assert first["step"] == "step 0"
    assert np.abs(np.subtract(first["points"], last["points"])).max() > 0.2
    assert first["pixels"] != last["pixels"]
    assert first["marker"] < last["marker"]
    cosines = "document.querySelector('#fleet-1 [data-chart=cosines]').data[0].z"
    bring_into_view(page, "#fleet-1 [data-chart=cosines]")
    wait_for_charts(page, "#fleet-1")
    before = page.evaluate(cosines)
    page.keyboard.press("End")
    page.wait_for_timeout(200)
    assert page.evaluate(cosines) != before
    page.keyboard.press("ArrowLeft")
    assert page.locator("#fleet-1 output").inner_text() != last["step"]


def test_play_runs_training_from_the_start(open_page, report):
    page = open_page(report, motion="no-preference")
    hero = page.locator(".hero .player")
    hero.locator("button").click()
    page.wait_for_timeout(400)
    assert 0 < int(hero.locator("input").input_value()) < 1000
    assert hero.locator("button").get_attribute("aria-pressed") == "true"
    hero.locator("button").click()
    assert hero.locator("button").get_attribute("aria-pressed") == "false"


def test_seed_view_and_axis_can_be_chosen(page):
    bring_into_view(page, "#fleet-1 canvas")
    points = "[...document.querySelector('#fleet-1').scene.positions]"
    first = page.evaluate(points)
    page.locator("#fleet-1 .seed").select_option("1")
    second = page.evaluate(points)
    assert first != second
    page.locator("#fleet-1").get_by_label("Laplacian", exact=True).check(force=True)
    assert page.evaluate(points) != second
    wait_for_charts(page, "#fleet-1")
    page.locator("#fleet-1").get_by_label("linear", exact=True).check(force=True)
    page.wait_for_function(
        "() => document.querySelector('#fleet-1 [data-chart=curves]').layout.xaxis.type !== 'log'"
    )
    page.locator("#fleet-1").get_by_label("Loss", exact=True).check(force=True)
    page.wait_for_function(
        "() => document.querySelector('#fleet-1 [data-chart=curves]').data.some((t) => t.name === 'loss')"
    )


def test_views_turn_by_keyboard_and_by_dragging(page):
    yaw = "document.querySelector('.hero canvas').scene.yaw"
    before = page.evaluate(yaw)
    page.locator(".hero canvas").first.focus()
    page.keyboard.press("ArrowRight")
    turned = page.evaluate(yaw)
    assert turned > before
    box = page.locator(".hero canvas").first.bounding_box()
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 180, box["y"] + 100)
    page.mouse.up()
    assert page.evaluate(yaw) > turned
    # The views side by side turn together.
    assert page.evaluate("document.querySelectorAll('.hero canvas')[1].scene.yaw") == page.evaluate(yaw)


def test_theme_button_restyles_page_and_plots(page):
    bring_into_view(page, "#fleet-0 [data-chart=curves]")
    wait_for_charts(page, "#fleet-0")
    colours = """() => [getComputedStyle(document.body).backgroundColor,
        document.querySelector("#fleet-0 [data-chart=curves]").layout.font.color]"""
    light = page.evaluate(colours)
    page.evaluate("document.querySelector('.theme').click()")
    page.wait_for_timeout(100)
    wait_for_charts(page, "#fleet-0")
    dark = page.evaluate(colours)
    assert light[0] != dark[0]
    assert light[1] != dark[1]
    page.evaluate("document.querySelector('.theme').click()")
    page.wait_for_timeout(100)
    wait_for_charts(page, "#fleet-0")
    assert page.evaluate(colours) == light


def test_hostile_labels_stay_text_everywhere(page):
    bring_into_view(page, "#fleet-2 [data-chart=true-map]")
    wait_for_charts(page, "#fleet-2")
    seen = page.evaluate(
        """[...document.querySelectorAll('#fleet-2 [data-chart=true-map] text')]
        .map((e) => e.textContent)"""
    )
    assert "<b>bold</b>" in seen
    assert "$\\frac{1}{2}$" in seen
    assert "{{ 7 * 7 }}" in seen
    assert any("alert(1)" in text and "<script>" in text for text in seen)
    bring_into_view(page, "#fleet-2 [data-chart=cosines]")
    wait_for_charts(page, "#fleet-2")
    ticks = page.evaluate(
        """[...document.querySelectorAll('#fleet-2 [data-chart=cosines] .ytick text')]
        .map((e) => e.textContent)"""
    )
    assert "<b>bold</b>" in ticks
    plot = page.locator("#fleet-2 [data-chart=cosines] .nsewdrag").bounding_box()
    order = page.evaluate("DATA.fleets[2].labels")
    assert sorted(order) == sorted(HOSTILE_LABELS)
    row, column = order.index("<b>bold</b>"), order.index(HOSTILE_LABELS[0])
    cell = plot["width"] / len(order), plot["height"] / len(order)
    page.mouse.move(plot["x"] + (column + 0.5) * cell[0], plot["y"] + (row + 0.5) * cell[1])
    page.wait_for_selector("#fleet-2 [data-chart=cosines] .hoverlayer text")
    hover = page.locator("#fleet-2 [data-chart=cosines] .hoverlayer").text_content()
    assert f"<b>bold</b> · {HOSTILE_LABELS[0]}" in hover
    assert page.evaluate("document.querySelectorAll('img, b b, i, svg script, svg a').length") == 0


def test_policy_stops_a_script_that_was_not_written_by_us(browser, report):
    context = browser.new_context()
    page = context.new_page()
    page.goto(report)
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.hit = 1\">')")
    page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), { text: 'window.hit = 1' }))"
    )
    page.wait_for_timeout(200)
    assert page.evaluate("window.hit") is None
    context.close()


def test_everything_that_shows_or_moves_has_a_name(page):
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, canvas, [data-chart]")]
        .filter((e) => !e.getAttribute("aria-label") && !e.closest("label")?.textContent.trim())
        .map((e) => e.outerHTML.slice(0, 80))"""
    )
    assert nameless == []


def test_eight_fleets_keep_the_page_light(open_page, tmp_path):
    fleets = [make_fleet(tmp_path, cycle(8 + i), steps=20, seeds=(0,)) for i in range(8)]
    page = open_page(write_report(fleets, tmp_path / "many.html").as_uri())
    walk_through(page)
    drawn, every = page.evaluate("[Chart.all.filter((chart) => chart.drawn).length, Chart.all.length]")
    assert every == 8 * 7
    assert drawn < 45  # the rest was given up when it went out of reach
    assert page.evaluate("performance.timing.loadEventEnd - performance.timing.navigationStart") < 15_000
    began = page.evaluate("performance.now()")
    page.evaluate("document.querySelector('.theme').click()")
    page.wait_for_timeout(50)
    assert page.evaluate("performance.now()") - began < 5_000


def test_held_out_paths_are_drawn_and_their_curves_can_be_chosen(open_page, tmp_path):
    training = PathTraining(epochs=4, batches=2, metric_every=1, warmup_steps=2)
    model = Transformer(layers=1, width=8, heads=2)
    options = {"model": model, "training": training, "seeds": 2, "directory": tmp_path}
    page = open_page(
        write_report([find_paths(path_star(20, 4), **options)], tmp_path / "paths.html").as_uri()
    )
    for name in ("leaf-first", "path-path"):
        bring_into_view(page, f"[data-chart={name}]")
        wait_for_charts(page, "#fleet-0")
        cells = page.evaluate("name => document.querySelector(`[data-chart=${name}]`).data[0].z", name)
        assert np.isfinite(np.array(cells, dtype=float)).all()
        assert np.shape(cells) == (5, 5)
    bring_into_view(page, "[data-chart=curves]")
    for choice, line in (("Tokens", "token 4"), ("Geometry", "retrieval"), ("Paths", "held-out whole path")):
        page.locator("#fleet-0").get_by_label(choice, exact=True).check(force=True)
        page.wait_for_function(
            "name => document.querySelector('[data-chart=curves]').data.some((t) => t.name === name)",
            arg=line,
        )


def test_memories_of_facts_open_in_any_window_and_their_labels_stay_text(open_page, tmp_path):
    count = len(HOSTILE_LABELS)
    facts = np.array([[x, r, (x + 3 * r + 1) % count] for x in range(count) for r in range(2)])
    relations = ('"><img src=x onerror=alert(2)>', "a label without any blank ".replace(" ", "_") * 5)
    table = FactTable("</title><script>alert(1)</script>", HOSTILE_LABELS, relations, HOSTILE_LABELS, facts)
    memory = construct_memory(table, tmp_path / "memory")
    address = write_memory_report([memory], tmp_path / "memories.html", training_steps=2).as_uri()
    for viewport, scheme in ((DESKTOP, "light"), (PHONE, "dark")):
        page = open_page(address, viewport, scheme, ready=PICTURES_DRAWN)
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
        assert sticking_out(page) == []
        assert page.locator("#title-0").inner_text() == f"{table.name}, width {memory.model.width}"
        assert page.locator("script, b, img[onerror]").count() == 0
        dark = page.evaluate("[...document.images].map((e) => e.currentSrc !== e.src)")
        assert dark == [scheme == "dark"] * 6


@pytest.mark.parametrize(
    ("audit", "viewport", "scheme"), [(graph_audit, PHONE, "dark"), (facts_audit, DESKTOP, "light")]
)
def test_page_of_an_audit_opens_without_complaint(open_page, tmp_path, audit, viewport, scheme):
    address = write_audit(audit(), tmp_path / "audit.html", command="geomem <b>audit</b>").as_uri()
    page = open_page(address, viewport, scheme, ready=PICTURES_DRAWN)
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    assert sticking_out(page) == []
    assert page.locator("picture").count() > 1
    page.get_by_text("Name by name").first.click()
    assert page.get_by_text(HOSTILE_LABELS[0]).first.is_visible()


def test_wide_tables_of_a_study_scroll_by_themselves(open_page, tmp_path):
    table = pl.DataFrame({f"a column of words {number}": [0.5] for number in range(12)})
    study = Study(
        "wide", "Wide", "?", "!", (), lambda runs: table, {"wide": lambda table: table}, {}, lambda table: ()
    )
    page = write_page(Finding(study, Scale("quick", (0,)), table, (), ()), tmp_path / "study.html")
    page = open_page(page.as_uri(), PHONE, ready="true")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert page.locator(".scroll").first.evaluate("place => place.scrollWidth > place.clientWidth")
