"""Claims: one hop, written down in closed form (A1, A2; E1 to E3, E13, the exact halves of E15, E16)."""

from collections.abc import Iterator, Mapping

import numpy as np
import polars as pl

from geomem.claims.check import Numbers, Picture, check, paper
from geomem.claims.claim import OWN, claim, conditions, deviates, expects, expects_each, needs
from geomem.claims.counterexamples import imagine_numbers
from geomem.claims.evidence import Evidence
from geomem.claims.factual_recall.settings import check_arrays
from geomem.claims.need import Scale, computed
from geomem.constructions.additive import (
    additive_recall_bound,
    additive_superposition,
    disjoint_superposition,
)
from geomem.constructions.answering import compare_answers, recall_every_fact
from geomem.constructions.bounds import bits_over_bound, single_hop_width
from geomem.constructions.codes import binary_length
from geomem.constructions.editing import edit_subject
from geomem.constructions.moment_curve import moment_curve
from geomem.constructions.one_hop import (
    EXPAND,
    EXPAND_BIAS,
    RELATIONS,
    SUBJECTS,
    RecallConstruction,
    block_superposition,
    rewrite_subjects,
)
from geomem.geometry.selector import gate_variance_explained
from geomem.worlds.facts.families import disjoint_bijections, random_bijections
from geomem.worlds.facts.table import FactTable

CELLS = ((64, 2), (64, 8), (256, 2), (256, 8), (1024, 2), (1024, 8))
LARGEST = (4096, 64)
"""Measured for one seed: 262,144 facts."""

LOGARITHMIC_RELATIONS = 8
SIZES = (64, 256, 1024, 4096)
ADDITIVE_SUBJECTS, ADDITIVE_RELATIONS = 128, (2, 4, 8)
MOMENT_CELLS = ((16, 2), (64, 3), (128, 5))
SWAPS = 64


def name_cell(subjects: int, relations: int) -> str:
    """How a table's size stands in the name of a quantity.

    >>> name_cell(4096, 64)
    'N = 4,096, R = 64'
    """
    return f"N = {subjects:,}, R = {relations}"


EVERY_CELL = [name_cell(*cell) for cell in (*CELLS, LARGEST)]
EVERYWHERE = f"random bijections on shared objects, {'; '.join(EVERY_CELL)}"


def imagine_cells(arrays: Mapping[str, Numbers]) -> Evidence:
    """Computed arrays of a false statement, the same for tables of every size."""
    return imagine_numbers(
        {f"{name}, {cell}": values for name, values in arrays.items() for cell in EVERY_CELL}
    )


def write_blocks(scale: Scale) -> Iterator[tuple[str, FactTable, RecallConstruction]]:
    """Name of the size, facts and block superposition, for every size and seed; the largest for one seed."""
    for cell in (*CELLS, LARGEST):
        for seed in scale.seeds[:1] if cell == LARGEST else scale.seeds:
            table = random_bijections(*cell, world_seed=seed)
            yield name_cell(*cell), table, block_superposition(table)


def compute_blocks(scale: Scale) -> Iterator[tuple[str, float]]:
    """Recall of every fact, and the smallest margin over the 2 / m that is promised."""
    for name, table, memory in write_blocks(scale):
        recalled = recall_every_fact(memory.weights, table)
        yield f"recall, {name}", recalled.recall
        yield f"margin over 2/m, {name}", recalled.margins.min() / (2 / memory.code.shape[1])


@claim("recall/block", "E1", "S1", place="Theorem 4.1 [P/T]; A2, S1, B1, E1 [D/M]")
@needs(
    computed(compute_blocks),
    counterexample=imagine_cells({"recall": [1.0, 0.99], "margin over 2/m": [1.0, 1.0]}),
)
@conditions(f"{EVERYWHERE}; binary words, uniform attention, MLP of 2 R m neurons, float64")
@expects("all facts", "paper", "Theorem 4.1 [T]")
@expects("margin at least 2/m", "derived", "A2, S1; E1 [D/M]")
def block(runs):
    """A one-layer Transformer written down recalls every fact.

    A single-layer Transformer with a small MLP recalls all N R facts; subject embeddings are superpositions
    of relation-specific attribute codes, the MLP a relation-conditioned ReLU gate.
    """
    yield from check_arrays(runs, "recall", exactly=1)
    yield from check_arrays(runs, "margin", at_least=1 - 1e-9)


