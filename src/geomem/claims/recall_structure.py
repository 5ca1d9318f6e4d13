"""Claims: what the embeddings and the network of a trained memory look like (A5; E9, E15, E16; C2).

One set of memories, trained once per width, serves these claims and those of transfer. Glossary: s_x subject
vectors, J_r mean Jacobian of relation r, as in our notes on arXiv 2605.12426.
"""

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl
from jaxtyping import Float

from geomem.claims.claim import (
    RECALL_PAPER,
    Claim,
    Expected,
    Judgement,
    Picture,
    Scale,
    judge_by_means,
    measure_quantity,
)
from geomem.claims.evidence import Evidence, imagine_arrays
from geomem.claims.recall_runs import (
    QUICK_WIDTHS,
    RELATIONS,
    STEPS,
    SUBJECTS,
    WIDTHS,
    MemorySetting,
    draw_over_widths,
    imagine_memories,
    measured_widths,
    memory_setting,
    numbers,
    over_widths,
    request_memories,
    settings_by_width,
    stack_widths,
)


def _conditions(subjects: int, relations: int, widths: str) -> str:
    return (
        f"N = {subjects:,}, R = {relations}, d = {widths}; MLP of 4 d neurons, half the subjects in a batch, "
        f"Adam, lr .003, cosine, subjects drawn at .05, {STEPS:,} steps"
    )


_ALL = ", ".join(map(str, WIDTHS))
CONDITIONS = _conditions(SUBJECTS, RELATIONS, f"{', '.join(map(str, QUICK_WIDTHS))} ({_ALL} at full cost)")
FOUR_CONDITIONS = _conditions(2 * SUBJECTS, 4, _ALL)


def well_posed(evidence: Evidence) -> tuple[int, ...]:
    """Widths at which E9 asks for a held-out fit: N >= 4 R d."""
    return tuple(width for width in measured_widths(evidence) if 4 * RELATIONS * width <= SUBJECTS)


def wide(evidence: Evidence) -> tuple[int, ...]:
    """Widths at which E15 asks for an affine surrogate."""
    return tuple(width for width in measured_widths(evidence) if width >= 2.3 * RELATIONS * np.log(SUBJECTS))


def settings_of_controls(scale: Scale) -> dict[str, MemorySetting]:
    """A memory with learned tables beside one whose tables are random and frozen: a key-value memory."""
    return {
        "learned": memory_setting(128),
        "frozen": memory_setting(128, frozen=("subjects", "relations", "objects")),
    }


def settings_of_four(scale: Scale) -> dict[str, MemorySetting]:
    """The same widths at four relations, for twice as many subjects."""
    return {f"d{width}": memory_setting(width, subjects=2 * SUBJECTS, relations=4) for width in WIDTHS}


def judge_superposition(evidence: Evidence) -> Judgement:
    """E9: held-out R^2 of the superposition at least .7 where it can be told, .02 or less when shuffled."""
    fits = [
        measure_quantity(
            f"held-out R^2, d = {width}",
            numbers(evidence, f"d{width}", "superposition"),
            held=numbers(evidence, f"d{width}", "superposition") >= 0.7,
        )
        for width in well_posed(evidence)
    ]
    shuffled = [
        measure_quantity(
            f"shuffled R^2, d = {width}",
            numbers(evidence, f"d{width}", "superposition_shuffled"),
            held=numbers(evidence, f"d{width}", "superposition_shuffled") <= 0.02,
        )
        for width in well_posed(evidence)
    ]
    others = over_widths(
        evidence,
        "superposition",
        "held-out R^2",
        widths=[w for w in measured_widths(evidence) if w not in well_posed(evidence)],
    )
    known = over_widths(evidence, "recall", "recall")
    return judge_by_means(
        *fits,
        *shuffled,
        *others,
        *known,
        sentence="Held-out R^2 is "
        + ", ".join(
            f"{quantity.mean:.2f} ({quantity.name.partition(', ')[2]})" for quantity in (*fits, *others)
        )
        + f", at most {max(quantity.mean for quantity in shuffled):.2f} when shuffled.",
        picture=draw_over_widths(
            evidence,
            {
                "superposition": "superposition",
                "shuffled": "superposition_shuffled",
                "linear read-out": "read_out_accuracy",
            },
            title="held-out R^2 or accuracy",
        ),
    )


