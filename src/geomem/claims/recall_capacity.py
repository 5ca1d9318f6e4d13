"""Claims: how many facts a trained model of a given width holds (A5; E8, E12; C1, C4, C5).

Glossary: N subjects, R relations, d* the smallest width at which the best seed recalls 99 % of the facts, as
in our notes on arXiv 2605.12426. What is tagged [M] there are our own earlier runs, not the paper's.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
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
from geomem.claims.recall_runs import fewer_seeds, read_model
from geomem.geometry.crossing import crossing
from geomem.models.configuration import Recall
from geomem.training.configuration import RecallTraining
from geomem.worlds.facts.families import (
    disjoint_bijections,
    many_to_one,
    random_bijections,
    random_permutations,
    zipf_facts,
)

FACTS: dict[str, Callable[..., Any]] = {
    "random-bijections": random_bijections,
    "random-permutations": random_permutations,
    "disjoint-bijections": disjoint_bijections,
    "many-to-one-8": partial(many_to_one, objects=8),
    "many-to-one-32": partial(many_to_one, objects=32),
    "zipf": partial(zipf_facts, objects=128),
}
"""Families of facts by name, with all but subjects, relations and world_seed decided."""

EXPECTED_WIDTHS = {
    64: {2: 3, 4: 5, 8: 8, 16: 12},
    128: {2: 4, 4: 6, 8: 11, 16: 18},
    256: {2: 5, 4: 9, 8: 13, 16: 23},
}
"""C1 of our notes: d* by N and R, our earlier runs."""

FROZEN_FACTS = ((64, 4), (128, 4))
FROZEN_SIZES = (2, 4, 8, 12, 18, 27, 40, 60, 93)
ALL_TABLES = ("subjects", "relations", "objects")


@dataclass(frozen=True)
class CapacitySetting:
    """Curves of recall over the width, or over the neurons of the MLP, for some numbers of facts."""

    subjects: tuple[int, ...]
    relations: tuple[int, ...]
    facts: str = "random-bijections"
    sizes: tuple[int, ...] = ()
    """Widths or neurons tried; those around the expected threshold if there is none."""
    varied: str = "width"
    neurons_per_width: int = 4
    model: Recall = field(default_factory=Recall)
    training: RecallTraining = field(default_factory=RecallTraining)
    seconds: float = 10.0
    """About how long one seed takes on one core."""


@experiment(version=1)
def measure_capacity(
    settings: Mapping[str, Any], *, directory: Any, device: str, on_progress: Callable[[float], None]
) -> dict[str, np.ndarray]:
    """Every run of a grid: `subjects`, `relations`, `sizes` and `recall`, `weights`, `bits`, all [row].

    Besides `thresholds` and `bits_per_weight` with `cell_subjects`, `cell_relations`, all [cell], and `own`,
    the size at which each seed's own curve crosses 99 %, [cell, run].
    """
    from geomem.sweep.capacity import capacity_curves

    varied = settings["varied"]
    found = capacity_curves(
        settings["subjects"],
        settings["relations"],
        sizes=settings["sizes"] or None,
        varied=varied,
        neurons_per_width=settings["neurons_per_width"],
        model=read_model(settings["model"]),
        training=RecallTraining(**settings["training"]),
        facts=FACTS[settings["facts"]],
        seeds=settings["seeds"],
        directory=directory,
        processes=1,
        on_progress=lambda event: on_progress(event.finished_fleets / event.fleet_count),
    )
    thresholds, runs = found.thresholds, found.runs
    own = [
        [
            crossing(
                alone[varied].to_numpy().astype(np.float64), alone["recall"].fill_nan(0.0).to_numpy(), 0.99
            )
            for alone in cell.sort(varied).partition_by("seed", maintain_order=True)
        ]
        for cell in runs.sort("subjects", "relations", "seed", varied).partition_by(
            "subjects", "relations", maintain_order=True
        )
    ]
    arrays = {name: runs[name].to_numpy() for name in ("subjects", "relations", "recall", "weights", "bits")}
    return arrays | {
        "sizes": runs[varied].to_numpy(),
        "cell_subjects": thresholds["subjects"].to_numpy(),
        "cell_relations": thresholds["relations"].to_numpy(),
        "thresholds": thresholds["threshold"].to_numpy(),
        "bits_per_weight": thresholds["bits_per_weight"].to_numpy(),
        "own": np.array(own),
    }


def request_capacity(settings: Mapping[str, CapacitySetting]) -> Callable[[Scale], tuple[Experiment, ...]]:
    """The function a claim's `experiments` is: curves of capacity by their keys."""

    def request(scale: Scale) -> tuple[Experiment, ...]:
        seeds = {key: scale.seeds if key == "grid" else fewer_seeds(scale) for key in settings}
        return tuple(
            Experiment(
                key, measure_capacity, asdict(own) | {"seeds": seeds[key]}, own.seconds * len(seeds[key])
            )
            for key, own in settings.items()
        )

    return request


