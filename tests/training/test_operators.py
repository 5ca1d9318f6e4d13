"""The number of operators of a step stays small: on a GPU each is a launch, and launches are its time."""

import pytest

from benchmarks.operators import MOST, count_operators


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", sorted(MOST))
def test_a_gradient_of_the_papers_models_takes_few_operators(name, precision):
    counted = count_operators(name, precision)
    assert sum(counted.values()) <= MOST[name], counted.most_common(12)
    # Weights become bfloat16 in one pass, not at every use.
    assert counted["_to_copy"] < 260
    assert counted["add_"] < 80
