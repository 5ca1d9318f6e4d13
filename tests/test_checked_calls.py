"""What the other tests rely on: calls of the package with wrong types or shapes fail in the tests."""

from collections.abc import Callable, Mapping
from typing import Annotated, Literal

import jaxtyping
import numpy as np
import pytest
from beartype.roar import BeartypeCallHintParamViolation, BeartypeCallHintReturnViolation
from jaxtyping import Float

from checked_calls import check_calls, is_deferred, names_axes
from geomem.geometry.similarity import centre
from geomem.training.configuration import Training
from geomem.training.schedule import learning_rate_factor

Rows = Float[np.ndarray, "node width"]


@pytest.mark.parametrize(
    ("annotation", "named"),
    [
        (Rows, True),
        (Rows | None, True),
        (Mapping[str, tuple[Rows, ...]], True),
        (Callable[[Rows], int], True),
        ("Rows", False),
        (Annotated[int, 3], False),
        (Literal["rows", "columns"], False),
        (dict[str, list[np.ndarray]] | None, False),
    ],
)
def test_axes_are_found_wherever_they_stand(annotation, named):
    assert names_axes(annotation) == named


def test_names_of_what_is_not_there_yet_are_found():
    assert is_deferred("Rows")
    assert is_deferred(tuple["Rows", ...] | None)
    assert not is_deferred(Callable[[Rows], int])


def test_calls_of_the_package_are_checked():
    with pytest.raises(BeartypeCallHintParamViolation):
        centre(np.zeros(3))
    with pytest.raises(BeartypeCallHintParamViolation):
        centre(np.zeros((3, 2), dtype=int))
    with pytest.raises(BeartypeCallHintParamViolation):
        learning_rate_factor(Training(), "first")
    with pytest.raises(jaxtyping.TypeCheckError):
        Training(steps="many")


def test_what_a_function_gives_is_checked():
    @check_calls(typechecker=None)
    def lie(number: int) -> str:
        return number

    with pytest.raises(BeartypeCallHintReturnViolation):
        lie(1)


def test_an_axis_has_one_size_in_a_call_and_another_in_the_next():
    @check_calls(typechecker=None)
    def product(left: Float[np.ndarray, "row inner"], right: Float[np.ndarray, "inner column"]) -> Rows:
        return inner(left) @ right

    @check_calls(typechecker=None)
    def inner(rows: Float[np.ndarray, "row inner"]) -> Float[np.ndarray, "row inner"]:
        return rows[: len(rows) - shorter]

    shorter = 0
    for size in (2, 3):
        assert product(np.ones((size, 4)), np.ones((4, 1))).shape == (size, 1)
    with pytest.raises(BeartypeCallHintParamViolation):
        product(np.ones((2, 3)), np.ones((4, 1)))
    shorter = 1
    with pytest.raises(BeartypeCallHintReturnViolation):
        product(np.ones((2, 4)), np.ones((4, 1)))
