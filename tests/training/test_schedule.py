"""Learning rates, metric rows and snapshot steps against their formulas."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geomem.errors import InputError
from geomem.models.configuration import MODELS
from geomem.training.configuration import Training, check_training, default_training
from geomem.training.schedule import learning_rate_factor, metric_steps, snapshot_steps


def test_cosine_with_warmup():
    training = Training(steps=110, warmup_steps=10, final_learning_rate=0.2)
    factors = np.array([learning_rate_factor(training, step) for step in range(110)])
    np.testing.assert_allclose(factors[:10], np.arange(1, 11) / 10)
    x = np.arange(100) / 99
    np.testing.assert_allclose(factors[10:], 0.2 + 0.8 * 0.5 * (1 + np.cos(np.pi * x)), rtol=1e-12)


def test_constant_after_warmup_and_one_step_trainings():
    training = Training(steps=20, warmup_steps=4, schedule="constant")
    assert [learning_rate_factor(training, step) for step in (0, 3, 4, 19)] == [0.25, 1, 1, 1]
    assert learning_rate_factor(Training(steps=1), 0) == 1


@given(st.integers(1, 10_000), st.integers(2, 60), st.integers(1, 200))
def test_rows_and_snapshots_cover_the_training(steps, snapshots, metric_every):
    training = Training(steps=steps, snapshots=snapshots, metric_every=metric_every)
    kept = snapshot_steps(training)
    assert kept[0] == 0
    assert kept[-1] == steps
    assert len(kept) == min(snapshots, steps + 1)
    assert (np.diff(kept) > 0).all()
    rows = metric_steps(training)
    assert rows[0] == 0
    assert rows[-1] == steps
    assert (rows[:-1] % metric_every == 0).all()
    assert np.diff(rows).max() <= metric_every


def test_snapshots_are_log_spaced():
    kept = snapshot_steps(Training(steps=10_000, snapshots=24))
    ratios = kept[10:] / kept[9:-1]
    assert ratios.max() / ratios.min() < 1.2


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("steps", 0),
        ("warmup_steps", -1),
        ("warmup_steps", 500),
        ("metric_every", 0),
        ("snapshots", 1),
        ("learning_rate", float("nan")),
        ("weight_decay", -0.1),
        ("final_learning_rate", float("inf")),
    ],
)
def test_impossible_trainings_are_refused(field, value):
    with pytest.raises(InputError, match=f"{field} is {value}"):
        check_training(Training(**{field: value}))


def test_every_model_has_a_published_setting():
    for kind in MODELS.values():
        check_training(default_training(kind()))
