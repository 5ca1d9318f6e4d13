"""Claims: the zig-zag, neighbours opposite and second neighbours alike, and its cure (T9, T10, T12)."""

import numpy as np
from jaxtyping import Bool

from geomem.claims.check import check, measured
from geomem.claims.claim import claim, expects, expects_each, needs
from geomem.claims.counterexamples import geometric, imagined
from geomem.claims.evidence import shells
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


def gap_claim(
    what: str, name: str, *aliases: str, place: str, title: str, statement: str, found: tuple, sign: int = 1
) -> None:
    """Register the claim that second neighbours end more alike than neighbours (sign 1), or less (-1)."""

    @claim(f"zigzag/{what}", *aliases, place=place, title=title, statement=statement)
    @needs(tiny_graphs(name), counterexample=imagined("geometric" if sign > 0 else "zig-zag"))
    @expects_each([found])
    def checks(runs):
        for graph in GRAPHS:
            gap = sign * second_minus_first(runs[f"{name}/{graph}"])
            yield check(f"{'s2 - s1' if sign > 0 else 's1 - s2'}, {graph}", gap, above=0)


def signs_claim(what: str, alias: str, *graphs: str, place: str, title: str, statement: str) -> None:
    """Register the claim that untied Node2Vec's neighbours are opposite and its second neighbours alike."""

    @claim(f"zigzag/{what}", alias, place=place, title=title, statement=statement)
    @needs(tiny_graphs("node2vec-untied", graphs=graphs), counterexample=geometric)
    @expects_each(
        (value, "own measurement", "B.3.7", f"{shell}, {graph}")
        for shell, value in (("s1", "-.13 to -.19"), ("s2", ".32 to .40"))
        for graph in graphs
    )
    def checks(runs):
        for graph in graphs:
            s1, s2 = shells(runs[f"node2vec-untied/{graph}"])[:, :2].T
            yield check(f"s1, {graph}", s1, below=0)
            yield check(f"s2, {graph}", s2, above=0)


gap_claim(
    "bilinear",
    "bilinear",
    "T9",
    place="B.3.5, T9; v2 section 4.4",
    title="The bilinear network ends in a zig-zag",
    statement="Trained on both directions of every edge, its second neighbours end more alike than its "
    "neighbours.",
    found=("s1 -.19 to .25, s2 .6 to .7", "release", "B.3.5, T9"),
)
gap_claim(
    "self-edges",
    "bilinear-self",
    "T10",
    place="v3; B.3.3, T10",
    title="Self-edges remove it",
    statement="The zig-zag cancels the logit of the node itself; once that is asked for too, similarity "
    "falls with distance.",
    found=("levels .68, .45, .84, .72, monotone", "release", "B.3.5, T10"),
    sign=-1,
)
gap_claim(
    "transformer-ends",
    "transformer",
    place="B.3.5, snapshot selection",
    title="The Transformer ends in a zig-zag as well",
    statement="Its final embeddings, unlike those at the peak that the paper draws, have second neighbours "
    "more alike than neighbours.",
    found=("star: s1 .34, s2 .56", "own measurement", "E.2.1"),
)
signs_claim(
    "untied-node2vec",
    "T12",
    "star",
    "grid",
    "cycle",
    place="v2 section 4.4, Figs 10 and 11; B.3.7, T12",
    title="Untying makes neighbours opposite",
    statement="With a second table for the read-out, neighbours get a negative cosine and second neighbours "
    "a positive one, on graphs without triangles.",
)
signs_claim(
    "untied-irregular",
    "T12-irregular",
    "irregular",
    place="B.3.7, T12",
    title="On the irregular graph too",
    statement="The same sign pattern over all edges of the irregular graph, 9 of whose 20 lie in triangles.",
)


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


gap_claim(
    "untied-transformer",
    "transformer-untied",
    "T12-transformer",
    place="v2 section 4.4, Figs 33 and 34; T12",
    title="Untying the Transformer gives a zig-zag",
    statement="Untying destroys the visible geometry of the Transformer and leaves a zig-zag.",
    found=("zig-zag", "paper", "v2 section 4.4; T12, direction only"),
)


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
