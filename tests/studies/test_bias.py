"""The study of the bias: its prediction on levels that it made itself, its trends, its measurement."""

import numpy as np
import polars as pl
import pytest

from geomem.claims.counterexamples import imagine_arrays
from geomem.claims.need import Scale
from geomem.studies.bias_cases import REAL, Case, ask_for, family_cases, measure_bias, on_everything
from geomem.studies.bias_prediction import CONSTANTS, PREDICTORS, Curve, gather, predict_families
from geomem.studies.bias_tables import correlations, families_won, relative_error, tabulate_predicted

CHOSEN = ("degrees", "small worlds", "rectangles")
TIME = {"node2vec": np.array([0.3, 1.0, 10.0]), "transformer": np.array([0.8, 2.7])}


def made_by_the_predictor(model, constants):
    cases = family_cases(model, *CHOSEN)
    time = TIME[model]
    blank = gather([Curve(case, time, np.zeros((len(time), 2))) for case in cases])
    levels = PREDICTORS[model](blank, np.array(constants))
    return [
        Curve(case, time, np.stack([level, level], axis=1)) for case, level in zip(cases, levels, strict=True)
    ]


@pytest.mark.parametrize(
    ("model", "constants"), [("node2vec", (0.1, 0.3)), ("transformer", (0.5, 20.0, 0.7))]
)
def test_constants_are_found_again(model, constants):
    assert len(CONSTANTS[model]) == len(constants)
    for found in predict_families(model, made_by_the_predictor(model, constants)):
        assert found.constants == pytest.approx(constants, rel=0.2)
        errors = [
            np.abs(guess - found.graphs.measured).mean()
            for guess in (found.spectrum, found.mean, found.density)
        ]
        assert errors[0] < 0.01 < min(errors[1:])


def evidence_of(curves):
    return imagine_arrays(
        {curve.case.key: {"time": curve.time[None], "level": curve.level[None]} for curve in curves}
    )


def test_a_family_that_follows_the_rule_is_won():
    predicted = tabulate_predicted(evidence_of(made_by_the_predictor("node2vec", (0.1, 0.3))), ("node2vec",))
    assert predicted["dial"].unique(maintain_order=True).to_list() == list(CHOSEN)
    assert predicted.filter(pl.col("end"))["time"].unique().to_list() == [10.0]
    assert (families_won(predicted) == 1).all()
    assert (relative_error(predicted) < 0.2).all()


def rows(levels):
    """Levels of a cycle's family, by seed and size."""
    return pl.DataFrame(
        [
            {"model": "node2vec", "dial": "cycles", "world": "cycle", "rate": 0.01, "seed": seed}
            | {"value": float(value), "level": level}
            for seed, row in enumerate(levels)
            for value, level in enumerate(row)
        ]
    )


def test_trends_are_ranks_by_seed():
    found = correlations(rows([[1, 2, 3], [3, 2, 1], [5, 5, 5]]), "node2vec", ("cycles",))
    assert found.tolist() == [1, -1, 0]


def test_every_case_is_asked_once_and_the_quick_scale_ends_in_a_quarter_of_an_hour():
    asked = [
        ask_for(case, Scale("quick", (0, 1, 2, 3, 4)))
        for model in ("node2vec", "transformer")
        for case in on_everything(model)
    ]
    assert len({need.key for need in asked}) == len(asked)
    assert sum(need.seconds for need in asked) < 900
    assert any(f"/{REAL}/" in need.key for need in asked)


def test_a_memory_is_measured_while_it_is_trained():
    case = Case("cycles", 8, "cycle", "transformer", (("nodes", 8),))
    settings = {**ask_for(case, Scale("quick", (0, 1))).settings, "budget": 0.1}
    found = measure_bias(settings, directory=None, device="cpu", on_progress=lambda share: None)
    rates, seeds = 2, 2
    moments = found["time"].shape[1]
    assert {name: array.shape for name, array in found.items()} == {
        "time": (rates, moments),
        "level": (rates, moments, seeds),
        "alignment": (rates, moments, seeds),
        "recall": (rates, seeds),
    }
    assert found["time"][1] == pytest.approx(found["time"][0] / 0.3)
    assert found["time"][1, -1] == pytest.approx(0.01 * 50 * 0.55, rel=0.02)
    assert np.isfinite(found["level"]).all()
