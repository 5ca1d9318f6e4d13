"""The study of the bias in tables, sentences and figures."""

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from jaxtyping import Float

from geomem.claims.curves import rank_correlation
from geomem.claims.evidence import Evidence
from geomem.geometry.spectrum import fiedler_modes, laplacian_spectrum
from geomem.models.configuration import find_architecture
from geomem.studies.bias_cases import (
    DIALS,
    FAMILIES,
    MODELS,
    NEW,
    PUBLISHED,
    REAL,
    Case,
    family_cases,
    on_everything,
)
from geomem.studies.bias_prediction import Curve, predict_families
from geomem.studies.markdown import format_cell
from geomem.sweep.thresholds import mean_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from geomem.figures.palette import Theme

GUESSES = ("spectrum", "degrees", "mean", "density")
"""What says the level beforehand: the predictor, without and with degrees; mean and density of the fitted."""
MADE_UP = tuple(FAMILIES)
SOME_DIALS = ("cycles", "degrees", "small worlds", "rectangles", *DIALS)
"""Those that the figure shows."""


# What was measured, and what was predicted of it.


def tabulate_measured(runs: Evidence) -> pl.DataFrame:
    """A row per case, rate and seed: what the memory is at the end."""
    rows = []
    for case in _measured(runs):
        own = {name: runs.arrays[f"{case.key}.{name}"] for name in ("level", "alignment", "recall", "time")}
        for number, rate in enumerate(case.rates):
            for seed in range(own["recall"].shape[1]):
                rows.append(
                    _words(case)
                    | {
                        "seed": seed,
                        "rate": rate,
                        "time": float(own["time"][number, -1]),
                        "level": float(own["level"][number, -1, seed]),
                        "alignment": float(own["alignment"][number, -1, seed]),
                        "recall": float(own["recall"][number, seed]),
                    }
                )
    return pl.DataFrame(rows)


def _measured(runs: Evidence) -> Iterator[Case]:
    cases = [case for model in MODELS for case in (*on_everything(model), *family_cases(model, NEW))]
    return (case for case in cases if f"{case.key}.level" in runs.arrays)


def _words(case: Case) -> dict[str, object]:
    return {
        "model": case.model,
        "dial": case.dial,
        "world": case.world,
        "value": float(case.value),
        **_properties(case),
    }


@lru_cache(512)
def _properties(case: Case) -> dict[str, float | int]:
    """Mean degree, and the eigenvalue of the Fiedler modes of the random-walk Laplacian, 2I - T - Tᵀ."""
    spectrum = laplacian_spectrum(case.graph)
    return {
        "nodes": case.graph.node_count,
        "degree": 2 * case.graph.edge_count / case.graph.node_count,
        "gap": float(spectrum.eigenvalues[fiedler_modes(spectrum)[0]]),
    }


def tabulate_predicted(runs: Evidence, models: tuple[str, ...] = MODELS) -> pl.DataFrame:
    """A row per graph, moment and seed: the level measured, and what was said of it by each of `GUESSES`.

    A moment is a rate and a snapshot; the last of a rate is the end of the training. Of the Transformer only
    the ends are predicted: on the way its level rises and falls.
    """
    rows = []
    for model in models:
        curves = [
            _curve(case, runs, ends=model == "transformer")
            for case in _measured(runs)
            if case.model == model and case.kind == "graphs"
        ]
        for found in predict_families(model, curves) if curves else ():
            for number, curve in enumerate(found.graphs.curves):
                guesses = {name: getattr(found, name)[number] for name in GUESSES}
                for moment, level in enumerate(curve.level):
                    said = {name: float(values[moment]) for name, values in guesses.items()}
                    end = model == "transformer" or moment == len(curve.time) - 1
                    rows += [
                        _words(curve.case)
                        | {"seed": seed, "time": float(curve.time[moment]), "end": end, "level": float(one)}
                        | said
                        for seed, one in enumerate(level)
                    ]
    return pl.DataFrame(rows)


def _curve(case: Case, runs: Evidence, *, ends: bool) -> Curve:
    time, level = (runs.arrays[f"{case.key}.{name}"] for name in ("time", "level"))
    if ends:
        time, level = time[:, -1:], level[:, -1:]
    return Curve(case, time.ravel(), level.reshape(-1, level.shape[-1]))


def tabulate(runs: Evidence) -> pl.DataFrame:
    """Everything: what was measured at the end of every training, and at every moment that is predicted."""
    measured = tabulate_measured(runs).with_columns(part=pl.lit("measured"))
    predicted = tabulate_predicted(runs).with_columns(part=pl.lit("predicted"))
    return pl.concat([measured, predicted], how="diagonal")


# What is judged.


