"""Claims: random codes, and superpositions of overlapping codes in one space (A2, S2 to S4; E4, E5).

Here d is the width of the superposition. Thresholds are read where a curve over the width crosses a share, by
a line between points.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from geomem.claims.check import check, draw_bands
from geomem.claims.claim import OWN, claim, conditions, expects, needs
from geomem.claims.counterexamples import imagine_arrays, imagine_numbers
from geomem.claims.evidence import Evidence
from geomem.claims.experiment import Experiment, experiment
from geomem.claims.factual_recall.settings import Request
from geomem.claims.need import Scale, computed
from geomem.constructions.codes import code_margin, gaussian_code, random_signs
from geomem.constructions.dense import VECTORS, dense_code, dense_margins
from geomem.geometry.crossing import crossing
from geomem.worlds.facts.families import random_bijections

DENSE_CELLS = ((64, 4), (64, 8), (64, 16), (256, 4), (256, 8), (1024, 4))
DENSE_FACTORS = (3.0, 3.5, 4.0, 4.5, 5.0, 5.5, 6.0, 6.5, 7.0, 7.5, 8.0, 8.5, 9.0, 10.0)
"""Widths tried, in units of (R - 1) ln N."""

OPTIMISED_CELLS = ((32, 4), (32, 8), (128, 4), (128, 8))
MORE_OPTIMISED_CELLS = (*OPTIMISED_CELLS, (512, 4), (512, 8), (128, 16))
OPTIMISED_FACTORS = (0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.35)
"""Widths tried, in units of R ln N."""

CODE_COUNTS = (64, 256, 1024)
CODE_DRAWS = 20
CODES = {"signs": (random_signs, 1.4, 2.0, 2.5), "Gaussian": (gaussian_code, 3.2, 3.9, 4.4)}
"""How each code is drawn; over log2 N: where the search for its length begins, and the measured range."""


@experiment(version=1, name="geomem.claims.recall_dense.measure_superpositions")
def measure_superpositions(
    settings: Mapping[str, Any], *, directory: Any, device: str, on_progress: Callable[[float], None]
) -> dict[str, np.ndarray]:
    """Shares of right facts, and of subjects with all facts right: `facts`, `subjects` [cell, run, size].

    `widths` are [cell, size]: `factors` times the cell's scale.
    """
    cells, factors, seeds = settings["cells"], settings["factors"], settings["seeds"]
    shape = (len(cells), len(seeds), len(factors))
    facts, subjects, widths = np.zeros(shape), np.zeros(shape), np.zeros((len(cells), len(factors)))
    for place in np.ndindex(shape):
        cell, run, size = place
        N, R = cells[cell]
        kinds = R - 1 if settings["quality"] == "sum" else R
        width = max(1, round(factors[size] * kinds * np.log(N)))
        table = random_bijections(N, R, world_seed=seeds[run])
        code = dense_code(R, N, width, seed=seeds[run])
        right = dense_margins(VECTORS[settings["quality"]](table, code), table, code) > 0
        facts[place], widths[cell, size] = right.mean(), width
        subjects[place] = (np.bincount(table.facts[:, 0], weights=~right, minlength=N) == 0).mean()
        on_progress((np.ravel_multi_index(place, shape) + 1) / facts.size)
    return {"facts": facts, "subjects": subjects, "widths": widths}


def request_superpositions(
    quality: str, factors: Sequence[float], cells: Sequence, full_cells: Sequence, seconds: float
) -> Request:
    """What a claim `needs`: shares of right facts over the width; `seconds` are those of a table and seed."""

    def ask(scale: Scale) -> tuple[Experiment, ...]:
        tables = cells if scale.name == "quick" else full_cells
        settings = {"cells": tables, "factors": factors, "quality": quality, "seeds": scale.seeds}
        return (
            Experiment(quality, measure_superpositions, settings, seconds * len(tables) * len(scale.seeds)),
        )

    return ask


def compute_codes(scale: Scale) -> Iterator[tuple[str, float]]:
    """Shortest length at which nine in ten draws of a random code tell all objects apart, over log2 N."""
    for kind, (draw, start, *_) in CODES.items():
        for count in CODE_COUNTS:
            bits = np.log2(count)
            for seed in scale.seeds:
                length = int(start * bits)
                while _share_apart(draw, count, length, seed) < 0.9:
                    length += 1
                yield f"{kind}, N = {count:,}", length / bits


def _share_apart(draw: Callable[..., np.ndarray], count: int, length: int, seed: int) -> float:
    draws = [draw(count, length, seed=1000 * seed + again) for again in range(CODE_DRAWS)]
    return float(np.mean([code_margin(code) > 1e-9 for code in draws]))


def factors_at(runs: Evidence, key: str, what: str, share: float, scales: Sequence[float]) -> np.ndarray:
    """Slope through the origin of the widths at which curves cross a share, over cells' scales; per run."""
    curves, widths = runs.arrays[f"{key}.{what}"], runs.arrays[f"{key}.widths"]
    thresholds = np.array(
        [[crossing(widths[cell], curve, share) for curve in curves[cell]] for cell in range(len(curves))]
    )
    x = np.array(scales)[:, None]
    return (thresholds * x).sum(axis=0) / (x**2).sum()


