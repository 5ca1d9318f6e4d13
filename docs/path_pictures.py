"""Draw the pictures of docs/path-finding.md: `python docs/path_pictures.py` writes docs/images/paths-*.svg.

They are the paper's figures of path finding (4, 5, 16, 17 and 18 of arXiv 2510.26745) at a laptop's size: the
presets `headline` and `length-6` with every epoch looked at, and beside them the trainings in context of the
claims, seeds 0 to 2 each. Runs are kept in runs/; the first time takes some two minutes of one core, and
more than an hour in context.
"""

from dataclasses import replace
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

import geomem
from geomem.claims.memorize_geometrically.path_settings import PROMPTS
from geomem.figures.drawing import STYLE
from geomem.figures.path_drawing import draw_answers, draw_path_distances, draw_path_places, draw_path_run
from geomem.figures.path_tables import tabulate_path_distances, tabulate_path_places, tabulate_paths
from geomem.measure.paths import path_distances
from geomem.runs.presets import find_preset

IMAGES = Path(__file__).parent / "images"
DOTS = 200
"""Resolution of what is no line or letter, in dots per inch: thousands of points as lines take megabytes."""


def save(figure: Figure, name: str) -> None:
    """Write one picture without date or program, so that the same runs give the same file."""
    with matplotlib.rc_context(STYLE):
        metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(IMAGES / f"paths-{name}.svg", dpi=DOTS, metadata=metadata)


def train_preset(name: str):
    """Three seeds of a preset, with a row of the metrics at every epoch."""
    preset = find_preset(name)
    return geomem.find_paths(
        geomem.path_star(preset.arms, preset.length),
        model=preset.models["transformer"],
        task=preset.task,
        training=replace(preset.training, metric_every=1),
        seeds=3,
        directory="runs",
    )


def train_in_context(name: str):
    """Three seeds of a training of the claims in context: no other run directory than theirs."""
    setting = PROMPTS[name]
    return geomem.find_paths(
        setting.task, model=setting.model, training=setting.training, seeds=3, directory="runs"
    )


def draw_all() -> None:
    """Every picture of the page."""
    headline = train_preset("headline")
    beside = {"1,000 arms\nof 4 nodes": headline, "1,000 arms\nof 6 nodes": train_preset("length-6")}
    save(draw_answers(tabulate_paths(beside)), "answers")
    in_context = {
        "in weights\n1,000 arms": headline,
        "in context\n2 arms": train_in_context("arms-2"),
        "in context\nreversed": train_in_context("reverse"),
        "in context\nteacherless": train_in_context("teacherless"),
    }
    save(draw_answers(tabulate_paths(in_context)), "beside")
    teacherless = tabulate_paths({"in context, teacherless": in_context["in context\nteacherless"]})
    save(draw_path_run(teacherless), "teacherless")
    save(draw_path_run(tabulate_paths({"1,000 arms of 4 nodes": headline})), "tokens")
    distances = path_distances(headline)
    title = f"{len(distances.paths)} of {distances.held_out} held-out paths, means over three seeds"
    save(draw_path_distances(tabulate_path_distances(headline, distances), title=title), "distances")
    places = draw_path_places(tabulate_path_places(headline))
    places.axes[0].collections[0].set_rasterized(True)
    save(places, "places")


if __name__ == "__main__":
    matplotlib.use("agg")
    draw_all()