def correlations(
    table: pl.DataFrame, model: str, dials: tuple[str, ...], what: str = "level", against: str = "value"
) -> Float[np.ndarray, " run"]:
    """Rank correlation of what a memory is with what is moved, by seed; mean over dials and worlds.

    At the published rate; 0 where nothing moves.
    """
    own = table.filter(pl.col("model") == model, pl.col("dial").is_in(dials))
    own = own.filter(pl.col("rate") == PUBLISHED)
    found: dict[int, list[float]] = {}
    for (_, _, seed), rows in own.group_by("dial", "world", "seed", maintain_order=True):
        numbers = rows.select(what, against).cast(pl.Float64).to_numpy()
        ranked = rank_correlation(numbers[:, :1], numbers[:, 1])[0]
        found.setdefault(int(str(seed)), []).append(round(ranked, 12))
    return np.array([np.mean(found[seed]) for seed in sorted(found)])


def errors(predicted: pl.DataFrame, dials: tuple[str, ...] = MADE_UP) -> dict[str, Float[np.ndarray, " run"]]:
    """Root mean square error of each of `GUESSES` at the end, by seed, pooled over families."""
    own = predicted.filter(pl.col("end"), pl.col("dial").is_in(dials))
    return {
        name: own.group_by("seed")
        .agg((pl.col(name) - pl.col("level")).pow(2).mean().sqrt().alias("error"))
        .sort("seed")["error"]
        .to_numpy()
        for name in GUESSES
    }


def relative_error(
    predicted: pl.DataFrame, dials: tuple[str, ...] = MADE_UP, guess: str = "spectrum"
) -> Float[np.ndarray, " run"]:
    """A predictor's error over that of the better baseline, by seed."""
    found = errors(predicted, dials)
    return found[guess] / np.minimum(found["mean"], found["density"])


def families_won(predicted: pl.DataFrame) -> Float[np.ndarray, " run"]:
    """Share of the made-up families in which the predictor errs less than both baselines, by seed."""
    names = [name for name in MADE_UP if name in predicted["dial"]]
    won = [relative_error(predicted, (name,)) < 1 for name in names]
    return np.mean(won, axis=0)


# The tables of the page.


def trend_table(table: pl.DataFrame) -> pl.DataFrame:
    """Rank correlation of level and alignment with every dial, by model, with its interval over seeds."""
    measured = table.filter(pl.col("part") == "measured")
    rows = []
    for dial in (*FAMILIES, *DIALS):
        for model in _moved(dial):
            row: dict[str, object] = {"moved": _name(dial), "model": model}
            for what in ("level", "alignment", "recall"):
                mean, low, high = mean_interval(correlations(measured, model, (dial,), what))
                row |= {what: mean, f"interval of {what}": f"{format_cell(low)} to {format_cell(high)}"}
            rows.append(row)
    return pl.DataFrame(rows).drop("interval of recall")


def _moved(dial: str) -> tuple[str, ...]:
    """The models that have a dial: Node2Vec has no layers."""
    return tuple(model for model in MODELS if (dial, model) != ("layers", "node2vec"))


def _title(model: str) -> str:
    return find_architecture(model).title


def _name(dial: str) -> str:
    if dial in DIALS:
        return dial.replace("_", " ")
    return f"{dial}: {FAMILIES[dial].moved}"


def ends_table(table: pl.DataFrame) -> pl.DataFrame:
    """Level, alignment and recall of both models at the end, at the published rate, means over seeds."""
    measured = table.filter(pl.col("part") == "measured", pl.col("rate") == PUBLISHED)
    index = ["dial", "world", "value", "nodes", "degree", "gap"]
    parts = ("level", "alignment", "recall")
    means = measured.group_by(*index, "model", maintain_order=True).agg(pl.col(*parts).mean())
    wide = means.pivot("model", index=index, values=parts, maintain_order=True)
    columns = {f"{part}_{model}": f"{_title(model)} {part}" for model in MODELS for part in parts}
    order = {name: number for number, name in enumerate((*FAMILIES, REAL, NEW, *DIALS))}
    return (
        wide.sort(pl.col("dial").replace_strict(order), "world", "value")
        .select(pl.col("dial").str.replace("_", " "), *index[1:], *columns)
        .with_columns(pl.col("value").map_elements("{:g}".format, return_dtype=pl.String))
        .rename(columns)
    )


def error_table(table: pl.DataFrame) -> pl.DataFrame:
    """Errors by family that was left out, means over seeds; the last row of a model: all families."""
    predicted = table.filter(pl.col("part") == "predicted")
    rows = []
    for model in MODELS:
        own = predicted.filter(pl.col("model") == model)
        families = {name: (name,) for name in own["dial"].unique(maintain_order=True)}
        for family, dials in (families | {"all families": MADE_UP}).items():
            found = errors(own, dials)
            mean, low, high = mean_interval(found["spectrum"])
            rows.append(
                {
                    "model": model,
                    "left out": family,
                    "spectrum": format_cell(mean, 3),
                    "interval": f"{format_cell(low, 3)} to {format_cell(high, 3)}",
                    "with degrees": format_cell(
                        float(found["degrees"].mean()) if model == "transformer" else None, 3
                    ),
                    "mean of the others": format_cell(float(found["mean"].mean()), 3),
                    "density alone": format_cell(float(found["density"].mean()), 3),
                    "R²": float((1 - (found["spectrum"] / found["mean"]) ** 2).mean()),
                }
            )
    return pl.DataFrame(rows)


