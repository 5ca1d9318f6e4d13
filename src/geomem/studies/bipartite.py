"""Two sides: what a memory with untied embeddings supports that a tied one does not, and the other way round.

Axis names: `run`, `node`, `width`, `pair`; a *table* [node, node] is a likeness of every two nodes.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from jaxtyping import Bool, Float

from geomem.claims.check import Check, check
from geomem.claims.claim import OWN, claim, conditions, expects, needs
from geomem.claims.counterexamples import Counterexample, imagined
from geomem.claims.evidence import Evidence
from geomem.claims.experiment import Experiment, experiment
from geomem.claims.need import FleetRequest, Need, Needs, Scale
from geomem.models.configuration import Model, Node2Vec, Transformer
from geomem.studies.sides import area, likeness, read_linearly, two_sides
from geomem.studies.study import Study
from geomem.training.configuration import Training, default_training
from geomem.training.treatment import NOTHING, Treatment
from geomem.worlds.find import find_world
from geomem.worlds.graphs.graph import Graph, component_labels, distance_matrix

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from geomem.figures.palette import Theme

PAGE = "docs/studies/bipartite.md"
STEPS = 500
HELD_OUT = 0.1

UNTIED = Transformer(tied=False)
ARMS: dict[str, tuple[Model, Treatment]] = {
    "tied": (Transformer(), NOTHING),
    "untied": (UNTIED, NOTHING),
    "untied, equal start": (UNTIED, Treatment(readout_start="embedding")),
    "node2vec": (Node2Vec(), NOTHING),
    "node2vec, untied": (Node2Vec(tied=False), NOTHING),
}
"""Model and treatment of every arm, by its name."""
LATE = ("averaged", "tied late")
"""The untied memory with the mean of its two tables in both places, as it is and trained on tied."""
WORLDS = ("path-star", "grid", "cycle", "europe", "karate-club")
LINKED = ("grid", "europe", "karate-club")
"""Those that stay whole when edges are held out."""
SIDES = ("same", "across")
"""Both nodes by the embedding that is read, or one by the embedding and the other by the read-out."""


@cache
def divide(name: str) -> tuple[Graph, np.ndarray]:
    """A world without a tenth of its edges, connected all the same, and the held-out edges [edge, 2]."""
    graph = find_world(name)
    order = np.random.default_rng(0).permutation(graph.edge_count)
    kept = np.ones(graph.edge_count, dtype=bool)
    for edge in order.tolist():
        if (~kept).sum() >= HELD_OUT * graph.edge_count:
            break
        kept[edge] = False
        if component_labels(_keep(graph, kept)).any():
            kept[edge] = True
    return replace(_keep(graph, kept), name=f"{graph.name}-divided"), graph.edges[~kept]


def _keep(graph: Graph, kept: Bool[np.ndarray, " edge"]) -> Graph:
    return replace(graph, edges=graph.edges[kept], mutual=np.zeros(0, dtype=np.int64), root=None)


def trained(arms: tuple[str, ...] = tuple(ARMS)) -> Needs:
    """The fleets of arms: "arm/world" on whole worlds, "arm-divided/world" where edges are held out."""

    def request(scale: Scale) -> tuple[Need, ...]:
        return tuple(
            FleetRequest(
                f"{arm}{end}/{name}", world, model, _training(model), scale.seeds, treatment=treatment
            )
            for arm in arms
            for model, treatment in (ARMS[arm],)
            for end, names in (("", WORLDS), ("-divided", LINKED))
            for name in names
            for world in (divide(name)[0] if end else find_world(name),)
        )

    return request


def _training(model: Model) -> Training:
    return replace(default_training(model), snapshots=2)


@experiment(version=1)
def tie_late(
    settings: Mapping[str, Any], *, directory: Any, device: str, on_progress: Callable[[float], None]
) -> dict[str, np.ndarray]:
    """Train untied, take the mean of both tables for both, train on tied.

    `averaged` and `late` are the embeddings before and after, [run, node, width]; `averaged_recall` and
    `late_recall` are [run].
    """
    from geomem.runs.edges import edge_job
    from geomem.runs.start import Start

    world = divide(settings["world"])[0] if settings["divided"] else find_world(settings["world"])
    training = Training(steps=STEPS, metric_every=STEPS, snapshots=2)
    first = edge_job(world, model=UNTIED, training=training, seeds=settings["seeds"]).train(device=device)
    on_progress(0.5)
    weights = {name: tensor.numpy() for name, tensor in first.parameters.items()}
    weights["token_embedding"] = (weights["token_embedding"] + weights.pop("output_embedding")) / 2
    start = Start("untied, averaged", lambda: weights)
    tied = edge_job(world, model=Transformer(), training=training, seeds=settings["seeds"], start=start)
    second = tied.train(device=device)
    recall = second.metrics["associative_accuracy"]
    return {
        "averaged": second.snapshots[0],
        "late": second.snapshots[-1],
        "averaged_recall": recall[0],
        "late_recall": recall[-1],
    }


def tied_late(scale: Scale) -> tuple[Need, ...]:
    """The need of memories that are tied late; keys "late/world" and "late-divided/world"."""
    return tuple(
        Experiment(
            f"late{end}/{name}",
            tie_late,
            {"world": name, "divided": bool(end), "seeds": list(scale.seeds)},
            seconds=1.5 * len(scale.seeds),
        )
        for end, names in (("", WORLDS), ("-divided", LINKED))
        for name in names
    )


# What is asked of a memory.

QUESTIONS = {
    "neighbours": "neighbours told from all others (area)",
    "second neighbours": "second neighbours told from those farther away (area)",
    "even hops": "distance read linearly, among pairs an even number of hops apart (R²)",
    "odd hops": "the same, odd",
    "all hops": "the same, all pairs (R²)",
    "held-out edges": "edges never trained on told from pairs that are no edges (area)",
}
"""What is asked of a memory, and how it is counted."""


def ask_whole(
    graph: Graph, read: Float[np.ndarray, "node width"], answered: Float[np.ndarray, "node width"]
) -> Iterator[tuple[str, str, float]]:
    """Question, side and score, of a memory of a whole graph."""
    first, second = np.triu_indices(graph.node_count, 1)
    distances = distance_matrix(graph)[first, second]
    odd = distances % 2 == 1
    for side, table in likeness(read, answered).items():
        cosines = table[first, second]
        far = distances > 1
        yield "neighbours", side, area(cosines, ~far)
        yield "second neighbours", side, area(cosines[far], distances[far] == 2)
    for side, products in two_sides(read, answered).items():
        features = products[:, first, second].T
        for question, chosen in (("even hops", ~odd), ("odd hops", odd), ("all hops", odd | ~odd)):
            yield question, side, read_linearly(features[chosen], distances[chosen])


def ask_divided(
    name: str, read: Float[np.ndarray, "node width"], answered: Float[np.ndarray, "node width"]
) -> Iterator[tuple[str, str, float]]:
    """The same of held-out edges, of a memory of the others."""
    kept, out = divide(name)
    first, second = np.triu_indices(kept.node_count, 1)
    known = distance_matrix(kept)[first, second] == 1
    right = np.isin(first * kept.node_count + second, np.sort(out, axis=1) @ [kept.node_count, 1])
    for side, table in likeness(read, answered).items():
        yield "held-out edges", side, area(table[first, second][~known], right[~known])


def tabulate(runs: Evidence) -> pl.DataFrame:
    """A row per arm, world, seed, question and side."""
    rows = []
    for key, fleet in runs.fleets.items():
        nodes = fleet.request.world.node_count
        other = "output_embedding" if "output_embedding" in fleet.weights else "context_embedding"
        answered = fleet.weights.get(other, fleet.embeddings)[:, :nodes]
        rows += _rows_of(key, fleet.embeddings, answered, fleet.metrics["associative_accuracy"][-1])
    for array, embeddings in runs.arrays.items():
        key, _, name = array.rpartition(".")
        for arm, entry in zip(LATE, ("averaged", "late"), strict=True):
            if name == entry:
                recall = runs.arrays[f"{key}.{entry}_recall"]
                rows += _rows_of(key.replace("late", arm, 1), embeddings, embeddings, recall)
    return pl.DataFrame(rows)


def _rows_of(
    key: str, read: np.ndarray, answered: np.ndarray, recall: Float[np.ndarray, " run"]
) -> Iterator[dict[str, object]]:
    name, _, world = key.partition("/")
    arm = name.removesuffix("-divided")
    tables = [np.asarray(table, dtype=np.float64) for table in (read, answered)]
    for seed, (E, U) in enumerate(zip(*tables, strict=True)):
        found = ask_whole(find_world(world), E, U) if arm == name else ask_divided(world, E, U)
        for question, side, score in found:
            yield {
                "arm": arm,
                "world": world,
                "seed": seed,
                "question": question,
                "side": side,
                "score": score,
                "recall": float(recall[seed]),
            }


def scores(table: pl.DataFrame, arm: str, question: str, side: str) -> Float[np.ndarray, " run"]:
    """Mean over worlds of one score, by seed."""
    chosen = table.filter(pl.col("arm") == arm, pl.col("question") == question, pl.col("side") == side)
    return chosen.group_by("seed").agg(pl.col("score").mean()).sort("seed")["score"].to_numpy()


def best_scores(table: pl.DataFrame, arm: str, question: str) -> Float[np.ndarray, " run"]:
    """The better side's."""
    return np.maximum(*(scores(table, arm, question, side) for side in SIDES))


