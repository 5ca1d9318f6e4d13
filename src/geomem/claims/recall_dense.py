"""Claims: random codes, and superpositions of overlapping codes in one space (A2, S2 to S4; E4, E5).

Glossary: N subjects, R relations, d width of the superposition, m code length, as in our notes on
arXiv 2605.12426. Thresholds are read where a curve over the width crosses a share, by a line between points.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from geomem.claims.claim import (
    RECALL_PAPER,
    Claim,
    Expected,
    Judgement,
    Picture,
    Scale,
    judge_by_means,
    measure_quantity,
)
from geomem.claims.evidence import Evidence, imagine_arrays
from geomem.claims.experiment import Experiment, experiment
from geomem.claims.recall import imagine_numbers
from geomem.constructions.codes import code_margin, gaussian_code, random_signs
from geomem.constructions.dense import VECTORS, dense_code, dense_margins
from geomem.geometry.crossing import crossing
from geomem.worlds.facts.families import random_bijections

DENSE_CELLS = ((64, 4), (64, 8), (64, 16), (256, 4), (256, 8), (1024, 4))
DENSE_FACTORS = (3.0, 3.5, 4.0, 4.5, 5.0, 5.5, 6.0, 6.5, 7.0, 7.5, 8.0, 8.5, 9.0, 10.0)
"""Widths tried, in units of (R - 1) ln N."""

OPTIMISED_CELLS = ((32, 4), (32, 8), (128, 4), (128, 8))
OPTIMISED_FACTORS = (0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.35)
"""Widths tried, in units of R ln N."""

CODE_COUNTS = (64, 256, 1024)
CODE_DRAWS = 20


@experiment(version=1)
def measure_superpositions(
    settings: Mapping[str, Any], *, directory: Any, device: str, on_progress: Callable[[float], None]
) -> dict[str, np.ndarray]:
    """Shares of right facts, and of subjects whose facts all are: `facts`, `subjects` [cell, run, size].

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


def request_dense(scale: Scale) -> tuple[Experiment, ...]:
    """Plain sums over the width."""
    settings = {"cells": DENSE_CELLS, "factors": DENSE_FACTORS, "quality": "sum", "seeds": scale.seeds}
    return (Experiment("sum", measure_superpositions, settings, 6.0 * len(scale.seeds)),)


def request_optimised(scale: Scale) -> tuple[Experiment, ...]:
    """Optimised vectors over the width."""
    cells = OPTIMISED_CELLS if scale.name == "quick" else (*OPTIMISED_CELLS, (512, 4), (512, 8), (128, 16))
    settings = {"cells": cells, "factors": OPTIMISED_FACTORS, "quality": "optimised", "seeds": scale.seeds}
    return (Experiment("optimised", measure_superpositions, settings, 2.3 * len(cells) * len(scale.seeds)),)


def compute_codes(scale: Scale) -> dict[str, np.ndarray]:
    """Shortest length at which nine in ten draws of a random code tell all objects apart, over log2 N."""
    arrays = {}
    for kind, draw, start in (("signs", random_signs, 1.4), ("Gaussian", gaussian_code, 3.2)):
        for count in CODE_COUNTS:
            bits, found = np.log2(count), []
            for seed in scale.seeds:
                length = int(start * bits)
                while _share_apart(draw, count, length, seed) < 0.9:
                    length += 1
                found.append(length / bits)
            arrays[f"{kind}, N = {count:,}"] = np.array(found)
    return arrays


def _share_apart(draw: Callable[..., np.ndarray], count: int, length: int, seed: int) -> float:
    apart = [code_margin(draw(count, length, seed=1000 * seed + again)) > 1e-9 for again in range(CODE_DRAWS)]
    return float(np.mean(apart))


def factors_at(evidence: Evidence, key: str, what: str, share: float, scales: Sequence[float]) -> np.ndarray:
    """Slope through the origin of the widths at which curves cross a share, over cells' scales; per run."""
    curves, widths = evidence.arrays[f"{key}.{what}"], evidence.arrays[f"{key}.widths"]
    found = np.array(
        [[crossing(widths[cell], curve, share) for curve in curves[cell]] for cell in range(len(curves))]
    )
    x = np.array(scales)[:, None]
    return (found * x).sum(axis=0) / (x**2).sum()


def judge_dense(evidence: Evidence) -> Judgement:
    """That plain sums need 3.9, 5.2 and 8 times (R - 1) ln N dimensions for 95 %, 99 % and all facts."""
    scales = [(R - 1) * np.log(N) for N, R in DENSE_CELLS]
    quantities = []
    for title, share, middle, reach in (
        ("95 % of facts", 0.95, 3.9, 0.4),
        ("99 % of facts", 0.99, 5.2, 0.7),
        ("all facts", 1.0, 8.0, 1.0),
    ):
        factors = factors_at(evidence, "sum", "facts", share, scales)
        quantities.append(measure_quantity(title, factors, held=np.abs(factors - middle) <= reach))
    rows = [
        {
            "d / ((R - 1) ln N)": float(width / scale),
            "recall": float(curve.mean()),
            "low": float(curve.min()),
            "high": float(curve.max()),
            "table": f"N = {N:,}, R = {R}",
        }
        for (N, R), scale, widths, curves in zip(
            DENSE_CELLS, scales, evidence.arrays["sum.widths"], evidence.arrays["sum.facts"], strict=True
        )
        for width, curve in zip(widths, curves.T, strict=True)
    ]
    return judge_by_means(
        *quantities,
        sentence="95 % of the facts need {mean:.2f} ({low:.2f} to {high:.2f}) times (R - 1) ln N "
        "dimensions, 99 % "
        f"{quantities[1].mean:.2f} and all {quantities[2].mean:.2f}.",
        picture=Picture(pl.DataFrame(rows), "d / ((R - 1) ln N)", "recall", series="table"),
    )


