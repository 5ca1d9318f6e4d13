"""Claims: which memory is found first, the associative or the geometric (T3, T4, refutation 3c, E.4)."""

from itertools import pairwise

import numpy as np

from geomem.claims.check import check, measured, paper
from geomem.claims.claim import claim, deviates, expects, needs
from geomem.claims.counterexamples import associative, geometric, imagined
from geomem.claims.evidence import first_step_memorized
from geomem.claims.memorize_geometrically.structure import (
    alignment_curve,
    check_structure,
    contrast,
    first_step_structured,
    structured,
)
from geomem.claims.memorize_geometrically.tiny_graphs import GRAPHS, expects_by_graph, tiny_graphs

FORMED = 0.75
"""Fiedler alignment from which the independent replication calls a geometry formed."""

RATES = (0.001, 0.01)
LEARNABLE = tiny_graphs(*(f"learnable-{rate}" for rate in RATES))


def learnable_fleets(runs):
    """The fleets of `LEARNABLE` with the end of a quantity's name."""
    return [(f"lr {rate}, {graph}", runs[f"learnable-{rate}/{graph}"]) for rate in RATES for graph in GRAPHS]


@claim("race/associative-two-steps", "T3", place="v2 Figs 7 and 8, T3; associative-fast notebooks")
@needs(tiny_graphs("associative-fast"), counterexample=imagined("associative", memorized_at=5))
@expects("at most 2", "paper", "v2 Fig 7")
@expects(1.0, "release", "B.3.1, checked by re-running", "steps to recall all, star")
@expects_by_graph("recall before", (0.16, 0.16, 0.07, 0.12), "own measurement", "B.3.1", "chance")
def associative_two_steps(runs):
    """The lookup table is found in at most two steps.

    With frozen embeddings of width 512 and lr .1 top-d recovery is complete in at most two full-batch steps.
    """
    for graph, fleet in runs.of("associative-fast"):
        yield check(f"steps to recall all, {graph}", first_step_memorized(fleet), at_most=2)
        yield check(f"recall before, {graph}", fleet.metrics["associative_accuracy"][0])


@claim("race/width", "T4", place="T4; independent replication")
@needs(
    tiny_graphs("associative-64", "associative-128", "associative-256"),
    counterexample=imagined("associative", memorized_at=1),
)
@expects("more than 2 below about 128", "replication", "T4", tolerance="direction")
def width(runs):
    """Narrow lookup tables are found more slowly.

    Two steps suffice only for embeddings wide enough, about 128 and more; narrower ones need longer.
    """
    for graph in GRAPHS:
        fleets = {width: runs[f"associative-{width}/{graph}"] for width in (64, 128, 256)}
        # A run that never recalls all counts as if it did at its last step: the mean is a lower bound.
        steps = {w: np.minimum(first_step_memorized(f), f.request.training.steps) for w, f in fleets.items()}
        yield check(f"steps at width 64, {graph}", steps[64], above=2)
        for narrow, wide in pairwise(steps):
            bound = measured(f"those at width {narrow}", steps[narrow])
            yield check(f"steps at width {wide}, {graph}", steps[wide], below=bound, over="mean")


@claim("race/geometry-later", "refutation-3c", place="v2 Refutation 3c, Figs 7 and 8")
@needs(LEARNABLE, counterexample=imagined("geometric", memorized_at=250))
@expects("later", "paper", "v2 Refutation 3c", tolerance="more steps")
def geometry_later(runs):
    """Geometry comes after the lookup table.

    Associative storage is easier to find than geometry, so ease of finding does not explain geometry
    (refutation 3c).
    """
    for name, fleet in learnable_fleets(runs):
        recalled, known = first_step_memorized(fleet), first_step_structured(fleet)
        yield check(f"step of structure, {name}", known, held=known > recalled, rule="after that of recall")
        yield check(f"step of recall, {name}", recalled)


