"""Headroom: which interventions bring the Transformer's memory to Node2Vec's geometry, and keep it there."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from geomem.claims.check import Check, check
from geomem.claims.claim import OWN, claim, conditions, expects, needs
from geomem.claims.counterexamples import geometric, imagined
from geomem.claims.evidence import Evidence, FleetEvidence, alignment, final
from geomem.claims.experiment import Experiment, experiment
from geomem.claims.memorize_geometrically.tiny_graphs import GRAPHS
from geomem.claims.need import FleetRequest, Need, Needs, Scale
from geomem.models.configuration import Node2Vec, Transformer
from geomem.studies.study import Study
from geomem.training.configuration import Training, default_training
from geomem.training.treatment import Settings, intervene
from geomem.worlds.graphs.atlas import europe
from geomem.worlds.graphs.graph import Graph
from geomem.worlds.tasks import EdgeMemorization

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from geomem.figures.palette import Theme

PAGE = "docs/studies/headroom.md"
STEPS = 500
WITHIN = 0.02

SLOW, PENALTY = "self-edges + slow network", "self-edges + dirichlet"
IDENTITY = "self-edges + identity start + network decay"
ARMS: dict[str, tuple[str, ...]] = {
    "nothing": (),
    "self-edges": ("self-edges",),
    "forward facts only": ("forward-only",),
    "spectral start": ("spectral-start",),
    "small embeddings": ("small-embeddings",),
    "wide embeddings": ("wide-embeddings",),
    "identity start": ("identity-start",),
    "slow network": ("slow-network",),
    "fast embeddings": ("fast-embeddings",),
    "embedding decay": ("embedding-decay",),
    "network decay": ("network-decay",),
    "dirichlet": ("dirichlet",),
    "noise": ("noise",),
    "dropout": ("dropout",),
    "untied": ("untied",),
    "tied at the start": ("tied-start",),
    "width 8": ("width-8",),
    "gradient descent": ("gradient-descent",),
    "muon, network": ("muon-network",),
    "muon": ("muon",),
    SLOW: ("self-edges", "slow-network"),
    PENALTY: ("self-edges", "dirichlet"),
    IDENTITY: ("self-edges", "identity-start", "network-decay"),
    "self-edges + muon": ("self-edges", "muon"),
}
"""The interventions of every arm, by its name."""

KEPT = ("nothing", "self-edges", "spectral start", "dirichlet", "muon", SLOW, PENALTY, IDENTITY)
"""The arms that the quick scale also trains six times as long."""
LONG, LONG_GRAPHS = ("nothing", SLOW, PENALTY), ("star", "irregular")
"""Those that it trains forty times as long, and on what."""

WORLDS: dict[str, Graph] = {**GRAPHS, "europe": europe()}
"""The four tiny graphs and a real one."""


def fleet_of(arm: str, budget: int, name: str, world: Graph, seeds: tuple[int, ...]) -> FleetRequest:
    """The runs of an arm at so many times the published 500 steps; its key is "arm@budget/world"."""
    training = Training(steps=budget * STEPS, metric_every=5 * budget)
    done = intervene(ARMS[arm], Settings(EdgeMemorization(), Transformer(), training))
    return FleetRequest(
        f"{arm}@{budget}/{name}", world, done.model, done.training, seeds, done.task, done.treatment
    )


def runs_of(
    arms: Sequence[str], budget: int, worlds: Mapping[str, Graph] = GRAPHS, *, everywhere: bool = False
) -> Needs:
    """The need of arms at a budget; with `everywhere` the full scale has all arms."""

    def request(scale: Scale) -> tuple[FleetRequest, ...]:
        chosen = tuple(ARMS) if everywhere and scale.name == "full" else arms
        return tuple(
            fleet_of(arm, budget, name, world, scale.seeds)
            for arm in chosen
            for name, world in worlds.items()
        )

    return request


def node2vec_on(worlds: Mapping[str, Graph] = GRAPHS) -> Needs:
    """The need of Node2Vec, in its published setting."""

    def request(scale: Scale) -> tuple[FleetRequest, ...]:
        model = Node2Vec()
        return tuple(
            FleetRequest(f"node2vec/{name}", world, model, default_training(model), scale.seeds)
            for name, world in worlds.items()
        )

    return request


@experiment(version=1)
def measure_cost(
    settings: Mapping[str, Any], *, directory: Any, device: str, on_progress: Callable[[float], None]
) -> dict[str, np.ndarray]:
    """Time of a step with each arm's interventions, as a multiple of the first arm's: `ratio`, [arm].

    All arms take turns, so that other work on the machine meets all of them; the fastest round counts.
    """
    from geomem.runs.edges import edge_job

    times = np.full((settings["rounds"], len(settings["arms"])), np.inf)
    for number in range(times.size):
        round_, arm = divmod(number, times.shape[1])
        seconds = []
        for steps in (20, 20 + settings["steps"]):
            training = Training(steps=steps, metric_every=steps, snapshots=2)
            job = edge_job(
                GRAPHS["star"],
                training=training,
                seeds=settings["seeds"],
                interventions=settings["arms"][arm],
            )
            began = perf_counter()
            job.train(device=device)
            seconds.append(perf_counter() - began)
        times[round_, arm] = seconds[1] - seconds[0]
        on_progress((number + 1) / times.size)
    fastest = times.min(axis=0)
    return {"ratio": fastest / fastest[0]}


def cost_of_arms(scale: Scale) -> tuple[Need, ...]:
    """The need of the time of all arms."""
    settings = {
        "arms": [list(names) for names in ARMS.values()],
        "seeds": list(scale.seeds),
        "rounds": 3,
        "steps": 60,
    }
    return (Experiment("cost", measure_cost, settings, seconds=0.4 * len(ARMS) * len(scale.seeds)),)


# The claims.


def lead(runs: Evidence, key: str, graph: str) -> np.ndarray:
    """Fiedler alignment after the last step, less Node2Vec's mean on the same graph."""
    return alignment(runs[f"{key}/{graph}"]) - float(np.mean(alignment(runs[f"node2vec/{graph}"])))