def judge_optimised(evidence: Evidence) -> Judgement:
    """That optimised vectors need (1.03 +- 0.12) R ln N dimensions for half of the subjects."""
    cells = OPTIMISED_CELLS
    if len(evidence.arrays["optimised.widths"]) > len(cells):
        cells = (*OPTIMISED_CELLS, (512, 4), (512, 8), (128, 16))
    factors = factors_at(evidence, "optimised", "subjects", 0.5, [R * np.log(N) for N, R in cells])
    quantity = measure_quantity(
        "d / (R ln N) for half of the subjects", factors, held=np.abs(factors - 1.03) <= 0.12
    )
    return judge_by_means(
        quantity,
        sentence="With optimised vectors half of the subjects have all facts right from {mean:.2f} "
        "({low:.2f} to "
        "{high:.2f}) times R ln N dimensions on.",
    )


def judge_codes(evidence: Evidence) -> Judgement:
    """That random signs need about 2 log2 N and Gaussian codes about 4 log2 N coordinates."""
    quantities = []
    for name, values in evidence.arrays.items():
        low, high = (2.0, 2.5) if name.startswith("signs") else (3.9, 4.4)
        within = (values >= low - 0.25) & (values <= high + 0.25)
        quantities.append(measure_quantity(f"m / log2 N, {name}", values, held=within))
    listed = ", ".join(f"{quantity.mean:.2f}" for quantity in quantities)
    return judge_by_means(
        *quantities,
        sentence=f"Nine in ten draws tell all objects apart from m / log2 N = {listed} on (signs, then "
        "Gaussian, at N = 64, 256, 1,024).",
    )


def imagine_superpositions(key: str, cells: Sequence[tuple[int, int]], widths: np.ndarray, recall: float):
    """Curves that stay at one height: no width is enough."""
    flat = np.full((len(cells), 2, widths.shape[1]), recall)
    return imagine_arrays({key: {"facts": flat, "subjects": flat, "widths": widths}})


CLAIMS: tuple[Claim, ...] = (
    Claim(
        id="recall/random-codes",
        aliases=("S2",),
        title="Random codes cost two to four times as much as binary words",
        statement="Random signs are all distinct from about 2 log2 N coordinates on, raw Gaussian codes "
        "nearest to themselves from about 4 log2 N on.",
        place="A2, S2 [D/M]",
        conditions=f"N = 64, 256, 1,024; {CODE_DRAWS} draws per length and seed; nine in ten must succeed",
        rule="On most seeds m / log2 N is within .25 of the measured 2.0 to 2.5 (signs) and 3.9 to 4.4 "
        "(Gaussian).",
        expected=(
            Expected("2.0 to 2.5 (signs)", "own measurement", "A2, S2 [D/M]", "within .25"),
            Expected("4.0 to 4.3 (Gaussian)", "own measurement", "A2, S2 [D/M]", "within .25"),
        ),
        paper=RECALL_PAPER,
        compute=compute_codes,
        judge=judge_codes,
        wrong=lambda requests: imagine_numbers({"signs, N = 64": [1.0], "Gaussian, N = 64": [1.0]}),
    ),
    Claim(
        id="recall/dense",
        aliases=("E4", "S3"),
        title="Plain sums of rotated codes need a multiple of (R - 1) ln N",
        statement="With s = sum of Q_r a the noise has variance (R - 1) / d, so all facts are right from "
        "about 8 (R - 1) ln N dimensions on.",
        place="A2, S3, E4 [D/M]",
        conditions="unit codes, random rotations; "
        + "; ".join(f"N = {N:,}, R = {R}" for N, R in DENSE_CELLS),
        rule="On most seeds the slopes through the origin are 3.9 +- .4 (95 % of facts), 5.2 +- .7 (99 %) "
        "and 8 +- 1 (all).",
        expected=(
            Expected(3.9, "own measurement", "A2, S3, E4 [M]", "+- .4", "95 % of facts"),
            Expected(5.2, "own measurement", "A2, S3, E4 [M]", "+- .7", "99 % of facts"),
            Expected(8.0, "derived", "A2, S3 [D/M]", "+- 1", "all facts"),
        ),
        paper=RECALL_PAPER,
        experiments=request_dense,
        judge=judge_dense,
        wrong=lambda requests: imagine_superpositions(
            "sum", DENSE_CELLS, np.outer([(R - 1) * np.log(N) for N, R in DENSE_CELLS], DENSE_FACTORS), 1.0
        ),
    ),
    Claim(
        id="recall/optimised",
        aliases=("E5", "S4"),
        title="Optimised vectors for the same codes need R ln N",
        statement="With random codes fixed and every subject vector optimised, half of all target tuples are "
        "realised at d = 1.03 R ln N: a factor of 3.5 to 7.7 less than plain addition.",
        place="A2, S4, E5 [M]",
        conditions="convex softmax fit per subject, 400 steps of Adam; "
        + "; ".join(f"N = {N}, R = {R}" for N, R in OPTIMISED_CELLS)
        + "; at full cost N = 512 and R = 16 too",
        rule="On most seeds the slope through the origin is 1.03 +- .12.",
        expected=(
            Expected(
                1.03, "own measurement", "A2, S4, E5 [M]", "+- .12", "d / (R ln N) for half of the subjects"
            ),
        ),
        paper=RECALL_PAPER,
        experiments=request_optimised,
        judge=judge_optimised,
        wrong=lambda requests: imagine_superpositions(
            "optimised",
            OPTIMISED_CELLS,
            np.outer([R * np.log(N) for N, R in OPTIMISED_CELLS], OPTIMISED_FACTORS),
            1.0,
        ),
    ),
)
"""In the order of the notes."""