def judge_precise(evidence: Evidence) -> Judgement:
    """That trained embeddings are the predicted superposition, whose R^2 would be 1; they are so in part."""
    best = stack_widths(evidence, "superposition", widths=well_posed(evidence)).max(axis=0)
    quantity = measure_quantity("highest held-out R^2 over widths", best)
    outcome = "holds" if best.mean() >= 0.95 else "deviates" if best.mean() >= 0.5 else "fails"
    return Judgement(
        outcome,
        f"The highest held-out R^2 of the superposition is {quantity.mean:.2f} ({quantity.low:.2f} to "
        f"{quantity.high:.2f}).",
        (quantity,),
        draw_over_widths(evidence, {"superposition": "superposition"}, title="held-out R^2"),
    )


def judge_selector(evidence: Evidence) -> Judgement:
    """That the network is one affine map per relation where there are dimensions to spare."""
    surrogates = stack_widths(evidence, "affine_surrogate", widths=wide(evidence)).min(axis=0)
    return judge_by_means(
        measure_quantity("lowest affine surrogate", surrogates, held=surrogates >= 0.98),
        *over_widths(evidence, "affine_surrogate", "affine surrogate"),
        *over_widths(evidence, "constancy", "constancy of a relation's map"),
        sentence="One affine map per relation in place of the network recalls {mean:.3f} or more of the "
        f"facts of held-out subjects at d = {', '.join(map(str, wide(evidence)))}.",
        picture=draw_selector(evidence),
    )


def judge_parting(evidence: Evidence) -> Judgement:
    """E15's thresholds: maps of relations part at every step of d, gates go by the relation in part."""
    cosines = stack_widths(evidence, "map_cosine")
    gates = stack_widths(evidence, "gate_variance_explained")
    falls, least, most = (-np.diff(cosines, axis=0) > 0).all(axis=0), gates.min(axis=0), gates.max(axis=0)
    quantities = (
        measure_quantity("fall of the cosine of maps", cosines[0] - cosines[-1], held=np.atleast_1d(falls)),
        measure_quantity("lowest share of gates' variance", least, held=least >= 0.05),
        measure_quantity("highest share of gates' variance", most, held=most <= 0.6),
        *over_widths(evidence, "map_cosine", "cosine"),
        *over_widths(evidence, "gate_variance_explained", "gates' variance"),
    )
    listed = ", ".join(f"{mean:.2f}" for mean in cosines.mean(axis=1))
    return judge_by_means(
        *quantities,
        sentence=f"The cosine between the maps of relations is {listed} at d = "
        f"{', '.join(map(str, measured_widths(evidence)))}, and the relation explains "
        f"{quantities[1].mean:.2f} to {quantities[2].mean:.2f} of the gates' variance.",
        picture=draw_selector(evidence),
    )


def draw_selector(evidence: Evidence) -> Picture:
    """Cosine of maps, affine surrogate and gates over d / (R ln N)."""
    return draw_over_widths(
        evidence,
        {
            "cosine of maps": "map_cosine",
            "affine surrogate": "affine_surrogate",
            "gates by relation": "gate_variance_explained",
        },
        title="share or cosine",
    )


def judge_swap(evidence: Evidence) -> Judgement:
    """E16: an attribute swap in trained memories succeeds and keeps the others in part."""
    best = stack_widths(evidence, "swap_best")
    top = best.max(axis=0)
    rows = [
        {"success": float(success), "retention": float(retention), "width": f"d = {width}"}
        for width in measured_widths(evidence)
        for success, retention in zip(
            evidence.arrays[f"d{width}.successes"].mean(axis=0),
            evidence.arrays[f"d{width}.retentions"].mean(axis=0),
            strict=True,
        )
    ]
    return judge_by_means(
        measure_quantity("best of both over d and g", top, held=(top >= 0.4) & (top < 1)),
        *over_widths(evidence, "swap_best", "best of both"),
        *over_widths(evidence, "swap_success", "success at g = 1"),
        *over_widths(evidence, "swap_retention", "retention at g = 1"),
        sentence="The smaller of success and retention reaches {mean:.2f} ({low:.2f} to {high:.2f}) at the "
        "best g; by "
        "d it is " + ", ".join(f"{mean:.2f}" for mean in best.mean(axis=1)) + ".",
        picture=Picture(pl.DataFrame(rows), "success", "retention", series="width"),
    )