def compute_rewritten(scale: Scale) -> Iterator[tuple[str, float]]:
    """Recall of new bijections after the subject table alone was written again; arrays that changed."""
    for cell in (*CELLS, (4096, 8)):
        for seed in scale.seeds:
            old = block_superposition(random_bijections(*cell, world_seed=seed))
            fresh = random_bijections(*cell, world_seed=seed + 1_000_003)
            new = rewrite_subjects(old, fresh)
            changed = sum(not np.array_equal(new.weights[name], old.weights[name]) for name in old.weights)
            yield f"recall of new facts, {name_cell(*cell)}", recall_every_fact(new.weights, fresh).recall
            yield f"arrays that changed, {name_cell(*cell)}", changed


@claim("recall/rewritten", "E2", place="A1, A5 [P]; B6, E2 [D/M]")
@needs(
    computed(compute_rewritten),
    counterexample=imagine_cells({"recall of new facts": [1.0, 1.0], "arrays that changed": [3.0, 3.0]}),
)
@conditions(
    "as recall/block and N = 4,096 with R = 8; the facts of another seed, only the subject table "
    "written again"
)
@expects("works", "paper", "A5 [P]")
@expects("all new facts", "derived", "E2 [D/M]")
def rewritten(runs):
    """New facts need a new subject table and nothing else.

    The facts live in the subject embeddings: an MLP whose content does not depend on the facts serves
    entirely new bijections when the subjects are written again.
    """
    yield from check_arrays(runs, "recall", exactly=1)
    yield from check_arrays(runs, "arrays", exactly=1)


def compute_sizes(scale: Scale) -> Iterator[tuple[str, float]]:
    """Residual size and MLP width of the weights of one seed, less their formulas."""
    for name, table, memory in write_blocks(Scale(scale.name, scale.seeds[:1])):
        R, m = table.relation_count, memory.code.shape[1]
        yield f"D less R m + R + m, {name}", memory.weights[SUBJECTS].shape[1] - (R * m + R + m)
        yield f"MLP width less 2 R m, {name}", len(memory.weights[EXPAND]) - 2 * R * m


@claim("recall/sizes", "E3", place="A2, S1, E3 [D]")
@needs(
    computed(compute_sizes),
    counterexample=imagine_cells({"D less R m + R + m": 1.0, "MLP width less 2 R m": 0.0}),
)
@conditions(EVERYWHERE)
@expects(0.0, "derived", "E3 [D]")
def sizes(runs):
    """Its sizes are those of the formulas.

    Block superposition has a residual size of exactly R m + R + m and exactly 2 R m neurons,
    m = ceil(log2 N).
    """
    yield from check_arrays(runs, "D ", "MLP ", exactly=0)


def compute_logarithmic(scale: Scale) -> Iterator[tuple[str, float]]:
    """Residual sizes and recall as N grows at fixed R."""
    for count in SIZES:
        memory = block_superposition(table := random_bijections(count, LOGARITHMIC_RELATIONS))
        yield "subjects", count
        yield "residual size", memory.size.residual_size
        yield "recall", recall_every_fact(memory.weights, table).recall


