"""By how much one way to hold facts is ahead of another: differences, the rule, tables and figures.

All of them take one table: a row per world, arm, task and seed, with its score and what the run holds.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from geomem.studies.markdown import format_cell

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from geomem.figures.palette import Theme

TASKS: dict[str, str] = {
    "distance": "distance, read from embeddings",
    "distance-state": "distance, read from states",
    "ancestor": "nearest common ancestor",
    "links": "held-out edges",
    "two-hops": "two hops, held-out nodes",
    "paths": "paths, held-out pairs",
    "adding-lands": "a new node lands near",
    "adding-kept": "facts kept when a node is added",
    "forgetting-kept": "facts kept when an edge is forgotten",
}
"""What each score is of; more is better."""

LOOKUPS = ("frozen", "wide start")
"""The lookup tables that the plain Transformer is judged against."""
COMPARISONS = {
    "plain, frozen": ("plain", "frozen"),
    "plain, frozen small": ("plain", "frozen, small"),
    "plain, wide start": ("plain", "wide start"),
    "plain, untied": ("plain", "untied"),
    "plain, late": ("plain", "late"),
    "spectral start, plain": ("spectral start", "plain"),
    "Node2Vec start, plain": ("Node2Vec start", "plain"),
    "penalty, plain": ("penalty", "plain"),
}
"""Pairs of arms, the more geometric one first as far as the papers say."""


@dataclass(frozen=True)
class Difference:
    """A mean difference over pairs of runs with one seed, and its 95 % interval (Student's t)."""

    mean: float
    low: float
    high: float

    @property
    def sign(self) -> int:
        """1 if the interval lies above 0, -1 if below, 0 if it has 0 in it."""
        return int(self.low > 0) - int(self.high < 0)

    def __str__(self) -> str:
        mean, low, high = (format_cell(value) for value in (self.mean, self.low, self.high))
        return f"{mean} ({low} to {high})"


def find_difference(first: np.ndarray, second: np.ndarray) -> Difference:
    """First less second, run by run.

    >>> str(find_difference(np.array([0.5, 0.6, 0.7]), np.array([0.3, 0.4, 0.4])))
    '.23 (.09 to .38)'
    """
    from scipy.stats import t

    found = first - second
    mean = float(found.mean())
    half = float(t.ppf(0.975, len(found) - 1) * found.std(ddof=1) / np.sqrt(len(found)))
    return Difference(mean, mean - half, mean + half)


def differences(table: pl.DataFrame, task: str, pair: tuple[str, str]) -> dict[str, Difference]:
    """The difference between two arms in every world in which a task is asked."""
    own = table.filter(pl.col("task") == task)
    found = {}
    for world in own["world"].unique(maintain_order=True):
        here = own.filter(pl.col("world") == world).sort("seed")
        first, second = (here.filter(pl.col("arm") == arm)["score"].to_numpy() for arm in pair)
        found[world] = find_difference(first, second)
    return found


def settle(table: pl.DataFrame, task: str) -> int:
    """1 if a task is helped, -1 if harmed, 0 if open: the rule of the study.

    Against both lookup tables the interval lies on that side of 0 in at least two worlds, or in all if there
    are fewer.
    """
    signs = [[one.sign for one in differences(table, task, ("plain", lookup)).values()] for lookup in LOOKUPS]
    for sign in (1, -1):
        if all(own.count(sign) >= min(2, len(own)) for own in signs):
            return sign
    return 0


def tabulate_held(table: pl.DataFrame) -> pl.DataFrame:
    """Level, alignment and recall of every arm, means over worlds and seeds, and the lowest recall."""
    held = table.group_by("arm", "world", "seed", maintain_order=True).first()
    return held.group_by("arm", maintain_order=True).agg(
        *(
            pl.col("level").filter(pl.col("world") == world).mean().alias(f"level, {world}")
            for world in held["world"].unique(maintain_order=True)
        ),
        pl.col("alignment").mean(),
        pl.col("recall").mean(),
        pl.col("recall").min().alias("lowest recall"),
    )


def tabulate_scores(table: pl.DataFrame) -> pl.DataFrame:
    """Mean score of every arm by task and world."""
    named = table.with_columns(pl.col("task").replace(TASKS))
    means = named.pivot("arm", index=["task", "world"], values="score", aggregate_function="mean")
    order = {name: place for place, name in enumerate(TASKS.values())}
    return means.sort(pl.col("task").replace_strict(order), maintain_order=True)


def tabulate_judged(table: pl.DataFrame) -> pl.DataFrame:
    """The differences that the rule looks at, with intervals, and what it says."""
    words = {1: "helped", -1: "harmed", 0: "open"}
    rows = []
    for task, title in TASKS.items():
        found = {lookup: differences(table, task, ("plain", lookup)) for lookup in LOOKUPS}
        for number, world in enumerate(found[LOOKUPS[0]]):
            row = {"task": title, "world": world}
            row |= {f"plain less {lookup}": str(found[lookup][world]) for lookup in LOOKUPS}
            rows.append(row | {"verdict": "" if number else words[settle(table, task)]})
    return pl.DataFrame(rows)


def tabulate_comparisons(table: pl.DataFrame) -> pl.DataFrame:
    """Mean difference over worlds of every pair of arms; worlds above 0, below 0, of how many."""
    rows = []
    for task, title in TASKS.items():
        row = {"task": title}
        for name, pair in COMPARISONS.items():
            found = list(differences(table, task, pair).values())
            signs = [one.sign for one in found]
            mean = format_cell(float(np.mean([one.mean for one in found])))
            row[name] = f"{mean} ({signs.count(1)} up, {signs.count(-1)} down of {len(signs)})"
        rows.append(row)
    return pl.DataFrame(rows)


def dose_response(table: pl.DataFrame, task: str, world: str) -> Difference:
    """Rank correlation of level and score over the arms, seed by seed, and the interval of its mean.

    It is 0 where all scores are equal.
    """
    from scipy.stats import spearmanr

    own = table.filter(pl.col("task") == task, pl.col("world") == world)
    found = [
        spearmanr(here["level"], here["score"])[0] if here["score"].n_unique() > 1 else 0.0
        for _, here in own.group_by("seed")
    ]
    return find_difference(np.array(found), np.zeros(len(found)))


def tabulate_dose(table: pl.DataFrame) -> pl.DataFrame:
    """Rank correlation of level and score by task and world."""
    worlds = table["world"].unique(maintain_order=True).to_list()
    rows = []
    for task, title in TASKS.items():
        asked = set(table.filter(pl.col("task") == task)["world"])
        cells = {
            world: str(dose_response(table, task, world)) if world in asked else None for world in worlds
        }
        rows.append({"task": title, **cells})
    return pl.DataFrame(rows)


def draw_dose(table: pl.DataFrame, theme: "Theme") -> "Figure":
    """Score less the mean of the frozen lookup table against level: a point per run, a panel per task."""
    from geomem.figures.drawing import dressed_axes, new_figure

    figure = new_figure(8.6, 7.4, theme)
    worlds = table["world"].unique(maintain_order=True).to_list()
    for panel, (task, title) in enumerate(TASKS.items()):
        axes = dressed_axes(figure, theme, 3, 3, panel + 1)
        axes.axhline(0, color=theme.line, linewidth=1)
        for number, world in enumerate(worlds):
            here = table.filter(pl.col("task") == task, pl.col("world") == world)
            base = here.filter(pl.col("arm") == "frozen")["score"].mean() if len(here) else 0.0
            axes.plot(
                here["level"],
                here["score"] - base,
                "o",
                color=theme.branches[number],
                markersize=3,
                alpha=0.8,
                label=world,
            )
        axes.set_title(title, fontsize=8)
        if panel % 3 == 0:
            axes.set_ylabel("score less frozen")
        if panel >= 6:
            axes.set_xlabel("geometric level")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=len(worlds), frameon=False, labelcolor=theme.ink
    )
    return figure