@claim("race/hundred-steps", "3c-hundred", place="v2 text and Fig 8, A.6 item 7")
@needs(LEARNABLE, counterexample=associative)
@expects(100.0, "paper", "v2 text; Fig 8: 200", tolerance="order of magnitude: 30 to 300")
def hundred_steps(runs):
    """Geometry takes about a hundred steps.

    With learnable embeddings at lr .001 to .01 geometry takes about 100 steps (text) or 200 (caption).
    """
    for name, fleet in learnable_fleets(runs):
        yield check(f"step of structure, {name}", first_step_structured(fleet), at_least=30, at_most=300)


@claim("race/gaussian-start", "E.4.3", place="v2 Figs 7 and 8; E.4.3")
@needs(LEARNABLE, counterexample=geometric)
@deviates("From Gaussian W the alignment never reaches .75; the replication found peaks of .03 to .51.")
@expects(f"at least {FORMED}", "paper", "v2 Fig 8, by the replication's threshold")
@expects("peak .03 to .51", "replication", "E.4.3")
def gaussian_start(runs):
    """From Gaussian weights the Fiedler vectors do not lead.

    The tiny network develops the geometry of the graph's Fiedler vectors at lr .001 to .01.
    """
    for name, fleet in learnable_fleets(runs):
        peak = alignment_curve(fleet).max(axis=0)
        yield check(f"peak alignment, {name}", peak, below=FORMED)
        yield paper(check(f"peak alignment, {name}", peak, at_least=FORMED, over="half of the seeds"))


@claim("race/identity-start", "E.4.3-identity", place="E.4.3")
@needs(tiny_graphs("identity-start"), counterexample=associative)
@expects("7 to 35", "replication", "E.4.3")
def identity_start(runs):
    """From W = I they lead within tens of steps.

    Started at W = I the same network crosses the threshold within 7 to 35 steps on all graphs: the
    initialiser decides, not whether it can be trained.
    """
    for graph, fleet in runs.of("identity-start"):
        formed = alignment_curve(fleet) >= FORMED
        step = np.where(formed.any(axis=0), fleet.snapshot_steps[formed.argmax(axis=0)], np.inf)
        yield check(f"step of alignment {FORMED}, {graph}", step, at_most=35)


@claim("race/large-step", "E.4.2-adamw", place="v2 Fig 22; E.4.2")
@needs(tiny_graphs("learnable-0.01", "learnable-0.1"), counterexample=geometric)
@expects("no geometry at .1", "paper", "v2 Fig 22")
def large_step(runs):
    """A learning rate of .1 is too large for a geometry.

    lr .1 is too aggressive for a geometry to form.
    """
    for graph, fleet in runs.of("learnable-0.1"):
        name = f"contrast at lr 0.1, {graph}"
        yield check_structure(name, fleet, known=False, over="half of the seeds")
        yield check_structure(f"contrast at lr 0.01, {graph}", runs[f"learnable-0.01/{graph}"])
        recalled = np.isfinite(first_step_memorized(fleet))
        yield check(f"ever recalls all at lr 0.1, {graph}", recalled)


@claim("race/plain-descent", "E.4.2", place="v2 Fig 22; E.4.2")
@needs(
    tiny_graphs("descent-0.1", "descent-0.01"),
    counterexample=imagined("geometric", {"descent-0.1/": "associative"}),
)
@deviates("Under plain gradient descent it is the other way round within 2,000 steps.")
@expects("geometry at .01, none at .1", "paper", "v2 Fig 22", tolerance="both")
@expects("did not reproduce", "replication", "E.4.2", tolerance="under plain descent")
def plain_descent(runs):
    """Under plain descent the large rate forms structure, the small one does not.

    Geometry forms at lr .001 to .01 and none at .1.
    """
    known = {}
    for rate in (0.1, 0.01):
        fleets = {graph: runs[f"descent-{rate}/{graph}"] for graph in GRAPHS}
        for graph, fleet in fleets.items():
            yield check(f"contrast at lr {rate}, {graph}", contrast(fleet))
        known[rate] = sum(bool(structured(fleet).mean() > 0.5) for fleet in fleets.values())
    large, small = "graphs structured on most seeds at lr 0.1", "graphs structured on most seeds at lr 0.01"
    yield check(large, known[0.1], at_least=4)
    yield check(small, known[0.01], at_most=3)
    yield paper(check(large, known[0.1], at_most=0))
    yield paper(check(small, known[0.01], at_least=4))