# The claims.

SETTING = "Transformer of width 32, AdamW at .01, 500 steps; path-star, grid, cycle, Europe, karate club"
MARGIN = 0.05


@claim("bipartite/two-sides", place=PAGE)
@needs(trained(("untied",)), counterexample=imagined("associative"))
@conditions(SETTING)
@expects("at least .9 and .9; at most .6", OWN, PAGE)
def two_sides_hold(runs: Evidence) -> Iterator[Check]:
    """An untied memory has two sides.

    Neighbours are read across the two tables; within one table they are not told from other pairs, second
    neighbours are.
    """
    table = tabulate(runs)
    yield check(
        "neighbours across", scores(table, "untied", "neighbours", "across"), at_least=0.9, over="mean"
    )
    yield check(
        "neighbours on one side", scores(table, "untied", "neighbours", "same"), at_most=0.6, over="mean"
    )
    second = scores(table, "untied", "second neighbours", "same")
    yield check("second neighbours on one side", second, at_least=0.9, over="mean")


@claim("bipartite/even-odd", place=PAGE)
@needs(trained(("untied",)), counterexample=imagined("associative"))
@conditions(SETTING)
@expects("more than .05", OWN, PAGE)
def even_and_odd(runs: Evidence) -> Iterator[Check]:
    """Even hops stand on one side, odd ones across.

    In an untied memory even distances are read better from one table, odd distances better from the two.
    """
    table = tabulate(runs)
    for question, better, worse in (("even hops", "same", "across"), ("odd hops", "across", "same")):
        ahead = scores(table, "untied", question, better) - scores(table, "untied", question, worse)
        yield check(f"{question}, {better} less {worse}", ahead, above=MARGIN, over="mean")


