"""What a study is: a question, a rule that is stated before anything is measured, and what answers it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from geomem.claims.claim import Claim
from geomem.claims.evidence import Evidence

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from geomem.figures.palette import Theme


@dataclass(frozen=True, eq=False)
class Study:
    """One study; its file in `geomem.studies` makes it.

    What it measures is what its claims need, at two scales: quick on two cores, full with a GPU or hours.
    """

    name: str
    """What the command line calls it: its page is docs/studies/NAME.md, its claims are a group so called."""
    title: str
    question: str
    rule: str
    """What decides, and what each word of a verdict means; the bounds stand in the rules of its claims."""
    claims: tuple[Claim, ...]
    tabulate: Callable[[Evidence], pl.DataFrame]
    """All that was measured, tidy: a row for each case, columns of words first."""
    tables: Mapping[str, Callable[[pl.DataFrame], pl.DataFrame]]
    """What the page shows of it, by the name of the table."""
    figures: "Mapping[str, Callable[[pl.DataFrame, Theme], Figure]]"
    """Pictures of it, by name."""
    conclude: Callable[[pl.DataFrame], tuple[str, ...]]
    """The answer, in sentences that follow from the table."""
    seeds: int = 5
    """How many runs of everything."""
