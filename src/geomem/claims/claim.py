"""What a claim is: a statement of a paper, what it needs, and the checks that say whether it holds.

A claim is a decorated generator: its docstring is the title and the statement, its yields are the checks;
the decorators say where it stands, what it is checked on, and what is expected.

>>> from geomem.claims.check import check
>>> from geomem.claims.counterexamples import associative, geometric
>>> from geomem.claims.evidence import final
>>> from geomem.models.configuration import Transformer
>>> from geomem.training.configuration import Training
>>> from geomem.worlds.graphs.families import cycle
>>>
>>> def ring(scale):
...     return (FleetRequest("cycle", cycle(6), Transformer(), Training(steps=100), scale.seeds),)
>>>
>>> @claim("geometry/cycle-level", "T0", place="Fig 12")
... @needs(ring, counterexample=associative)
... @conditions("ring of 6, Transformer of width 32, AdamW, learning rate 0.01, 100 steps")
... @expects(0.5, "replication", "E.2, T6", "final level, cycle")
... def cycle_level(runs):
...     '''Neighbours become alike.
...
...     Training on single edges brings the embeddings of neighbours together.
...     '''
...     yield check("final level, cycle", final(runs["cycle"], "geometric_level"), above=0.4)
>>> cycle_level.title, cycle_level.rule
('Neighbours become alike', 'Final level, cycle above 0.4 on most seeds.')
>>> requests = cycle_level.fleets(Scale("quick", seeds=(0, 1, 2)))
>>> judgement = cycle_level.judge(geometric(requests))
>>> judgement.outcome, judgement.sentence
('holds', 'Final level, cycle: 0.5; above 0.4 on 3 of 3 runs.')
>>> cycle_level.judge(cycle_level.counterexample(requests)).outcome
'fails'
"""

import inspect
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, fields
from functools import cached_property, wraps
from math import isfinite
from typing import Any, Literal, get_args

import numpy as np

from geomem.claims.check import Check, Judgement, Picture, describe_rule, judge_checks
from geomem.claims.evidence import Evidence
from geomem.claims.experiment import Experiment
from geomem.claims.need import Computed, Cost, FleetRequest, Need, Needs, Scale
from geomem.shown import shown_by
from geomem.training.treatment import describe_treatment

Source = Literal["paper", "release", "replication", "derived", "own measurement"]
"""Who says what is expected: the paper, the authors' code or its saved outputs, the independent replication,
a derivation of ours, or our own earlier measurement."""

OWN: Source = "own measurement"

Status = Literal["reproduced", "deviates as documented", "not reproduced", "not run"]

PAPER = "arXiv 2510.26745"
RECALL_PAPER = "arXiv 2605.12426"
OURS = "ours"
"""In a paper's place, for what a study of ours says."""
PAPERS = {
    PAPER: "Deep sequence models tend to memorize geometrically; it is unclear why",
    RECALL_PAPER: "Geometric Factual Recall in Transformers",
    OURS: "Studies of what the papers leave open",
}
"""Titles of the papers whose claims are here, and of our own."""


@dataclass(frozen=True)
class Expected:
    """What should come out, who says so and where."""

    value: float | str
    source: Source
    place: str
    """Where it stands: section, figure, table, or file of the release."""
    quantity: str = ""
    """Name of the quantity it stands beside; the claim as a whole if empty."""
    tolerance: str = ""
    """Which measured values agree with it, in words."""


Checks = Iterator[Check | Picture | str]
"""What a claim's generator yields: checks, at most one picture, and sentences that say more."""