def judge_lookup_table(evidence: Evidence) -> Judgement:
    """That the same probes read a key-value memory as none: no superposition, no affine map per relation."""

    def both(name: str) -> list[Float[np.ndarray, " run"]]:
        return [numbers(evidence, key, name) for key in ("frozen", "learned")]

    frozen, learned = both("superposition")
    flat, affine = both("affine_surrogate")
    known = both("recall")[0]
    return judge_by_means(
        measure_quantity("held-out R^2, frozen", frozen, held=frozen <= 0.1),
        measure_quantity("held-out R^2, learned", learned, held=learned >= 0.7),
        measure_quantity("affine surrogate, frozen", flat, held=flat <= 0.5),
        measure_quantity("affine surrogate, learned", affine, held=affine >= 0.98),
        measure_quantity("recall, frozen", known, held=known >= 0.99),
        sentence="With all tables frozen the superposition's R^2 is {mean:.2f} and the affine surrogate "
        f"{flat.mean():.2f}; learned they are {learned.mean():.2f} and {affine.mean():.2f}.",
    )


def imagine_lookup_table() -> Evidence:
    """A key-value memory that the probes take for a superposition."""
    same = {"superposition": [0.8, 0.8], "affine_surrogate": [1.0, 1.0], "recall": [1.0, 1.0]}
    return imagine_arrays({"frozen": same, "learned": same})


def imagine_structure(widths: Sequence[int] = QUICK_WIDTHS, **changes: float) -> Evidence:
    """Portraits in which embeddings are as trained ones are but for what is changed."""
    usual = {
        "superposition": 0.8,
        "superposition_shuffled": 0.0,
        "read_out_accuracy": 0.9,
        "recall": 1.0,
        "map_cosine": [0.9, 0.2],
        "affine_surrogate": 1.0,
        "constancy": 0.9,
        "gate_variance_explained": 0.3,
        "swap_best": 0.5,
        "swap_success": 0.5,
        "swap_retention": 0.5,
    }
    made = imagine_memories({**usual, **changes}, widths=widths)
    curves = {
        f"d{width}.{name}": np.full((2, 3), 0.5)
        for width in measured_widths(made)
        for name in ("successes", "retentions")
    }
    return Evidence(arrays={**made.arrays, **curves})


def _claim(name: str, judge: Callable[[Evidence], Judgement], settings=settings_by_width, **changes) -> Claim:
    return Claim(
        **{
            "id": f"recall-structure/{name}",
            "judge": judge,
            "conditions": CONDITIONS,
            "paper": RECALL_PAPER,
            "experiments": request_memories(settings),
        }
        | changes
    )


def _selector(name: str, settings=settings_by_width, widths=QUICK_WIDTHS, **changes) -> Claim:
    return _claim(
        name,
        judge_selector,
        settings,
        title="The network is one affine map per relation",
        statement="The MLP acts as a relation-specific selector and not as a key-value map: one affine map "
        "per relation.",
        place="A5 [T]; C2, E15 [M]",
        rule="On most seeds the affine surrogate recalls .98 or more where d >= 2.3 R ln N.",
        expected=(
            Expected("a selector", "paper", "A5 [T]"),
            Expected(
                "at least .98", "own measurement", "C2, E15 [M]", "at least .98", "lowest affine surrogate"
            ),
        ),
        wrong=lambda requests: imagine_structure(widths, affine_surrogate=0.12),
        **changes,
    )


def _parting(name: str, settings=settings_by_width, widths=QUICK_WIDTHS, **changes) -> Claim:
    return _claim(
        name,
        judge_parting,
        settings,
        title="The maps of relations part as the width grows",
        statement="No statement of the paper: the maps of relations differ the more, the more dimensions "
        "there are, and gates follow the relation in part.",
        place="A5 [T]; C2, E15 [M]",
        rule="On most seeds the cosine between the maps falls at every step of d, and the relation explains "
        ".05 to .6 of the gates' variance at every d.",
        expected=(
            Expected(0.82, "own measurement", "C2, E15 [M]", "falls", "fall of the cosine of maps"),
            Expected(0.97, "own measurement", "C2, E15 [M]", "falls", "cosine, d = 16"),
            Expected(
                0.05, "own measurement", "C2, E15 [M]", "at least .05", "lowest share of gates' variance"
            ),
            Expected(
                0.58, "own measurement", "C2, E15 [M]", "at most .6", "highest share of gates' variance"
            ),
        ),
        wrong=lambda requests: imagine_structure(widths, map_cosine=0.95),
        **changes,
    )


