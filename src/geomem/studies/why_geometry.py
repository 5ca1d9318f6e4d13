"""Why does geometry win? The lookup table and the geometry in the bilinear network, raced in numbers."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from geomem.claims.check import Check, check
from geomem.claims.claim import OWN, claim, conditions, expects, needs
from geomem.claims.counterexamples import associative
from geomem.claims.evidence import Evidence
from geomem.claims.memorize_geometrically.race import FORMED
from geomem.claims.memorize_geometrically.tiny_graphs import GRAPHS
from geomem.geometry.landscape import barrier
from geomem.studies.study import Study
from geomem.studies.why_geometry_ends import ENDS, target_loss
from geomem.studies.why_geometry_needs import (
    followed,
    level_when_reached,
    of_memory,
    of_way,
    race,
    ratios,
    streams,
    trained,
    written,
)
from geomem.studies.why_geometry_tables import (
    by_crossing,
    by_memory,
    by_stream,
    by_way,
    by_world,
    conclude,
    draw_memories,
    draw_segments,
    draw_ways,
    tabulate,
)
from geomem.studies.why_geometry_ways import WAYS, kept_steps

PAGE = "docs/studies/why-geometry.md"
SETTING = "Bilinear network of width 64, E (W e + b); four tiny graphs and the karate club"
AT_ONE_LOSS = f"{SETTING}; all at .1 nats above the lowest loss"


# The claims: stated before anything was measured on the seeds of the study.


@claim("why-geometry/cheaper", place=PAGE)
@race(written)
@conditions("Logits β · adjacency at .1 nats above the lowest loss; ‖E‖² + ‖W‖² at the cheapest scale")
@expects("at least 1.05", "derived", PAGE)
def cheaper(runs: Evidence) -> Iterator[Check]:
    """The same logits cost less when they are factored.

    A lookup table over orthonormal rows costs more than the memory whose rows are the logits' own directions,
    and over rows that are drawn more still.
    """
    for form, bound in (("orthonormal rows", 1.05), ("drawn rows", 1.2)):
        for world, found in ratios(runs, "written", "cost", form, "factored").items():
            yield check(f"cost as a multiple of the factored, {form}, {world}", found, at_least=bound)


@claim("why-geometry/flatter", place=PAGE)
@race(written)
@conditions("The same logits; Hessian in E, W and b, all tokens, at the cheapest scale")
@expects("below 1", OWN, PAGE, "pilot on other seeds")
def flatter(runs: Evidence) -> Iterator[Check]:
    """And lie in a flatter place.

    Largest eigenvalue and trace of the Hessian are smaller at the factored memory than at the lookup table
    with the same logits.
    """
    for quantity in ("sharpness", "trace"):
        for world, found in ratios(runs, "written", quantity, "factored", "orthonormal rows").items():
            yield check(f"{quantity}, factored by lookup, {world}", found, below=1)


@claim("why-geometry/law", place=PAGE)
@race(followed("lookup, descent", "lookup, descent, decay", "identity, descent"))
@conditions(f"{SETTING}; gradient descent at .1, up to 10,000 steps")
@expects("below .01", "derived", PAGE)
def law(runs: Evidence) -> Iterator[Check]:
    """Gradient descent keeps the balance of its start, and decay forgets it.

    EᵀE - WWᵀ - WᵀW - bbᵀ stays as it is, or shrinks by (1 - ηλ)² at every step with weight decay λ.
    """
    for name in ("lookup, descent", "lookup, descent, decay", "identity, descent"):
        for world, errors in of_way(runs, name, "balance_error").items():
            yield check(
                f"largest error, {name.replace(',', '')}, {world}",
                errors.max(axis=0),
                below=0.01,
                over="every seed",
            )


@claim("why-geometry/small-start", place=PAGE)
@race(followed("gaussian, descent"))
@conditions(f"{SETTING}; gradient descent at .1 from N(0, .02²), 10,000 steps")
@expects("below 1.03", OWN, PAGE, "pilot on other seeds")
def small_start(runs: Evidence) -> Iterator[Check]:
    """From a small start descent ends in the cheapest memory of its logits.

    What it ends with costs less than 3 % more than the least that any bilinear network needs for the same
    logits, and all facts are recalled.
    """
    for world, prices in of_way(runs, "gaussian, descent", "price").items():
        yield check(f"cost as a multiple of the least, {world}", prices[-1], at_most=1.03, over="mean")
    for world, recall in of_way(runs, "gaussian, descent", "recall").items():
        yield check(f"recall, {world}", recall[-1], at_least=0.95, over="mean")


@claim("why-geometry/trained-cost", place=PAGE)
@race(trained("bilinear"))
@conditions(f"{AT_ONE_LOSS}; AdamW at .01")
@expects("below .95; above 1.05", OWN, PAGE, "pilot on other seeds")
def trained_cost(runs: Evidence) -> Iterator[Check]:
    """Trained geometry is cheaper than a trained lookup table, but not the geometry of neighbours.

    At one loss the memory from a Gaussian start costs less than the lookup table; the one from the identity,
    in which neighbours are alike, costs more than that from the Gaussian.
    """
    for world, found in ratios(runs, "ends-bilinear", "cost", "gaussian", "lookup").items():
        yield check(f"cost, gaussian by lookup, {world}", found, below=0.95, over="mean")
    for world, found in ratios(runs, "ends-bilinear", "cost", "identity", "gaussian").items():
        yield check(f"cost, identity by gaussian, {world}", found, above=1.05, over="mean")


@claim("why-geometry/flatness-decides-nothing", place=PAGE)
@race(trained("bilinear"))
@conditions(f"{AT_ONE_LOSS}; largest eigenvalue of the Hessian, at the cheapest scale of each")
@expects("above 1", OWN, PAGE, "pilot on other seeds")
def flatness(runs: Evidence) -> Iterator[Check]:
    """Flatness does not choose the geometry of neighbours.

    The memory from the identity is sharper than the lookup table at the same loss.
    """
    found = ratios(runs, "ends-bilinear", "sharpness", "identity, balanced", "lookup, balanced")
    for world, values in found.items():
        yield check(f"sharpness, identity by lookup, {world}", values, above=1, over="mean")


@claim("why-geometry/segment", place=PAGE)
@race(trained("bilinear"))
@conditions(f"{AT_ONE_LOSS}; 25 points, at the cheapest scale, turned by the R that brings E nearest")
@expects("at most .25", OWN, PAGE, "pilot on other seeds")
def segment(runs: Evidence) -> Iterator[Check]:
    """Hardly a barrier stands between the two memories once they are turned alike.

    On the segment from lookup table to geometry the loss rises by less than .25 nats above the line between
    its ends, and by less than without turning.
    """
    for end in ("gaussian", "identity"):
        memory = f"{end}, balanced"
        turned, plain = (of_memory(runs, "ends-bilinear", memory, way) for way in ("turned", "segment"))
        for world, losses in turned.items():
            heights = barrier(losses)
            yield check(f"barrier, {end}, {world}", heights, at_most=0.25, over="mean")
            lowered = heights - barrier(plain[world])
            yield check(f"barrier less that without turning, {end}, {world}", lowered, below=0, over="mean")


def share_of_rows(runs: Evidence, name: str) -> dict[str, Float[np.ndarray, " run"]]:
    """The embeddings' share of the first-order decrease until the loss of comparison, by world."""
    rows, rest = (of_way(runs, name, quantity) for quantity in ("by_rows", "by_map"))
    found = {}
    for world, losses in of_way(runs, name, "loss").items():
        low = losses <= target_loss(world)
        places = np.where(low.any(axis=0), low.argmax(axis=0), len(low) - 1), np.arange(losses.shape[1])
        found[world] = rows[world][places] / (rows[world][places] + rest[world][places])
    return found


