"""What the other tests rely on: calls of the package with wrong types or shapes fail in the tests."""

from collections.abc import Callable, Mapping
from typing import Annotated, Literal

import jaxtyping
import numpy as np
import pytest
from beartype.roar import BeartypeCallHintParamViolation, BeartypeCallHintReturnViolation
from jaxtyping import Float

from checked_calls import check_calls, names_axes
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
        ("Rows", True),
        (Annotated[int, 3], False),
        (Literal["rows", "columns"], False),
        (dict[str, list[np.ndarray]] | None, False),
    ],
)
def test_axes_are_found_wherever_they_stand(annotation, named):
    assert names_axes(annotation) == named


def test_calls_of_the_package_are_checked():
    with pytest.raises(jaxtyping.TypeCheckError):
        centre(np.zeros(3))
    with pytest.raises(jaxtyping.TypeCheckError):
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
