"""Claims: the zig-zag, neighbours opposite and second neighbours alike, and its cure (T9, T10, T12)."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool

from geomem.claims.check import Check, check, measured
from geomem.claims.claim import OWN, Decorator, checked, claim, expects, expects_each, needs
from geomem.claims.counterexamples import geometric, imagined
from geomem.claims.evidence import Evidence, shells
from geomem.claims.memorize_geometrically.structure import check_share, second_minus_first
from geomem.claims.memorize_geometrically.tiny_graphs import GRAPHS, tiny_graphs
from geomem.geometry.alignment import bottom_energy
from geomem.geometry.similarity import cosine_similarity
from geomem.geometry.spectrum import laplacian_spectrum
from geomem.worlds.graphs.graph import Graph, adjacency_matrix


def edges_in_triangles(graph: Graph) -> Bool[np.ndarray, " edge"]:
    """Whether the ends of each edge have a common neighbour, so that they are also two steps apart.

    >>> edges_in_triangles(GRAPHS["cycle"]).any().item(), edges_in_triangles(GRAPHS["irregular"]).sum().item()
    (False, 9)
    """
    adjacency = adjacency_matrix(graph).toarray()
    first, second = graph.edges.T
    return (adjacency @ adjacency)[first, second] > 0


def ends_in_zigzag(name: str, *, cured: bool = False) -> Decorator:
    """That second neighbours end more alike than neighbours, or less where it is cured."""
    sign, title = (-1, "s1 - s2") if cured else (1, "s2 - s1")

    def check_gaps(runs: Evidence) -> Iterator[Check]:
        for graph, fleet in runs.of(name):
            yield check(f"{title}, {graph}", sign * second_minus_first(fleet), above=0)

    return checked(
        check_gaps, needs(tiny_graphs(name), counterexample=imagined("zig-zag" if cured else "geometric"))
    )


def opposite_signs(*graphs: str) -> Decorator:
    """That untied Node2Vec's neighbours are opposite and its second neighbours alike."""

    def check_signs(runs: Evidence) -> Iterator[Check]:
        for graph, fleet in runs.of("node2vec-untied"):
            s1, s2 = shells(fleet)[:, :2].T
            yield check(f"s1, {graph}", s1, below=0)
            yield check(f"s2, {graph}", s2, above=0)

    values = (("s1", "-.13 to -.19"), ("s2", ".32 to .40"))
    return checked(
        check_signs,
        needs(tiny_graphs("node2vec-untied", graphs=graphs), counterexample=geometric),
        expects_each(
            (value, OWN, "B.3.7", f"{shell}, {graph}") for shell, value in values for graph in graphs
        ),
    )


@claim("zigzag/bilinear", "T9", place="B.3.5, T9; v2 section 4.4")
@expects("s1 -.19 to .25, s2 .6 to .7", "release", "B.3.5, T9")
@ends_in_zigzag("bilinear")
def bilinear(runs):
    """The bilinear network ends in a zig-zag.

    Trained on both directions of every edge, its second neighbours end more alike than its neighbours.
    """


@claim("zigzag/self-edges", "T10", place="v3; B.3.3, T10")
@expects("levels .68, .45, .84, .72, monotone", "release", "B.3.5, T10")
@ends_in_zigzag("bilinear-self", cured=True)
def self_edges(runs):
    """Self-edges remove it.

    The zig-zag cancels the logit of the node itself; once that is asked for too, similarity falls with
    distance.
    """


@claim("zigzag/transformer-ends", place="B.3.5, snapshot selection")
@expects("star: s1 .34, s2 .56", OWN, "E.2.1")
@ends_in_zigzag("transformer")
def transformer_ends(runs):
    """The Transformer ends in a zig-zag as well.

    Its final embeddings, unlike those at the peak that the paper draws, have second neighbours more alike
    than neighbours.
    """


@claim("zigzag/untied-node2vec", "T12", place="v2 section 4.4, Figs 10 and 11; B.3.7, T12")
@opposite_signs("star", "grid", "cycle")
def untied_node2vec(runs):
    """Untying makes neighbours opposite.

    With a second table for the read-out, neighbours get a negative cosine and second neighbours a positive
    one, on graphs without triangles.
    """


@claim("zigzag/untied-irregular", "T12-irregular", place="B.3.7, T12")
@opposite_signs("irregular")
def untied_irregular(runs):
    """On the irregular graph too.

    The same sign pattern over all edges of the irregular graph, 9 of whose 20 lie in triangles.
    """


@claim("zigzag/triangles", place="beside T12")
@needs(tiny_graphs("node2vec-untied", graphs=("irregular",)), counterexample=geometric)
@expects("negative", "derived", "docs/claims/zigzag.md", "s1 outside triangles, irregular")
def triangles(runs):
    """There, edges in no triangle zig-zag.

    The ends of an edge of a triangle are second neighbours as well, so that the two rules of the zig-zag pull
    them both ways; on other edges the sign pattern holds.
    """
    fleet = runs["node2vec-untied/irregular"]
    first, second = fleet.request.world.edges.T
    cosines = cosine_similarity(fleet.embeddings)[:, first, second]
    inside = edges_in_triangles(fleet.request.world)
    apart, together = cosines[:, ~inside].mean(axis=1), cosines[:, inside].mean(axis=1)
    yield check("s1 outside triangles, irregular", apart, below=0)
    yield check("s1 in triangles, irregular", together, held=together > apart, rule="above that outside them")


@claim("zigzag/untied-transformer", "T12-transformer", place="v2 section 4.4, Figs 33 and 34; T12")
@expects("zig-zag", "paper", "v2 section 4.4; T12, direction only")
@ends_in_zigzag("transformer-untied")
def untied_transformer(runs):
    """Untying the Transformer gives a zig-zag.

    Untying destroys the visible geometry of the Transformer and leaves a zig-zag.
    """


@claim("zigzag/bottom-energy", place="v2 section 4.4, Figs 10 and 11; A.3")
@needs(
    tiny_graphs("bilinear", "node2vec-untied", "bilinear-self"),
    counterexample=imagined("geometric", {"-self": "zig-zag"}),
)
@expects("above chance, less with self-edges", "paper", "A.3, v3")
def lowest_modes(runs):
    """The zig-zag lives at the bottom of the spectrum.

    It uses the strongly negative eigen-directions of -L (the 3 lowest modes, whole eigenspaces), along which
    neighbours have opposite signs; self-edges take that energy away.
    """
    for graph, world in GRAPHS.items():
        yield check_share(f"bottom energy, {graph}", runs[f"bilinear/{graph}"], bottom_energy)
        yield check_share(f"bottom energy, untied, {graph}", runs[f"node2vec-untied/{graph}"], bottom_energy)
        plain, with_self = (
            bottom_energy(runs[f"{name}/{graph}"].embeddings, laplacian_spectrum(world))
            for name in ("bilinear", "bilinear-self")
        )
        without = measured("the mean without them", plain)
        yield check(f"bottom energy, self-edges, {graph}", with_self, below=without)
