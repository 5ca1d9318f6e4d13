"""Claims: chains of relations in trained models of one to four layers, without chain of thought (A3, A4).

Glossary: N entities that are subjects and objects at once, R relations, k hops, L layers, m code length, as
in our notes on arXiv 2605.12426, whose own multi-hop constants are not available to us.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float

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
from geomem.claims.recall_hops import TRAINED_RELATIONS
from geomem.claims.recall_runs import fewer_seeds
from geomem.constructions.bounds import bijection_bits
from geomem.constructions.codes import binary_length
from geomem.constructions.hop_sizes import HopSize, deep_size, flat_size
from geomem.geometry.crossing import crossing
from geomem.models.configuration import Recall
from geomem.training.configuration import RecallTraining
from geomem.worlds.facts.families import random_permutations

# With another seed, of .003, .01 and .02 the last recalled most near the threshold at L = 1, 2 and 4.
QUICK_ENTITIES, QUICK_HOPS, QUICK_RATES = 64, 2, (0.02,)
QUICK_DEPTHS = {1: (7, 8, 9), 2: (6, 7, 8), 3: (5, 6, 7), 4: (5, 6, 7)}
"""Widths tried by number of layers."""

FULL_ENTITIES, FULL_HOPS, FULL_RATES = 256, 3, (0.01, 0.02)
FULL_DEPTHS = {
    1: (22, 25, 28, 30, 33, 37),
    2: (10, 12, 14, 16, 19, 22, 26),
    3: (8, 10, 12, 14, 16, 19, 22),
    4: (8, 10, 12, 14, 16, 19, 22),
}


@experiment(version=1)
def measure_depth(
    settings: Mapping[str, Any], *, directory: Any, device: str, on_progress: Callable[[float], None]
) -> dict[str, np.ndarray]:
    """`recall` [rate, run, size] of models of L layers trained on all questions of k hops, as one fleet.

    Besides `widths` and `weights`, the trained numbers of a run, both [size].
    """
    from geomem.models.recall import RecallSize, count_trained
    from geomem.runs.facts import question_answers
    from geomem.training.configuration import RecallRun, RunSettings
    from geomem.training.facts import train_recall

    N, R, k = settings["entities"], settings["relations"], settings["hops"]
    training, size = RecallTraining(**settings["training"]), RecallSize(N, R, N)
    models = [
        Recall(width=width, mlp_width=4 * width, hops=k, layers=settings["layers"])
        for width in settings["widths"]
    ]
    asked = [question_answers(random_permutations(N, R, world_seed=seed), k) for seed in settings["seeds"]]
    runs = [
        RecallRun(model, size, own, RunSettings(seed, rate, training.weight_decay))
        for rate in settings["rates"]
        for seed, own in zip(settings["seeds"], asked, strict=True)
        for model in models
    ]
    trained = train_recall(
        runs, training, device=device, on_progress=lambda event: on_progress(event.step / event.steps)
    )
    return {
        "recall": trained.metrics["recall"][-1].reshape(len(settings["rates"]), len(asked), len(models)),
        "widths": np.array(settings["widths"], dtype=np.float64),
        "weights": np.array([count_trained(model, size) for model in models], dtype=np.float64),
    }


def request_depth(
    entities: int,
    hops: int,
    tried: Mapping[int, tuple[int, ...]],
    rates: tuple[float, ...],
    *,
    seconds: float,
) -> Callable[[Scale], tuple[Experiment, ...]]:
    """The function a claim's `experiments` is: a fleet per depth; `seconds` is one run's of one layer."""

    def request(scale: Scale) -> tuple[Experiment, ...]:
        seeds = fewer_seeds(scale)
        return tuple(
            Experiment(
                f"layers-{layers}",
                measure_depth,
                {
                    "entities": entities,
                    "relations": TRAINED_RELATIONS,
                    "hops": hops,
                    "layers": layers,
                    "widths": widths,
                    "rates": rates,
                    "training": asdict(RecallTraining()),
                    "seeds": seeds,
                },
                # All blocks but the last carry every relation's token on.
                seconds * len(seeds) * len(rates) * len(widths) * (1 + 1.2 * (layers - 1)),
            )
            for layers, widths in tried.items()
        )

    return request


def written_size(entities: int, hops: int, layers: int) -> HopSize:
    """A4's model for so many layers: flat for one, deep from two on."""
    N, R, m = entities, TRAINED_RELATIONS, binary_length(entities)
    return flat_size(N, R, N, m, hops) if layers == 1 else deep_size(N, R, N, m, hops, layers=layers)


def own_crossings(
    evidence: Evidence, layers: int
) -> tuple[Float[np.ndarray, " run"], Float[np.ndarray, " run"]]:
    """Width at which every seed crosses 99 % at the better rate, and the trained weights there.

    Infinite where a seed never does.
    """
    key = f"layers-{layers}"
    widths, weights = evidence.arrays[f"{key}.widths"], evidence.arrays[f"{key}.weights"]
    recalls = np.nan_to_num(evidence.arrays[f"{key}.recall"])
    own = np.array([[crossing(widths, curve, 0.99) for curve in rate] for rate in recalls])
    own = np.where(np.isfinite(own), own, np.inf).min(axis=0)
    return own, np.where(np.isfinite(own), np.interp(own, widths, weights), np.inf)