@claim("recall/logarithmic", "theorem-4.1", place="Theorem 4.1 [P/T]; A2 [P/T]")
@needs(
    computed(compute_logarithmic),
    counterexample=imagine_numbers(
        {"subjects": [64, 256], "residual size": [64.0, 256.0], "recall": [1.0, 1.0]}
    ),
)
@conditions(f"R = {LOGARITHMIC_RELATIONS}, N = 64, 256, 1,024, 4,096; binary words")
@expects("O(R log N)", "paper", "Theorem 4.1 [T]")
@expects(9.0, "derived", "A2, S1 [D]", "dimensions per doubling of N")
def logarithmic(runs):
    """The dimension grows with log N.

    An embedding dimension of O(R log N) is enough: logarithmic in the number of subjects.
    """
    N, D, recall = (runs.arrays[name] for name in ("subjects", "residual size", "recall"))
    growth, each = np.diff(D) / np.diff(np.log2(N)), LOGARITHMIC_RELATIONS + 1
    yield check("dimensions per doubling of N", growth, exactly=each, over="everywhere")
    yield check("recall", recall, exactly=1, over="everywhere")
    yield check(f"residual size at N = {N[-1]:,}", D[-1:])
    table = pl.DataFrame({"subjects": N, "residual size": D})
    yield Picture(table, "subjects", "residual size", log_x=True)


def compute_bits(scale: Scale) -> Iterator[tuple[str, float]]:
    """Bits that the subject table holds over the bits of the facts, and L1's width at one bit each."""
    for count in SIZES:
        table = random_bijections(count, LOGARITHMIC_RELATIONS)
        yield "subjects", count
        yield "bits over bound", bits_over_bound(block_superposition(table).size, table)
        yield "fact numbers per subject", LOGARITHMIC_RELATIONS * binary_length(count)
        yield "least numbers per subject", single_hop_width(table)


@claim("recall/bits", "theorem-4.2-single-hop", place="A2, S1; A3, L1 [D]")
@needs(
    computed(compute_bits),
    counterexample=imagine_numbers(
        {
            "subjects": [64, 4096],
            "bits over bound": [1.3, 1.4],
            "fact numbers per subject": [48, 118],
            "least numbers per subject": [37, 84],
        }
    ),
)
@conditions(f"R = {LOGARITHMIC_RELATIONS}, N = 64, 256, 1,024, 4,096")
@expects(12 / 10.56, "derived", "A2, S1 [D]", "bits over bound, N = 4,096")
def bits(runs):
    """Its bits are nearly as few as any memory needs.

    The subject table holds one bit per number, N R ceil(log2 N) in all, against the facts' R log2 N!, which
    L1 says that any exact memory holds.
    """
    N, ratios = runs.arrays["subjects"], runs.arrays["bits over bound"]
    yield check(f"bits over bound, N = {N[-1]:,}", ratios[-1:], at_least=1, at_most=1.2)
    for n, ratio in zip(N[:-1], ratios[:-1], strict=True):
        yield check(f"bits over bound, N = {n:,}", [ratio], at_least=1)
    yield check("change of bits over bound from N to N", np.diff(ratios), below=0, over="everywhere")
    rows = [
        {"subjects": int(n), "bits per subject": float(value), "curve": label}
        for label, name in (("block superposition", "fact"), ("L1: least", "least"))
        for n, value in zip(N, runs.arrays[f"{name} numbers per subject"], strict=True)
    ]
    yield Picture(pl.DataFrame(rows), "subjects", "bits per subject", series="curve", log_x=True)


def compute_short_codes(scale: Scale) -> Iterator[tuple[str, float]]:
    """Recall and margin of codes whose length does not grow with N: on a circle, and on a moment curve."""
    table = random_bijections(256, 4)
    circle = recall_every_fact(block_superposition(table, code="circle").weights, table)
    yield "recall, circle, m = 2", circle.recall
    yield "margin, circle", circle.margins.min()
    for cell in MOMENT_CELLS:
        name, table = f"moment curve, {name_cell(*cell)}", random_bijections(*cell)
        memory = moment_curve(table)
        yield f"recall, {name}", recall_every_fact(memory.weights, table).recall
        yield f"length less 2 R + 1, {name}", memory.code.shape[1] - (2 * cell[1] + 1)


