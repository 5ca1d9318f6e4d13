"""Claims: new facts written into a trained memory's subject table alone (A5; E10, E11; B6, C2, C3).

Ridge and least squares are two of the rules of B6 that write subject vectors from a fit or from mean
Jacobians; strength and gain are chosen on new facts that are not scored.
"""

from typing import Any

import numpy as np

from geomem.claims.check import Picture, check, draw_bands, paper
from geomem.claims.claim import OWN, claim, conditions, deviates, expects, needs
from geomem.claims.counterexamples import imagine_arrays
from geomem.claims.evidence import Evidence
from geomem.claims.factual_recall.settings import (
    EMBEDDING_ONLY_STEPS,
    FOUR_RELATIONS,
    TWO_RELATIONS,
    draw_over_widths,
    memory_settings,
    needs_memories,
    over_widths,
    request_memories,
    stack_widths,
    widths_from,
)
from geomem.claims.need import Scale

RULES = {"ridge": "transfer_ridge", "least squares": "transfer_least_squares"}

# In the notes they were chosen on old facts, which saturates: least squares came out too low.
CHOICE = "strength and gain of every rule chosen on new facts that are not scored"

SMALL_SUBJECTS, SMALL_WIDTH = 512, 32
VARIANTS: dict[str, dict[str, Any]] = {
    "base": {},
    "objects frozen": {"frozen": ("objects",)},
    "LayerNorm": {"layer_norm": True},
    "subjects from 1": {"subject_scale": 1.0},
    "uniform attention": {"attention": "uniform"},
    "weight decay": {"weight_decay": 0.1},
}
"""Attempts at transfer with few dimensions: options of the model or of the training, by name."""

QUICK_VARIANTS = 3
"""The last ones gained little; they are trained at full cost only."""

VARIANT_KEYS = {name: name.lower().replace(" ", "-") for name in VARIANTS}


def settings_of_variants(scale: Scale) -> dict[str, dict[str, Any]]:
    """Small memories that differ in one option each."""
    return {
        VARIANT_KEYS[name]: memory_settings(SMALL_WIDTH, subjects=SMALL_SUBJECTS, steps=800, **changes)
        for name, changes in list(VARIANTS.items())[: QUICK_VARIANTS if scale.name == "quick" else None]
    }


def better_rule(runs: Evidence) -> np.ndarray:
    """Recall of new facts by the better of the two rules at every width, [size, run]."""
    return np.max([stack_widths(runs, name) for name in RULES.values()], axis=0)


def wrong_maps(runs: Evidence) -> np.ndarray:
    """The higher recall of new facts by the two rules with wrong maps at every width, [size, run]."""
    return np.max([stack_widths(runs, f"{name}_wrong_maps") for name in RULES.values()], axis=0)


def draw_transfer(runs: Evidence) -> Picture:
    """All rules and the control over d / (R ln N)."""
    lines = {**RULES, "adjoint": "transfer_adjoint", "wrong maps": "transfer_ridge_wrong_maps"}
    return draw_over_widths(runs, lines, title="recall of new facts")


@claim("recall-transfer/zero-shot", "E10", place="A5 [P]; B6, C2, C3, E10 [M]")
@needs_memories(counterexample={key: [0.05] for key in RULES.values()}, more=CHOICE)
@expects("works", "paper", "A5 [P]")
@expects(0.983, OWN, "C2, E10 [M]", "least squares, largest d")
@expects(0.945, OWN, "C2, E10 [M]", "ridge, largest d")
@expects(0.07, OWN, "C2, E10 [M]", "wrong maps, largest d")
def zero_shot(runs):
    """The selector transfers to new bijections without training.

    Once trained, the MLP transfers zero-shot to entirely new bijections when subject embeddings are
    re-initialised appropriately.
    """
    for title, least in (("least squares", 0.95), ("ridge", 0.8)):
        yield check(f"{title}, largest d", stack_widths(runs, RULES[title])[-1], at_least=least)
    yield check("wrong maps, largest d", wrong_maps(runs)[-1], at_most=0.07)
    yield from over_widths(runs, {**RULES, "adjoint": "transfer_adjoint"})
    yield draw_transfer(runs)


# Of four relations only the curves: d = 256 is 8.4 times R ln N there, and E10's numbers belong to 15.
for _more, _alias, _memories in (("", "-width", TWO_RELATIONS), ("-four-relations", "-four", FOUR_RELATIONS)):

    @claim(
        f"recall-transfer/with-the-width{_more}",
        f"E10{_alias}",
        place="A5 [P]; B6, C2, C3, E10 [M]",
        full=bool(_more),
    )
    @needs_memories(_memories, counterexample={key: [0.5] for key in RULES.values()}, more=CHOICE)
    @expects(0.046, OWN, "C2, E10 [M]", "better rule, smallest d")
    @expects(0.07, OWN, "C2, E10 [M]", "wrong maps, highest")
    def with_the_width(runs):
        """Zero-shot transfer rises with the dimensions to spare.

        No statement of the paper: transfer rises with the dimensions to spare, from nearly none near the
        memorisation threshold, and needs the right maps.
        """
        rises = [np.diff(stack_widths(runs, name), axis=0).min(axis=0) for name in RULES.values()]
        yield check("better rule, smallest d", better_rule(runs)[0], at_most=0.1)
        yield check("smallest rise from width to width", np.min(rises, axis=0), above=0)
        yield check("wrong maps, highest", wrong_maps(runs).max(axis=0), at_most=0.07)
        lines = {f"wrong maps, {title}": f"{name}_wrong_maps" for title, name in RULES.items()}
        yield from over_widths(runs, lines)
        yield draw_transfer(runs)


