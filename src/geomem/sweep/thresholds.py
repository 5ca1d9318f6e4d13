"""Thresholds of capacity: where curves of recall over the width cross a level, and the law they follow."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from jaxtyping import Float
from scipy.special import stdtrit

from geomem.geometry.crossing import crossing

LEVELS = (0.99, 0.95)
"""Recall at which a threshold is read; the first is that of notes C1 on arXiv 2605.12426."""

Varied = Literal["width", "mlp_width"]


def mean_interval(
    values: Float[np.ndarray, " value"], confidence: float = 0.95
) -> tuple[float, float, float]:
    """Mean of some numbers with its interval, mean ± t s / √n (Student's t); NaN bounds for a single one.

    >>> [round(bound, 2) for bound in mean_interval(np.array([1.0, 2.0, 3.0]))]
    [2.0, -0.48, 4.48]
    """
    mean, count = float(values.mean()), len(values)
    if count < 2:
        return mean, float("nan"), float("nan")
    half = float(stdtrit(count - 1, (1 + confidence) / 2) * values.std(ddof=1) / np.sqrt(count))
    return mean, mean - half, mean + half


def tabulate_recall(runs: pl.DataFrame, varied: Varied) -> pl.DataFrame:
    """The curves: per cell and size the runs' mean recall, the smallest and largest, and weights per run."""
    recall = pl.col("recall").fill_nan(0.0)
    return (
        runs.group_by("subjects", "relations", varied)
        .agg(
            pl.len().alias("runs"),
            recall.mean().alias("recall"),
            recall.min().alias("lowest"),
            recall.max().alias("highest"),
            pl.col("weights").first(),
            pl.col("bits").mean(),
        )
        .sort("subjects", "relations", varied)
    )


def tabulate_thresholds(runs: pl.DataFrame, varied: Varied) -> pl.DataFrame:
    """One row per cell: where recall reaches each of the `LEVELS`, and the bits each weight holds there.

    `threshold` is the smallest measured size at which the best seed has 0.99; `best_99` and `best_95` are
    where the curve of the best seed crosses by a line between measured sizes; `mean_99` with `low_99` and
    `high_99` is the mean of every seed's own crossing with its 95 % interval (Student's t), without bounds
    where a seed never crosses. `bits_per_weight` is the entropy of the facts over the weights at `threshold`.
    """
    rows = []
    for key, cell in runs.group_by("subjects", "relations", maintain_order=True):
        row: dict[str, float] = {"subjects": int(key[0]), "relations": int(key[1])}  # pyright: ignore
        sizes, recalls = _curves(cell, varied)
        best = recalls.max(axis=0)
        enough = sizes[best >= LEVELS[0]]
        row["threshold"] = float(enough[0]) if enough.size else float("nan")
        for level in LEVELS:
            percent = f"{100 * level:.0f}"
            row[f"best_{percent}"] = crossing(sizes, best, level)
            own = np.array([crossing(sizes, seed, level) for seed in recalls])
            bounds = mean_interval(own) if np.isfinite(own).all() else (float("nan"),) * 3
            row |= dict(zip((f"mean_{percent}", f"low_{percent}", f"high_{percent}"), bounds, strict=True))
        at = cell.filter(pl.col(varied) == row["threshold"])
        row["bits"] = float(np.mean(cell["bits"].to_numpy()))
        row["weights"] = float(at["weights"][0]) if len(at) else float("nan")
        row["bits_per_weight"] = row["bits"] / row["weights"]
        rows.append(row)
    return pl.DataFrame(rows).sort("subjects", "relations")


def _curves(
    cell: pl.DataFrame, varied: Varied
) -> tuple[Float[np.ndarray, " size"], Float[np.ndarray, "seed size"]]:
    """Sizes in ascending order, and every seed's recall there; a diverged run recalls nothing."""
    wide = cell.with_columns(pl.col("recall").fill_nan(0.0)).pivot(varied, index="seed", values="recall")
    sizes = sorted(int(name) for name in wide.columns if name != "seed")
    recalls = wide.select([str(size) for size in sizes]).to_numpy()
    return np.array(sizes, dtype=np.float64), recalls


@dataclass(frozen=True)
class ThresholdFit:
    """d* = offset + R (slope log2 N + shift), by least squares over the cells."""

    offset: float
    slope: float
    shift: float
    errors: tuple[float, float, float]
    """Standard errors of the three."""
    explained: float
    """R²: share of the thresholds' variance that the law explains."""
    linear: Mapping[int, tuple[float, float]]
    """At each N: slope in R of a line through that N's thresholds, and its R²."""

    def at(
        self, subjects: Float[np.ndarray, " cell"], relations: Float[np.ndarray, " cell"]
    ) -> Float[np.ndarray, " cell"]:
        """The law's threshold for so many subjects and relations."""
        return self.offset + relations * (self.slope * np.log2(subjects) + self.shift)


def fit_thresholds(thresholds: pl.DataFrame, column: str = "threshold") -> ThresholdFit | None:
    """The law of the thresholds (notes E8, C1 on arXiv 2605.12426: its theory is Θ(R log N)).

    None if fewer than four cells have a threshold, or if they do not tell the three numbers apart.

    >>> N, R = (axis.ravel() for axis in np.meshgrid([64, 256, 1024], [2, 4, 8]))
    >>> exact = pl.DataFrame({"subjects": N, "relations": R, "threshold": 2 + R * (0.5 * np.log2(N) - 1)})
    >>> fit = fit_thresholds(exact)
    >>> [round(value, 6) for value in (fit.offset, fit.slope, fit.shift, fit.explained)]
    [2.0, 0.5, -1.0, 1.0]
    """
    known = thresholds.filter(pl.col(column).is_finite())
    N, R, d = (known[name].to_numpy().astype(np.float64) for name in ("subjects", "relations", column))
    design = np.stack([np.ones_like(R), R * np.log2(np.maximum(N, 1)), R], axis=1)
    if len(d) < 4 or np.linalg.matrix_rank(design) < 3:
        return None
    found = np.linalg.lstsq(design, d)[0]
    residual = float(np.square(d - design @ found).sum())
    covariance = np.linalg.inv(design.T @ design) * residual / (len(d) - 3)
    linear = {}
    for count in np.unique(N):
        at = count == N
        if len(np.unique(R[at])) > 2:
            slope, intercept = np.polyfit(R[at], d[at], 1)
            linear[int(count)] = (float(slope), _explained(d[at], slope * R[at] + intercept))
    return ThresholdFit(
        *(float(value) for value in found),
        errors=tuple(float(value) for value in np.sqrt(np.diag(covariance))),  # pyright: ignore
        explained=_explained(d, design @ found),
        linear=linear,
    )


def _explained(values: Float[np.ndarray, " cell"], fitted: Float[np.ndarray, " cell"]) -> float:
    total = float(np.square(values - values.mean()).sum())
    return 1 - float(np.square(values - fitted).sum()) / total if total else float("nan")
