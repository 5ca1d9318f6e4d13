"""Claims: path finding at the paper's own sizes, for a GPU (L1 to L3)."""

from collections.abc import Callable

import numpy as np

from geomem.claims.claim import Claim, Expected, Judgement, judge_by_means
from geomem.claims.evidence import Evidence
from geomem.claims.path_runs import (
    PathSetting,
    draw_curves,
    imagine_paths,
    judge_reach,
    measure_last,
    request_paths,
)
from geomem.runs.presets import PATH_PRESETS

EXACT = "held_out.exact_match"
SMALL, MIDDLE, LARGE = "paper-5000x5", "paper-10000x6", "paper-10000x10"

SETTINGS: dict[str, PathSetting] = {
    f"{name}-{kind}": PathSetting(
        PATH_PRESETS[name].models[kind],
        PATH_PRESETS[name].training,
        PATH_PRESETS[name].task,
        PATH_PRESETS[name].arms,
        PATH_PRESETS[name].length,
        # On one core, by the count of operations: weeks to a year, which says why these want a GPU.
        seconds=seconds,
    )
    for name, seconds in ((SMALL, 5e6), (MIDDLE, 2e7), (LARGE, 1e8))
    for kind in ("transformer", "mamba")
}
"""The presets of the paper's sizes, by name and architecture."""

WANTS = "wants a GPU; `geomem paths --preset` has the same settings"


def judge_two(kind: str, *, some: float, all_of_them: float) -> Callable[[Evidence], Judgement]:
    """The judge of the two smaller graphs: one of them reaches `some`, both reach `all_of_them`."""

    def judge(evidence: Evidence) -> Judgement:
        quantities = [
            measure_last(
                evidence,
                f"{name}-{kind}",
                EXACT,
                f"exact match, {name}",
                holds=lambda shares: shares >= all_of_them,
            )
            for name in (SMALL, MIDDLE)
        ]
        best = [np.mean(quantity.values >= some) > 0.5 for quantity in quantities]
        held = all(quantity.held_share > 0.5 for quantity in quantities)
        return judge_by_means(
            *quantities,
            holds=bool(held and any(best)),
            sentence="The exact match on held-out leaves ends at {mean:.2f} ({low:.2f} to {high:.2f}) on "
            f"{SMALL} and at {quantities[1].mean:.2f} on {MIDDLE}.",
            picture=draw_curves(
                evidence, {name: f"{name}-{kind}" for name in (SMALL, MIDDLE)}, EXACT, title="exact match"
            ),
        )

    return judge


CLAIMS: tuple[Claim, ...] = (
    Claim(
        id="paths/plans-at-scale",
        aliases=("L1-full",),
        title="The Transformer at the paper's sizes",
        statement="The paper's Transformer names paths to held-out leaves of 5,000 arms of 5 nodes and "
        "10,000 arms of 6.",
        place="Obs 1a; Fig 4 left; E.1, L1",
        conditions=f"presets {SMALL} and {MIDDLE}, transformer; {WANTS}",
        rule="On most seeds the exact match ends at .9 or more on one graph and at .5 or more on both.",
        expected=(Expected("about 1", "paper", "Fig 4, E.1, L1", "at least .9 on one, .5 on both"),),
        experiments=request_paths(SETTINGS, f"{SMALL}-transformer", f"{MIDDLE}-transformer"),
        judge=judge_two("transformer", some=0.9, all_of_them=0.5),
        wrong=lambda requests: imagine_paths(
            {f"{SMALL}-transformer": {EXACT: 0.95}, f"{MIDDLE}-transformer": {EXACT: 0.3}}
        ),
        cost="full",
    ),
    Claim(
        id="paths/longest",
        aliases=("L2",),
        title="Ten nodes from leaf to root",
        statement="With width 784 and 10 pauses paths of 10 nodes among 10,000 arms are found far above "
        "chance.",
        place="Obs 1a; Fig 4 left; E.1, L2",
        conditions=f"preset {LARGE}, transformer; {WANTS}",
        rule="The exact match on held-out leaves ends at .1 or more on most seeds.",
        expected=(Expected("perfect or highly non-trivial", "paper", "Fig 4, E.1, L2", "at least .1"),),
        experiments=request_paths(SETTINGS, f"{LARGE}-transformer"),
        judge=judge_reach(f"{LARGE}-transformer", EXACT, 0.1, what="exact match"),
        wrong=lambda requests: imagine_paths({f"{LARGE}-transformer": {EXACT: 1e-4}}),
        cost="full",
    ),
    Claim(
        id="paths/mamba-at-scale",
        aliases=("L3-full",),
        title="Mamba at the paper's sizes",
        statement="The paper's Mamba names paths to held-out leaves as well.",
        place="Obs 1a; Fig 8 left; E.1, L3",
        conditions=f"presets {SMALL} and {MIDDLE}, mamba; {WANTS}",
        rule="On most seeds the exact match ends at .5 or more on one of the graphs.",
        expected=(Expected("high", "paper", "Fig 8, E.1, L3", "at least .5 on one"),),
        experiments=request_paths(SETTINGS, f"{SMALL}-mamba", f"{MIDDLE}-mamba"),
        judge=judge_two("mamba", some=0.5, all_of_them=0.0),
        wrong=lambda requests: imagine_paths(
            {f"{SMALL}-mamba": {EXACT: 0.3}, f"{MIDDLE}-mamba": {EXACT: 0.3}}
        ),
        cost="full",
    ),
)
"""In the order of table E.1."""
