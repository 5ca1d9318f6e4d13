"""Real graphs: which of them a memory holds as a geometry, and whether their degrees alone would do."""

import sys
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from geomem.claims.check import Check, check
from geomem.claims.claim import OWN, claim, conditions, expects, needs
from geomem.claims.counterexamples import imagine_arrays
from geomem.claims.evidence import Evidence
from geomem.claims.experiment import Experiment, experiment
from geomem.claims.need import Needs, Scale
from geomem.geometry.portrait import measure_embeddings
from geomem.geometry.reading import READING_PERMUTATIONS, READINGS, majority_word
from geomem.models.configuration import find_architecture
from geomem.studies.study import Study
from geomem.training.configuration import default_training
from geomem.training.treatment import Settings
from geomem.worlds.find import find_world
from geomem.worlds.graphs.graph import Graph
from geomem.worlds.graphs.installed import decompositions, imports
from geomem.worlds.graphs.rewiring import rewired_graphs, shared_edges
from geomem.worlds.tasks import EdgeMemorization

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from geomem.figures.palette import Theme

PAGE = "docs/studies/real-graphs.md"
WIDTH, STEPS = 32, 500
RECALLED = 0.95
"""A memory that holds fewer of its facts is not judged."""
MOST_SHARED = 0.9
"""Rewired graphs that share more edges with the graph are no other graphs: its degrees leave no choice."""
WORDS = tuple(READINGS)


@dataclass(frozen=True)
class RealGraph:
    """A graph of the study."""

    field: str
    build: Callable[[], Graph]
    version: str = ""
    """What it depends on beside this library."""
    large: bool = False
    """Whether it has hundreds of nodes: rewired only once at the quick scale, fewer steps of Node2Vec."""
    full: bool = False
    """Whether the full scale alone has it."""


def built_in(name: str, field: str) -> tuple[str, RealGraph]:
    """The entry of a graph that the registry has."""
    return name, RealGraph(field, lambda: find_world(name))


PYTHON = "Python " + ".".join(map(str, sys.version_info[:3]))
UNICODE = f"Unicode {unicodedata.unidata_version}"
GRAPHS: dict[str, RealGraph] = {
    **dict(
        built_in(name, field)
        for name, field in (
            ("florentine-families", "society"),
            ("karate-club", "society"),
            ("davis-women", "society, two-mode"),
            ("les-miserables", "literature"),
            ("europe", "geography"),
            ("united-states", "geography"),
            ("fullerene", "chemistry"),
        )
    ),
    "imports": RealGraph("software", imports, PYTHON, large=True),
    "decompositions": RealGraph("writing", decompositions, UNICODE, large=True),
    "all-decompositions": RealGraph(
        "writing", lambda: decompositions(everything=True), UNICODE, large=True, full=True
    ),
}
"""The graphs by name."""

SELF = "transformer, self-edges"
ARMS: dict[str, tuple[str, bool]] = {
    "node2vec": ("node2vec", False),
    "transformer": ("transformer", False),
    "mamba": ("mamba", False),
    "gru": ("gru", False),
    SELF: ("transformer", True),
}
"""Of every arm its architecture, and whether every node is asked for itself too."""
SEQUENCE = ("transformer", "mamba", "gru", SELF)
COMPARED = ("node2vec", SELF)
SECONDS = {"node2vec": 0.6, "transformer": 1.0, "mamba": 1.8, "gru": 0.7, SELF: 1.0}
"""About how long a training takes on a small graph, relative to the others."""


@experiment(version=1)
def measure_memory(
    settings: Mapping[str, Any], *, directory: Any, device: str, on_progress: Callable[[float], None]
) -> dict[str, np.ndarray]:
    """A model's memory of a graph, by seed, and of rewired graphs, each by the first seed alone.

    `recall`, `fall` (minus the correlation of centred cosine and distance), `alignment` and `word` (its place
    in `WORDS`), each [run]; the same of rewired graphs with `rewired_` before it, [graph]. `shared` is their
    mean share of edges in common with the graph; `size` are nodes and edges.
    """
    graph, seeds = GRAPHS[settings["graph"]].build(), settings["seeds"]
    rewired = list(rewired_graphs(graph, settings["rewired"]))
    measured = []
    for number, each in enumerate((graph, *rewired)):
        measured.append(_train_and_measure(each, settings, seeds if number == 0 else seeds[:1], device))
        on_progress((number + 1) / (1 + len(rewired)))
    others = {
        f"rewired_{name}": np.concatenate([found[name] for found in measured[1:]]) for name in measured[0]
    }
    shared = np.mean([shared_edges(graph, other) for other in rewired], keepdims=True)
    return {**measured[0], **others, "shared": shared, "size": np.array([graph.node_count, graph.edge_count])}


