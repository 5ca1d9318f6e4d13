"""Claims: how many facts a trained model of a given width holds (A5; E8, E12; C1, C4, C5).

Here d* is the smallest width at which the best seed recalls 99 % of the facts.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from operator import attrgetter
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float

from geomem.claims.check import Picture, check
from geomem.claims.claim import OWN, claim, conditions, expects, needs
from geomem.claims.counterexamples import imagine_arrays
from geomem.claims.evidence import Evidence
from geomem.claims.experiment import experiment
from geomem.claims.factual_recall.settings import Request, fewer_seeds, request
from geomem.claims.need import Scale
from geomem.fields import read_fields
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
"""Families of facts by name, each a function of subjects, relations and world_seed."""

EXPECTED_WIDTHS = {
    64: {2: 3, 4: 5, 8: 8, 16: 12},
    128: {2: 4, 4: 6, 8: 11, 16: 18},
    256: {2: 5, 4: 9, 8: 13, 16: 23},
}
"""C1 of the notes: d* by N and R."""

FROZEN_SIZES = (2, 4, 8, 12, 18, 27, 40, 60, 93)
ALL_TABLES = ("subjects", "relations", "objects")


@dataclass(frozen=True)
class CapacitySetting:
    """Curves of recall over the width, or over the neurons of the MLP, for some numbers of facts."""

    subjects: tuple[int, ...]
    relations: tuple[int, ...]
    facts: str = "random-bijections"
    sizes: tuple[int, ...] = ()
    """Widths or neurons tried; those around the expected threshold if empty."""
    varied: str = "width"
    neurons_per_width: int = 4
    model: Recall = field(default_factory=Recall)
    training: RecallTraining = field(default_factory=RecallTraining)
    seconds: float = 10.0
    """Per seed on one core, approximately."""


@experiment(version=1, name="geomem.claims.recall_capacity.measure_capacity")
def measure_capacity(
    settings: Mapping[str, Any], *, directory: Any, device: str, on_progress: Callable[[float], None]
) -> dict[str, np.ndarray]:
    """Every run of a grid: `subjects`, `relations`, `sizes` and `recall`, `weights`, `bits`, all [row].

    Besides `thresholds` and `bits_per_weight` with `cell_subjects`, `cell_relations`, all [cell], and `own`,
    the size at which each seed's own curve crosses 99 %, [cell, run].
    """
    from geomem.sweep.capacity import capacity_curves

    varied = settings["varied"]
    curves = capacity_curves(
        settings["subjects"],
        settings["relations"],
        sizes=settings["sizes"] or None,
        varied=varied,
        neurons_per_width=settings["neurons_per_width"],
        model=read_fields(Recall, settings["model"]),
        training=RecallTraining(**settings["training"]),
        facts=FACTS[settings["facts"]],
        seeds=settings["seeds"],
        directory=directory,
        processes=1,
        device=device,
        on_progress=lambda event: on_progress(event.finished_fleets / event.fleet_count),
    )
    thresholds, runs = curves.thresholds, curves.runs
    own = [
        crossing(alone[varied].to_numpy().astype(np.float64), alone["recall"].fill_nan(0.0).to_numpy(), 0.99)
        for alone in runs.sort("subjects", "relations", "seed", varied).partition_by(
            "subjects", "relations", "seed", maintain_order=True
        )
    ]
    arrays = {name: runs[name].to_numpy() for name in ("subjects", "relations", "recall", "weights", "bits")}
    return arrays | {
        "sizes": runs[varied].to_numpy(),
        "cell_subjects": thresholds["subjects"].to_numpy(),
        "cell_relations": thresholds["relations"].to_numpy(),
        "thresholds": thresholds["threshold"].to_numpy(),
        "bits_per_weight": thresholds["bits_per_weight"].to_numpy(),
        "own": np.array(own).reshape(len(thresholds), -1),
    }


def request_capacity(
    settings: Mapping[str, CapacitySetting], seeds: Callable[[Scale], tuple[int, ...]] = fewer_seeds
) -> Request:
    """What a claim `needs`: curves of capacity by their keys."""
    work = {key: (asdict(own), own.seconds) for key, own in settings.items()}
    return request(measure_capacity, work, seeds)


def _frozen(
    subjects: tuple[int, ...], sizes: tuple[int, ...], *, frozen_seconds: float, learned_seconds: float
) -> dict[str, CapacitySetting]:
    learned = CapacitySetting(
        subjects, (4,), sizes=(2,), varied="mlp_width", model=Recall(width=32), seconds=learned_seconds
    )
    model = Recall(width=32, frozen=ALL_TABLES)
    return {"frozen": replace(learned, sizes=sizes, model=model, seconds=frozen_seconds), "learned": learned}


QUICK_GRID = CapacitySetting((64, 128), (2, 4, 8), sizes=tuple(range(2, 13)), seconds=52.0)
FULL_GRID = CapacitySetting((64, 128, 256), (2, 4, 8, 16), seconds=600.0)
QUICK_FROZEN = _frozen((64, 128), FROZEN_SIZES, frozen_seconds=15.0, learned_seconds=3.0)
FULL_FROZEN = _frozen(
    (128, 256, 512), (12, 18, 27, 40, 62, 93, 140, 210, 315), frozen_seconds=300.0, learned_seconds=30.0
)
_SHARED = CapacitySetting((128,), (4,), sizes=(4, 5, 6, 7, 8), seconds=6.0)
_HEAD = replace(_SHARED, sizes=(5, 6, 8, 12, 16), neurons_per_width=0, seconds=4.0)
_SUM = replace(_HEAD, sizes=(16, 32), model=Recall(attention="none"))
PARTS = {
    "shared": _SHARED,
    "no-mlp": _HEAD,
    "additive": _SUM,
    "disjoint": replace(_SUM, facts="disjoint-bijections", sizes=(3, 4, 5, 6), seconds=6.0),
}
"""C5 of the notes: with and without MLP, attention and shared objects."""


def own_thresholds(runs: Evidence, key: str, cell: int = 0) -> Float[np.ndarray, " run"]:
    """Where every seed's own curve crosses 99 %; infinite where it never does."""
    own = runs.arrays[f"{key}.own"][cell]
    return np.where(np.isfinite(own), own, np.inf)