@claim("why-geometry/share", place=PAGE)
@race(followed("gaussian", "identity"))
@conditions(f"{SETTING}; AdamW at .01; -g · Δ summed until the loss of comparison")
@expects("at least .5", OWN, PAGE, "pilot on other seeds")
def share(runs: Evidence) -> Iterator[Check]:
    """Embeddings do most of the learning.

    From small embeddings they lower the loss, to first order, at least as much as map and bias do.
    """
    for name in ("gaussian", "identity"):
        for world, values in share_of_rows(runs, name).items():
            start = name.partition(",")[0]
            yield check(f"share of the embeddings, {start}, {world}", values, at_least=0.5, over="mean")


@claim("why-geometry/direction", place=PAGE)
@race(followed("gaussian", "wide"))
@conditions(f"{SETTING}; AdamW at .01; mean over the steps looked at among the first ten")
@expects("above 0", OWN, PAGE, "pilot on other seeds")
def direction(runs: Evidence) -> Iterator[Check]:
    """The first steps point at the factored memory more than at the lookup table.

    From a Gaussian map, with small and with wide rows, the cosine of the update with the direction to the
    factored memory is larger.
    """
    for name in ("gaussian", "wide"):
        early = kept_steps(WAYS[name].steps) < 10
        table = of_way(runs, name, "toward_lookup")
        for world, cosines in of_way(runs, name, "toward_factored").items():
            ahead = (cosines - table[world])[early].mean(axis=0)
            yield check(
                f"cosines' difference, {name.partition(',')[0]}, {world}", ahead, above=0, over="mean"
            )