def draw_benefit(table: pl.DataFrame, theme: "Theme") -> "Figure":
    """The judged differences with their intervals: a row per task, a panel per lookup table."""
    from geomem.figures.drawing import dressed_axes, new_figure

    figure = new_figure(7.6, 4.6, theme)
    worlds = table["world"].unique(maintain_order=True).to_list()
    for panel, lookup in enumerate(LOOKUPS):
        axes = dressed_axes(figure, theme, 1, 2, panel + 1)
        axes.axvline(0, color=theme.line, linewidth=1)
        for number, world in enumerate(worlds):
            colour = theme.branches[number]
            axes.plot([], [], "o", color=colour, markersize=4, label=world)
            for place, task in enumerate(reversed(TASKS)):
                one = differences(table, task, ("plain", lookup)).get(world)
                if one:
                    height = place + 0.22 * (len(worlds) / 2 - 0.5 - number)
                    axes.plot([one.low, one.high], [height, height], color=colour, linewidth=1.5)
                    axes.plot([one.mean], [height], "o", color=colour, markersize=4)
        axes.set_yticks(range(len(TASKS)), [""] * len(TASKS) if panel else [*TASKS.values()][::-1])
        axes.set_xlabel(f"plain less {lookup}")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=len(worlds), frameon=False, labelcolor=theme.ink
    )
    return figure


def conclude(table: pl.DataFrame) -> tuple[str, ...]:
    """Which tasks are helped, which harmed, and which are open."""
    found = {title: settle(table, task) for task, title in TASKS.items()}
    sentences = []
    for sign, words in ((1, "helped by geometry"), (-1, "harmed by it"), (0, "open")):
        titles = [title for title, own in found.items() if own == sign]
        sentences.append(f"{len(titles)} of {len(found)} are {words}: {'; '.join(titles) or 'none'}.")
    return tuple(sentences)