def check_reached(runs: Evidence, arm: str, budget: int) -> Iterator[Check]:
    """That an arm is at Node2Vec's alignment on every graph, with full recall."""
    for graph, fleet in runs.of(f"{arm}@{budget}"):
        ahead = lead(runs, f"{arm}@{budget}", graph)
        yield check(f"alignment less Node2Vec's, {arm}, {graph}", ahead, at_least=-WITHIN, over="mean")
        yield check(f"recall, {arm}, {graph}", final(fleet, "associative_accuracy"), exactly=1)


lookup = imagined("associative", {"node2vec": "geometric"})
"""Every fact recalled from a lookup table, beside a Node2Vec that is a geometry."""
SETTING = "Transformer of width 32, AdamW, learning rate .01, cosine to a tenth"


@claim("headroom/reached", place=PAGE)
@needs(node2vec_on(), runs_of((SLOW, PENALTY, IDENTITY), 1), counterexample=lookup)
@conditions(f"{SETTING}, 500 steps; the four tiny graphs")
@expects("each within .02 of Node2Vec, recall 1", OWN, PAGE)
def reached(runs: Evidence) -> Iterator[Check]:
    """Three combinations reach Node2Vec's geometry.

    Self-edges with a network that learns 30 times slower, with a Dirichlet penalty, or with residual branches
    that start at zero and decay, bring the Transformer to Node2Vec's alignment on every tiny graph, and every
    fact is recalled.
    """
    for arm in (SLOW, PENALTY, IDENTITY):
        yield from check_reached(runs, arm, 1)


