"""What a claim is: a statement of a paper, the fleets and experiments it needs, a rule that judges them.

A complete claim, as a group's file writes it:

>>> from geomem.claims.evidence import Evidence, final, imagine_fleets
>>> from geomem.models.configuration import Transformer
>>> from geomem.worlds.graphs.families import cycle
>>>
>>> def fleets(scale: Scale) -> tuple[FleetRequest, ...]:
...     return (FleetRequest("cycle", cycle(6), Transformer(), Training(steps=100), scale.seeds),)
>>>
>>> def judge(evidence: Evidence) -> Judgement:
...     level = measure_quantity("final level, cycle", values := final(evidence["cycle"], "geometric_level"),
...                              held=values > 0.4)
...     return judge_by_means(level, sentence="Neighbours end with a mean cosine of {mean:.2f}.")
>>>
>>> claim = Claim(
...     id="geometry/cycle-level",
...     aliases=("T0",),
...     title="Neighbours become alike",
...     statement="Training on single edges brings the embeddings of neighbours together.",
...     place="Fig 12",
...     conditions="ring of 6, 1-layer Transformer of width 32, AdamW, learning rate 0.01, 100 steps",
...     rule="The mean final geometric level exceeds 0.4.",
...     expected=(Expected(0.5, "replication", "E.2, T6", "at least 0.4", quantity="final level, cycle"),),
...     fleets=fleets,
...     judge=judge,
...     wrong=lambda requests: imagine_fleets(requests, "associative"),
... )
>>> requests = claim.fleets(Scale("quick", seeds=(0, 1, 2)))
>>> claim.judge(imagine_fleets(requests, "geometric")).outcome, claim.judge(claim.wrong(requests)).outcome
('holds', 'fails')
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import polars as pl
from jaxtyping import Bool, Float

from geomem.claims.experiment import Experiment
from geomem.geometry.nulls import bootstrap_interval
from geomem.models.configuration import Model
from geomem.training.configuration import Training
from geomem.worlds.graphs.graph import Graph
from geomem.worlds.tasks import EdgeMemorization

if TYPE_CHECKING:
    from geomem.claims.evidence import Evidence

Source = Literal["paper", "release", "replication", "derived", "own measurement"]
"""Who says what is expected: the paper, the authors' code or its saved outputs, the independent replication,
a derivation of ours, or our own earlier measurement."""

Cost = Literal["quick", "full"]
"""`quick` claims run on two cores in minutes; `full` ones want a GPU and only run when asked for."""

Outcome = Literal["holds", "fails", "deviates"]
Status = Literal["reproduced", "deviates as documented", "not reproduced", "not run"]

PAPER = "arXiv 2510.26745"
RECALL_PAPER = "arXiv 2605.12426"
PAPERS = {
    PAPER: "Deep sequence models tend to memorize geometrically; it is unclear why",
    RECALL_PAPER: "Geometric Factual Recall in Transformers",
}
"""Titles of the papers whose claims are here."""


@dataclass(frozen=True)
class Scale:
    """How large the experiments may be, and their seeds."""

    name: Cost
    seeds: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class FleetRequest:
    """A fleet that a claim needs, by the key its judge looks it up with.

    Two claims that ask for the same world, task, model, training and seeds share one run directory, whatever
    their keys; so take seeds from the scale and settings from constants of the group.
    """

    key: str
    world: Graph
    model: Model
    training: Training
    seeds: tuple[int, ...]
    task: EdgeMemorization = field(default_factory=EdgeMemorization)


@dataclass(frozen=True)
class Expected:
    """What should come out, who says so and where."""

    value: float | str
    source: Source
    place: str
    """Where it stands: section, figure, table, or file of the release."""
    tolerance: str = ""
    """Which measured values agree with it, in words."""
    quantity: str = ""
    """Name of the quantity it stands beside; the claim as a whole if empty."""


@dataclass(frozen=True, eq=False)
class Quantity:
    """One measured number: a value per seed, their mean and its 95 % interval."""

    name: str
    values: Float[np.ndarray, " run"]
    held: Bool[np.ndarray, " run"] | None
    """Whether the rule holds for each seed alone; None where the rule is not about single seeds."""
    mean: float
    low: float
    high: float

    @property
    def held_share(self) -> float:
        """Share of seeds for which the rule holds."""
        return float("nan") if self.held is None else float(np.mean(self.held))


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


@dataclass(frozen=True, eq=False)
class Judgement:
    """What a claim's measurements say."""

    outcome: Outcome
    """`deviates` means: as the claim's documented deviation says, and only that."""
    sentence: str
    """One sentence that explains the outcome, with its numbers."""
    quantities: tuple[Quantity, ...]
    """The first is the one a table has room for."""
    picture: Picture | None = None
    """The claim's figure; without one its quantities are drawn beside what was expected."""