def imagine_superpositions(key: str, scales: Sequence[float], factors: Sequence[float]) -> Evidence:
    """Curves at which every width is enough."""
    flat = np.ones((len(scales), 2, len(factors)))
    return imagine_arrays({key: {"facts": flat, "subjects": flat, "widths": np.outer(scales, factors)}})


SUM_SCALES = [(R - 1) * np.log(N) for N, R in DENSE_CELLS]
OPTIMISED_SCALES = [R * np.log(N) for N, R in MORE_OPTIMISED_CELLS]


@claim("recall/random-codes", "S2", place="A2, S2 [D/M]")
@needs(
    computed(compute_codes),
    counterexample=imagine_numbers(
        {f"{kind}, N = {count:,}": 1.0 for kind in CODES for count in CODE_COUNTS}
    ),
)
@conditions(f"N = 64, 256, 1,024; {CODE_DRAWS} draws per length and seed; nine in ten must succeed")
@expects("2.0 to 2.5 (signs)", OWN, "A2, S2 [D/M]")
@expects("4.0 to 4.3 (Gaussian)", OWN, "A2, S2 [D/M]")
def random_codes(runs):
    """Random codes cost two to four times as much as binary words.

    Random signs are all distinct from about 2 log2 N coordinates on, raw Gaussian codes nearest to themselves
    from about 4 log2 N on.
    """
    for name, values in runs.arrays.items():
        *_, low, high = CODES[name.partition(",")[0]]
        yield check(f"m / log2 N, {name}", values, at_least=low - 0.25, at_most=high + 0.25)


@claim("recall/dense", "E4", "S3", place="A2, S3, E4 [D/M]")
@needs(
    request_superpositions("sum", DENSE_FACTORS, DENSE_CELLS, DENSE_CELLS, 1.0),
    counterexample=imagine_superpositions("sum", SUM_SCALES, DENSE_FACTORS),
)
@conditions("unit codes, random rotations; " + "; ".join(f"N = {N:,}, R = {R}" for N, R in DENSE_CELLS))
@expects(3.9, OWN, "A2, S3, E4 [M]", "d / ((R - 1) ln N) for 95 % of facts")
@expects(5.2, OWN, "A2, S3, E4 [M]", "d / ((R - 1) ln N) for 99 % of facts")
@expects(8.0, "derived", "A2, S3 [D/M]", "d / ((R - 1) ln N) for all facts")
def dense(runs):
    """Plain sums of rotated codes need a multiple of (R - 1) ln N.

    With s = sum of Q_r a the noise has variance (R - 1) / d, so all facts are right from about
    8 (R - 1) ln N dimensions on.
    """
    for title, share, low, high in (
        ("d / ((R - 1) ln N) for 95 % of facts", 0.95, 3.5, 4.3),
        ("d / ((R - 1) ln N) for 99 % of facts", 0.99, 4.5, 5.9),
        ("d / ((R - 1) ln N) for all facts", 1.0, 7.0, 9.0),
    ):
        yield check(title, factors_at(runs, "sum", "facts", share, SUM_SCALES), at_least=low, at_most=high)
    curves = [
        (f"N = {N:,}, R = {R}", widths / scale, recalls.T)
        for (N, R), scale, widths, recalls in zip(
            DENSE_CELLS, SUM_SCALES, runs.arrays["sum.widths"], runs.arrays["sum.facts"], strict=True
        )
    ]
    yield draw_bands(curves, "d / ((R - 1) ln N)", "recall", series="table")


@claim("recall/optimised", "E5", "S4", place="A2, S4, E5 [M]")
@needs(
    request_superpositions("optimised", OPTIMISED_FACTORS, OPTIMISED_CELLS, MORE_OPTIMISED_CELLS, 2.3),
    counterexample=imagine_superpositions(
        "optimised", OPTIMISED_SCALES[: len(OPTIMISED_CELLS)], OPTIMISED_FACTORS
    ),
)
@conditions(
    "convex softmax fit per subject, 400 steps of Adam; "
    + "; ".join(f"N = {N}, R = {R}" for N, R in OPTIMISED_CELLS)
    + "; at full cost N = 512 and R = 16 too"
)
@expects(1.03, OWN, "A2, S4, E5 [M]", "d / (R ln N) for half of the subjects")
def optimised(runs):
    """Optimised vectors for the same codes need R ln N.

    With random codes fixed and every subject vector optimised, half of all target tuples are realised at
    d = 1.03 R ln N: a factor of 3.5 to 7.7 less than plain addition.
    """
    scales = OPTIMISED_SCALES[: len(runs.arrays["optimised.widths"])]
    factors = factors_at(runs, "optimised", "subjects", 0.5, scales)
    yield check("d / (R ln N) for half of the subjects", factors, at_least=0.91, at_most=1.15)