@claim("headroom/kept", place=PAGE)
@needs(node2vec_on(), runs_of((PENALTY,), 6), counterexample=lookup)
@conditions(f"{SETTING}, 3,000 steps; the four tiny graphs")
@expects("within .02 of Node2Vec, recall 1", OWN, PAGE)
def kept(runs: Evidence) -> Iterator[Check]:
    """The penalty keeps it.

    Trained six times as long, self-edges with a Dirichlet penalty are still at Node2Vec's alignment on every
    tiny graph, and every fact is recalled.
    """
    yield from check_reached(runs, PENALTY, 6)


@claim("headroom/not-kept", place=PAGE)
@needs(
    node2vec_on({"star": GRAPHS["star"]}),
    runs_of(("nothing", SLOW, IDENTITY), 6, {"star": GRAPHS["star"]}),
    counterexample=geometric,
)
@conditions(f"{SETTING}, 3,000 steps; the star")
@expects("more than .02 below Node2Vec", OWN, PAGE)
def not_kept(runs: Evidence) -> Iterator[Check]:
    """What only slows or starts differently does not.

    Trained six times as long, neither the slow network nor the identity start is still at Node2Vec's
    alignment on the star.
    """
    for arm in ("nothing", SLOW, IDENTITY):
        ahead = lead(runs, f"{arm}@6", "star")
        yield check(f"alignment less Node2Vec's, {arm}, star", ahead, below=-WITHIN, over="mean")


@claim("headroom/wide-start", place=PAGE)
@needs(runs_of(("wide embeddings",), 1), counterexample=geometric)
@conditions(f"{SETTING}, 500 steps, embeddings from N(0, 1); the four tiny graphs")
@expects("alignment .26 to .33, recall 1", OWN, PAGE)
def wide_start(runs: Evidence) -> Iterator[Check]:
    """A wide start is the way down.

    With embeddings from N(0, 1) every fact is recalled from a lookup table: a control for all others.
    """
    for graph, fleet in runs.of("wide embeddings@1"):
        yield check(f"alignment, {graph}", alignment(fleet), at_most=0.5, over="mean")
        yield check(f"recall, {graph}", final(fleet, "associative_accuracy"), at_least=0.99, over="mean")


@claim("headroom/real", place=PAGE)
@needs(
    node2vec_on({"europe": WORLDS["europe"]}),
    runs_of((SLOW, PENALTY), 1, {"europe": WORLDS["europe"]}),
    counterexample=imagined("untrained"),
)
@conditions(f"{SETTING}, 500 steps; the land borders of Europe")
@expects("within .02 of Node2Vec, recall 1", OWN, PAGE)
def real_graph(runs: Evidence) -> Iterator[Check]:
    """The same holds on a real graph.

    On the borders of Europe the slow network and the penalty, with self-edges, reach Node2Vec's alignment,
    and every fact is recalled.
    """
    for arm in (SLOW, PENALTY):
        yield from check_reached(runs, arm, 1)


@claim("headroom/survey", place=PAGE)
@needs(
    node2vec_on(WORLDS),
    runs_of(tuple(ARMS), 1, WORLDS),
    runs_of(KEPT, 6, WORLDS, everywhere=True),
    runs_of(LONG, 40, {name: GRAPHS[name] for name in LONG_GRAPHS}),
    cost_of_arms,
    counterexample=lambda requests: Evidence(lookup(requests).fleets, {"cost.ratio": np.ones(len(ARMS))}),
)
@conditions(f"{SETTING}, 500, 3,000 and 20,000 steps; the four tiny graphs and the borders of Europe")
@expects("at least one", OWN, PAGE)
def survey(runs: Evidence) -> Iterator[Check]:
    """At least one intervention reaches Node2Vec and keeps it.

    Of all interventions and combinations, at least one is at Node2Vec's alignment on every tiny graph with
    full recall after 500 steps and after 3,000.
    """
    count = sum(stays(runs, arm) for arm in ARMS)
    yield check("interventions that reach it and keep it", [count], at_least=1)