def judge_depth(entities: int, hops: int) -> Callable[[Evidence], Judgement]:
    """The judge that layers save dimensions and weights, as A4's deep models do against the flat one."""
    bits = bijection_bits(entities, TRAINED_RELATIONS)

    def judge(evidence: Evidence) -> Judgement:
        depths = sorted(
            int(name.split(".")[0].split("-")[1]) for name in evidence.arrays if ".recall" in name
        )
        found = {layers: own_crossings(evidence, layers) for layers in depths}
        (width, weights), deep = found[1], [layers for layers in depths if layers >= hops]
        quantities = []
        for layers in deep:
            own_width, own_weights = found[layers]
            with np.errstate(invalid="ignore"):
                ratio, share = own_weights / weights, own_width / width
            # A4's fact numbers no longer fall beyond L = k, while every trained block has weights of its own.
            held = ratio < 1 if layers == hops else None
            quantities += [
                measure_quantity(f"trained weights over one layer's, L = {layers}", ratio, held=held),
                measure_quantity(f"d* over one layer's, L = {layers}", share, held=share < 1),
            ]
        for layers in depths:
            own_width, own_weights = found[layers]
            numbers = written_size(entities, hops, layers).fact_numbers
            quantities += [
                measure_quantity(f"d*, L = {layers}", own_width),
                measure_quantity(f"trained weights, L = {layers}", own_weights),
                measure_quantity(f"bits of the permutations per weight, L = {layers}", bits / own_weights),
                measure_quantity(
                    f"trained weights over A4's fact numbers, L = {layers}", own_weights / numbers
                ),
            ]
        listed = ", ".join(f"{own.mean():,.0f} (L = {layers})" for layers, (_, own) in found.items())
        wide = ", ".join(f"{own.mean():.1f}" for own, _ in found.values())
        return judge_by_means(
            *quantities,
            sentence=f"At the threshold {listed} weights are trained, at d* = {wide}; with as many layers as "
            "hops {mean:.2f} ({low:.2f} to {high:.2f}) times as many as with one.",
            picture=draw_depth(found, entities, hops),
        )

    return judge


def draw_depth(
    found: Mapping[int, tuple[Float[np.ndarray, " run"], Float[np.ndarray, " run"]]], entities: int, hops: int
) -> Picture:
    """Trained weights at the threshold over the layers, beside A4's fact numbers and the facts' bits."""
    rows = [
        {
            "layers": layers,
            "numbers": float(values.mean()),
            "low": float(values.min()),
            "high": float(values.max()),
            "curve": label,
        }
        for layers, (_, weights) in found.items()
        for label, values in (
            ("trained weights", weights),
            ("A4's fact numbers", np.array([float(written_size(entities, hops, layers).fact_numbers)])),
            ("bits of the permutations", np.array([bijection_bits(entities, TRAINED_RELATIONS)])),
        )
        if np.isfinite(values).all()
    ]
    return Picture(pl.DataFrame(rows), "layers", "numbers", series="curve")


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


def _claim(
    name: str,
    entities: int,
    hops: int,
    tried: Mapping[int, tuple[int, ...]],
    rates: tuple[float, ...],
    *,
    seconds: float,
    **changes: Any,
) -> Claim:
    flat, deep = (written_size(entities, hops, layers) for layers in (1, hops))
    return Claim(
        id=f"recall-hops/{name}",
        title="Layers save dimensions and weights without chain of thought",
        statement="A capacity-depth trade-off: with as many layers as hops the size no longer grows "
        "exponentially with the hops.",
        place="A4 [P/T]; A3, L2 [D]",
        conditions=f"k = {hops}, L = {', '.join(map(str, tried))}, N = {entities}, R = {TRAINED_RELATIONS}; "
        "all N R^k questions, in every layer a positional head per relation and an MLP of 4 d neurons, Adam, "
        f"1,200 steps, lr {' or '.join(f'{rate:g}' for rate in rates)}, for each seed the better of several",
        rule=f"On most seeds fewer weights are trained at the threshold of 99 % with L = {hops} layers than "
        f"with one, and d* is smaller than with one at every L from {hops} on; the rule is ours, after A4, "
        "written before the measurement.",
        expected=(
            Expected("no exponential growth", "paper", "A4 [T]"),
            Expected(
                deep.fact_numbers / flat.fact_numbers,
                "derived",
                "A4 [D]",
                "below 1",
                f"trained weights over one layer's, L = {hops}",
            ),
            Expected(
                deep.residual_size / flat.residual_size,
                "derived",
                "A4 [D]",
                "below 1",
                f"d* over one layer's, L = {hops}",
            ),
        ),
        paper=RECALL_PAPER,
        experiments=request_depth(entities, hops, tried, rates, seconds=seconds),
        judge=judge_depth(entities, hops),
        # Layers that are memory and nothing else: as many weights at any depth, in thinner ones.
        wrong=lambda requests: imagine_depth({layers: 24.0 / layers for layers in tried}),
        **changes,
    )


CLAIMS: tuple[Claim, ...] = (
    # A minute and a half of one core, which `recall*` with --quick, ten minutes on two, does not have left.
    _claim("depth", QUICK_ENTITIES, QUICK_HOPS, QUICK_DEPTHS, QUICK_RATES, seconds=1.5, cost="full"),
    _claim("depth-at-scale", FULL_ENTITIES, FULL_HOPS, FULL_DEPTHS, FULL_RATES, seconds=36.0, cost="full"),
)
"""Two hops at a size of seconds, three at that of our notes."""
