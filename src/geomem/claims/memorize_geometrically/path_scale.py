"""Claims: path finding at the paper's own sizes, for a GPU (L1 to L3)."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from geomem.claims.check import Check, Picture, check
from geomem.claims.claim import claim, conditions, expects
from geomem.claims.curves import Curves, check_end, draw_curves
from geomem.claims.evidence import final
from geomem.claims.memorize_geometrically.path_settings import (
    EXACT,
    LARGE,
    MIDDLE,
    PAPER_STARS,
    SMALL,
    needs_trainings,
)

WANTS = "wants a GPU; `geomem paths --preset` has the same settings"


def check_one_of_two(runs: Mapping[str, Curves], least: float, **bound: Any) -> Iterator[Check | Picture]:
    """The checks that the exact match ends within a bound on both smaller graphs and at `least` on one."""
    found = {key.rpartition("-")[0]: final(run, EXACT) for key, run in runs.items()}
    for name, values in found.items():
        yield check(f"exact match, {name}", values, **bound)
    reached = sum(np.mean(values >= least) > 0.5 for values in found.values())
    yield check(f"number of graphs with {least:g} or more on most seeds", reached, at_least=1)
    names = dict(zip(runs, found, strict=True))
    yield draw_curves(runs, EXACT, "exact match", names)


@claim("paths/plans-at-scale", "L1-full", place="Obs 1a; Fig 4 left; L1", cost="full")
@needs_trainings(
    {f"{SMALL}-transformer": {EXACT: 0.95}, f"{MIDDLE}-transformer": {EXACT: 0.3}}, settings=PAPER_STARS
)
@conditions(f"presets {SMALL} and {MIDDLE}, transformer; {WANTS}")
@expects("about 1", "paper", "Fig 4, L1")
def plans_at_scale(runs):
    """The Transformer at the paper's sizes.

    The paper's Transformer names paths to held-out leaves of 5,000 arms of 5 nodes and 10,000 arms of 6.
    """
    yield from check_one_of_two(runs, 0.9, at_least=0.5)


@claim("paths/longest", "L2", place="Obs 1a; Fig 4 left; L2", cost="full")
@needs_trainings({f"{LARGE}-transformer": {EXACT: 1e-4}}, settings=PAPER_STARS)
@conditions(f"preset {LARGE}, transformer; {WANTS}")
@expects("perfect or highly non-trivial", "paper", "Fig 4, L2")
def longest(runs):
    """Ten nodes from leaf to root.

    With width 784 and 10 pauses paths of 10 nodes among 10,000 arms are found far above chance.
    """
    yield from check_end(runs, EXACT, "exact match", at_least=0.1)


@claim("paths/mamba-at-scale", "L3-full", place="Obs 1a; Fig 8 left; L3", cost="full")
@needs_trainings({f"{SMALL}-mamba": {EXACT: 0.3}, f"{MIDDLE}-mamba": {EXACT: 0.3}}, settings=PAPER_STARS)
@conditions(f"presets {SMALL} and {MIDDLE}, mamba; {WANTS}")
@expects("high", "paper", "Fig 8, L3")
def mamba_at_scale(runs):
    """Mamba at the paper's sizes.

    The paper's Mamba names paths to held-out leaves as well.
    """
    yield from check_one_of_two(runs, 0.5)
