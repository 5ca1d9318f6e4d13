"""Claims: one hop, written down in closed form (A1, A2; E1, E2, E3, E13, and the exact halves of E15, E16).

What is tagged [D] or [M] in our notes on arXiv 2605.12426 is ours, not the paper's.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Bool, Float

from geomem.claims.claim import (
    RECALL_PAPER,
    Claim,
    Expected,
    Judgement,
    Picture,
    Quantity,
    judge_by_means,
    measure_quantity,
)
from geomem.claims.evidence import Evidence
from geomem.claims.recall_written import (
    ADDITIVE_RELATIONS,
    ADDITIVE_SUBJECTS,
    CELLS,
    LARGEST,
    LOGARITHMIC_RELATIONS,
    MOMENT_CELLS,
    SWAPS,
    compute_additive,
    compute_bits,
    compute_blocks,
    compute_gates,
    compute_logarithmic,
    compute_rewritten,
    compute_short_codes,
    compute_sizes,
    compute_swaps,
    name_cell,
)
from geomem.claims.tiny_graphs import judge_deviation


def quantities_of(
    evidence: Evidence,
    *starts: str,
    held: Callable[[Float[np.ndarray, " run"]], Bool[np.ndarray, " run"]] | None = None,
) -> list[Quantity]:
    """The arrays whose names start so, as quantities; `held` says for which values the rule holds."""
    return [
        measure_quantity(name, values, held=None if held is None else held(values))
        for name, values in evidence.arrays.items()
        if name.startswith(starts)
    ]


def judge_blocks(evidence: Evidence) -> Judgement:
    """That every fact is recalled with the margin promised."""
    recalls = quantities_of(evidence, "recall", held=lambda values: values == 1.0)
    margins = quantities_of(evidence, "margin", held=lambda values: values >= 1 - 1e-9)
    worst = min(quantity.values.min() for quantity in recalls)
    least = min(quantity.values.min() for quantity in margins)
    return judge_by_means(
        *recalls,
        *margins,
        holds=bool(worst == 1.0 and least >= 1 - 1e-9),
        sentence=f"{worst:.0%} of the facts are recalled in the worst case, with at least {least:.2f} times "
        "the margin 2/m.",
    )


def judge_rewritten(evidence: Evidence) -> Judgement:
    """That new facts are recalled after the subject table alone was written anew."""
    recalls = quantities_of(evidence, "recall", held=lambda values: values == 1.0)
    changed = quantities_of(evidence, "arrays", held=lambda values: values == 1.0)
    worst = min(quantity.values.min() for quantity in recalls)
    most = max(quantity.values.max() for quantity in changed)
    return judge_by_means(
        *recalls,
        *changed,
        holds=bool(worst == 1.0 and most == 1.0),
        sentence=f"{worst:.0%} of the new facts are recalled in the worst case; of the arrays {most:.0f} "
        "changed.",
    )


def judge_sizes(evidence: Evidence) -> Judgement:
    """That the weights have the sizes of the formulas."""
    quantities = quantities_of(evidence, "D ", "MLP ", held=lambda values: values == 0)
    worst = max(np.abs(quantity.values).max() for quantity in quantities)
    return judge_by_means(
        *quantities,
        holds=bool(worst == 0),
        sentence=f"Sizes differ from their formulas by {worst:.0f} at most.",
    )


def judge_logarithmic(evidence: Evidence) -> Judgement:
    """That the residual size grows by R + 1 with every doubling of N, and all is recalled."""
    N, D, recalls = (evidence.arrays[name] for name in ("subjects", "residual size", "recall"))
    growth = np.diff(D) / np.diff(np.log2(N))
    each = measure_quantity("dimensions per doubling of N", growth, held=growth == LOGARITHMIC_RELATIONS + 1)
    recall = measure_quantity("recall", recalls, held=recalls == 1.0)
    largest = measure_quantity(f"residual size at N = {N[-1]:,}", D[-1:])
    table = pl.DataFrame({"subjects": N, "residual size": D})
    return judge_by_means(
        each,
        recall,
        largest,
        holds=bool((growth == LOGARITHMIC_RELATIONS + 1).all() and (recalls == 1.0).all()),
        sentence=f"Every doubling of N costs {{mean:.0f}} dimensions at R = {LOGARITHMIC_RELATIONS}; "
        f"{D[-1]:.0f} hold {N[-1] * LOGARITHMIC_RELATIONS:,} facts.",
        picture=Picture(table, "subjects", "residual size", log_x=True),
    )


def judge_bits(evidence: Evidence) -> Judgement:
    """That the bits held approach the bits of the facts from above."""
    N, ratios = evidence.arrays["subjects"], evidence.arrays["bits over bound"]
    held, least = (evidence.arrays[f"{name} numbers per subject"] for name in ("fact", "least"))
    holds = bool((ratios >= 1).all() and (np.diff(ratios) < 0).all() and ratios[-1] <= 1.2)
    rows = [
        {"subjects": int(n), "bits per subject": float(value), "curve": label}
        for label, values in (("block superposition", held), ("L1: least", least))
        for n, value in zip(N, values, strict=True)
    ]
    return judge_by_means(
        measure_quantity(f"bits over bound, N = {N[-1]:,}", ratios[-1:], held=ratios[-1:] <= 1.2),
        measure_quantity(f"bits over bound, N = {N[0]:,}", ratios[:1]),
        holds=holds,
        sentence="The subject table holds "
        + ", ".join(f"{ratio:.2f}" for ratio in ratios)
        + " times the bits of the facts at N = "
        + ", ".join(f"{n:,}" for n in N)
        + ".",
        picture=Picture(pl.DataFrame(rows), "subjects", "bits per subject", series="curve", log_x=True),
    )


def judge_short_codes(evidence: Evidence) -> Judgement:
    """That no dimension need grow with N if precision may."""
    recalls = quantities_of(evidence, "recall", held=lambda values: values == 1.0)
    lengths = quantities_of(evidence, "length", held=lambda values: values == 0)
    margin = measure_quantity("margin, circle", evidence.arrays["margin, circle"])
    holds = all(bool(quantity.held is not None and quantity.held.all()) for quantity in [*recalls, *lengths])
    return judge_by_means(
        margin,
        *recalls,
        *lengths,
        holds=holds and 0 < margin.mean < 1e-3,
        sentence="With a margin of {mean:.1e} two dimensions per relation are enough at N = 256.",
    )


def judge_additive(evidence: Evidence) -> Judgement:
    """That sums without a gate recall about 1 / R of shared facts and all disjoint ones."""
    quantities = []
    for R in ADDITIVE_RELATIONS:
        shared, bound = evidence.arrays[f"recall, shared, R = {R}"], evidence.arrays[f"bound, R = {R}"]
        near = (np.abs(shared - 1 / R) <= 0.05) & (shared <= bound)
        quantities.append(measure_quantity(f"shared, R = {R}", shared, held=near))
    apart = quantities_of(evidence, "recall, disjoint", held=lambda values: values == 1.0)
    means = ", ".join(f"{quantity.mean:.2f}" for quantity in quantities)
    return judge_by_means(
        *quantities,
        *apart,
        sentence=f"Without a gate {means} of shared facts are recalled at R = 2, 4 and 8, and "
        f"{min(quantity.mean for quantity in apart):.0%} of disjoint ones.",
    )


def judge_swaps(evidence: Evidence) -> Judgement:
    """That an exchange changes the one answer and no other."""
    success, retention = (
        measure_quantity(name, evidence.arrays[name], held=evidence.arrays[name] == 1.0)
        for name in ("success", "retention")
    )
    return judge_by_means(
        success, retention, sentence=f"Success {{mean:.0%}}, retention {retention.mean:.0%}."
    )


def judge_gates(evidence: Evidence) -> Judgement:
    """That the relation alone explains the gates; by the definition of D10 it is (R - 1) / (2 R - 1)."""
    plain, formula, strong = (
        quantities_of(evidence, start) for start in ("as written", "(R - 1)", "flag counted")
    )
    apart = max(abs(a.mean - b.mean) for a, b in zip(plain, formula, strict=True))
    exact = min(quantity.mean for quantity in strong)
    return judge_deviation(
        *plain,
        *strong,
        holds=all(quantity.mean > 0.99 for quantity in plain),
        deviates=apart <= 0.02 and exact > 0.99,
        sentence="The relation explains "
        + ", ".join(f"{quantity.mean:.2f}" for quantity in plain)
        + f" of the gates' variance at R = 2, 4, 8: (R - 1) / (2 R - 1) up to {apart:.3f}; with the flag "
        f"counted thrice {exact:.2f}.",
    )


def imagine_numbers(arrays: Mapping[str, Any]) -> Evidence:
    """Computed arrays of a statement that is false, as evidence."""
    return Evidence(arrays={name: np.atleast_1d(np.asarray(values)) for name, values in arrays.items()})


EVERYWHERE = "random bijections on shared objects, " + "; ".join(
    name_cell(*cell) for cell in (*CELLS, LARGEST)
)

CLAIMS: tuple[Claim, ...] = (
    Claim(
        id="recall/block",
        aliases=("E1", "S1"),
        title="A one-layer Transformer written down recalls every fact",
        statement="A single-layer Transformer with a small MLP recalls all N R facts; subject embeddings are "
        "superpositions of relation-specific attribute codes, the MLP a relation-conditioned ReLU gate.",
        place="Theorem 4.1 [P/T]; A2, S1, B1, E1 [D/M]",
        conditions=f"{EVERYWHERE}; binary words, uniform attention, MLP of 2 R m neurons, float64",
        rule="Every fact is recalled at every size, with a logit margin of 2/m or more.",
        expected=(
            Expected("all facts", "paper", "Theorem 4.1 [T]"),
            Expected("margin at least 2/m", "derived", "A2, S1; E1 [D/M]", "at least 1 times"),
        ),
        paper=RECALL_PAPER,
        compute=compute_blocks,
        judge=judge_blocks,
        wrong=lambda requests: imagine_numbers({"recall, x": [1.0, 0.99], "margin over 2/m, x": [1.0, 1.0]}),
    ),
    Claim(
        id="recall/rewritten",
        aliases=("E2",),
        title="New facts need a new subject table and nothing else",
        statement="The facts live in the subject embeddings: an MLP whose content does not depend on the "
        "facts serves entirely new bijections when the subjects are written anew.",
        place="A1, A5 [P]; B6, E2 [D/M]",
        conditions="as recall/block and N = 4,096 with R = 8; the facts of another seed, only the subject "
        "table written again",
        rule="Every new fact is recalled at every size, and one array of the weights differs.",
        expected=(
            Expected("works", "paper", "A5 [P]"),
            Expected("all new facts", "derived", "E2 [D/M]", "1"),
        ),
        paper=RECALL_PAPER,
        compute=compute_rewritten,
        judge=judge_rewritten,
        wrong=lambda requests: imagine_numbers(
            {"recall of new facts, x": [1.0, 1.0], "arrays that changed, x": [3.0, 3.0]}
        ),
    ),
    Claim(
        id="recall/sizes",
        aliases=("E3",),
        title="Its sizes are those of the formulas",
        statement="Block superposition has a residual size of exactly R m + R + m and exactly 2 R m neurons, "
        "m = ceil(log2 N).",
        place="A2, S1, E3 [D]",
        conditions=EVERYWHERE,
        rule="Both sizes of the weights equal their formulas everywhere.",
        expected=(Expected(0.0, "derived", "E3 [D]", "exactly"),),
        paper=RECALL_PAPER,
        compute=compute_sizes,
        judge=judge_sizes,
        wrong=lambda requests: imagine_numbers(
            {"D less R m + R + m, x": [1.0], "MLP width less 2 R m, x": [0.0]}
        ),
    ),
    Claim(
        id="recall/logarithmic",
        aliases=("theorem-4.1",),
        title="The dimension grows with log N",
        statement="An embedding dimension of O(R log N) is enough: logarithmic in the number of subjects.",
        place="Theorem 4.1 [P/T]; A2 [P/T]",
        conditions=f"R = {LOGARITHMIC_RELATIONS}, N = 64, 256, 1,024, 4,096; binary words",
        rule="All facts are recalled, and every doubling of N costs R + 1 dimensions.",
        expected=(
            Expected("O(R log N)", "paper", "Theorem 4.1 [T]"),
            Expected(9.0, "derived", "A2, S1 [D]", "exactly", "dimensions per doubling of N"),
        ),
        paper=RECALL_PAPER,
        compute=compute_logarithmic,
        judge=judge_logarithmic,
        wrong=lambda requests: imagine_numbers(
            {"subjects": [64, 256], "residual size": [64.0, 256.0], "recall": [1.0, 1.0]}
        ),
    ),
    Claim(
        id="recall/bits",
        aliases=("theorem-4.2-single-hop",),
        title="Its bits are nearly as few as any memory needs",
        statement="The subject table holds one bit per number, N R ceil(log2 N) in all, against the facts' "
        "R log2 N!, which L1 says that any exact memory holds.",
        place="A2, S1; A3, L1 [D]",
        conditions=f"R = {LOGARITHMIC_RELATIONS}, N = 64, 256, 1,024, 4,096",
        rule="The ratio is never below 1, falls as N grows, and is at most 1.2 at N = 4,096.",
        expected=(
            Expected(12 / 10.56, "derived", "A2, S1 [D]", "at most 1.2", "bits over bound, N = 4,096"),
        ),
        paper=RECALL_PAPER,
        compute=compute_bits,
        judge=judge_bits,
        wrong=lambda requests: imagine_numbers(
            {
                "subjects": [64, 4096],
                "bits over bound": [1.3, 1.4],
                "fact numbers per subject": [48, 118],
                "least numbers per subject": [37, 84],
            }
        ),
    ),
    Claim(
        id="recall/short-codes",
        aliases=("S5",),
        title="With enough precision no dimension grows with N",
        statement="Codes on a circle have m = 2, and a moment curve with shared codes d = 2 R + 1, at any N: "
        "so log N is a statement about margin or precision, and a lower bound has to count bits.",
        place="A2, S5 [D]",
        conditions="circle: N = 256, R = 4; moment curve in whole numbers: "
        + "; ".join(name_cell(*cell) for cell in MOMENT_CELLS),
        rule="Every fact is recalled; the circle's margin is below .001; the curve's codes have length 2 R "
        "+ 1.",
        expected=(Expected(3.0e-4, "derived", "A2, S5 [D/M]", "1 - cos(2 pi / N)", "margin, circle"),),
        paper=RECALL_PAPER,
        compute=compute_short_codes,
        judge=judge_short_codes,
        wrong=lambda requests: imagine_numbers(
            {"recall, circle, m = 2": [0.4], "margin, circle": [-0.1], "length less 2 R + 1, x": [0.0]}
        ),
    ),
    Claim(
        id="recall/additive",
        aliases=("E13",),
        title="Shared objects need a gate, disjoint ones do not",
        statement="The same object answers different subjects under different relations, which makes "
        "selection necessary: a sum without a gate recalls about 1/R of shared facts, and all disjoint ones.",
        place="A1 [P]; B7, E13 [D/M]",
        conditions=f"N = {ADDITIVE_SUBJECTS}, R = 2, 4, 8; orthonormal codes, no MLP, uniform attention",
        rule="On most seeds recall of shared facts is within .05 of 1/R and below the bound for additive "
        "models, and disjoint facts are all recalled.",
        expected=(
            *(
                Expected(1 / R, "derived", "B7, E13 [D/M]", "within .05", f"shared, R = {R}")
                for R in ADDITIVE_RELATIONS
            ),
            Expected("all of disjoint facts", "derived", "B7, E13 [D/M]", "1"),
        ),
        paper=RECALL_PAPER,
        compute=compute_additive,
        judge=judge_additive,
        wrong=lambda requests: imagine_numbers(
            {
                name: [value]
                for R in ADDITIVE_RELATIONS
                for name, value in (
                    (f"recall, shared, R = {R}", 0.98),
                    (f"bound, R = {R}", 0.97),
                    (f"recall, disjoint, R = {R}", 1.0),
                )
            }
        ),
    ),
    Claim(
        id="recall/swap",
        aliases=("E16-exact",),
        title="Exchanging one code changes one answer",
        statement="In an explicit model a fact is edited by s + W (u_new - u_old), with no change of the MLP "
        "and of no other answer.",
        place="D9, E16 [M]; A5 [P]",
        conditions=f"block superposition, N = 256, R = 4; {SWAPS} facts, one at a time, every fact asked "
        "after each",
        rule="Success and retention are 1 on most seeds.",
        expected=(
            Expected(1.0, "own measurement", "D9, E16 [M]", "1", "success"),
            Expected(1.0, "own measurement", "D9, E16 [M]", "1", "retention"),
        ),
        paper=RECALL_PAPER,
        compute=compute_swaps,
        judge=judge_swaps,
        wrong=lambda requests: imagine_numbers({"success": [1.0, 1.0], "retention": [0.4, 0.5]}),
    ),
    Claim(
        id="recall/gates",
        aliases=("E15-exact",),
        title="The exact gate scores less than 1 where its pairs open by sign",
        statement="The relation explains all of the variance of the gates of B1.",
        place="D10, E15 [M]",
        conditions="block superposition, N = 256, R = 2, 4, 8; as written down, and with the flag counted "
        "thrice",
        rule="Holds if the share is above .99 for every R; deviates if it is (R - 1) / (2 R - 1) up to .02, "
        "and above .99 with the flag counted thrice.",
        expected=(Expected(1.0, "own measurement", "E15 [M]", "above .99"),),
        deviation="The pair relu(+-h + M flag - M) opens by the sign of h: (R - 1) / (2 R - 1); with 3 M "
        "flag the same memory scores 1.",
        paper=RECALL_PAPER,
        compute=compute_gates,
        judge=judge_gates,
        wrong=lambda requests: imagine_numbers(
            {
                f"{name}, R = {R}": [value]
                for R in (2, 4, 8)
                for name, value in (
                    ("as written", 0.1),
                    ("(R - 1) / (2 R - 1)", 0.4),
                    ("flag counted thrice", 0.2),
                )
            }
        ),
    ),
)
"""In the order of the notes' table E, the statements beside it where they belong."""