def _train_and_measure(
    graph: Graph, settings: Mapping[str, Any], seeds: list[int], device: str
) -> dict[str, np.ndarray]:
    from geomem.runs.edges import edge_job

    kind, steps = find_architecture(settings["model"]), settings["steps"]
    given = Settings(EdgeMemorization(), kind(), default_training(kind())).change(
        width=settings["width"],
        self_edges=settings["self_edges"],
        steps=steps,
        metric_every=steps,
        snapshots=2,
    )
    job = edge_job(graph, model=given.model, task=given.task, training=given.training, seeds=seeds)
    trained = job.train(device=device)
    portrait = measure_embeddings(trained.snapshots[-1], graph, permutations=READING_PERMUTATIONS)

    def values(name: str) -> np.ndarray:
        return portrait[name].values if name in portrait else np.full(len(seeds), np.nan)

    return {
        "recall": trained.metrics["associative_accuracy"][-1],
        "fall": -values("centred_distance_correlation"),
        "alignment": values("fiedler_alignment"),
        "word": np.array([WORDS.index(word) for word in portrait.readings]),
    }


def memories(arms: tuple[str, ...]) -> Needs:
    """The need of these arms on all graphs of the scale; the key is "arm/graph"."""

    def request(scale: Scale) -> tuple[Experiment, ...]:
        return tuple(
            ask_for(arm, name, scale)
            for arm in arms
            for name, graph in GRAPHS.items()
            if scale.name == "full" or not graph.full
        )

    return request


def ask_for(arm: str, name: str, scale: Scale) -> Experiment:
    """The experiment of one arm on one graph."""
    graph, (model, self_edges) = GRAPHS[name], ARMS[arm]
    steps = STEPS if model != "node2vec" else 4 * STEPS if graph.large else 20 * STEPS
    rewired = 19 if scale.name == "full" else 1 if graph.large else 3
    settings = {
        "graph": name,
        "version": graph.version,
        "model": model,
        "self_edges": self_edges,
        "width": WIDTH,
        "steps": steps,
        "seeds": list(scale.seeds),
        "rewired": rewired,
    }
    runs = len(scale.seeds) + rewired
    each = 700.0 if name == "all-decompositions" else 15.0 if graph.large else 1.2
    return Experiment(f"{arm}/{name}", measure_memory, settings, seconds=runs * each * SECONDS[arm])


# What a memory is judged by.


@dataclass(frozen=True)
class Memory:
    """A model's memory of a graph, beside those of rewired ones."""

    arm: str
    graph: str
    recall: float
    word: str
    """The word of most seeds."""
    fall: float
    alignment: float
    steeper: bool
    """Whether every seed falls more steeply with distance than every rewired run."""
    rewired_recall: float
    rewired_geometric: float
    """Share of the rewired runs that read geometric."""
    rewired_fall: float
    shared: float

    @property
    def judged(self) -> bool:
        """Whether it holds enough of its facts."""
        return self.recall >= RECALLED

    @property
    def geometric(self) -> bool:
        """Whether it is judged and reads geometric."""
        return self.judged and self.word == "geometric"

    @property
    def comparable(self) -> bool:
        """Whether the rewired graphs are other graphs, and are recalled as well."""
        return self.judged and self.rewired_recall >= RECALLED and self.shared <= MOST_SHARED

    @property
    def verdict(self) -> str:
        """What the study says of it, in a word or two."""
        if not self.judged:
            return "not judged"
        if not self.geometric:
            return self.word
        beyond = "beyond degrees" if self.steeper else "no more than degrees"
        return f"geometric, {beyond if self.comparable else 'no null'}"


def judge_memories(arrays: Mapping[str, np.ndarray]) -> Iterator[Memory]:
    """Every memory that was measured, from the arrays of the experiments."""
    for arm in ARMS:
        for graph in GRAPHS:
            key = f"{arm}/{graph}."
            if f"{key}word" not in arrays:
                continue
            here = {name[len(key) :]: array for name, array in arrays.items() if name.startswith(key)}
            yield Memory(
                arm=arm,
                graph=graph,
                recall=float(here["recall"].mean()),
                word=majority_word(tuple(WORDS[number] for number in here["word"].tolist())),
                fall=float(here["fall"].mean()),
                alignment=float(here["alignment"].mean()),
                steeper=bool(here["fall"].min() > here["rewired_fall"].max()),
                rewired_recall=float(here["rewired_recall"].mean()),
                rewired_geometric=float(np.mean(here["rewired_word"] == WORDS.index("geometric"))),
                rewired_fall=float(here["rewired_fall"].mean()),
                shared=float(here["shared"][0]),
            )


