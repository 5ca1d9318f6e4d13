"""Claims: path finding in context, where next-token learners fail and in-weights ones do not (L16 to L19)."""

from collections.abc import Iterator, Mapping

import numpy as np

from geomem.claims.check import Check, Picture, check
from geomem.claims.claim import claim, conditions, expects, expects_each
from geomem.claims.curves import Curves, check_end, draw_curves, first_step, rank_correlation
from geomem.claims.evidence import final
from geomem.claims.memorize_geometrically.path_settings import (
    EXACT,
    FIRST_HOP,
    PAPER_PROMPTS,
    PROMPT_LENGTH,
    PROMPT_TRAINING,
    PROMPTS,
    needs_trainings,
)

PLACES = tuple(range(2, PROMPT_LENGTH + 1))
"""Places in the answer behind the root, which the prompt says."""

CONDITIONS = (
    "fresh prompts of a path-star of 2 arms of 5 nodes, named by 9 tokens in random order; Transformer of 2 "
    f"layers, width 64, 4 heads; AdamW, lr .001; {PROMPT_TRAINING.epochs * PROMPT_TRAINING.batches:,} "
    f"batches of {PROMPT_TRAINING.prompts} prompts; 1,000 prompts to test"
)
LONGER = PROMPTS["teacherless"].training


def guess(arms: int, exact: float) -> dict[str, dict[str, float]]:
    """Curves of a model that answers so many prompts rightly, and follows every arm to its end."""
    return {f"arms-{arms}": {EXACT: exact} | {f"held_out.forced_token_{place}": 1.0 for place in PLACES}}


def check_chance(runs: Mapping[str, Curves]) -> Iterator[Check | Picture]:
    """The checks that answers are right as often as one arm in so many."""
    names = {key: f"{key.removeprefix('arms-')} arms" for key in runs}
    for key, name in names.items():
        exact, chance = final(runs[key], EXACT), 1 / float(name.removesuffix(" arms"))
        near = np.abs(exact - chance) <= 0.03
        yield check(f"exact match, {name}", exact, held=near, rule="within 0.03 of chance among the arms")
    for key, name in names.items():
        for place in (2, 3):
            forced = final(runs[key], f"held_out.forced_token_{place}")
            yield check(f"token {place} given the path so far, {name}", forced)
    yield draw_curves(runs, EXACT, "exact match", names)


@claim("in-context/chance", "L16", place="Fig 5 left; B.2; L16")
@needs_trainings(guess(2, 1.0), settings=PROMPTS)
@conditions(CONDITIONS)
@expects(0.5, "paper", "Fig 5, L16", "exact match, 2 arms")
def chance(runs):
    """In context the next token leads to a guess.

    Trained on the next token with a fresh path-star in every prompt, a Transformer ends at picking an arm at
    random and following it.
    """
    yield from check_chance(runs)


@claim("in-context/chance-at-scale", "L16-full", place="Fig 5 left; Table 1; L16", full=True)
@needs_trainings(guess(2, 0.5) | guess(10, 0.5) | guess(20, 0.5), settings=PAPER_PROMPTS)
@conditions(
    "2, 10 and 20 arms of 5 nodes among 50, 50 and 100 tokens; Transformer of 12 layers, width "
    "384 (784 with 20 arms), 8 heads; lr .0001; 80,000 batches of 256 prompts; wants a GPU"
)
@expects_each((1 / arms, "paper", "Fig 5, L16", f"exact match, {arms} arms") for arms in (2, 10, 20))
def chance_at_scale(runs):
    """The same at the paper's sizes.

    So do the paper's models on 2, 10 and 20 arms.
    """
    yield from check_chance(runs)


@claim("in-context/teacherless", "L17", place="Figs 5 mid and 24a; L17")
@needs_trainings(
    {
        "teacherless": {EXACT: [0, 0, 0, 0, 0, 0, 1, 1]}
        | {f"held_out.token_{place}": [float(row >= place) for row in range(8)] for place in PLACES}
    },
    settings=PROMPTS,
)
@conditions(
    f"as in-context/chance, but 4 layers, {LONGER.epochs * LONGER.batches:,} batches of "
    f"{LONGER.prompts} prompts; teacherless"
)
@expects("solved", "paper", "Fig 5, L17", "exact match")
@expects("right to left", "paper", "Fig 24, L17", "order of tokens (Spearman)")
def teacherless(runs):
    """Without the answer in its input the model plans, last token first.

    With every token of the answer hidden from the input, the path is learned in context, from its end to its
    start.
    """
    run = runs["teacherless"]
    yield check("exact match", final(run, EXACT), at_least=0.9)
    # Three quarters, because a guess of the arm gives one half.
    reached = [first_step(run, f"held_out.token_{place}", at_least=0.75) for place in PLACES]
    yield check("order of tokens (Spearman)", rank_correlation(np.stack(reached)), at_most=-0.75)
    for place, epochs in zip(PLACES, reached, strict=True):
        yield check(f"steps to three quarters, token {place}", epochs * LONGER.batches)
    yield draw_curves(runs, EXACT, "exact match")


@claim("in-context/reverse", "L18", place="Remark 1; Fig 20 right; L18")
@needs_trainings({"reverse": {EXACT: 0.5}}, settings=PROMPTS)
@conditions(f"{CONDITIONS}; reversed path")
@expects(1.0, "paper", "Fig 20, L18", "exact match")
def reverse(runs):
    """The reversed path is learned in context.

    From the leaf to the root every token has one predecessor in the prompt, and the reversed path is learned
    perfectly.
    """
    yield from check_end(runs, EXACT, "exact match", at_least=0.99)


@claim("in-context/first-hop", "L19", place="Fig 5 right; B.2; L19")
@needs_trainings({"first-hop": {FIRST_HOP: 0.95}}, settings=PROMPTS)
@conditions(f"{CONDITIONS}; the first hop is the only target")
@expects(0.5, "paper", "Fig 5, L19", "first hop")
def first_hop(runs):
    """The first hop alone is never learned in context.

    Asked for nothing but the first hop of a path-star in its prompt, the model stays at chance, one half.
    """
    yield from check_end(runs, FIRST_HOP, "first hop", at_most=0.55)