QUICK_GRID = {"grid": CapacitySetting((64, 128), (2, 4, 8), sizes=tuple(range(2, 13)), seconds=52.0)}
FULL_GRID = {"grid": CapacitySetting((64, 128, 256), (2, 4, 8, 16), seconds=600.0)}
FROZEN = {
    "frozen": CapacitySetting(
        (64, 128),
        (4,),
        sizes=FROZEN_SIZES,
        varied="mlp_width",
        model=Recall(width=32, frozen=ALL_TABLES),
        seconds=15.0,
    ),
    "learned": CapacitySetting(
        (64, 128), (4,), sizes=(2,), varied="mlp_width", model=Recall(width=32), seconds=3.0
    ),
}
FROZEN_FULL = {
    "frozen": CapacitySetting(
        (128, 256, 512),
        (4,),
        sizes=(12, 18, 27, 40, 62, 93, 140, 210, 315),
        varied="mlp_width",
        model=Recall(width=32, frozen=ALL_TABLES),
        seconds=300.0,
    ),
    "learned": CapacitySetting(
        (128, 256, 512), (4,), sizes=(2,), varied="mlp_width", model=Recall(width=32), seconds=30.0
    ),
}
PARTS = {
    "shared": CapacitySetting((128,), (4,), sizes=(4, 5, 6, 7, 8), seconds=6.0),
    "no-mlp": CapacitySetting((128,), (4,), sizes=(5, 6, 8, 12, 16), neurons_per_width=0, seconds=4.0),
    "additive": CapacitySetting(
        (128,), (4,), sizes=(16, 32), neurons_per_width=0, model=Recall(attention="none"), seconds=4.0
    ),
    "disjoint": CapacitySetting(
        (128,),
        (4,),
        "disjoint-bijections",
        sizes=(3, 4, 5, 6),
        neurons_per_width=0,
        model=Recall(attention="none"),
        seconds=6.0,
    ),
}
"""C5 of our notes: what is needed of MLP, attention and sharing."""


# What judges ask of curves.


def thresholds_by_cell(evidence: Evidence, key: str) -> dict[tuple[int, int], float]:
    """d* by (N, R); not a number where no size is enough."""
    cells = zip(
        evidence.arrays[f"{key}.cell_subjects"], evidence.arrays[f"{key}.cell_relations"], strict=True
    )
    return {
        (int(N), int(R)): float(value)
        for (N, R), value in zip(cells, evidence.arrays[f"{key}.thresholds"], strict=True)
    }


def own_thresholds(evidence: Evidence, key: str, cell: int = 0) -> Float[np.ndarray, " run"]:
    """Where every seed's own curve crosses 99 %; infinite where it never does."""
    found = evidence.arrays[f"{key}.own"][cell]
    return np.where(np.isfinite(found), found, np.inf)