@dataclass(frozen=True, eq=False)
class Claim:
    """One statement of a paper as an executable check; made by `claim`."""

    id: str
    """`group/what-it-says`, in kebab-case."""
    title: str
    statement: str
    """What the paper says, in our words."""
    place: str
    """Where in the paper, and where in our notes (`claims.places`)."""
    checks: Callable[[Evidence], Checks]
    """A pure function of its evidence."""
    needs: tuple[Needs, ...]
    counterexample: Callable[[tuple[FleetRequest, ...]], Evidence]
    """Measurements of a model of which the statement is false, made up without training: the checks must
    then come to another outcome."""
    expected: tuple[Expected, ...]
    stated_conditions: str = ""
    cost: Cost = "quick"
    deviation: str = ""
    """Where the paper says too much: what comes out instead, in words; the expected outcome is then
    `deviates`."""
    aliases: tuple[str, ...] = ()
    """Other names patterns may use, such as the number of its table, T6."""
    paper: str = PAPER
    of_vectors: bool = False
    """Whether it looks at recall and the vectors of a memory alone, which a module of one's own has too."""

    @property
    def group(self) -> str:
        """The part of the id before the slash."""
        return self.id.partition("/")[0]

    def requests(self, scale: Scale) -> tuple[Need, ...]:
        """All that it needs at a scale."""
        return tuple(need for needs in self.needs for need in needs(scale))

    def fleets(self, scale: Scale) -> tuple[FleetRequest, ...]:
        """The fleets it needs."""
        return tuple(need for need in self.requests(scale) if isinstance(need, FleetRequest))

    def experiments(self, scale: Scale) -> tuple[Experiment, ...]:
        """The experiments it needs: trainings that are no fleets of `memorize`, and whatever takes long."""
        return tuple(need for need in self.requests(scale) if isinstance(need, Experiment))

    def compute(self, scale: Scale) -> dict[str, np.ndarray]:
        """The arrays it needs that no training makes."""
        computed = [need.compute() for need in self.requests(scale) if isinstance(need, Computed)]
        return {name: array for arrays in computed for name, array in arrays.items()}

    def judge(self, evidence: Evidence) -> Judgement:
        """The outcome of its checks."""
        return judge_checks(self.checks(evidence), deviates=bool(self.deviation))

    @cached_property
    def refuted(self) -> tuple[Check | Picture | str, ...]:
        """The checks as the counterexample meets them."""
        requests = self.fleets(Scale(self.cost, (0, 1, 2)))
        return tuple(self.checks(self.counterexample(requests)))

    @cached_property
    def rule(self) -> str:
        """When it holds, with its bounds."""
        return describe_rule(self.refuted, deviates=bool(self.deviation))

    @cached_property
    def conditions(self) -> str:
        """Worlds, models and settings of the check."""
        return self.stated_conditions or describe_fleets(self.fleets(Scale(self.cost, (0, 1, 2))))


_REGISTERED: dict[str, list[Claim]] = {}

Checker = Callable[[Any], Any]
"""A claim's generator of checks, given the evidence or what a decorator makes of it; or a function that only
states the claim, by its docstring."""

Decorator = Callable[[Checker], Checker]


def claim(id: str, *aliases: str, place: str, full: bool = False) -> Callable[[Checker], Claim]:
    """Register a generator of checks, with what the decorators below it say, as a claim of its module.

    Its docstring is the title, one line, and the statement. A `full` one wants a GPU or hours.

    Raises `ValueError` if title or statement is missing, or `needs` or `expects`.
    """

    def register(checks: Checker) -> Claim:
        title, _, statement = inspect.cleandoc(checks.__doc__ or "").partition("\n")
        if not title or not statement:
            raise ValueError(f"claim {id}: its docstring must be a title and, below it, the statement")
        if not _parts(checks).keys() >= {"needs", "expected"}:
            raise ValueError(f"claim {id}: give it @needs(...) and @expects(...) below @claim")
        made = Claim(
            id=id,
            title=title.rstrip("."),
            statement=" ".join(statement.split()),
            place=place,
            checks=checks,
            cost="full" if full else "quick",
            aliases=aliases,
            paper=_paper_of(checks.__module__),
            **_parts(checks),
        )
        _REGISTERED.setdefault(checks.__module__, []).append(made)
        return made

    return register


def _paper_of(module: str) -> str:
    if ".studies." in module:
        return OURS
    return RECALL_PAPER if ".factual_recall" in module else PAPER


def checked(checks: Checker, *said: Decorator) -> Decorator:
    """What claims of one shape share: checks, and what else is said of all; their functions only state."""

    def decorate(stating: Checker) -> Checker:
        checker = wraps(stating)(lambda runs: checks(runs))
        for decorator in reversed(said):
            checker = decorator(checker)
        return checker

    return decorate


