"""A check: a measured quantity held against a bound, and what follows from all checks of a claim.

A claim's generator yields checks. Its rule, the sentence that explains its outcome and its table of
quantities follow from them, so that every bound is written once.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Literal

import numpy as np
import polars as pl
from jaxtyping import Bool, Float

from geomem.geometry.nulls import bootstrap_interval

Numbers = np.ndarray | np.generic | Sequence | float | int
"""A value per seed, or one."""

Outcome = Literal["holds", "fails", "deviates"]

Over = Literal["most seeds", "half of the seeds", "a third of the seeds", "every seed", "everywhere", "mean"]
"""How many of the values must be within the bound; `everywhere` says `every seed` where values are not those
of seeds; with `mean` it is their mean."""

SHARES: dict[str, Callable[[float], bool]] = {
    "most seeds": lambda share: share > 0.5,
    "half of the seeds": lambda share: share >= 0.5,
    "a third of the seeds": lambda share: share >= 1 / 3 - 1e-9,
    "every seed": lambda share: share == 1,
    "everywhere": lambda share: share == 1,
}
"""Whether a share of the values is enough."""

LISTED = 8
"""Graphs or settings named in a sentence at most; of more it gives the range."""


@dataclass(frozen=True, eq=False)
class Quantity:
    """One measured number: a value per seed, their mean and its 95 % interval."""

    name: str
    values: Float[np.ndarray, " run"]
    held: Bool[np.ndarray, " run"] | None
    """Whether the bound holds for each seed alone; None where it is not about single seeds."""
    mean: float
    low: float
    high: float

    @property
    def held_share(self) -> float:
        """Share of seeds for which the bound holds."""
        return float("nan") if self.held is None or not len(self.held) else float(np.mean(self.held))


@dataclass(frozen=True, eq=False)
class Picture:
    """A table and which of its columns are drawn; names of columns are the titles of the axes.

    With columns `low` and `high` a band is drawn about a line, a whisker at a point. `series` names a column
    whose values tell several lines or groups of points apart.
    """

    table: pl.DataFrame
    x: str
    y: str
    series: str = ""
    kind: Literal["line", "points"] = "line"
    log_x: bool = False


def draw_bands(
    curves: Iterable[tuple[str, Sequence | np.ndarray, np.ndarray]],
    x: str,
    y: str,
    *,
    series: str = "curve",
    kind: Literal["line", "points"] = "line",
    log_x: bool = False,
) -> Picture:
    """Mean, lowest and highest value over runs at every place: of each curve its label, places and values.

    Values are [place, run] or [place, run, ...].

    >>> draw_bands([("ours", [8, 16], np.array([[0.5, 1.0], [1.0, 1.0]]))], "width", "recall").table.row(0)
    (8, 0.75, 0.5, 1.0, 'ours')
    """
    parts = []
    for label, places, values in curves:
        flat = values.reshape(len(values), -1)
        ends = {"low": flat.min(axis=1), "high": flat.max(axis=1)}
        labels = {series: [label] * len(flat)} if series else {}
        parts.append(pl.DataFrame({x: places, y: flat.mean(axis=1), **ends, **labels}))
    return Picture(pl.concat(parts), x, y, series, kind, log_x)


@dataclass(frozen=True)
class Measured:
    """A bound that is itself measured, with the name that a rule calls it by."""

    name: str
    value: float


Bound = float | np.number | int | Measured


@dataclass(frozen=True, eq=False)
class Check:
    """A quantity, its bound, and whether it passes."""

    quantity: Quantity
    rule: str
    """What must hold of the quantity, as a predicate; empty if it is only reported."""
    over: Over
    passed: bool | None
    """None if it is only reported."""
    of_paper: bool = False
    """Whether this is the paper's own statement, in a claim that documents a deviation from it."""


@dataclass(frozen=True, eq=False)
class Judgement:
    """What a claim's measurements say."""

    outcome: Outcome
    """`deviates` means: as the claim's documented deviation says, and only that."""
    sentence: str
    """What explains the outcome, with its numbers."""
    quantities: tuple[Quantity, ...]
    """The first is the one a table has room for."""
    picture: Picture | None = None
    """The claim's figure; without one its quantities are drawn beside what was expected."""


def measure_quantity(name: str, values: Numbers, *, held: Bool[np.ndarray, " run"] | None = None) -> Quantity:
    """Mean over seeds with its 95 % bootstrap interval; NaN where a value is, an interval of one value too.

    >>> quantity = measure_quantity("level", np.array([0.4, 0.5, 0.6]), held=np.array([True, True, False]))
    >>> round(quantity.mean, 3), round(quantity.held_share, 3)
    (0.5, 0.667)
    """
    values = np.atleast_1d(np.asarray(values, dtype=np.float64))
    low, high = bootstrap_interval(values)
    mean = float(values.mean()) if len(values) else float("nan")
    return Quantity(name, values, held, mean, low, high)