def draw_recalls(runs: Evidence, keys: Mapping[str, str], title: str) -> Picture:
    """Mean, lowest and highest recall over seeds by size, a line for every table of every key."""
    columns = ("subjects", "relations", "sizes", "recall")
    recall = pl.col("recall")
    parts = [
        part.group_by("sizes")
        .agg(recall.mean(), recall.min().alias("low"), recall.max().alias("high"))
        .sort("sizes")
        .rename({"sizes": title})
        .with_columns(pl.lit(f"{label}, N = {N}, R = {R}").alias("curve"))
        for label, key in keys.items()
        for (N, R), part in pl.DataFrame({name: runs.arrays[f"{key}.{name}"] for name in columns}).group_by(
            "subjects", "relations", maintain_order=True
        )
    ]
    return Picture(pl.concat(parts), title, "recall", series="curve")


def imagine_capacity(cells: Mapping[str, Mapping[tuple[int, int], float | int]]) -> Evidence:
    """Made-up thresholds of two seeds by key and (N, R), at 1.4 bits per weight."""
    made = {}
    for key, thresholds in cells.items():
        N, R = np.array(list(thresholds)).T
        widths = np.array(list(thresholds.values()), dtype=np.float64)
        made[key] = {
            "cell_subjects": N,
            "cell_relations": R,
            "own": np.stack([widths, widths], axis=1),
            "thresholds": widths,
            "bits_per_weight": np.full(len(N), 1.4),
            "subjects": np.repeat(N, 4),
            "relations": np.repeat(R, 4),
            "sizes": np.tile([4, 4, 8, 8], len(N)),
            "recall": np.ones(4 * len(N)),
        }
    return imagine_arrays(made)


for _scale, _alias, _grid in (("", "E8", QUICK_GRID), ("-at-scale", "E8-full", FULL_GRID)):

    @claim(f"recall-capacity/threshold{_scale}", _alias, place="A5 [T]; C1, E8 [M]", full=bool(_scale))
    @needs(
        request_capacity({"grid": _grid}, attrgetter("seeds")),
        counterexample=imagine_capacity(
            {"grid": {(N, R): N / 16 * (1 + R) for N in _grid.subjects for R in _grid.relations}}
        ),
    )
    @conditions(
        f"N = {', '.join(map(str, _grid.subjects))}, R = {', '.join(map(str, _grid.relations))}; one layer, "
        "MLP of 4 d neurons, Adam, lr .01, cosine, full batch, 1,200 steps; all widths from 2 to 12, or nine "
        "per table at scale; C1 allows 1 or 10 %"
    )
    @expects("Theta(R log N)", "paper", "A5 [T]")
    @expects("at least .97", OWN, "C1, E8 [M]", "R^2 of d* over R, by N")
    @expects(1.38, OWN, "C1, E8 [M]", "bits per weight, by table")
    @expects("at most 1", OWN, "C1, E8 [M]", "distance from C1 over what is allowed, by table")
    def threshold(runs):
        """The threshold of trained models follows R log N.

        The dimension at which gradient descent recalls all facts is Theta(R log N), as predicted.
        """
        N, R, d, bits = (
            runs.arrays[f"grid.{name}"]
            for name in ("cell_subjects", "cell_relations", "thresholds", "bits_per_weight")
        )
        # Cells come sorted by N, then R.
        widths = d.reshape(len(set(N)), -1)
        explained = np.array([np.corrcoef(row, R[: len(row)])[0, 1] ** 2 for row in widths])
        known = np.array([EXPECTED_WIDTHS[int(n)][int(r)] for n, r in zip(N, R, strict=True)])
        distance = np.abs(d - known) / np.maximum(1.0, 0.1 * known)
        yield check("R^2 of d* over R, by N", explained, at_least=0.97, over="everywhere")
        yield check(
            "rise of d* with N, by R", np.diff(widths, axis=0).min(axis=0), above=0, over="everywhere"
        )
        yield check("bits per weight, by table", bits, at_least=1.1, at_most=1.9, over="everywhere")
        title = "distance from C1 over what is allowed, by table"
        yield check(title, distance, at_most=1, over="everywhere")
        cells = ", ".join(f"{width:.0f} ({n}, {r})" for n, r, width in zip(N, R, d, strict=True))
        yield f"The thresholds d* by (N, R) are {cells}."
        design = np.stack([np.ones_like(d), R * np.log2(N), R], axis=1)
        # Weights grow nearly in proportion to the width of a table's model, so 2 bits each need d* bits / 2.
        lines = {
            "measured": d,
            "fit": design @ np.linalg.lstsq(design, d)[0],
            "2 bits per weight": d * bits / 2,
        }
        table = pl.concat(
            pl.DataFrame({"R ln N": R * np.log(N), "d*": values, "curve": [label] * len(d)})
            for label, values in lines.items()
        )
        yield Picture(table.sort("R ln N"), "R ln N", "d*", series="curve", kind="points")