# The claims.


def imagine(word: str, arms: tuple[str, ...] = tuple(ARMS), *, recall: float = 1.0) -> Evidence:
    """What memories that carry one word would have given, as steep as those of rewired graphs."""
    runs = np.ones(3)
    one = {"recall": recall * runs, "fall": 0.3 * runs, "alignment": 0.5 * runs}
    one["word"] = np.full(3, WORDS.index(word))
    one |= {f"rewired_{name}": values for name, values in one.items()}
    one |= {"shared": np.array([0.2]), "size": np.array([34, 78])}
    names = [name for name, graph in GRAPHS.items() if not graph.full]
    return imagine_arrays({f"{arm}/{name}": one for arm in arms for name in names})


SETTING = "Width 32, 500 steps (Node2Vec 10,000, on graphs of hundreds of nodes 2,000), published rates"


@claim("real-graphs/recalled", place=PAGE)
@needs(memories(tuple(ARMS)), counterexample=imagine("associative", recall=0.5))
@conditions(SETTING)
@expects("at least .9", OWN, PAGE)
def recalled(runs: Evidence) -> Iterator[Check]:
    """Real graphs are memorised.

    Nine in ten of all pairs of a model and a real graph end with .95 of the facts recalled.
    """
    share = np.mean([memory.judged for memory in judge_memories(runs.arrays)])
    yield check("memories with .95 of their facts", [share], at_least=0.9)


@claim("real-graphs/spectral", place=PAGE)
@needs(memories(("node2vec",)), counterexample=imagine("associative", ("node2vec",)))
@conditions(SETTING)
@expects("at least .75", OWN, PAGE)
def spectral(runs: Evidence) -> Iterator[Check]:
    """Node2Vec holds most real graphs as a geometry.

    Of the graphs that Node2Vec recalls it reads at least three in four geometric.
    """
    yield check("geometric of those recalled, Node2Vec", [geometric_share(runs, "node2vec")], at_least=0.75)


@claim("real-graphs/facts-alone", place=PAGE)
@needs(memories(SEQUENCE), counterexample=imagine("geometric", SEQUENCE))
@conditions(SETTING)
@expects("less than with self-edges", OWN, PAGE)
def facts_alone(runs: Evidence) -> Iterator[Check]:
    """Facts alone make fewer geometries than self-edges do.

    Of the real graphs it recalls, each sequence model that is trained on edges alone reads fewer geometric
    than the Transformer that is asked for every node itself as well.
    """
    most = geometric_share(runs, SELF)
    for arm in SEQUENCE[:-1]:
        yield check(
            f"share geometric less that with self-edges, {arm}", [geometric_share(runs, arm) - most], below=0
        )


@claim("real-graphs/beyond-degrees", place=PAGE)
@needs(memories(COMPARED), counterexample=imagine("geometric", COMPARED))
@conditions(f"{SETTING}; 3 rewired graphs, of graphs of hundreds of nodes 1 (full: 19)")
@expects("at least .75", OWN, PAGE)
def beyond_degrees(runs: Evidence) -> Iterator[Check]:
    """The geometry is more than the degrees make.

    Of the real graphs held as a geometry, at least three in four fall more steeply with distance, in every
    seed, than all rewired graphs of the same degrees.
    """
    for arm in COMPARED:
        found = [
            memory.steeper
            for memory in judge_memories(runs.arrays)
            if memory.arm == arm and memory.geometric and memory.comparable
        ]
        yield check(f"steeper than every rewired graph, {arm}", [np.mean(found or [False])], at_least=0.75)


def geometric_share(runs: Evidence, arm: str) -> float:
    """Share of the graphs that an arm recalls which it reads geometric; 0 if it recalls none."""
    found = [
        memory.geometric for memory in judge_memories(runs.arrays) if memory.arm == arm and memory.judged
    ]
    return float(np.mean(found or [False]))


# The table and what is made of it.