def measured(name: str, values: Numbers) -> Measured:
    """A bound that is the mean of measured values; rules call it by its name.

    >>> check("level", [0.6, 0.7], above=measured("that of Mamba", [0.4, 0.6])).rule
    'above that of Mamba'
    """
    return Measured(name, float(np.asarray(values, dtype=np.float64).mean()))


def check(
    name: str,
    values: Numbers,
    *,
    at_least: Bound | None = None,
    at_most: Bound | None = None,
    above: Bound | None = None,
    below: Bound | None = None,
    exactly: Bound | None = None,
    held: Numbers | None = None,
    rule: str = "",
    over: Over = "most seeds",
) -> Check:
    """Measure a quantity, a value per seed, and hold it against a bound; without one it is only reported.

    `held` states for each value, or with one truth value for all of them together, whether a rule that is
    no plain bound holds; `rule` then says it as a predicate, "differs from permuted nodes". It replaces the
    words of a bound as well. Call quantities of several graphs or settings "title, graph": the rule and the
    sentence then gather them. NaN is within no bound.

    Raises `ValueError` for `held` without `rule`, or with a bound.

    >>> level = check("level, star", [0.91, 0.86, 0.7], at_least=0.85)
    >>> level.passed, level.rule, level.quantity.held.tolist()
    (True, 'at least 0.85', [True, True, False])
    >>> check("level, star", [0.91, 0.86, 0.7], at_least=0.85, over="every seed").passed
    False
    >>> check("recall", [1.0, 0.9], exactly=1).rule, check("bits", [1.2], at_least=1, at_most=2).rule
    ('exactly 1', 'between 1 and 2')
    """
    numbers = np.atleast_1d(np.asarray(values, dtype=np.float64))
    bounds = [
        (words, bound if isinstance(bound, Measured) else float(bound), compare)
        for words, bound, compare in (
            ("at least", at_least, np.greater_equal),
            ("at most", at_most, np.less_equal),
            ("above", above, np.greater),
            ("below", below, np.less),
            ("exactly", exactly, np.equal),
        )
        if bound is not None
    ]
    if held is not None and (bounds or not rule):
        raise ValueError(f"check {name!r}: give held with its rule and without a bound")
    if held is None and not bounds:
        return Check(measure_quantity(name, numbers), "", over, None)
    if held is None:
        subject = numbers.mean() if over == "mean" else numbers
        tests = [compare(subject, _value(bound)) for _, bound, compare in bounds]
        held = np.logical_and.reduce(tests)
        said = [f"{words} {_name(bound)}" for words, bound, _ in bounds]
        if at_least is not None and at_most is not None:
            least, most, *_ = (_name(bound) for _, bound, _ in bounds)
            said[:2] = [f"between {least} and {most}"]
        rule = rule or " and ".join(said)
    held = np.asarray(held, dtype=bool)
    if held.ndim == 0:
        return Check(measure_quantity(name, numbers), rule, over, bool(held))
    quantity = measure_quantity(name, numbers, held=held)
    return Check(quantity, rule, over, SHARES[over](quantity.held_share))


def paper(stated: Check) -> Check:
    """Mark a check as the paper's own statement, in a claim that documents a deviation from it."""
    return replace(stated, of_paper=True)


def judge_checks(items: Iterable[Check | Picture | str], *, deviates: bool = False) -> Judgement:
    """The judgement that a claim's checks amount to; texts among them are added to its sentence.

    It holds if all checks pass. Of a claim with a documented deviation (`deviates`) it holds if all checks
    marked `paper` pass, deviates if all others do, and fails otherwise.

    Raises `ValueError` if no check says whether the claim holds.

    >>> judge_checks([check(f"level, {g}", [v, v], at_least=0.5) for g, v in (("star", 0.9), ("grid", 0.6))])
    ... # doctest: +ELLIPSIS
    Judgement(outcome='holds', sentence='Level: 0.9 (star), 0.6 (grid); at least 0.5 on 4 of 4 runs.', ...
    """
    found = list(items)
    checks = [item for item in found if isinstance(item, Check)]
    judged = [item for item in checks if item.passed is not None]
    if not judged:
        raise ValueError("no check says whether the claim holds")
    stated = [item.passed for item in judged if item.of_paper]
    others = all(item.passed for item in judged if not item.of_paper)
    if not deviates:
        outcome = "holds" if others and all(stated) else "fails"
    else:
        outcome = "holds" if stated and all(stated) else "deviates" if others else "fails"
    # What is ours and the paper's alike is said and listed once.
    said = {(item.quantity.name, item.rule, item.over): item for item in judged}
    sentences = [_describe_result(base, group) for base, group in _gather(list(said.values()))]
    sentences += [item for item in found if isinstance(item, str)]
    pictures = [item for item in found if isinstance(item, Picture)]
    quantities: dict[str, Quantity] = {}
    for item in checks:
        quantities.setdefault(item.quantity.name, item.quantity)
    picture = pictures[0] if pictures else None
    return Judgement(outcome, " ".join(sentences), tuple(quantities.values()), picture)