# The answer.


def conclude(table: pl.DataFrame) -> tuple[str, ...]:
    """What moves the level and the alignment, with intervals, and how well the level is predicted."""
    measured = table.filter(pl.col("part") == "measured")
    sentences = []
    for what in ("level", "alignment"):
        for model in MODELS:
            up, down, still = [], [], []
            for dial in (*FAMILIES, *DIALS):
                if model not in _moved(dial):
                    continue
                _, low, high = mean_interval(correlations(measured, model, (dial,), what))
                (up if low > 0 else down if high < 0 else still).append(_name(dial))
            sentences.append(
                f"The {what} of {_title(model)} rises with {'; '.join(up) or 'nothing'}. It falls with "
                f"{'; '.join(down) or 'nothing'}. No direction is sure for {'; '.join(still) or 'nothing'}."
            )
    predicted = table.filter(pl.col("part") == "predicted")
    for model in MODELS:
        own = predicted.filter(pl.col("model") == model)
        for which, dials in (
            ("left-out families", MADE_UP),
            ("real graphs", (REAL,)),
            ("new graphs", (NEW,)),
        ):
            found = {
                name: format_cell(float(values.mean()), 3) for name, values in errors(own, dials).items()
            }
            degrees = f" (with degrees {found['degrees']})" if model == "transformer" else ""
            sentences.append(
                f"The spectrum predicts the level of {_title(model)} on {which} with an error of "
                f"{found['spectrum']}{degrees}; the mean of the fitted graphs errs by {found['mean']}, a "
                f"line over their density by {found['density']}."
            )
    return tuple(sentences)


# The figures.


def draw_prediction(table: pl.DataFrame, theme: "Theme") -> "Figure":
    """Level predicted against level measured at the end, a panel per predictor; squares: real, new."""
    from geomem.figures.drawing import dressed_axes, new_figure

    predicted = table.filter(pl.col("part") == "predicted", pl.col("end"))
    means = predicted.group_by("model", "dial", "world", "value", "time", maintain_order=True).agg(
        pl.col("level", "spectrum", "degrees").mean()
    )
    panels = (("node2vec", "spectrum"), ("transformer", "spectrum"), ("transformer", "degrees"))
    figure = new_figure(3.3 * len(panels), 4.2, theme)
    families = (*FAMILIES, REAL, NEW)
    for panel, (model, guess) in enumerate(panels):
        axes = dressed_axes(figure, theme, 1, len(panels), panel + 1)
        axes.plot([-1, 1], [-1, 1], color=theme.line, linewidth=1)
        for number, family in enumerate(families):
            own = means.filter(pl.col("model") == model, pl.col("dial") == family)
            colour = theme.branches[number % 6] if family in FAMILIES else theme.ink
            face = colour if number < 6 or family == REAL else theme.card
            mark = "o" if family in FAMILIES else "s"
            shape = {"markerfacecolor": face, "markersize": 4.5}
            axes.plot(own[guess], own["level"], mark, color=colour, label=family, **shape)
        low = min(means.filter(pl.col("model") == model)[["level", guess]].min().row(0)) - 0.05
        axes.set_xlim(low, 1.05)
        axes.set_ylim(low, 1.05)
        axes.set_title(_title(model) + ", with degrees" * (guess == "degrees"), fontsize=9)
        axes.set_xlabel("level predicted")
    figure.axes[0].set_ylabel("level measured")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=7, frameon=False, labelcolor=theme.ink)
    return figure


def draw_dials(table: pl.DataFrame, theme: "Theme") -> "Figure":
    """Level, alignment and recall against what is moved, means over seeds and worlds; a column per dial."""
    from geomem.figures.drawing import dressed_axes, new_figure

    measured = table.filter(pl.col("part") == "measured", pl.col("dial").is_in(SOME_DIALS))
    measured = measured.filter(pl.col("rate") == PUBLISHED)
    means = measured.group_by("model", "dial", "value", maintain_order=True).agg(
        pl.col("level", "alignment", "recall").mean()
    )
    lines = {"level": "-", "alignment": "--", "recall": ":"}
    columns = 3
    rows = -(-len(SOME_DIALS) // columns)
    figure = new_figure(2.9 * columns, 2.1 * rows + 0.5, theme)
    for panel, dial in enumerate(SOME_DIALS):
        axes = dressed_axes(figure, theme, rows, columns, panel + 1)
        for number, model in enumerate(MODELS):
            own = means.filter(pl.col("model") == model, pl.col("dial") == dial).sort("value")
            values = [f"{value:g}" for value in own["value"]]
            for what, style in lines.items():
                axes.plot(
                    range(len(values)),
                    own[what],
                    style,
                    color=theme.branches[number],
                    linewidth=1.4,
                    marker="o",
                    markersize=2.5,
                    label=f"{_title(model)}, {what}",
                )
            if values:
                axes.set_xticks(range(len(values)), values)
        axes.set_ylim(-0.15, 1.05)
        axes.set_title(_name(dial), fontsize=9)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, labelcolor=theme.ink)
    return figure