def tabulate(runs: Evidence) -> pl.DataFrame:
    """A row per arm and graph."""
    rows = []
    for memory in judge_memories(runs.arrays):
        nodes, edges = runs.arrays[f"{memory.arm}/{memory.graph}.size"].tolist()
        rows.append(
            {
                "graph": memory.graph,
                "field": GRAPHS[memory.graph].field,
                "nodes": nodes,
                "edges": edges,
                "arm": memory.arm,
                "verdict": memory.verdict,
                "word": memory.word,
                "recall": memory.recall,
                "fall": memory.fall,
                "alignment": memory.alignment,
                "rewired recall": memory.rewired_recall,
                "rewired fall": memory.rewired_fall,
                "rewired geometric": memory.rewired_geometric,
                "edges shared": memory.shared,
            }
        )
    return pl.DataFrame(rows)


def verdicts_by_graph(table: pl.DataFrame) -> pl.DataFrame:
    """A row per graph, a column per arm: the verdicts."""
    index = ["graph", "field", "nodes", "edges"]
    return table.pivot("arm", index=index, values="verdict", maintain_order=True)


def numbers(table: pl.DataFrame) -> pl.DataFrame:
    """Recall, fall and what rewired graphs give, of every memory."""
    return table.drop("field", "nodes", "edges", "verdict").sort("graph", maintain_order=True)


def draw_falls(table: pl.DataFrame, theme: "Theme") -> "Figure":
    """Fall of similarity with distance by graph; filled: geometric, hollow: another word, cross: rewired."""
    from geomem.figures.drawing import dressed_axes, new_figure

    graphs = table["graph"].unique(maintain_order=True).to_list()[::-1]
    arms = table["arm"].unique(maintain_order=True).to_list()
    figure = new_figure(2.2 + 1.5 * len(arms), 1.0 + 0.27 * len(graphs), theme)
    for panel, arm in enumerate(arms):
        axes = dressed_axes(figure, theme, 1, len(arms), panel + 1)
        axes.axvline(0, color=theme.line, linewidth=1)
        colour = theme.branches[panel]
        for row in table.filter(pl.col("arm") == arm, pl.col("verdict") != "not judged").iter_rows(
            named=True
        ):
            place = graphs.index(row["graph"])
            axes.plot([row["rewired fall"], row["fall"]], [place, place], color=theme.line, linewidth=1.5)
            axes.plot([row["rewired fall"]], [place], "x", color=theme.muted, markersize=5)
            face = colour if row["word"] == "geometric" else theme.card
            axes.plot([row["fall"]], [place], "o", color=colour, markerfacecolor=face, markersize=5)
        axes.set_ylim(-0.7, len(graphs) - 0.3)
        axes.set_xlim(-0.1, 1.05)
        axes.set_yticks(range(len(graphs)), graphs if not panel else [""] * len(graphs))
        axes.set_title(arm.replace(", ", ",\n"), fontsize=9)
    figure.supxlabel(
        "fall of similarity with distance (filled: geometric; cross: rewired)", fontsize=9, color=theme.muted
    )
    return figure


def conclude(table: pl.DataFrame) -> tuple[str, ...]:
    """How many graphs each arm recalls, holds as a geometry, and holds beyond their degrees."""
    sentences = []
    for arm in table["arm"].unique(maintain_order=True):
        own = table.filter(pl.col("arm") == arm)
        judged = own.filter(pl.col("verdict") != "not judged")
        held = judged.filter(pl.col("word") == "geometric")
        beyond = held.filter(pl.col("verdict") == "geometric, beyond degrees")
        sentences.append(
            f"{arm}: {len(judged)} of {len(own)} graphs recalled, {len(held)} of these held as a geometry "
            f"({', '.join(held['graph']) or 'none'}), {len(beyond)} of these beyond their degrees "
            f"({', '.join(beyond['graph']) or 'none'})."
        )
    return tuple(sentences)


STUDY = Study(
    name="real-graphs",
    title="Real graphs: which are held as a geometry, by which model",
    question="The paper measures made-up graphs. Which real graphs, from society to software, does a memory "
    "of their edges hold as a geometry, with which model, and would any graph of equal degrees be held so?",
    rule="A memory with less than .95 of its facts (mean over seeds) is not judged. A graph is held as a "
    "geometry if most seeds read geometric; beyond its degrees if in every seed similarity falls more "
    "steeply with distance than in the memory of every rewired graph of the same degrees. No null: the "
    "rewired graphs are not recalled, or share more than .9 of the edges.",
    claims=(recalled, spectral, facts_alone, beyond_degrees),
    tabulate=tabulate,
    tables={"verdicts by graph": verdicts_by_graph, "all numbers": numbers},
    figures={"falls": draw_falls},
    conclude=conclude,
    seeds=3,
)