@claim("recall-transfer/at-any-width", place="A5 [P]; C3 [M]")
@needs_memories(counterexample={key: [0.9] for key in RULES.values()}, more=CHOICE)
@deviates("Near the memorisation threshold transfer is nearly absent although recall is complete.")
@expects("works", "paper", "A5 [P]")
@expects("nearly absent near the threshold", OWN, "C3 [M]")
def at_any_width(runs):
    """Complete recall does not mean transfer.

    Once trained, the MLP transfers zero-shot to entirely new bijections.
    """
    best, old = better_rule(runs), stack_widths(runs, "recall")
    everywhere = bool((old >= 0.99).all() and (best.mean(axis=1) >= 0.8).all())
    rule = "at least 0.8 on average, as at every width, with all old facts recalled"
    yield check("better rule, largest d", best[-1], at_least=0.8, over="mean")
    yield paper(check("better rule, smallest d", best[0], held=everywhere, rule=rule))
    yield check("better rule, smallest d", best[0], at_most=0.2, over="mean")
    yield check("lowest recall of old facts", old.min(axis=0), at_least=0.99, over="every seed")
    yield draw_transfer(runs)


@claim("recall-transfer/embedding-only", "E11", place="A5 [P]; B6, D8, C3, E11 [M]")
@needs_memories(
    counterexample={"embedding_only_random": [0.99]},
    more="where d >= 4.6 R ln N, all but the subject table frozen; 256 subjects, full batch, Adam, lr .05, "
    f"{EMBEDDING_ONLY_STEPS} steps",
)
@expects("at least .99", OWN, "C2, E11 [M]", "lowest recall, trained network")
@expects(0.84, OWN, "C2, E11 [M]", "random network, d = 256", "clearly below")
@expects(0.76, OWN, "C2, E11 [M]", "random network, d = 128", "clearly below")
def embedding_only(runs):
    """A fresh subject table learns new facts at once.

    The trained network is reusable: with all else frozen, training a fresh subject table on new facts
    succeeds within a few steps, through a random network it does not.
    """
    lines = {"trained network": "embedding_only_trained", "random network": "embedding_only_random"}
    wide = widths_from(runs, 4.6)
    trained, random = (stack_widths(runs, name, widths=wide) for name in lines.values())
    yield check("lowest recall, trained network", trained.min(axis=0), at_least=0.99)
    yield check("smallest lead over a random network", (trained - random).min(axis=0), at_least=0.05)
    yield from over_widths(runs, lines)
    steps = {width: runs.arrays[f"d{width}.embedding_only_trained_steps"] for width in wide}
    for width, needed in steps.items():
        if np.isfinite(needed).all():
            yield check(f"steps to 99 %, d = {width}", needed)
    yield draw_over_widths(runs, lines, title="recall of new facts")


def imagine_variants(best: float) -> Evidence:
    """Small memories of which one variant transfers so much, the others .2."""
    made = {}
    for key in list(VARIANT_KEYS.values())[:QUICK_VARIANTS]:
        recall = [best if key == "layernorm" else 0.2] * 2
        made[key] = dict.fromkeys(RULES.values(), recall) | {"recall": [1.0, 1.0], "map_cosine": [0.7, 0.7]}
    return imagine_arrays(made)


@claim("recall-transfer/smaller-width", place="A5 [P]; C3 [M]")
@needs(request_memories(settings_of_variants), counterexample=imagine_variants(0.25))
@conditions(
    f"N = {SMALL_SUBJECTS}, R = 2, d = {SMALL_WIDTH} (d / (R ln N) = 2.6); as "
    "recall-transfer/zero-shot except for one option each, 800 steps; the rule is ours, written before the "
    "measurement"
)
@expects("tried without success at R = 4", OWN, "C3 [M]", "lead of the best variant")
def smaller_width(runs):
    """An option that brings transfer to few dimensions.

    No statement of the paper, whose regime is not known: one of frozen objects, subjects drawn large, uniform
    attention, LayerNorm or weight decay makes new facts transfer at a width where they hardly do.
    """
    keys = {name: key for name, key in VARIANT_KEYS.items() if f"{key}.recall" in runs.arrays}
    best = {
        name: np.max([runs.arrays[f"{key}.{rule}"] for rule in RULES.values()], axis=0)
        for name, key in keys.items()
    }
    lead = np.max([recall for name, recall in best.items() if name != "base"], axis=0) - best["base"]
    yield check("lead of the best variant", lead, at_least=0.2)
    for name, recall in best.items():
        yield check(f"better rule, {name}", recall)
    for title, number in (("recall of old facts", "recall"), ("cosine of maps", "map_cosine")):
        for name, key in keys.items():
            yield check(f"{title}, {name}", runs.arrays[f"{key}.{number}"])
    points = [("", list(best), np.stack(list(best.values())))]
    yield draw_bands(points, "variant", "recall of new facts", series="", kind="points")
