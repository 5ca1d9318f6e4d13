"""Claims: chains of relations in trained models of one to four layers, without chain of thought (A3, A4).

The paper's own multi-hop constants are not available to us. Here N counts entities that are subjects and
objects at once.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float

from geomem.claims.check import Check, Picture, check
from geomem.claims.claim import claim, conditions, expects, expects_each, needs
from geomem.claims.counterexamples import imagine_arrays
from geomem.claims.evidence import Evidence
from geomem.claims.experiment import experiment
from geomem.claims.factual_recall.hops import SETTINGS, TRAINED_RELATIONS, train_chains
from geomem.claims.factual_recall.settings import Request, band, request
from geomem.constructions.bounds import bijection_bits
from geomem.constructions.codes import binary_length
from geomem.constructions.hop_sizes import HopSize, deep_size, flat_size
from geomem.geometry.crossing import crossing
from geomem.worlds.facts.families import random_permutations

# With another seed, of .003, .01 and .02 the last recalled most near the threshold at L = 1, 2 and 4.
QUICK_RATES, FULL_RATES = (0.02,), (0.01, 0.02)
QUICK_DEPTHS = {1: (7, 8, 9), 2: (6, 7, 8), 3: (5, 6, 7), 4: (5, 6, 7)}
"""Widths tried by number of layers."""

FULL_DEPTHS = {
    1: (22, 25, 28, 30, 33, 37),
    2: (10, 12, 14, 16, 19, 22, 26),
    3: (8, 10, 12, 14, 16, 19, 22),
    4: (8, 10, 12, 14, 16, 19, 22),
}


@experiment(version=1, name="geomem.claims.recall_depth.measure_depth")
def measure_depth(
    settings: Mapping[str, Any], *, directory: Any, device: str, on_progress: Callable[[float], None]
) -> dict[str, np.ndarray]:
    """`recall` [rate, run, size] of models of L layers trained on all questions of k hops, as one fleet.

    Besides `widths` and `weights`, the trained numbers of a run, both [size].
    """
    from geomem.runs.facts import question_answers

    N, R, k, layers = (settings[name] for name in ("entities", "relations", "hops", "layers"))
    asked = [question_answers(random_permutations(N, R, world_seed=seed), k) for seed in settings["seeds"]]
    recall, weights = train_chains(
        settings, asked, settings["rates"], layers=layers, device=device, on_progress=on_progress
    )
    return {"recall": recall, "widths": np.array(settings["widths"], dtype=np.float64), "weights": weights}


def request_depth(
    entities: int, hops: int, tried: Mapping[int, tuple[int, ...]], rates: tuple[float, ...], seconds: float
) -> Request:
    """What a claim `needs`: a fleet per depth; `seconds` is the time of one run of one layer."""
    own = {**SETTINGS, "entities": entities, "hops": hops, "rates": rates}
    work = {}
    for layers, widths in tried.items():
        # All blocks but the last carry every relation's token on.
        cost = seconds * len(rates) * len(widths) * (1 + 1.2 * (layers - 1))
        work[f"layers-{layers}"] = ({**own, "layers": layers, "widths": widths}, cost)
    return request(measure_depth, work)


def written_size(entities: int, hops: int, layers: int) -> HopSize:
    """Size of A4's model with so many layers: flat for one, deep from two on."""
    N, R, m = entities, TRAINED_RELATIONS, binary_length(entities)
    return flat_size(N, R, N, m, hops) if layers == 1 else deep_size(N, R, N, m, hops, layers=layers)


def own_crossings(runs: Evidence, layers: int) -> tuple[Float[np.ndarray, " run"], Float[np.ndarray, " run"]]:
    """Width at which every seed crosses 99 % at the better rate, and the trained weights there.

    Infinite where a seed never does.
    """
    widths, weights, recalls = (
        runs.arrays[f"layers-{layers}.{name}"] for name in ("widths", "weights", "recall")
    )
    own = np.array([[crossing(widths, curve, 0.99) for curve in rate] for rate in np.nan_to_num(recalls)])
    own = np.where(np.isfinite(own), own, np.inf).min(axis=0)
    return own, np.where(np.isfinite(own), np.interp(own, widths, weights), np.inf)


