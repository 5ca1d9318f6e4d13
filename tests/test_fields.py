"""Bounds at the fields of settings: the check keeps to them, and what is drawn from them passes it."""

from dataclasses import dataclass, fields, replace
from typing import Annotated, Literal

import pytest
from annotated_types import Ge, Gt, Interval, Le, Lt, doc
from hypothesis import given
from hypothesis import strategies as st

from geomem.errors import InputError
from geomem.fields import Count, NonNegative, ShareBelowOne, WholeNumber, check_fields, coerce_fields
from geomem.training.configuration import PathTraining, RecallTraining, Training


@dataclass(frozen=True)
class Example:
    count: Count = 1
    whole: WholeNumber = 0
    number: NonNegative = 0.0
    chance: ShareBelowOne = 0.0
    share: Annotated[float, Gt(0), Le(1)] = 1.0
    inside: Annotated[int, Interval(ge=2, le=4)] = 2
    below: Annotated[float, Lt(5), doc("fewer than five")] = 1.0
    side: Literal["left", "right"] = "left"
    sides: tuple[Literal["left", "right"], ...] = ()
    text: str = ""


@pytest.mark.parametrize(
    ("field", "value", "advice"),
    [
        ("count", 0, "count is 0; give a whole number of at least 1."),
        ("count", 1.5, "count is 1.5; give a whole number of at least 1."),
        ("count", "3", "count is '3'; give a whole number of at least 1."),
        ("whole", -1, "whole is -1; give a whole number of at least 0."),
        ("number", float("nan"), "number is nan; give a finite number of at least 0."),
        ("number", float("inf"), "number is inf; give a finite number of at least 0."),
        ("number", "much", "number is 'much'; give a finite number of at least 0."),
        ("number", None, "number is None; give a finite number of at least 0."),
        ("chance", 1.0, "chance is 1.0; give a share of at least 0 and below 1."),
        ("share", 0.0, "share is 0.0; give a share above 0 and at most 1."),
        ("inside", 5, "inside is 5; give a whole number from 2 to 4."),
        ("below", 5.0, "below is 5.0; give fewer than five."),
        ("side", "top", "side is 'top'; give one of 'left', 'right'."),
        ("sides", ("left", "top"), "sides is ('left', 'top'); give some of 'left', 'right'."),
    ],
)
def test_what_a_field_does_not_allow(field, value, advice):
    with pytest.raises(InputError) as caught:
        check_fields(replace(Example(), **{field: value}))
    assert str(caught.value) == advice


@given(st.from_type(Example))
def test_what_is_drawn_from_the_bounds_passes_the_check(example):
    check_fields(example)


@pytest.mark.parametrize("kind", [Training, PathTraining, RecallTraining])
@given(st.data())
def test_trainings_are_drawn_from_their_bounds(kind, data):
    training = data.draw(st.from_type(kind))
    check_fields(training)
    assert coerce_fields(training) == training


@pytest.mark.parametrize("kind", [Training, PathTraining, RecallTraining])
def test_every_number_of_a_training_has_a_bound(kind):
    for field in fields(kind):
        if isinstance(value := getattr(kind(), field.name), int | float):
            with pytest.raises(InputError, match=rf"^{field.name} is -1(\.0)?; give a "):
                check_fields(replace(kind(), **{field.name: type(value)(-1)}))


def test_whole_numbers_become_fractions_where_the_field_is_one():
    assert repr(coerce_fields(Example(count=2, number=1)).number) == "1.0"
    with pytest.raises(InputError, match=r"^count is 1.5; give a whole number\.$"):
        coerce_fields(replace(Example(), count=1.5))


def test_bounds_of_other_kinds_hold_too():
    @dataclass
    class Both:
        low: Annotated[int, Ge(1), Lt(3)] = 1

    check_fields(Both())
    with pytest.raises(InputError, match="give a whole number of at least 1 and below 3"):
        check_fields(Both(3))