@claim("why-geometry/leaving", place=PAGE)
@race(followed("lookup, descent", "lookup, descent, decay"))
@conditions(f"{SETTING}; a lookup table trained on by gradient descent at .1, 3,000 steps")
@expects("at most 1.1; at least 1.1", OWN, PAGE, "pilot on other seeds")
def leaving(runs: Evidence) -> Iterator[Check]:
    """Weight decay takes a lookup table away from what it is; without decay it stays one.

    With decay .01 the cost falls to within 10 % of the least for its logits and all facts stay; without, it
    does not.
    """
    for world, prices in of_way(runs, "lookup, descent, decay", "price").items():
        yield check(f"multiple of the least cost, decay .01, {world}", prices[-1], at_most=1.1, over="mean")
    for world, prices in of_way(runs, "lookup, descent", "price").items():
        yield check(f"multiple of the least cost, no decay, {world}", prices[-1], at_least=1.1, over="mean")
    for world, recall in of_way(runs, "lookup, descent, decay", "recall").items():
        yield check(f"lowest recall, decay .01, {world}", recall.min(axis=0), at_least=0.95, over="mean")


@claim("why-geometry/crossing", place=PAGE)
@race(followed("gaussian, slow", "identity, slow"))
@conditions(f"{SETTING}; AdamW at .001, 20,000 steps; Fiedler alignment at 40 steps, evenly in the logarithm")
@expects("all and none", "replication", PAGE, "F.4 of the digest")
def crossing(runs: Evidence) -> Iterator[Check]:
    """All runs from the identity cross, none from a Gaussian map does, and crossing is not kept.

    From the identity every run's Fiedler alignment reaches .75; from a Gaussian map none does on the tiny
    graphs; at 20,000 steps at most two of the worlds are still there on average.
    """
    for world, curve in of_way(runs, "identity, slow", "alignment").items():
        yield check(f"peak, identity, {world}", curve.max(axis=0), at_least=FORMED, over="every seed")
    for world, curve in of_way(runs, "gaussian, slow", "alignment").items():
        if world in GRAPHS:
            yield check(f"peak, gaussian, {world}", curve.max(axis=0), below=FORMED, over="every seed")
    ends = of_way(runs, "identity, slow", "alignment")
    kept = sum(float(curve[-1].mean()) >= FORMED for curve in ends.values())
    yield check("worlds that keep it", kept, at_most=2)


@claim("why-geometry/one-sided", place=PAGE)
@race(followed("gaussian, descent", "identity, descent"))
@conditions(f"{SETTING}; gradient descent at .1, 10,000 steps")
@expects("at least .2", "derived", PAGE)
def one_sided(runs: Evidence) -> Iterator[Check]:
    """The identity keeps neighbours on one side, a Gaussian map does not.

    Under gradient descent the level from the identity ends at least .2 above that from a Gaussian map.
    """
    other = of_way(runs, "gaussian, descent", "level")
    for world, curve in of_way(runs, "identity, descent", "level").items():
        ahead = curve[-1] - other[world][-1]
        yield check(f"level, identity less gaussian, {world}", ahead, at_least=0.2, over="mean")


@claim("why-geometry/decay-and-stopping", place=PAGE)
@race(followed("identity", "identity, light decay"))
@conditions(f"{SETTING}; AdamW at .01 from the identity, 3,000 steps")
@expects("below 0", OWN, PAGE, "pilot on other seeds")
def decay_and_stopping(runs: Evidence) -> Iterator[Check]:
    """Early stopping selects the geometry of neighbours; weight decay does not.

    The level is higher when the loss of comparison is first reached than at the end, and at the end lower
    with weight decay .1 than without.
    """
    plain = of_way(runs, "identity", "level")
    losses = of_way(runs, "identity", "loss")
    for world, level in plain.items():
        row = (losses[world] <= target_loss(world)).argmax(axis=0)
        fallen = level[-1] - level[row, np.arange(level.shape[1])]
        yield check(f"level at the end less when first at that loss, {world}", fallen, below=0, over="mean")
    for world, level in of_way(runs, "identity, light decay", "level").items():
        lost = level[-1] - plain[world][-1]
        yield check(f"level at the end, decay .1 less none, {world}", lost, below=0, over="mean")