@claim("bipartite/global-wins", place=PAGE)
@needs(trained(("tied", "untied")), counterexample=imagined("associative"))
@conditions(SETTING)
@expects("more than .05", OWN, PAGE)
def tied_wins(runs: Evidence) -> Iterator[Check]:
    """The tied memory supports what goes beyond the facts better.

    Distance over all pairs, and edges never trained on, are read better from the tied memory than from the
    better side of the untied one.
    """
    table = tabulate(runs)
    for question in ("all hops", "held-out edges"):
        ahead = best_scores(table, "tied", question) - best_scores(table, "untied", question)
        yield check(f"{question}, tied less untied", ahead, above=MARGIN, over="mean")


@claim("bipartite/tied-late", place=PAGE)
@needs(trained(("tied",)), tied_late, counterexample=lambda requests: _never_tied(requests))
@conditions(f"{SETTING}; tied after 500 steps, 500 more")
@expects("within .05", OWN, PAGE)
def late_is_enough(runs: Evidence) -> Iterator[Check]:
    """Tying late is enough.

    An untied memory whose tables are averaged and that is trained on tied is no worse than one that was tied
    all along, at distances and at edges never trained on.
    """
    table = tabulate(runs)
    for question in ("all hops", "held-out edges"):
        ahead = best_scores(table, "tied late", question) - best_scores(table, "tied", question)
        yield check(f"{question}, tied late less tied", ahead, at_least=-MARGIN, over="mean")


@claim("bipartite/survey", place=PAGE)
@needs(trained(), tied_late, counterexample=lambda requests: _never_tied(requests))
@conditions(SETTING)
@expects("at least .95", OWN, PAGE)
def survey(runs: Evidence) -> Iterator[Check]:
    """All arms know the facts.

    Every arm that was trained ends with .95 of the facts of every world, on average over seeds.
    """
    table = tabulate(runs).filter(pl.col("arm") != LATE[0])
    for arm, recall in table.group_by("arm", maintain_order=True).agg(pl.col("recall").mean()).iter_rows():
        yield check(f"recall, {arm}", [recall], at_least=0.95)


def _never_tied(requests: tuple[FleetRequest, ...]) -> Evidence:
    """Tied memories that are a geometry, and late ones that are noise without recall."""
    made_up: Counterexample = imagined("geometric")
    arrays: dict[str, np.ndarray] = {}
    generator = np.random.default_rng(0)
    for need in tied_late(Scale("quick", (0, 1, 2))):
        assert isinstance(need, Experiment)
        nodes = find_world(need.settings["world"]).node_count
        for name in ("averaged", "late"):
            arrays[f"{need.key}.{name}"] = generator.normal(size=(3, nodes, 32))
            arrays[f"{need.key}.{name}_recall"] = np.full(3, 0.1)
    return Evidence(made_up(requests).fleets, arrays)