@dataclass(frozen=True)
class Claim:
    """One statement of a paper as an executable check."""

    id: str
    """`group/what-it-says`, in kebab-case."""
    title: str
    statement: str
    """What the paper says, in our words."""
    place: str
    """Where in the paper, and the table of the paper file if it has one."""
    conditions: str
    """Worlds, models and settings of the check."""
    rule: str
    """When it holds, with its thresholds, in one sentence."""
    expected: tuple[Expected, ...]
    judge: "Callable[[Evidence], Judgement]"
    """A pure function of its evidence."""
    wrong: "Callable[[tuple[FleetRequest, ...]], Evidence]"
    """Measurements of a model of which the statement is false, made up without training: the same judge must
    then come to another outcome. `imagine_fleets` makes up fleets, `imagine_arrays` experiments."""
    fleets: Callable[[Scale], tuple[FleetRequest, ...]] = lambda scale: ()
    """The fleets it needs; none for statements that no training is needed for."""
    experiments: Callable[[Scale], tuple[Experiment, ...]] = lambda scale: ()
    """The experiments it needs: trainings that are no fleets of `memorize`, and whatever takes long."""
    compute: Callable[[Scale], Mapping[str, np.ndarray]] | None = None
    """Arrays that need no training, in seconds: constructions, derivatives, bounds."""
    cost: Cost = "quick"
    deviation: str = ""
    """Where the paper says too much: what comes out instead, in words; the expected outcome is then
    `deviates`."""
    aliases: tuple[str, ...] = ()
    """Other names patterns may use, such as the number of its table, T6."""
    paper: str = PAPER

    @property
    def group(self) -> str:
        """The part of the id before the slash: the file the claim is in."""
        return self.id.partition("/")[0]


@dataclass(frozen=True, eq=False)
class Verdict:
    """What became of a claim."""

    claim: Claim
    status: Status
    sentence: str
    """One sentence that explains the status."""
    judgement: Judgement | None
    """None if the claim was not run."""

    @property
    def as_expected(self) -> bool:
        """Whether this is what the claim said would come out."""
        return self.status in ("reproduced", "deviates as documented")


def measure_quantity(
    name: str, values: Float[np.ndarray, " run"], *, held: Bool[np.ndarray, " run"] | None = None
) -> Quantity:
    """Mean over seeds with its 95 % bootstrap interval; NaN where a value is, an interval of one value too.

    >>> quantity = measure_quantity("level", np.array([0.4, 0.5, 0.6]), held=np.array([True, True, False]))
    >>> round(quantity.mean, 3), round(quantity.held_share, 3)
    (0.5, 0.667)
    """
    values = np.asarray(values, dtype=np.float64)
    low, high = bootstrap_interval(values)
    mean = float(values.mean()) if len(values) else float("nan")
    return Quantity(name, values, held, mean, low, high)


def judge_by_means(
    *quantities: Quantity, holds: bool | None = None, sentence: str, picture: Picture | None = None
) -> Judgement:
    """The judgement of a rule with two outcomes: `holds` or `fails`.

    `holds` if given, else whether most seeds hold for every quantity that says so per seed. `sentence` may
    use {mean}, {low}, {high} of the first quantity, {seeds} and {held}, the number of its seeds for which the
    rule holds.

    Raises `ValueError` if nothing says whether the rule holds.
    """
    first = quantities[0]
    if holds is None:
        shares = [quantity.held_share for quantity in quantities if quantity.held is not None]
        if not shares:
            raise ValueError("neither `holds` nor any quantity's `held` says whether the rule holds")
        holds = all(share > 0.5 for share in shares)
    said = sentence.format(
        mean=first.mean,
        low=first.low,
        high=first.high,
        seeds=len(first.values),
        held=0 if first.held is None else int(first.held.sum()),
    )
    return Judgement("holds" if holds else "fails", said, quantities, picture)


def reach_verdict(claim: Claim, judgement: Judgement) -> Verdict:
    """Compare a judgement with what the claim expects: that it holds, or deviates as documented."""
    finite = all(isfinite(quantity.mean) for quantity in judgement.quantities)
    sentence = judgement.sentence
    if not finite:
        status = "not reproduced"
        sentence += " Some of its values are no numbers."
    elif claim.deviation:
        status = "deviates as documented" if judgement.outcome == "deviates" else "not reproduced"
        if judgement.outcome == "holds":
            sentence += " The paper's statement holds here; the documented deviation did not appear."
    else:
        status = "reproduced" if judgement.outcome == "holds" else "not reproduced"
    return Verdict(claim, status, sentence, judgement)


def group_by_paper(verdicts: Iterable[Verdict]) -> dict[str, dict[str, list[Verdict]]]:
    """Verdicts by paper, then by group; papers, groups and claims in the order they first appear in."""
    papers: dict[str, dict[str, list[Verdict]]] = {}
    for verdict in verdicts:
        groups = papers.setdefault(verdict.claim.paper, {})
        groups.setdefault(verdict.claim.group, []).append(verdict)
    return papers


def count_statuses(verdicts: Collection[Verdict]) -> dict[Status, int]:
    """How many verdicts there are of each status, those of which there is none left out."""
    counts = {status: sum(verdict.status == status for verdict in verdicts) for status in get_args(Status)}
    return {status: count for status, count in counts.items() if count}
