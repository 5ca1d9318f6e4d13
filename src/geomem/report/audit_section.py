"""Parts of the page of an audit, and what the sections of graphs and of facts share."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from geomem.audit.behaviour import Answer, Behaviour
from geomem.audit.columns import short_number
from geomem.audit.facts import MapLook
from geomem.audit.graph import Look
from geomem.audit.words import Trial
from geomem.report.html import format_number, format_p_value
from geomem.report.picture import Picture

EXAMPLES = 24
"""Names whose answers are shown, spread evenly over all."""


@dataclass(frozen=True)
class Table:
    """Rows of text under a head; the first cell of a row says what it is about."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""
    note: str = ""
    words: frozenset[str] = frozenset()
    """Columns of words, which stand at the left; all others at the right."""
    strong: frozenset[tuple[int, int]] = frozenset()
    """Rows and columns of the cells that stand out."""
    folded: bool = False
    """Opens with a click on its title."""


@dataclass(frozen=True)
class Section:
    """One part of the page."""

    title: str
    word: str = ""
    """One of `WORDS`, beside the title."""
    sentences: Sequence[str] = ()
    pictures: Mapping[str, Picture] = field(default_factory=dict)
    """By what stands under each."""
    tables: Sequence[Table] = ()


def trial_table(trials: Iterable[Trial], title: str) -> Table:
    """What was held against what, with what came out."""
    rows = [
        (
            trial.name,
            format_number(trial.value),
            f"{trial.p:.3f}" if trial.p >= 0.0005 else "< 0.001",
            f"{trial.threshold:g}",
            "passed" if trial.passed else "failed",
            f"{capital(trial.sentence)}.",
        )
        for trial in trials
    ]
    head = ("Held against", "value", "p", "threshold", "outcome", "what was compared")
    return Table(head, rows, title, words=frozenset(head[4:]))


def answer_tables(answers: Mapping[str, Sequence[Answer]], *, wanted: str, note: str = "") -> list[Table]:
    """What was answered about some names, spread over the alphabet, by who answered."""
    said = {who: {answer.name: answer for answer in given} for who, given in answers.items()}
    names = sorted(set.union(set(), *said.values()))
    if not names:
        return []
    chosen = [names[at] for at in np.linspace(0, len(names) - 1, min(EXAMPLES, len(names))).astype(int)]
    rows = []
    for name in chosen:
        known = [own.get(name) for own in said.values()]
        right = next(answer.wanted for answer in known if answer is not None)
        marks = [
            "–" if answer is None else f"{'✓' if answer.right else '✗'} {answer.given}" for answer in known
        ]
        rows.append((name, ", ".join(right), *marks))
    some = "" if len(chosen) == len(names) else f"{len(chosen)} of {len(names):,}, spread over the alphabet. "
    head = ("Name", wanted, *said)
    return [Table(head, rows, "Name by name", f"{some}{note}", frozenset(head), folded=True)]


def describe_behaviour(behaviour: Behaviour) -> str:
    """How often the model's own answers were right, in a sentence."""
    share = behaviour.right / behaviour.asked
    return (
        f"Asked itself, the model puts a right answer first among the candidates for {behaviour.right:,} of "
        f"{behaviour.asked:,} ({share:.0%}), where chance gives {behaviour.chance:.0%} "
        f"({format_p_value(behaviour.p)}); of all tokens for {behaviour.first:.0%}."
    )


def place_of(look: Look | MapLook) -> str:
    """Where a look is, in words."""
    return look.layer + (f" under {look.template!r}" if look.template else "")


def capital(sentence: str) -> str:
    """A sentence with its first letter large."""
    return sentence[:1].upper() + sentence[1:]


def share(value: float) -> str:
    """A number up to 1 with two digits; a dash for none."""
    return real_minus(short_number(value))


def real_minus(cell: str) -> str:
    """A cell of the audit's tables with a real minus, and a dash where there is no number."""
    return {"-": "–"}.get(cell, cell.replace("-", "−"))
