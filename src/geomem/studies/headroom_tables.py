"""What the study of headroom shows: tables, figures and sentences made of its one table.

Its rows are of edges (arm, budget, world, seed, alignment, level, recall, ...) or of paths (arm, world, seed,
epoch, first hop, whole path).
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import polars as pl

from geomem.claims.memorize_geometrically.tiny_graphs import GRAPHS
from geomem.training.treatment import INTERVENTIONS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from geomem.figures.palette import Theme

STEPS = 500
"""The budget that is counted in."""
WITHIN = 0.02
"""How far below Node2Vec's alignment still counts as reaching it."""


def judged_worlds(names: Iterable[str]) -> list[str]:
    """The worlds that the rule is about: the tiny graphs, or all where there is none of these.

    >>> judged_worlds(["star", "europe"]), judged_worlds(["europe"])
    (['star'], ['europe'])
    """
    given = list(names)
    return [name for name in given if name in GRAPHS] or given


def list_interventions(table: pl.DataFrame) -> pl.DataFrame:
    """What every single intervention of the table does, by the name that `--intervene` takes."""
    names = [arm.replace(" ", "-") for arm in table["arm"].unique(maintain_order=True)]
    rows = [(f"`{name}`", INTERVENTIONS[name].explanation) for name in names if name in INTERVENTIONS]
    return pl.DataFrame(rows, schema=["name", "what it does"], orient="row")


def alignments(table: pl.DataFrame, budget: int) -> pl.DataFrame:
    """Mean alignment of each arm by world, the lowest recall of any world, what was forgotten, the time."""
    worlds = table.filter(pl.col("budget") == budget)["world"].unique()
    here = table.filter(pl.col("budget").is_in([0, budget]), pl.col("world").is_in(worlds.to_list()))
    means = here.group_by("arm", "world", maintain_order=True).agg(
        pl.col("alignment", "recall", "forgotten", "level", "cost").mean()
    )
    wide = means.pivot("world", index="arm", values="alignment", maintain_order=True)
    rest = means.group_by("arm", maintain_order=True).agg(
        pl.col("level").mean().alias("mean level"),
        pl.col("recall").min().alias("lowest recall"),
        pl.col("forgotten").max().alias("most forgotten"),
        pl.col("cost").first().alias("time"),
    )
    return wide.join(rest, on="arm", how="left", maintain_order="left")


def path_table(table: pl.DataFrame) -> pl.DataFrame:
    """Held-out first hops and whole paths at the end, and the best of the training; means over seeds."""
    rows = table.filter(pl.col("epoch").is_not_null())
    seeds = rows.group_by("world", "arm", "seed", maintain_order=True).agg(
        pl.col("first hop").last().alias("first hop at the end"),
        pl.col("first hop").max().alias("best"),
        pl.col("whole path").last().alias("whole path at the end"),
    )
    return seeds.group_by("world", "arm", maintain_order=True).agg(
        pl.col("first hop at the end").mean(),
        pl.col("first hop at the end").min().alias("of the worst seed"),
        pl.col("best").mean(),
        pl.col("whole path at the end").mean(),
        pl.len().alias("seeds"),
    )


def draw_paths(table: pl.DataFrame, theme: "Theme") -> "Figure":
    """Held-out first hops over the epochs, a panel per length; bands from the lowest to the highest seed."""
    from geomem.figures.drawing import dressed_axes, new_figure

    rows = table.filter(pl.col("epoch").is_not_null())
    worlds = rows["world"].unique(maintain_order=True).to_list()
    arms = rows["arm"].unique(maintain_order=True).to_list()
    figure = new_figure(1.0 + 3.2 * len(worlds), 3.0, theme)
    for panel, world in enumerate(worlds):
        axes = dressed_axes(figure, theme, 1, len(worlds), panel + 1)
        for number, arm in enumerate(arms):
            here = rows.filter(pl.col("world") == world, pl.col("arm") == arm)
            bands = here.group_by("epoch", maintain_order=True).agg(
                pl.col("first hop").mean(), low=pl.col("first hop").min(), high=pl.col("first hop").max()
            )
            colour = theme.branches[number]
            axes.plot(bands["epoch"], bands["first hop"], color=colour, linewidth=1.6, label=arm)
            axes.fill_between(
                bands["epoch"], bands["low"], bands["high"], color=colour, alpha=0.16, linewidth=0
            )
        axes.set_ylim(0, 1.02)
        axes.set_title(f"500 arms of {world}", fontsize=9)
        axes.set_xlabel("epoch")
    figure.axes[0].set_ylabel("held-out first hops found")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=len(arms), frameon=False, labelcolor=theme.ink
    )
    return figure