@claim("recall/short-codes", "S5", place="A2, S5 [D]")
@needs(
    computed(compute_short_codes),
    counterexample=imagine_numbers(
        {"recall, circle, m = 2": 0.4, "margin, circle": -0.1, "length less 2 R + 1, moment curve": 0.0}
    ),
)
@conditions(
    "circle: N = 256, R = 4; moment curve in whole numbers: "
    + "; ".join(name_cell(*cell) for cell in MOMENT_CELLS)
)
@expects(3.0e-4, "derived", "A2, S5 [D/M]", "margin, circle", "1 - cos(2 pi / N)")
def short_codes(runs):
    """With enough precision no dimension grows with N.

    Codes on a circle have m = 2, and a moment curve with shared codes d = 2 R + 1, at any N: so log N is a
    statement about margin or precision, and a lower bound has to count bits.
    """
    yield check("margin, circle", runs.arrays["margin, circle"], above=0, below=1e-3, over="mean")
    yield from check_arrays(runs, "recall", exactly=1)
    yield from check_arrays(runs, "length", exactly=0)


def compute_additive(scale: Scale) -> Iterator[tuple[str, float]]:
    """Recall of sums without a gate: of shared objects, with the bound on it, and of disjoint ones."""
    for R in ADDITIVE_RELATIONS:
        for seed in scale.seeds:
            table = random_bijections(ADDITIVE_SUBJECTS, R, world_seed=seed)
            memory = additive_superposition(table, seed=seed)
            yield f"recall, shared, R = {R}", recall_every_fact(memory.weights, table).recall
            yield f"bound, R = {R}", additive_recall_bound(table)
            apart = disjoint_bijections(ADDITIVE_SUBJECTS, R, world_seed=seed)
            memory = disjoint_superposition(apart)
            yield f"recall, disjoint, R = {R}", recall_every_fact(memory.weights, apart).recall


@claim("recall/additive", "E13", place="A1 [P]; B7, E13 [D/M]")
@needs(
    computed(compute_additive),
    counterexample=imagine_numbers(
        {f"recall, shared, R = {R}": 0.98 for R in ADDITIVE_RELATIONS}
        | {f"bound, R = {R}": 0.97 for R in ADDITIVE_RELATIONS}
        | {f"recall, disjoint, R = {R}": 1.0 for R in ADDITIVE_RELATIONS}
    ),
)
@conditions(f"N = {ADDITIVE_SUBJECTS}, R = 2, 4, 8; orthonormal codes, no MLP, uniform attention")
@expects_each((1 / R, "derived", "B7, E13 [D/M]", f"recall, shared, R = {R}") for R in ADDITIVE_RELATIONS)
@expects("all of disjoint facts", "derived", "B7, E13 [D/M]")
def additive(runs):
    """Shared objects need a gate, disjoint ones do not.

    The same object answers different subjects under different relations, which makes selection necessary: a
    sum without a gate recalls about 1/R of shared facts, and all disjoint ones.
    """
    for R in ADDITIVE_RELATIONS:
        shared, bound = runs.arrays[f"recall, shared, R = {R}"], runs.arrays[f"bound, R = {R}"]
        near = (np.abs(shared - 1 / R) <= 0.05) & (shared <= bound)
        rule = "within 0.05 of 1/R and at most the bound for additive models"
        yield check(f"recall, shared, R = {R}", shared, held=near, rule=rule)
    for R in ADDITIVE_RELATIONS:
        yield check(f"recall, disjoint, R = {R}", runs.arrays[f"recall, disjoint, R = {R}"], exactly=1)


def compute_swaps(scale: Scale) -> Iterator[tuple[str, float]]:
    """One attribute exchanged in a subject's vector: whether it answers the new one, and all others stay."""
    for seed in scale.seeds:
        table = random_bijections(256, 4, world_seed=seed)
        weights, generator = block_superposition(table).weights, np.random.default_rng([seed, 8])
        every, right, kept = table.facts, 0, 0
        for fact in generator.permutation(table.fact_count)[:SWAPS]:
            x, r, old = (int(number) for number in every[fact])
            new = int((old + generator.integers(1, table.object_count)) % table.object_count)
            edit = edit_subject(weights, table, x, r, new)
            changed = compare_answers(weights, edit.weights, every[:, 0], every[:, 1]).changed
            right += recall_every_fact(edit.weights, edit.table).recall == 1.0
            kept += bool(changed[fact] and changed.sum() == 1)
        yield "success", right / SWAPS
        yield "retention", kept / SWAPS


