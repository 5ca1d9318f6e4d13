"""Claims: a geometry forms from edges alone, early, and mostly decays (T5 to T8, observations 3b and 5)."""

from collections.abc import Iterator

import numpy as np

from geomem.claims.check import Check, Picture, check, draw_bands, measured
from geomem.claims.claim import Decorator, checked, claim, expects, expects_each, needs
from geomem.claims.counterexamples import associative, geometric, imagined
from geomem.claims.evidence import Evidence, FleetEvidence, alignment, final, first_step_memorized, shells
from geomem.claims.memorize_geometrically.structure import check_share, check_structure
from geomem.claims.memorize_geometrically.tiny_graphs import GRAPHS, expects_by_graph, tiny_graphs
from geomem.geometry.alignment import low_energy


def level(fleet: FleetEvidence) -> np.ndarray:
    """The geometric level after the last step, [run]."""
    return final(fleet, "geometric_level")


def peak_step(fleet: FleetEvidence) -> np.ndarray:
    """The recorded step of the highest geometric level, [run]."""
    return fleet.steps[fleet.metrics["geometric_level"].argmax(axis=0)]


def draw_levels(runs: Evidence, name: str) -> Picture:
    """The geometric level over the steps, one line a graph."""
    levels = [(graph, fleet.steps, fleet.metrics["geometric_level"]) for graph, fleet in runs.of(name)]
    return draw_bands(levels, "step", "mean cosine of neighbours", series="graph")


def knows_its_graph(name: str, place: str) -> Decorator:
    """That a setting's final embeddings know the distances in the graph."""

    def check_graphs(runs: Evidence) -> Iterator[Check]:
        for graph, fleet in runs.of(name):
            yield check_structure(f"contrast, {graph}", fleet)

    need = needs(tiny_graphs(name), counterexample=associative)
    return checked(check_graphs, need, expects("above chance", "paper", place))


@claim(
    "geometry/transformer-from-edges",
    "obs-3b",
    "refutation-3a",
    place="Obs 3b; observation 5, point 1; Figs 1 and 12 to 15",
)
@knows_its_graph("transformer", "Obs 3b; observation 5, point 1; Figs 1 and 12 to 15")
def transformer_from_edges(runs):
    """The Transformer learns a geometry from edges alone.

    Embeddings trained on single edges only come to reflect distances in the graph, so global supervision is
    not the cause (observation 3b, refutation 3a).
    """


@claim("geometry/bilinear-from-edges", place="Obs 5, point 1; Figs 12 to 15")
@knows_its_graph("bilinear", "Obs 5, point 1; Figs 12 to 15")
def bilinear_from_edges(runs):
    """So does the bilinear network.

    Geometry appears in every architecture from edges only (observation 5, point 1).
    """


@claim("geometry/node2vec-from-edges", place="Obs 5, point 1; Figs 12 to 15")
@knows_its_graph("node2vec", "Obs 5, point 1; Figs 12 to 15")
def node2vec_from_edges(runs):
    """So does Node2Vec.

    Geometry appears in every architecture from edges only (observation 5, point 1).
    """


@claim("geometry/backward-only", "obs-5-5", place="Obs 5, point 5")
@knows_its_graph("transformer-backward", "Obs 5, point 5")
def backward_only(runs):
    """Backward edges alone suffice.

    Geometry also appears from one edge direction (observation 5, point 5).
    """


@claim("geometry/spectrum", "obs-5-2", place="Obs 5, point 2; Figs 12 to 15")
@needs(tiny_graphs("transformer", "transformer-self"), counterexample=associative)
@expects("above chance", "paper", "Obs 5, point 2")
def spectrum(runs):
    """What it knows lies in the graph's smoothest modes.

    The global information traces to the spectrum of the graph (observation 5, point 2): the share of the
    energy in the 3 lowest non-trivial modes, whole eigenspaces.
    """
    for name, title in (("transformer", "low energy"), ("transformer-self", "low energy, self-edges")):
        for graph in GRAPHS:
            yield check_share(f"{title}, {graph}", runs[f"{name}/{graph}"], low_energy)


@claim("geometry/could-be-associative", "obs-5-3", place="Obs 5, point 3")
@needs(tiny_graphs("transformer-frozen"), counterexample=geometric)
@expects(1.0, "paper", "Obs 3a", "top-d recovery, star")
def could_be_associative(runs):
    """The Transformer could have stored the graph without it.

    The deep models could have fitted the edges associatively (observation 5, point 3; observation 3a): with
    frozen embeddings and positions they recall everything and know nothing of the graph.
    """
    for graph, fleet in runs.of("transformer-frozen"):
        recovery = final(fleet, "associative_accuracy")
        yield check(f"top-d recovery, {graph}", recovery, at_least=1, over="a third of the seeds")
        yield check_structure(f"contrast, {graph}", fleet, known=False)


@claim("geometry/node2vec-strongest", place="Obs 5, point 4; Hyp 4; Fig 1")
@needs(
    tiny_graphs("node2vec", "transformer", "bilinear", "mamba"),
    counterexample=imagined("geometric", {"node2vec": "associative"}),
)
@expects_each(
    ("0.98 to 1.0", "own measurement", "D, Fiedler alignment", f"Node2Vec's alignment, {graph}")
    for graph in ("star", "grid", "cycle")
)
def node2vec_strongest(runs):
    """Node2Vec's geometry is the strongest.

    Node2Vec's geometry is cleaner than that of the deep models, which leaves them visible headroom
    (observation 5, point 4).
    """
    for graph in GRAPHS:
        others = [runs[f"{name}/{graph}"] for name in ("transformer", "bilinear", "mamba")]
        best = max(float(alignment(other).mean()) for other in others)
        highest = max(float(level(other).mean()) for other in others)
        node2vec = runs[f"node2vec/{graph}"]
        deep = measured("that of every deep model", best)
        yield check(f"Node2Vec's alignment, {graph}", alignment(node2vec), above=deep, at_least=0.9)
        deep = measured("that of every deep model", highest)
        yield check(f"Node2Vec's level, {graph}", level(node2vec), above=deep)
        yield check(f"best deep model's alignment, {graph}", best)