def describe_rule(items: Iterable[Check | Picture | str], *, deviates: bool = False) -> str:
    """The rule that checks amount to, whatever they measured.

    >>> describe_rule([check(f"level, {graph}", [0, 0], at_least=0.5) for graph in ("star", "grid")])
    'Level at least 0.5 on most seeds (star, grid).'
    """
    judged = [item for item in items if isinstance(item, Check) and item.passed is not None]
    own = _state_rule([item for item in judged if not item.of_paper])
    stated = _state_rule([item for item in judged if item.of_paper])
    if not deviates:
        return _sentence("; ".join(filter(None, (own, stated))))
    return f"Deviates if {own}." + (f" As the paper says if {stated}." if stated else "")


def format_number(value: float) -> str:
    """A number with three significant digits.

    >>> format_number(0.12345), format_number(12345.0), format_number(float("inf"))
    ('0.123', '12345', 'infinity')
    """
    if not isfinite(value):
        return "NaN" if value != value else "infinity" if value > 0 else "-infinity"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _value(bound: float | Measured) -> float:
    return bound.value if isinstance(bound, Measured) else bound


def _name(bound: float | Measured) -> str:
    return bound.name if isinstance(bound, Measured) else format_number(bound)


def _gather(checks: Sequence[Check]) -> list[tuple[str, list[Check]]]:
    """Checks with one title, rule and share as one: "level, star" and "level, grid" are "level"."""
    bases = [item.quantity.name.rpartition(", ")[0] for item in checks]
    groups: dict[tuple[str, str, str], list[Check]] = {}
    for item, base in zip(checks, bases, strict=True):
        title = base if base and bases.count(base) > 1 else item.quantity.name
        groups.setdefault((title, item.rule, item.over), []).append(item)
    return [
        (title if len(group) > 1 else group[0].quantity.name, group) for (title, *_), group in groups.items()
    ]


def _members(group: Sequence[Check]) -> tuple[str, ...]:
    return tuple(item.quantity.name.rpartition(", ")[2] for item in group) if len(group) > 1 else ()


def _share(group: Sequence[Check]) -> str:
    first = group[0]
    if first.over == "mean":
        return " on average"
    if first.over == "everywhere":
        return " everywhere"
    if first.quantity.held is None or max(len(item.quantity.values) for item in group) < 2:
        return ""
    return f" on {'at least ' if first.over.startswith(('a ', 'half')) else ''}{first.over}"


def _state_rule(checks: Sequence[Check]) -> str:
    # Clauses about the same graphs and share are said together.
    clauses: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for base, group in _gather(checks):
        clauses.setdefault((_share(group), _members(group)), []).append(f"{base} {group[0].rule}")
    said = []
    for (share, members), parts in clauses.items():
        listed = ", ".join(members) if len(members) <= LISTED else f"each of {len(members)}"
        plain = len(parts) < 3 and not any(" and " in part or ", " in part for part in parts)
        joined = (
            " and ".join(parts) if plain else "; ".join(parts) + ("," if share else "") * (len(parts) > 1)
        )
        each = " each" if share and len(parts) > 1 and not plain else ""
        said.append(f"{joined}{each}{share}" + (f" ({listed})" if members else ""))
    return "; ".join(said)


def _describe_result(base: str, group: Sequence[Check]) -> str:
    means = [item.quantity.mean for item in group]
    members = _members(group)
    if not members:
        numbers = format_number(means[0])
    elif len(set(means)) == 1 and len(members) > 3:
        numbers = f"{format_number(means[0])} in each of {len(members)} settings"
    elif len(members) <= LISTED:
        numbers = ", ".join(
            f"{format_number(mean)} ({member})" for mean, member in zip(means, members, strict=True)
        )
    else:
        numbers = f"{format_number(min(means))} to {format_number(max(means))} in {len(members)} settings"
    held = [item.quantity.held for item in group]
    if any(one is None for one in held):
        count = ": yes" if all(item.passed for item in group) else ": no"
        count = (" on average" if group[0].over == "mean" else "") + count
    else:
        flat = np.concatenate([one for one in held if one is not None])
        of_seeds = group[0].over != "everywhere" and max(len(item.quantity.values) for item in group) > 1
        noun = "runs" if of_seeds else "cases"
        count = f" on {int(flat.sum())} of {len(flat)} {noun}"
        if len(flat) == 1:
            count = ": yes" if flat[0] else ": no"
    return _sentence(f"{base}: {numbers}; {group[0].rule}{count}")


def _sentence(text: str) -> str:
    # A symbol keeps its case: d* is not D*.
    return (text[:1].upper() if text[1:2].isalpha() else text[:1]) + text[1:] + "."