def judge_grid(evidence: Evidence) -> Judgement:
    """E8: d* linear in R, increasing with N, 1.1 to 1.9 bits per weight, and C1's numbers."""
    found, bits = thresholds_by_cell(evidence, "grid"), evidence.arrays["grid.bits_per_weight"]
    counts, kinds = sorted({N for N, _ in found}), sorted({R for _, R in found})
    explained = np.array([np.corrcoef(kinds, [found[N, R] for R in kinds])[0, 1] ** 2 for N in counts])
    widths = np.array([[found[N, R] for R in kinds] for N in counts])
    rising = np.diff(widths, axis=0).min(axis=0)
    apart = np.array(
        [abs(found[N, R] - EXPECTED_WIDTHS[N][R]) / max(1.0, 0.1 * EXPECTED_WIDTHS[N][R]) for N, R in found]
    )
    quantities = (
        measure_quantity("R^2 of d* over R, by N", explained, held=explained >= 0.97),
        measure_quantity("rise of d* with N, by R", rising, held=rising > 0),
        measure_quantity("bits per weight, by table", bits, held=(bits >= 1.1) & (bits <= 1.9)),
        measure_quantity("distance from C1 over what is allowed, by table", apart, held=apart <= 1),
    )
    cells = ", ".join(f"{value:.0f} ({N}, {R})" for (N, R), value in found.items())
    return judge_by_means(
        *quantities,
        holds=all(bool(quantity.held is not None and quantity.held.all()) for quantity in quantities),
        sentence=f"d* = {cells}; R^2 over R at least {explained.min():.3f}, {bits.min():.2f} to "
        f"{bits.max():.2f} bits per weight, at most {apart.max():.1f} times the allowed distance from C1.",
        picture=draw_thresholds(found, evidence),
    )


def draw_thresholds(found: Mapping[tuple[int, int], float], evidence: Evidence) -> Picture:
    """d* over R ln N with its fit and the width whose weights would hold 2 bits each."""
    N, R = np.array(list(found)).T
    d = np.array(list(found.values()))
    design = np.stack([np.ones_like(d), R * np.log2(N), R], axis=1)
    fit = design @ np.linalg.lstsq(design, d)[0]
    # Weights grow nearly in proportion to the width at a given table, so the limit is d* times bits over 2.
    limit = d * evidence.arrays["grid.bits_per_weight"] / 2
    rows = [
        {"R ln N": float(r * np.log(n)), "d*": float(value), "curve": label}
        for label, values in (("measured", d), ("fit", fit), ("2 bits per weight", limit))
        for n, r, value in zip(N, R, values, strict=True)
    ]
    return Picture(pl.DataFrame(rows).sort("R ln N"), "R ln N", "d*", series="curve", kind="points")


def judge_frozen(evidence: Evidence) -> Judgement:
    """E12: with all tables frozen the neurons needed grow at least in proportion to the facts."""
    frozen, learned = (evidence.arrays[f"{key}.own"] for key in ("frozen", "learned"))
    N = evidence.arrays["frozen.cell_subjects"]
    growth = np.atleast_1d(np.where(np.isfinite(frozen[-1]), frozen[-1], np.inf) / frozen[0] / (N[-1] / N[0]))
    known = np.where(np.isfinite(growth), growth, FROZEN_SIZES[-1])
    two = np.atleast_1d(np.isfinite(learned).all(axis=0))
    quantities = (
        measure_quantity("growth of the neurons over that of the facts", known, held=growth >= 1),
        measure_quantity("learned tables: recalled with 2 neurons", two.astype(np.float64), held=two),
        *(measure_quantity(f"neurons, N = {n}", own) for n, own in zip(N, frozen, strict=True)),
    )
    return judge_by_means(
        *quantities,
        sentence="With all tables frozen the neurons needed grow {mean:.1f} ({low:.1f} to {high:.1f}) times "
        "as fast "
        "as the facts; with learned tables two are enough at every size.",
        picture=draw_recalls(evidence, {"frozen": "frozen"}, "neurons"),
    )