CLAIMS: tuple[Claim, ...] = (
    _claim(
        "superposition",
        judge_superposition,
        aliases=("E9",),
        title="Trained subject embeddings are sums of relation-specific attribute vectors",
        statement="Gradient descent finds embeddings that are nearly linear superpositions of per-relation "
        "attribute vectors.",
        place="A5 [P/T]; D4, C2, E9 [M]",
        rule="On most seeds the held-out R^2 is .7 or more at every width with N >= 4 R d, and .02 or less "
        "with shuffled facts.",
        expected=(
            Expected("precisely the predicted structure", "paper", "A5 [P]"),
            *(
                Expected(value, "own measurement", "C2, E9 [M]", "at least .7", f"held-out R^2, d = {width}")
                for width, value in ((16, 0.82), (64, 0.83), (128, 0.80))
            ),
        ),
        wrong=lambda requests: imagine_structure(superposition=-0.02),
    ),
    _claim(
        "precisely",
        judge_precise,
        title="Precisely the predicted structure is a superposition up to a fifth",
        statement="Gradient descent finds solutions with precisely the predicted structure.",
        place="A5 [P]; C2, E9 [M]",
        rule="Holds if the highest held-out R^2 over the widths is .95 or more; deviates if it is between "
        ".5 and .95.",
        expected=(
            Expected("precisely", "paper", "A5 [P]", "1"),
            Expected(0.83, "own measurement", "C2 [M]", ".5 to .95", "highest held-out R^2 over widths"),
        ),
        deviation="About a fifth of the variance of trained embeddings is no sum of one map per relation of "
        "the attributes.",
        wrong=lambda requests: imagine_structure(superposition=0.1),
    ),
    _selector("selector", aliases=("E15",)),
    _parting("maps-part", aliases=("E15-width",)),
    _claim(
        "swap",
        judge_swap,
        aliases=("E16",),
        title="Exchanging an attribute in a trained embedding works in part",
        statement="Causal interventions confirm the superposition: with one attribute vector exchanged the "
        "answer to that relation changes and the others stay.",
        place="A5 [T]; D9, E16 [M]",
        rule="On most seeds the smaller of success and retention, at its best over g and d, is .4 or more "
        "and below 1.",
        expected=(
            Expected("causal interventions", "paper", "A5 [T]"),
            Expected(
                "0.4 to 0.65", "own measurement", "D9, E16 [M]", "at least .4", "best of both over d and g"
            ),
        ),
        wrong=lambda requests: imagine_structure(swap_best=0.1),
    ),
    _claim(
        "lookup-table",
        judge_lookup_table,
        settings_of_controls,
        title="The same probes tell a key-value memory apart",
        statement="A model whose tables are random and frozen stores the facts as pairs in its MLP: no "
        "superposition, no affine map per relation.",
        place="A1 [P]; B8, D12 [D]; C4 [M]",
        conditions=f"N = {SUBJECTS:,}, R = {RELATIONS}, d = 128, {STEPS:,} steps; all tables learned, or all "
        "frozen",
        rule="On most seeds the frozen memory recalls 99 %, with a held-out R^2 of .1 or less and an affine "
        "surrogate of .5 or less, where the learned one has .7 and .98 or more.",
        expected=(
            Expected(
                -0.015,
                "own measurement",
                "docs/recall-measurements.md, D12 [M]",
                "at most .1",
                "held-out R^2, frozen",
            ),
            Expected(
                0.124,
                "own measurement",
                "docs/recall-measurements.md, D12 [M]",
                "at most .5",
                "affine surrogate, frozen",
            ),
        ),
        wrong=lambda requests: imagine_lookup_table(),
        cost="full",
    ),
    _selector(
        "selector-four-relations",
        settings_of_four,
        WIDTHS,
        conditions=FOUR_CONDITIONS,
        aliases=("E15-four",),
        cost="full",
    ),
    _parting(
        "maps-part-four-relations",
        settings_of_four,
        WIDTHS,
        conditions=FOUR_CONDITIONS,
        aliases=("E15-width-four",),
        cost="full",
    ),
)
"""In the order of the notes' table E, with the control and four relations last."""