def check_depth(runs: Evidence, entities: int, hops: int) -> Iterator[Check | Picture]:
    """That layers save dimensions and weights, as A4's deep models do against the flat one."""
    bits = bijection_bits(entities, TRAINED_RELATIONS)
    depths = sorted(int(name.split(".")[0].split("-")[1]) for name in runs.arrays if ".recall" in name)
    crossings = {layers: own_crossings(runs, layers) for layers in depths}
    with np.errstate(invalid="ignore"):
        for layers in (layers for layers in depths if layers >= hops):
            saved, shares = (own / flat for own, flat in zip(crossings[layers], crossings[1], strict=True))
            # A4's fact numbers no longer fall beyond L = k, while every trained block has weights of its own.
            fewer = 1 if layers == hops else None
            yield check(f"trained weights over one layer's, L = {layers}", shares, below=fewer)
            yield check(f"d* over one layer's, L = {layers}", saved, below=1)
    rows = []
    for layers, (width, weights) in crossings.items():
        written = float(written_size(entities, hops, layers).fact_numbers)
        yield check(f"d*, L = {layers}", width)
        yield check(f"trained weights, L = {layers}", weights)
        yield check(f"bits of the permutations per weight, L = {layers}", bits / weights)
        yield check(f"trained weights over A4's fact numbers, L = {layers}", weights / written)
        curves = {"trained weights": weights, "A4's fact numbers": written, "bits of the permutations": bits}
        rows += [
            {"layers": layers, "curve": label} | band("numbers", np.atleast_1d(values))
            for label, values in curves.items()
            if np.isfinite(values).all()
        ]
    yield Picture(pl.DataFrame(rows), "layers", "numbers", series="curve")


def imagine_depth(thresholds: Mapping[int, float]) -> Evidence:
    """Curves that cross at these widths, by layers, in models of 100 weights per layer and dimension."""
    return imagine_arrays(
        {
            f"layers-{layers}": {
                "recall": [[[0.5, 0.99, 1.0]] * 2],
                "widths": [width - 1, width, width + 1],
                "weights": [100 * layers * (width + more) for more in (-1, 0, 1)],
            }
            for layers, width in thresholds.items()
        }
    )


# The small one takes a minute and a half of one core, which `recall*` with --quick, ten minutes on two, does
# not have left.
for _name, _entities, _hops, _tried, _rates, _seconds in (
    ("depth", 64, 2, QUICK_DEPTHS, QUICK_RATES, 1.5),
    ("depth-at-scale", 256, 3, FULL_DEPTHS, FULL_RATES, 36.0),
):
    _flat, _deep = (written_size(_entities, _hops, layers) for layers in (1, _hops))

    @claim(f"recall-hops/{_name}", place="A4 [P/T]; A3, L2 [D]", cost="full")
    @needs(
        request_depth(_entities, _hops, _tried, _rates, _seconds),
        # Layers that are memory and nothing else: as many weights at any depth, in thinner ones.
        counterexample=imagine_depth({layers: 24.0 / layers for layers in _tried}),
    )
    @conditions(
        f"k = {_hops}, L = {', '.join(map(str, _tried))}, N = {_entities}, "
        f"R = {TRAINED_RELATIONS}; all N R^k questions, in every layer a positional head per relation and an "
        f"MLP of 4 d neurons, Adam, 1,200 steps, lr {' or '.join(f'{rate:g}' for rate in _rates)}, for each "
        "seed the better of several; at the threshold of 99 %; our rule, after A4, before the measurement"
    )
    @expects("no exponential growth", "paper", "A4 [T]")
    @expects_each(
        (share, "derived", "A4 [D]", f"{what} over one layer's, L = {_hops}")
        for what, share in (
            ("trained weights", _deep.fact_numbers / _flat.fact_numbers),
            ("d*", _deep.residual_size / _flat.residual_size),
        )
    )
    def _layers(runs, entities=_entities, hops=_hops):
        """Layers save dimensions and weights without chain of thought.

        A capacity-depth trade-off: with as many layers as hops the size no longer grows exponentially
        with the hops.
        """
        yield from check_depth(runs, entities, hops)
