"""Claims: the tiny Mamba beside the Transformer (observations 3a, 3b and 5)."""

import numpy as np

from geomem.claims.check import check, measured
from geomem.claims.claim import claim, expects, needs
from geomem.claims.counterexamples import geometric, imagined
from geomem.claims.evidence import first_step_memorized
from geomem.claims.memorize_geometrically.geometry import knows_its_graph
from geomem.claims.memorize_geometrically.memorization import check_recovery
from geomem.claims.memorize_geometrically.structure import second_minus_first
from geomem.claims.memorize_geometrically.tiny_graphs import GRAPHS, tiny_graphs


@claim("mamba/memorizes", "T1-mamba", place="Figs 12 to 15, T1")
@needs(tiny_graphs("mamba"), counterexample=imagined("untrained"))
@expects(1.0, "release", "notebooks, B.3.1 to B.3.3", tolerance="equal, on at least one seed in three")
def memorizes(runs):
    """The tiny Mamba memorises every tiny graph.

    So does a one-layer selective state space model.
    """
    yield from check_recovery(runs, "mamba", over="a third of the seeds")


@claim("mamba/geometry-from-edges", place="Obs 3b and Obs 5; Figs 12 to 15")
@knows_its_graph("mamba", "Obs 5")
def geometry_from_edges(runs):
    """Its embeddings know the graph from edges alone.

    Geometry appears in every architecture from edges only, Mamba included (observation 5, point 1).
    """


@claim("mamba/beside-transformer", place="Obs 5; Figs 12 to 15; B.3.5 for the Transformer")
@needs(tiny_graphs("mamba", "transformer"), counterexample=geometric)
@expects("the same kind", "paper", "Obs 5", tolerance="sign")
def beside_transformer(runs):
    """Both end in the same zig-zag.

    The architectures agree in the kind of geometry they reach on the tiny graphs (observation 5).
    """
    for name in ("mamba", "transformer"):
        for graph in GRAPHS:
            gap = second_minus_first(runs[f"{name}/{graph}"])
            yield check(f"{name.capitalize()}, s2 - s1, {graph}", gap, above=0)


@claim("mamba/sooner", place="none; beside Figs 12 to 15")
@needs(tiny_graphs("mamba", "transformer"), counterexample=imagined("associative", {"mamba": "untrained"}))
@expects("fewer steps", "own measurement", "docs/claims/mamba.md", tolerance="direction")
def sooner(runs):
    """Mamba memorises sooner than the Transformer.

    No statement of the paper: our measurement beside it, since the release's epochs are the same for both.
    """
    for graph in GRAPHS:
        transformer = runs[f"transformer/{graph}"]
        # A run that never gets there counts as if it did at its last step.
        slow = np.minimum(first_step_memorized(transformer), transformer.request.training.steps)
        steps = first_step_memorized(runs[f"mamba/{graph}"])
        yield check(f"Mamba's steps, {graph}", steps, below=measured("the Transformer's mean", slow))
        yield check(f"Transformer's steps, {graph}", slow)