def draw_recalls(evidence: Evidence, keys: Mapping[str, str], title: str) -> Picture:
    """Mean, lowest and highest recall over seeds by size, a line for every table of every key."""
    parts = []
    for label, key in keys.items():
        columns = ("subjects", "relations", "sizes", "recall")
        table = pl.DataFrame({name: evidence.arrays[f"{key}.{name}"] for name in columns})
        for (N, R), part in table.group_by("subjects", "relations", maintain_order=True):
            parts.append(
                part.group_by("sizes")
                .agg(
                    pl.col("recall").mean(),
                    pl.col("recall").min().alias("low"),
                    pl.col("recall").max().alias("high"),
                )
                .sort("sizes")
                .rename({"sizes": title})
                .with_columns(pl.lit(f"{label}, N = {N}, R = {R}").alias("curve"))
            )
    return Picture(pl.concat(parts), title, "recall", series="curve")


def judge_parts(evidence: Evidence) -> Judgement:
    """C5: a head alone gates a little, sums never; disjoint objects need no gate and fewest dimensions."""
    own = {key: own_thresholds(evidence, key) for key in ("shared", "no-mlp", "disjoint")}
    additive = evidence.arrays["additive.recall"].reshape(2, -1).max(axis=0)
    quantities = (
        measure_quantity("additive: recall", additive, held=np.abs(additive - 0.25) <= 0.1),
        measure_quantity("d*, shared with MLP", own["shared"], held=own["shared"] < own["no-mlp"]),
        measure_quantity("d*, shared, head alone", own["no-mlp"], held=np.isfinite(own["no-mlp"])),
        measure_quantity("d*, disjoint, additive", own["disjoint"], held=own["disjoint"] < own["shared"]),
    )
    return judge_by_means(
        *quantities,
        sentence="A trained sum recalls {mean:.2f} of shared facts; 99 % need a width of "
        f"{quantities[1].mean:.1f} with an MLP, {quantities[2].mean:.1f} with a head alone, and of disjoint "
        f"facts "
        f"a sum recalls them from {quantities[3].mean:.1f} on.",
        picture=draw_recalls(
            evidence, {"MLP": "shared", "head alone": "no-mlp", "disjoint, additive": "disjoint"}, "width"
        ),
    )


def imagine_capacity(
    cells: Mapping[str, Mapping[tuple[int, int], Any]], *, bits: float = 1.4, recall: float = 1.0
) -> Evidence:
    """Thresholds that trainings might have given, by key and (N, R): one for all seeds or one for each."""
    made = {}
    for key, found in cells.items():
        N, R = np.array(list(found)).T
        own = np.stack([np.broadcast_to(np.asarray(value, float), 2) for value in found.values()])
        made[key] = {
            "cell_subjects": N,
            "cell_relations": R,
            "own": own,
            "thresholds": own.min(axis=1),
            "bits_per_weight": np.full(len(N), bits),
            "subjects": np.repeat(N, 4),
            "relations": np.repeat(R, 4),
            "sizes": np.tile([4, 4, 8, 8], len(N)),
            "recall": np.full(4 * len(N), recall),
        }
    return imagine_arrays(made)


def _grid_claim(name: str, grid: Mapping[str, CapacitySetting], **changes: Any) -> Claim:
    sizes: Sequence[int] = grid["grid"].subjects
    return Claim(
        id=f"recall-capacity/{name}",
        title="The threshold of trained models follows R log N",
        statement="The dimension at which gradient descent recalls all facts is Theta(R log N), as "
        "predicted.",
        place="A5 [T]; C1, E8 [M]",
        conditions=f"N = {', '.join(map(str, sizes))}, R = {', '.join(map(str, grid['grid'].relations))}; "
        "one layer, MLP of 4 d neurons, Adam, lr .01, cosine, full batch, 1,200 steps; all widths "
        "from 2 to 12, or nine per table at scale",
        rule="d* is linear in R at every N (R^2 >= .97), larger for larger N at every R, at 1.1 to 1.9 bits "
        "per weight, and within 1 or 10 % of C1 in every table.",
        expected=(
            Expected("Theta(R log N)", "paper", "A5 [T]"),
            Expected("at least .97", "own measurement", "C1, E8 [M]", "", "R^2 of d* over R, by N"),
            Expected(1.38, "own measurement", "C1, E8 [M]", "1.1 to 1.9", "bits per weight, by table"),
            Expected(
                "at most 1",
                "own measurement",
                "C1, E8 [M]",
                "1 or 10 %",
                "distance from C1 over what is allowed, by table",
            ),
        ),
        paper=RECALL_PAPER,
        experiments=request_capacity(grid),
        judge=judge_grid,
        wrong=lambda requests: imagine_capacity(
            {"grid": {(N, R): N / 16 * (1 + R) for N in sizes for R in grid["grid"].relations}}
        ),
        **changes,
    )