def stays(runs: Evidence, arm: str) -> bool:
    """Whether an arm passes the rule at one and at six times the budget, on every tiny graph."""
    worlds = judged_worlds(world for world, _ in runs.of("nothing@1"))
    found = [item for budget in (1, 6) for item in check_reached(runs, arm, budget)]
    judged = [item for item in found if item.quantity.name.rpartition(", ")[2] in worlds]
    return len(judged) == 2 * 2 * len(worlds) and all(item.passed for item in judged)


def judged_worlds(names: Iterable[str]) -> list[str]:
    """The worlds that the rule is about: the tiny graphs, or all where there is none of these.

    >>> judged_worlds(["star", "europe"]), judged_worlds(["europe"])
    (['star'], ['europe'])
    """
    given = list(names)
    return [name for name in given if name in GRAPHS] or given


# The table and what is made of it.


def tabulate(runs: Evidence) -> pl.DataFrame:
    """A row per arm, budget, world and seed."""
    ratios = dict(zip(ARMS, runs.arrays["cost.ratio"].tolist(), strict=True))
    rows = []
    for key, fleet in runs.fleets.items():
        name, _, world = key.partition("/")
        arm, _, budget = name.partition("@")
        rows += _rows_of(arm, int(budget or 0), world, fleet, ratios.get(arm, float("nan")))
    return pl.DataFrame(rows)


def _rows_of(
    arm: str, budget: int, world: str, fleet: FleetEvidence, cost: float
) -> Iterator[dict[str, object]]:
    level, recall = fleet.metrics["geometric_level"], fleet.metrics["associative_accuracy"]
    for run, (seed, aligned) in enumerate(zip(fleet.request.seeds, alignment(fleet), strict=True)):
        yield {
            "arm": arm,
            "budget": budget,
            "world": world,
            "seed": seed,
            "alignment": float(aligned),
            "level": float(level[-1, run]),
            "peak level": float(level[:, run].max()),
            "recall": float(recall[-1, run]),
            "forgotten": float(recall[:, run].max() - recall[-1, run]),
            "cost": cost,
        }


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


def draw_leads(table: pl.DataFrame, theme: "Theme") -> "Figure":
    """Alignment less Node2Vec's, a row per arm and a panel per budget; hollow where facts are missing."""
    from geomem.figures.drawing import dressed_axes, new_figure

    reference = table.filter(pl.col("arm") == "node2vec").group_by("world").agg(pl.col("alignment").mean())
    base = dict(reference.iter_rows())
    own = table.filter(pl.col("arm") != "node2vec")
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


STUDY = Study(
    name="headroom",
    title="Headroom: how to bring a Transformer's memory to Node2Vec's geometry",
    question="The paper sees visible headroom to make a Transformer's memory more strongly geometric. Which "
    "interventions bring it to Node2Vec's Fiedler alignment, at what cost, and do they keep it there?",
    rule="An intervention passes if on every tiny graph its mean alignment is at most .02 below Node2Vec's "
    "and most seeds recall every fact, after 500 steps (it reaches it) and after 3,000 (it keeps it).",
    claims=(reached, kept, not_kept, wide_start, real_graph, survey),
    tabulate=tabulate,
    tables={
        f"alignment after {budget * STEPS} steps": lambda table, budget=budget: alignments(table, budget)
        for budget in (1, 6, 40)
    },
    figures={"leads": draw_leads},
    conclude=conclude,
)


def headroom_on(worlds: Mapping[str, Graph]) -> Study:
    """The same study on other worlds: all interventions, judged on every one of them."""
    everything = (
        node2vec_on(worlds),
        runs_of(tuple(ARMS), 1, worlds),
        runs_of(KEPT, 6, worlds, everywhere=True),
        cost_of_arms,
    )
    claim = replace(survey, needs=everything, stated_conditions=f"{SETTING}; {', '.join(worlds)}")
    return replace(STUDY, claims=(claim,))