@claim("why-geometry/transformer", place=PAGE)
@race(trained("transformer"))
@conditions(
    "Transformer of width 32, AdamW at .01; all at .1 nats above the lowest loss, weights as they are"
)
@expects("below 1; at least .3", OWN, PAGE, "pilot on other seeds")
def transformer(runs: Evidence) -> Iterator[Check]:
    """In the Transformer the geometry is small and flat, and a barrier stands before the lookup table.

    From the usual start the squares of all weights sum to less, and the Hessian's largest eigenvalue is less,
    than at the lookup table over frozen N(0, 1) embeddings; the segment from one to the other, not turned,
    has a barrier of at least .3 nats.
    """
    for quantity in ("squares", "sharpness"):
        for world, found in ratios(runs, "ends-transformer", quantity, "plain", "lookup").items():
            yield check(f"{quantity}, plain by lookup, {world}", found, below=1, over="mean")
    for world, losses in of_memory(runs, "ends-transformer", "plain", "segment").items():
        yield check(f"barrier, {world}", barrier(losses), at_least=0.3, over="mean")


@claim("why-geometry/residual", place=PAGE)
@needs(streams, counterexample=associative)
@conditions(
    "Transformer of width 32, AdamW at .01, with and without attention; level at the loss of comparison"
)
@expects("at least .05", "derived", PAGE, "pilot on other seeds")
def residual(runs: Evidence) -> Iterator[Check]:
    """The residual stream is the Transformer's identity start.

    Without it the map from embedding to read-out starts near zero, and the level is lower when the loss of
    comparison is reached, with attention and without.
    """
    for title, having, lacking in (
        ("with attention", "whole", "no residual"),
        ("without attention", "no attention", "neither"),
    ):
        others = dict(runs.of(lacking))
        for world, fleet in runs.of(having):
            ahead = level_when_reached(fleet, world) - level_when_reached(others[world], world)
            yield check(f"level that the stream adds, {title}, {world}", ahead, at_least=0.05, over="mean")


@claim("why-geometry/survey", place=PAGE)
@race(written, trained("bilinear"), trained("transformer"), followed(*WAYS))
@conditions(f"{SETTING}; everything that the tables have")
@expects("within .001", OWN, PAGE)
def survey(runs: Evidence) -> Iterator[Check]:
    """All memories that are compared have one loss.

    Every memory that is written down or trained for the comparison is at .1 nats above the lowest loss.
    """
    for kind, memories in (("written", ("factored",)), *((f"ends-{name}", ENDS[name]) for name in ENDS)):
        for memory in memories:
            for world, losses in of_memory(runs, kind, memory, "loss").items():
                title = f"distance from the loss, {memory}, {kind.removeprefix('ends-')}, {world}"
                yield check(title, np.abs(losses - target_loss(world)), at_most=0.001, over="every seed")


STUDY = Study(
    name="why-geometry",
    title="Why does geometry win? The race of the two memories in numbers",
    question="A lookup table of the facts is found in two steps and is no larger than a geometry. Why does "
    "training end in the geometry: is it cheaper, flatter, nearer, or what the start leads to?",
    rule="Two memories are compared at one loss, .1 nats above the lowest, in five worlds and on five seeds. "
    "One is cheaper if its squared norm at the scale that costs least is smaller, flatter if the largest "
    "eigenvalue and the trace of the Hessian are, on average over seeds in every world. A run crosses if its "
    "Fiedler alignment reaches .75, and keeps it if it is still there at 20,000 steps. What holds in one "
    "world less than all counts as not reproduced.",
    claims=(
        cheaper,
        flatter,
        law,
        small_start,
        trained_cost,
        flatness,
        segment,
        share,
        direction,
        leaving,
        crossing,
        one_sided,
        decay_and_stopping,
        transformer,
        residual,
        survey,
    ),
    tabulate=tabulate,
    tables={
        "memories at one loss": by_memory,
        "ways": by_way,
        "crossing": by_crossing,
        "residual stream": by_stream,
        "cost and curvature by world": by_world,
    },
    figures={"memories": draw_memories, "ways": draw_ways, "segments": draw_segments},
    conclude=conclude,
)