def _frozen_claim(name: str, settings: Mapping[str, CapacitySetting], **changes: Any) -> Claim:
    sizes = settings["frozen"].subjects
    return Claim(
        id=f"recall-capacity/{name}",
        title="With all tables frozen the MLP must grow with the facts",
        statement="In the associative picture weights store pairs, and those outside the embeddings grow "
        "with the number of facts; in the geometric one the MLP does not. A frozen-embedding control "
        "tells the two apart.",
        place="A1, A5 [P]; B8, C4, E12 [M]",
        conditions=f"d = 32, R = 4, N = {', '.join(map(str, sizes))}; subject, relation and object tables "
        "random and frozen, or all learned with 2 neurons; Adam, lr .01, 1,200 steps",
        rule="On most seeds the neurons needed for 99 % grow at least as the facts do from the smallest "
        "table to the largest, and with learned tables 2 neurons are enough everywhere.",
        expected=(
            Expected(
                "at least 1",
                "own measurement",
                "C4, E12 [M]",
                "3.4 from N = 64 to 128",
                "growth of the neurons over that of the facts",
            ),
            Expected(
                1.0, "own measurement", "C4, E12 [M]", "all seeds", "learned tables: recalled with 2 neurons"
            ),
        ),
        paper=RECALL_PAPER,
        experiments=request_capacity(settings),
        judge=judge_frozen,
        wrong=lambda requests: imagine_capacity(
            {"frozen": {(N, 4): 12.0 for N in sizes}, "learned": {(N, 4): 2.0 for N in sizes}}
        ),
        **changes,
    )


CLAIMS: tuple[Claim, ...] = (
    _grid_claim("threshold", QUICK_GRID, aliases=("E8",)),
    _grid_claim("threshold-at-scale", FULL_GRID, aliases=("E8-full",), cost="full"),
    _frozen_claim("frozen-tables", FROZEN, aliases=("E12",)),
    _frozen_claim("frozen-tables-at-scale", FROZEN_FULL, aliases=("E12-full",), cost="full"),
    Claim(
        id="recall-capacity/parts",
        aliases=("E13-trained",),
        title="What an MLP, a head and disjoint objects are good for",
        statement="Shared objects need selection: a trained sum recalls about 1/R of them at any width, a "
        "content-based head alone is a weak gate, and disjoint objects need neither.",
        place="A1 [P]; B7, C5, E13 [M]",
        conditions="N = 128, R = 4; Adam, lr .01, 1,200 steps; widths 4 to 32",
        rule="On most seeds the sum's best recall is within .1 of 1/R, shared facts need fewer dimensions "
        "with the MLP than with the head alone, which does reach 99 %, and disjoint facts need fewer "
        "still without either.",
        expected=(
            Expected(0.28, "own measurement", "B7, E13 [M]", "within .1 of .25", "additive: recall"),
            Expected("fewer than without", "own measurement", "C5 [M]", "fewer", "d*, shared with MLP"),
            Expected("fewest", "own measurement", "C5 [M]", "fewer", "d*, disjoint, additive"),
        ),
        paper=RECALL_PAPER,
        experiments=request_capacity(PARTS),
        judge=judge_parts,
        wrong=lambda requests: imagine_capacity({key: {(128, 4): 6.0} for key in PARTS}),
    ),
)
"""In the order of the notes."""