def draw_leads(table: pl.DataFrame, theme: "Theme") -> "Figure":
    """Alignment less Node2Vec's, a row per arm and a panel per budget; hollow where facts are missing."""
    from geomem.figures.drawing import dressed_axes, new_figure

    reference = table.filter(pl.col("arm") == "node2vec").group_by("world").agg(pl.col("alignment").mean())
    base = dict(reference.iter_rows())
    own = table.filter(pl.col("arm") != "node2vec", pl.col("budget").is_not_null())
    means = own.group_by("arm", "budget", "world", maintain_order=True).agg(
        pl.col("alignment", "recall").mean()
    )
    arms = own["arm"].unique(maintain_order=True).to_list()
    budgets = sorted(own["budget"].unique().to_list())
    figure = new_figure(3.2 + 2.3 * len(budgets), 0.6 + 0.26 * len(arms), theme)
    worlds = own["world"].unique(maintain_order=True).to_list()
    for panel, budget in enumerate(budgets):
        axes = dressed_axes(figure, theme, 1, len(budgets), panel + 1)
        axes.axvline(0, color=theme.line, linewidth=1)
        axes.axvspan(-WITHIN, WITHIN, color=theme.line, alpha=0.5, linewidth=0)
        for number, world in enumerate(worlds):
            colour = theme.branches[number]
            here = means.filter(pl.col("budget") == budget, pl.col("world") == world)
            for arm, _, _, aligned, recall in here.iter_rows():
                face = colour if recall > 0.995 else "none"
                place = len(arms) - 1 - arms.index(arm)
                axes.plot(
                    [aligned - base[world]], [place], "o", color=colour, markerfacecolor=face, markersize=4
                )
            axes.plot([], [], "o", color=colour, markersize=4, label=world)
        axes.set_ylim(-0.7, len(arms) - 0.3)
        axes.set_yticks(range(len(arms)), arms[::-1] if not panel else [""] * len(arms))
        axes.set_title(f"{budget * STEPS:,} steps", fontsize=9)
        axes.set_xlabel("alignment less Node2Vec's")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=len(worlds), frameon=False, labelcolor=theme.ink
    )
    return figure


def conclude(table: pl.DataFrame) -> tuple[str, ...]:
    """Which arms pass the rule at each budget."""
    table = table.filter(pl.col("budget").is_not_null())
    worlds = judged_worlds(table["world"].unique(maintain_order=True))
    here = table.filter(pl.col("world").is_in(worlds))
    base = here.filter(pl.col("arm") == "node2vec").group_by("world").agg(pl.col("alignment").mean())
    bounds = {world: aligned - WITHIN for world, aligned in base.iter_rows()}
    means = (
        here.filter(pl.col("arm") != "node2vec")
        .group_by("arm", "budget", "world", maintain_order=True)
        .agg(pl.col("alignment").mean(), (pl.col("recall") == 1).mean().alias("full"))
    )
    passed: dict[int, dict[str, list[bool]]] = {}
    for arm, budget, world, aligned, full in means.iter_rows():
        arms = passed.setdefault(budget, {})
        arms.setdefault(arm, []).append(aligned >= bounds[world] and full > 0.5)
    sentences = []
    for budget, arms in sorted(passed.items()):
        good = [arm for arm, each in arms.items() if all(each)]
        sentences.append(
            f"After {budget * STEPS:,} steps {len(good)} of {len(arms)} are within {WITHIN} of Node2Vec with "
            f"every fact recalled, on every world judged: {'; '.join(good) or 'none'}."
        )
    return tuple(sentences)
