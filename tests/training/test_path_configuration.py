"""The configuration of path finding: what cannot be meant, and epochs counted in steps."""

from dataclasses import replace

import pytest

from geomem.errors import InputError
from geomem.training.configuration import PathTraining, check_training, loop_training


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"epochs": 0}, "epochs is 0; give a whole number of at least 1"),
        ({"batches": 0}, "batches is 0"),
        ({"micro_batches": 0}, "micro_batches is 0"),
        ({"prompts": 0}, "prompts is 0"),
        ({"snapshots": 1}, "snapshots is 1; give a whole number of at least 2"),
        ({"metric_every": 0}, "metric_every is 0"),
        ({"warmup_steps": -1}, "warmup_steps is -1"),
        (
            {"epochs": 2, "batches": 3, "warmup_steps": 6},
            "warmup_steps is 6 and 2 epochs of 3 batches are 6 steps; give fewer",
        ),
        ({"learning_rate": float("nan")}, "learning_rate is nan; give a finite number"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1"),
        ({"stop_at": 1.01}, "stop_at is 1.01; give a share"),
        ({"stop_at": float("nan")}, "stop_at is nan"),
        ({"schedule": "linear"}, "schedule is 'linear'"),
        ({"precision": "float16"}, "precision is 'float16'"),
    ],
)
def test_trainings_that_cannot_be_meant(change, complaint):
    training = PathTraining()
    for name, value in change.items():
        object.__setattr__(training, name, value)  # past the tests' type checks, as users are
    with pytest.raises(InputError, match=complaint):
        check_training(training)


def test_a_training_that_can_be_meant_is_one_for_the_loop():
    training = replace(PathTraining(), epochs=7, batches=3, warmup_steps=20, metric_every=2)
    check_training(training)
    counted = loop_training(training)
    check_training(counted)
    assert (counted.steps, counted.metric_every, counted.warmup_steps) == (21, 6, 20)
    assert (counted.learning_rate, counted.weight_decay) == (1e-3, 0.01)