def needs(
    *needs: Needs, counterexample: Evidence | Callable[[tuple[FleetRequest, ...]], Evidence]
) -> Decorator:
    """What a claim is checked on, and measurements of which it is false, for the fleets it asks for."""
    made_up = counterexample if callable(counterexample) else lambda requests: counterexample
    return _say(needs=needs, counterexample=made_up)


def conditions(text: str) -> Decorator:
    """Worlds, models and settings in words; without them the settings of the fleets say it all."""
    return _say(stated_conditions=text)


def deviates(text: str) -> Decorator:
    """What comes out instead of what the paper says; checks marked `paper` are then its own statement."""
    return _say(deviation=text)


def of_vectors() -> Decorator:
    """Of memories of facts: only recall and vectors are looked at, so a person's own module can be asked."""
    return _say(of_vectors=True)


def expects(
    value: float | str, source: Source, place: str, quantity: str = "", tolerance: str = ""
) -> Decorator:
    """A value that should come out: who says so and where, of which quantity, and what agrees with it."""
    return expects_each([(value, source, place, quantity, tolerance)])


def expects_each(values: Iterable[tuple]) -> Decorator:
    """Several values as `expects` takes one."""
    entries = tuple(Expected(*value) for value in values)
    return lambda checks: _say(expected=(*entries, *_parts(checks).get("expected", ())))(checks)


def _parts(checks: Checker) -> dict[str, Any]:
    return vars(checks).setdefault("parts", {})


def _say(**parts: Any) -> Decorator:
    def add(checks: Checker) -> Checker:
        _parts(checks).update(parts)
        return checks

    return add


def registered_claims(module: str) -> tuple[Claim, ...]:
    """The claims that a module has registered, in the order of their definitions."""
    return tuple(_REGISTERED.get(module, ()))


def describe_fleets(requests: Iterable[FleetRequest]) -> str:
    """The settings of fleets in words, each once.

    >>> from geomem.models.configuration import Transformer
    >>> from geomem.training.configuration import Training
    >>> from geomem.worlds.graphs.families import cycle, grid
    >>> describe_fleets(
    ...     FleetRequest(g.name, g, Transformer(), Training(steps=500), (0,)) for g in (cycle(6), grid(2, 2))
    ... )
    'Transformer: adamw, lr 0.01, cosine; width 32; 500 steps; cycle-6, grid-2-2'
    """
    described: dict[str, tuple[dict[int, None], dict[int, None], dict[str, None]]] = {}
    for request in requests:
        training, task = request.training, request.task
        parts = [f"{training.optimizer}, lr {training.learning_rate:g}, {training.schedule}"]
        parts += [f"{task.directions} edges"] * (task.directions != "both")
        parts += ["self-edges"] * task.self_edges
        parts += [f"weight decay {training.weight_decay:g}"] * (training.weight_decay > 0)
        parts += [
            f"{name.replace('_', ' ')} {value}"
            for name, value in describe_treatment(request.treatment).items()
        ]
        for field in fields(request.model):
            name, value = field.name.replace("_", " "), getattr(request.model, field.name)
            if value != field.default and field.name != "width" and field.repr:
                parts.append({True: name, False: f"not {name}"}.get(value, f"{name} {value}"))
        key = f"{type(request.model).__name__}: {', '.join(parts)}"
        widths, steps, worlds = described.setdefault(key, ({}, {}, {}))
        widths[request.model.width] = steps[training.steps] = worlds[request.world.name] = None
    return "; ".join(
        f"{name}; width {_listed(widths)}; {_listed(steps)} steps; {_listed(worlds)}"
        for name, (widths, steps, worlds) in described.items()
    )


def _listed(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))


@shown_by("geomem.claims.page:show_verdict")
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


def reach_verdict(claim: Claim, judgement: Judgement) -> Verdict:
    """Compare a judgement with what the claim expects: that it holds, or deviates as documented."""
    finite = all(isfinite(quantity.mean) for quantity in judgement.quantities)
    sentence = judgement.sentence
    if not finite:
        status = "not reproduced"
        sentence += " Some of its values are NaN or infinite."
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
    """Verdicts by status, zero counts omitted."""
    counts = {status: sum(verdict.status == status for verdict in verdicts) for status in get_args(Status)}
    return {status: count for status, count in counts.items() if count}