@claim("recall/swap", "E16-exact", place="D9, E16 [M]; A5 [P]")
@needs(
    computed(compute_swaps), counterexample=imagine_numbers({"success": [1.0, 1.0], "retention": [0.4, 0.5]})
)
@conditions(f"block superposition, N = 256, R = 4; {SWAPS} facts, one at a time, every fact asked after each")
@expects(1.0, OWN, "D9, E16 [M]", "success")
@expects(1.0, OWN, "D9, E16 [M]", "retention")
def swap(runs):
    """Exchanging one code changes one answer.

    In an explicit model a fact is edited by s + W (u_new - u_old), with no change of the MLP and of no other
    answer.
    """
    for name in ("success", "retention"):
        yield check(name, runs.arrays[name], exactly=1)


def compute_gates(scale: Scale) -> Iterator[tuple[str, float]]:
    """Share of the gates' variance that the relation explains: as written down, and with the flag thrice."""
    for R in (2, 4, 8):
        for seed in scale.seeds:
            memory = block_superposition(random_bijections(256, R, world_seed=seed))
            yield f"as written, R = {R}", gate_variance_explained(_gate_rates(memory, flag=1.0))
            yield f"(R - 1) / (2 R - 1), R = {R}", (R - 1) / (2 * R - 1)
            yield f"flag counted thrice, R = {R}", gate_variance_explained(_gate_rates(memory, flag=3.0))


def _gate_rates(memory: RecallConstruction, *, flag: float) -> np.ndarray:
    """Share of subjects for which each neuron is open under each relation, its flag counted `flag` times."""
    weights = memory.weights
    payload = weights[EXPAND] @ weights[SUBJECTS].T
    flags = weights[EXPAND] @ weights[RELATIONS].T  # M where the neuron is the relation's own
    opened = payload[:, None] + flag * flags[:, :, None] + weights[EXPAND_BIAS][:, None, None]
    return (opened > 0).mean(axis=2).T


@claim("recall/gates", "E15-exact", place="D10, E15 [M]")
@needs(
    computed(compute_gates),
    counterexample=imagine_numbers(
        {f"as written, R = {R}": 0.1 for R in ADDITIVE_RELATIONS}
        | {f"(R - 1) / (2 R - 1), R = {R}": 0.4 for R in ADDITIVE_RELATIONS}
        | {f"flag counted thrice, R = {R}": 0.2 for R in ADDITIVE_RELATIONS}
    ),
)
@conditions("block superposition, N = 256, R = 2, 4, 8; as written down, and with the flag counted thrice")
@deviates(
    "The pair relu(+-h + M flag - M) opens by the sign of h: (R - 1) / (2 R - 1); with 3 M flag "
    "the same memory scores 1."
)
@expects(1.0, OWN, "E15 [M]")
def gates(runs):
    """The exact gate scores less than 1 where its pairs open by sign.

    The relation explains all of the variance of the gates of B1.
    """
    for R in ADDITIVE_RELATIONS:
        share, formula = (runs.arrays[f"{name}, R = {R}"] for name in ("as written", "(R - 1) / (2 R - 1)"))
        yield paper(check(f"share as written, R = {R}", share, above=0.99, over="mean"))
        title = f"share less (R - 1) / (2 R - 1), R = {R}"
        yield check(title, (share - formula).round(9), at_least=-0.02, at_most=0.02, over="mean")
    for R in ADDITIVE_RELATIONS:
        share = runs.arrays[f"flag counted thrice, R = {R}"]
        yield check(f"share with the flag counted thrice, R = {R}", share, above=0.99, over="mean")
