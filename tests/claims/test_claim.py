"""What the decorators of a claim say of it, and what is refused."""

import pytest

from geomem.claims.check import check
from geomem.claims.claim import (
    Expected,
    checked,
    claim,
    conditions,
    deviates,
    expects,
    expects_each,
    needs,
    registered_claims,
)
from geomem.claims.counterexamples import imagine_numbers
from geomem.claims.need import computed

FALSE = imagine_numbers({"error": 1.0})


def errors(scale):
    yield "error", 0.0


def check_errors(runs):
    yield check("error", runs.arrays["error"], below=0.5)


small = checked(check_errors, needs(computed(errors), counterexample=FALSE), expects(0.0, "derived", "A.1"))


@pytest.fixture(autouse=True)
def forget():
    """Claims of this file are not those of the next test."""
    yield
    from geomem.claims import claim as module

    module._REGISTERED.pop(__name__, None)


def test_every_decorator_says_its_part():
    @claim("tests/whole", "T99", place="Fig 1", full=True)
    @needs(computed(errors), counterexample=FALSE)
    @conditions("none")
    @deviates("It is larger.")
    @expects(1.0, "paper", "Fig 1", "error", "about")
    @expects_each((value, "derived", "A.1") for value in (2.0, 3.0))
    def whole(runs):
        """Title.

        Statement in
        two lines.
        """
        yield from check_errors(runs)

    assert registered_claims(__name__) == (whole,)
    assert (whole.id, whole.aliases, whole.place, whole.cost) == ("tests/whole", ("T99",), "Fig 1", "full")
    assert (whole.title, whole.statement) == ("Title", "Statement in two lines.")
    assert (whole.conditions, whole.deviation) == ("none", "It is larger.")
    assert whole.expected[0] == Expected(1.0, "paper", "Fig 1", "error", "about")
    assert [entry.value for entry in whole.expected] == [1, 2, 3]
    assert whole.judge(whole.counterexample(())).outcome == "fails"


def test_claims_of_one_shape_share_checks_and_nothing_else():
    @claim("tests/one", place="Fig 1")
    @expects(7.0, "paper", "Fig 1")
    @small
    def one(runs):
        """One.

        The first statement.
        """

    @claim("tests/two", place="Fig 2")
    @small
    def two(runs):
        """Two.

        The second statement.
        """

    assert [entry.value for entry in one.expected] == [7, 0]
    assert [entry.value for entry in two.expected] == [0]
    assert (one.title, two.title) == ("One", "Two")
    assert one.rule == two.rule == "Error below 0.5."


def test_a_claim_without_a_statement_is_refused():
    def short(runs):
        """Only a title."""

    with pytest.raises(ValueError, match=r"claim tests/short: its docstring must be a title and"):
        claim("tests/short", place="Fig 1")(small(short))


@pytest.mark.parametrize(
    "said", [needs(computed(errors), counterexample=FALSE), expects(0.0, "paper", "Fig 1")]
)
def test_a_claim_without_needs_or_expectation_is_refused(said):
    def half(runs):
        """Title.

        Statement.
        """
        yield from check_errors(runs)

    with pytest.raises(ValueError, match=r"claim tests/half: give it @needs\(\.\.\.\) and @expects"):
        claim("tests/half", place="Fig 1")(said(half))
