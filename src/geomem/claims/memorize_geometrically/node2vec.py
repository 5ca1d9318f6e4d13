"""Claims: where one-hop Node2Vec ends on the tiny graphs (N1, N4, N5, N8)."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from geomem.claims.check import Check, check, draw_bands
from geomem.claims.claim import Decorator, checked, claim, expects, needs
from geomem.claims.counterexamples import associative, imagined
from geomem.claims.evidence import Evidence, alignment, final, shells
from geomem.claims.memorize_geometrically.tiny_graphs import BOTH, GRAPHS, WITH_SELF, expects_by_graph
from geomem.claims.need import FleetRequest, Needs
from geomem.geometry.spectrum import fiedler_modes, laplacian_spectrum
from geomem.models.configuration import Node2Vec
from geomem.training.configuration import Training
from geomem.worlds.graphs.graph import Graph
from geomem.worlds.tasks import EdgeMemorization

STAR_SHELLS = (0.971, 0.881, 0.756, 0.600, 0.476, 0.353, 0.225, 0.151)


def node2vec_fleets(
    prefix: str = "node2vec",
    *,
    width: int = 100,
    task: EdgeMemorization = BOTH,
    steps: int = 10_000,
    graphs: Sequence[str] = tuple(GRAPHS),
) -> Needs:
    """Tied Node2Vec from N(0, 1) with the release's plain full-batch descent, keys "prefix/graph"."""
    training = Training(steps=steps, schedule="constant", optimizer="gradient-descent", metric_every=100)
    return lambda scale: tuple(
        FleetRequest(f"{prefix}/{graph}", GRAPHS[graph], Node2Vec(width=width), training, scale.seeds, task)
        for graph in graphs
    )


def count_survivors(graph: Graph) -> int:
    """How many modes survive training: all up to the last Fiedler mode, trivial ones included."""
    return int(fiedler_modes(laplacian_spectrum(graph))[-1]) + 1


BASELINE = node2vec_fleets()
needs_baseline = needs(BASELINE, counterexample=associative)
"""The fleets that most claims about Node2Vec share."""


def ends_at_losses(name: str, table: str, losses: tuple[float, ...], **task: Any) -> Decorator:
    """That Node2Vec ends at the losses which the release prints."""

    def check_losses(runs: Evidence) -> Iterator[Check]:
        for graph, value in zip(GRAPHS, losses, strict=True):
            loss = final(runs[f"{name}/{graph}"], "loss")
            close = np.abs(loss - value) <= 0.002
            yield check(f"final loss, {graph}", loss, held=close, rule="within 0.002 of the release's")

    need = needs(node2vec_fleets(name, **task), counterexample=associative)
    return checked(check_losses, need, expects_by_graph("final loss", losses, "release", table))


@claim("node2vec/final-loss", "N1", place="release notebooks, B.3.1; N1")
@ends_at_losses("final-loss", "B.3.1", (1.301, 1.8365, 1.4349, 1.5038))
def final_loss(runs):
    """Node2Vec's final losses.

    Tied Node2Vec ends at the losses the release prints; the softmax's self term keeps them above the entropy
    of the targets.
    """


@claim("node2vec/geometry", "N4", place="Fig 1 right, Obs 5; N4")
@needs(BASELINE, counterexample=imagined("zig-zag"))
@expects("0.93 to 0.97", "own measurement", "E.3, N4")
@expects("0.971, 0.881, 0.756, ...", "own measurement", "E.3, N4", tolerance="to .03 (star)")
def geometry(runs):
    """Neighbours align and similarity falls with distance.

    Node2Vec's geometry is global: the further apart in the graph, the less alike.
    """
    curves = []
    for graph, fleet in runs.of("node2vec"):
        yield check(f"geometric level, {graph}", final(fleet, "geometric_level"), at_least=0.92, at_most=0.98)
        curve = shells(fleet)
        mean = curve.mean(axis=0)
        yield check(f"steepest rise of the mean cosine with distance, {graph}", np.diff(mean).max(), below=0)
        if graph == "star":
            off = np.abs(mean - STAR_SHELLS).max()
            yield check("largest distance of the star's cosines from the reference", off, at_most=0.03)
        curves.append((graph, np.arange(1, len(mean) + 1), curve.T))
    yield draw_bands(curves, "graph distance", "mean cosine", series="graph")


@claim("node2vec/strongest", "obs-5-4", place="Obs 4 and 5")
@needs_baseline
@expects("0.98 to 1", "replication", "section D, calibration")
def strongest(runs):
    """Node2Vec's geometry is the Fiedler eigenspace.

    The column space of V spans the Fiedler-like eigenvectors, more clearly than in any deep model.
    """
    for graph in GRAPHS:
        values = alignment(runs[f"node2vec/{graph}"])
        yield check(f"Fiedler alignment, {graph}", values, at_least=0.975, over="mean")


@claim("node2vec/width", "N5", place="Obs 4; N5")
@needs(
    BASELINE, node2vec_fleets("narrow", width=10), counterexample=imagined("geometric", {"narrow": "zig-zag"})
)
@expects(1.0, "paper", "Obs 4")
def width(runs):
    """No bottleneck is needed.

    Widths below and above the number of nodes end in the same eigenspace.
    """
    for graph in GRAPHS:
        count = count_survivors(GRAPHS[graph])
        wide, narrow = (
            np.linalg.svd(runs[f"{name}/{graph}"].embeddings)[0][..., :count]
            for name in ("node2vec", "narrow")
        )
        shared = np.linalg.norm(wide.swapaxes(1, 2) @ narrow, axis=(1, 2)) ** 2 / count
        yield check(f"shared subspace, {graph}", shared, above=0.95)


@claim("node2vec/self-edges", "N8", place="release notebooks, B.3.3; N8")
@ends_at_losses("self-edges", "B.3.3", (1.1591, 1.6223, 1.2245, 1.361), task=WITH_SELF)
def self_edges(runs):
    """Final losses with self-edges.

    With every node asked for itself, too, Node2Vec ends at the release's losses.
    """