@claim("geometry/headroom", place="F.2, visible headroom")
@needs(
    tiny_graphs("transformer", "transformer-self"),
    counterexample=imagined("geometric", {"-self": "associative"}),
)
@expects(".79 to .98", "own measurement", "F.2, shipped checkpoints")
def headroom(runs):
    """Self-edges bring the Transformer nearer to Node2Vec.

    Self-edges alone raise the Transformer's Fiedler alignment, from .49 to .94 without to .79 to .98 with
    them.
    """
    for graph in GRAPHS:
        plain = alignment(runs[f"transformer/{graph}"])
        with_self = alignment(runs[f"transformer-self/{graph}"])
        without = measured("that without self-edges", plain)
        yield check(f"alignment, {graph}", with_self, above=without, over="mean")
        yield check(f"alignment without self-edges, {graph}", plain)


@claim("geometry/associative-level", "T5", place="B.3.5, T5")
@needs(tiny_graphs("associative", "associative-fast"), counterexample=geometric)
@expects(0.0, "release", "B.3.5")
def associative_level(runs):
    """An associative memory has no geometric level.

    With frozen embeddings, narrow or of width 512, the mean cosine of neighbours stays near zero at every
    recorded step.
    """
    for name, title in (("associative", "|level|"), ("associative-fast", "|level|, wide")):
        for graph in GRAPHS:
            most = np.abs(runs[f"{name}/{graph}"].metrics["geometric_level"]).max(axis=0)
            yield check(f"{title}, {graph}", most, below=0.1)


@claim("geometry/early-peak", "T6", place="B.3.5, T6")
@needs(tiny_graphs("transformer"), counterexample=associative)
@expects(".93 to .97 at step 15 to 20", "release", "B.3.5")
def early_peak(runs):
    """The geometric level peaks within fifty steps.

    In the Transformer the mean cosine of neighbours rises above .9 in its first 15 to 20 steps.
    """
    for graph, fleet in runs.of("transformer"):
        yield check(f"peak level, {graph}", fleet.metrics["geometric_level"].max(axis=0), at_least=0.85)
        yield check(f"step of the peak, {graph}", peak_step(fleet), at_most=50)
    yield draw_levels(runs, "transformer")


@claim("geometry/before-recall", place="B.3.5")
@needs(tiny_graphs("transformer"), counterexample=geometric)
@expects("peak 15 to 20, recall 135 to 800", "release", "B.3.5")
def before_recall(runs):
    """The peak comes before the graph is memorised.

    The level falls as top-d recovery approaches 100 %, so geometry is there before everything is recalled.
    """
    for graph, fleet in runs.of("transformer"):
        peak, recalled = peak_step(fleet), first_step_memorized(fleet)
        yield check(f"step of the peak, {graph}", peak, held=peak < recalled, rule="before that of recall")
        yield check(f"step of recall, {graph}", np.minimum(recalled, fleet.request.training.steps))


@claim("geometry/decay", "T6-decay", "E.4.4", place="B.3.5, T6, E.4.4")
@needs(tiny_graphs("transformer"), counterexample=geometric)
@expects_by_graph("final level", (0.33, 0.23, 0.45, 0.40), "release", "B.3.5, T6")
def decay(runs):
    """And it does not stay.

    After its peak the level of the Transformer falls to .2 to .45: reaching the geometry is not keeping it.
    """
    for graph, fleet in runs.of("transformer"):
        yield check(f"final level, {graph}", level(fleet), at_most=0.55)
        peak = fleet.metrics["geometric_level"].max(axis=0)
        yield check(f"peak level, {graph}", peak, at_least=0.85, over="mean")
    yield draw_levels(runs, "transformer")


@claim("geometry/self-edges", "T7", place="B.3.5, T7")
@needs(tiny_graphs("transformer-self"), counterexample=imagined("zig-zag"))
@expects_by_graph(
    "final level", (0.88, 0.62, 0.78, 0.80), "release", "B.3.5, T7", "the release counts self-pairs"
)
def self_edges(runs):
    """Self-edges keep it.

    With self-edges the level, self-pairs left out, does not decay below .6 and similarity falls with
    distance.
    """
    for graph, fleet in runs.of("transformer-self"):
        means = shells(fleet)
        yield check(f"final level, {graph}", level(fleet), at_least=0.45)
        yield check(f"s1 - s2, {graph}", means[:, 0] - means[:, 1], at_least=0)
    yield draw_levels(runs, "transformer-self")


@claim("geometry/forward-only", "T8", place="Fig 21, B.3.5, T8")
@needs(tiny_graphs("transformer-forward"), counterexample=associative)
@expects_by_graph("final level", (0.51, 0.455, 0.67, 0.38), "release", "B.3.5, T8")
def forward_only(runs):
    """Forward edges alone suffice.

    Trained on one direction of every edge the Transformer's geometry is weaker, but there (observation 5,
    point 5).
    """
    for graph in GRAPHS:
        yield check(f"final level, {graph}", level(runs[f"transformer-forward/{graph}"]), above=0.25)
    yield draw_levels(runs, "transformer-forward")