for _scale, _alias, _settings in (("", "E12", QUICK_FROZEN), ("-at-scale", "E12-full", FULL_FROZEN)):
    _subjects = _settings["frozen"].subjects

    @claim(
        f"recall-capacity/frozen-tables{_scale}",
        _alias,
        place="A1, A5 [P]; B8, C4, E12 [M]",
        full=bool(_scale),
    )
    @needs(
        request_capacity(_settings),
        counterexample=imagine_capacity(
            {key: {(N, 4): neurons for N in _subjects} for key, neurons in (("frozen", 12), ("learned", 2))}
        ),
    )
    @conditions(
        f"d = 32, R = 4, N = {', '.join(map(str, _subjects))}; growth of the neurons needed for 99 % from "
        "the smallest table to the largest; subject, relation and object tables random and frozen, or all "
        "learned with 2 neurons; Adam, lr .01, 1,200 steps"
    )
    @expects(3.4, OWN, "C4, E12 [M]", "growth of the neurons over that of the facts", "N = 64 to 128")
    @expects(1.0, OWN, "C4, E12 [M]", "learned tables: recalled with 2 neurons")
    def frozen_tables(runs):
        """With all tables frozen the MLP must grow with the facts.

        In the associative picture weights store pairs, and those outside the embeddings grow with the number
        of facts; in the geometric one the MLP does not. A frozen-embedding control tells the two apart.
        """
        frozen, learned = (runs.arrays[f"{key}.own"] for key in ("frozen", "learned"))
        N = runs.arrays["frozen.cell_subjects"]
        growth = np.where(np.isfinite(frozen[-1]), frozen[-1], np.inf) / frozen[0] / (N[-1] / N[0])
        growth = np.where(np.isinf(growth), FROZEN_SIZES[-1], growth)
        yield check("growth of the neurons over that of the facts", growth, at_least=1)
        yield check("learned tables: recalled with 2 neurons", np.isfinite(learned).all(axis=0), at_least=1)
        for n, own in zip(N, frozen, strict=True):
            yield check(f"neurons, N = {n}", own)
        yield draw_recalls(runs, {"frozen": "frozen"}, "neurons")


@claim("recall-capacity/parts", "E13-trained", place="A1 [P]; B7, C5, E13 [M]")
@needs(request_capacity(PARTS), counterexample=imagine_capacity({key: {(128, 4): 6.0} for key in PARTS}))
@conditions(
    "N = 128, R = 4; Adam, lr .01, 1,200 steps; widths 4 to 32; the best recall of sums over the widths"
)
@expects(0.28, OWN, "B7, E13 [M]", "additive: recall")
@expects("fewer than without", OWN, "C5 [M]", "d*, shared with MLP")
@expects("fewest", OWN, "C5 [M]", "d*, disjoint, additive")
def parts(runs):
    """What an MLP, a head and disjoint objects are good for.

    Shared objects need selection: a trained sum recalls about 1/R of them at any width, a content-based head
    alone is a weak gate, and disjoint objects need neither.
    """
    additive = runs.arrays["additive.recall"].reshape(2, -1).max(axis=0)
    shared, head, disjoint = (own_thresholds(runs, key) for key in ("shared", "no-mlp", "disjoint"))
    yield check("additive: recall", additive, at_least=0.15, at_most=0.35)
    yield check("d*, shared with MLP", shared, held=shared < head, rule="below that of the head alone")
    yield check("d*, shared, head alone", head, held=np.isfinite(head), rule="reached")
    rule = "below that of shared objects with MLP"
    yield check("d*, disjoint, additive", disjoint, held=disjoint < shared, rule=rule)
    lines = {"MLP": "shared", "head alone": "no-mlp", "disjoint, additive": "disjoint"}
    yield draw_recalls(runs, lines, "width")