# The tables and the figure.


def by_question(table: pl.DataFrame) -> pl.DataFrame:
    """A row per arm and side, a column per question: means over worlds and seeds; the lowest recall."""
    means = table.group_by("arm", "side", "question", maintain_order=True).agg(pl.col("score").mean())
    wide = means.pivot("question", index=["arm", "side"], values="score", maintain_order=True)
    recall = table.group_by("arm", "world").agg(pl.col("recall").mean()).group_by("arm")
    return wide.join(
        recall.agg(pl.col("recall").min().alias("lowest recall")), on="arm", maintain_order="left"
    )


def by_world(table: pl.DataFrame) -> pl.DataFrame:
    """The same by world, the better side of each."""
    means = table.group_by("arm", "world", "question", "side", maintain_order=True).agg(
        pl.col("score").mean()
    )
    best = means.group_by("arm", "world", "question", maintain_order=True).agg(pl.col("score").max())
    return best.pivot("question", index=["world", "arm"], values="score").sort("world", maintain_order=True)


def draw_questions(table: pl.DataFrame, theme: "Theme") -> "Figure":
    """Every question a panel, every arm a row: filled read from one side, hollow across, a mark per seed."""
    from geomem.figures.drawing import dressed_axes, new_figure

    arms = table["arm"].unique(maintain_order=True).to_list()[::-1]
    asked = [question for question in QUESTIONS if question in table["question"].unique().to_list()]
    columns = 3
    lines = -(-len(asked) // columns)
    figure = new_figure(8.4, lines * (0.9 + 0.24 * len(arms)) + 0.4, theme)
    for panel, question in enumerate(asked):
        axes = dressed_axes(figure, theme, lines, columns, panel + 1)
        axes.axvline(
            0.5 if "R²" not in QUESTIONS[question] and question != "odd hops" else 0, color=theme.line
        )
        for place, arm in enumerate(arms):
            for number, side in enumerate(SIDES):
                found = scores(table, arm, question, side)
                colour = theme.branches[number]
                face = theme.card if number else colour
                height = np.full(len(found), place + 0.16 - 0.32 * number)
                axes.plot(found, height, "o", color=colour, markerfacecolor=face, markersize=3.5)
        axes.set_ylim(-0.7, len(arms) - 0.3)
        axes.set_yticks(range(len(arms)), arms if panel % columns == 0 else [""] * len(arms))
        axes.set_title(question, fontsize=9)
        axes.set_xlabel("R²" if question.endswith("hops") else "area")
    for number, label in enumerate(("two embeddings", "embedding and read-out")):
        face = theme.card if number else theme.branches[number]
        figure.axes[0].plot(
            [], [], "o", color=theme.branches[number], markerfacecolor=face, markersize=4, label=label
        )
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, labelcolor=theme.ink)
    return figure


def conclude(table: pl.DataFrame) -> tuple[str, ...]:
    """Which of tied and untied answers each question better, by the margin."""
    sentences = []
    for question in QUESTIONS:
        tied, untied = (float(best_scores(table, arm, question).mean()) for arm in ("tied", "untied"))
        side = max(SIDES, key=lambda side: float(scores(table, "untied", question, side).mean()))
        where = "one side" if side == "same" else "across the sides"
        if abs(tied - untied) <= MARGIN:
            said = "both alike"
        else:
            said = "the tied memory" if tied > untied else "the untied memory"
        sentences.append(f"{question.capitalize()}: {said} ({tied:.2f} tied, {untied:.2f} untied, {where}).")
    for arm in LATE:
        distance, links = (
            float(best_scores(table, arm, name).mean()) for name in ("all hops", "held-out edges")
        )
        recall = float(table.filter(pl.col("arm") == arm)["recall"].to_numpy().mean())
        sentences.append(
            f"{arm.capitalize()}: all hops {distance:.2f}, held-out edges {links:.2f}, recall {recall:.2f}."
        )
    return tuple(sentences)


STUDY = Study(
    name="bipartite",
    title="Two sides: what a memory with untied embeddings is good for",
    question="Untied models hold a zig-zag, neighbours on opposite sides. What reasoning does that support "
    "which the one geometry of tied models does not, and the other way round?",
    rule="Of two memories that know the same facts (recall at least .95), one supports a question better if "
    "its mean score over worlds and seeds, from its better side, is more than .05 ahead.",
    claims=(two_sides_hold, even_and_odd, tied_wins, late_is_enough, survey),
    tabulate=tabulate,
    tables={"scores": by_question, "better side by world": by_world},
    figures={"questions": draw_questions},
    conclude=conclude,
    seeds=5,
)
