"""What claims about one hop measure of memories that are written down; no training (notes A1, A2, B7).

Glossary: N subjects, R relations, m code length, D residual size, as in our notes on arXiv 2605.12426.
"""

from collections.abc import Callable, Iterator
from functools import wraps

import numpy as np

from geomem.claims.need import Scale
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


Compute = Callable[[Scale], dict[str, np.ndarray]]


def collect_arrays(measure: Callable[[Scale], Iterator[tuple[str, float]]]) -> Compute:
    """Decorate a generator of names and numbers: all numbers of a name become one array.

    >>> @collect_arrays
    ... def compute_squares(scale):
    ...     for seed in scale.seeds:
    ...         yield "square", seed**2
    >>> compute_squares(Scale("quick", (2, 3)))
    {'square': array([4, 9])}
    """

    @wraps(measure)
    def collect(scale: Scale) -> dict[str, np.ndarray]:
        found: dict[str, list[float]] = {}
        for name, value in measure(scale):
            found.setdefault(name, []).append(value)
        return {name: np.array(values) for name, values in found.items()}

    return collect


def name_cell(subjects: int, relations: int) -> str:
    """How a table's size stands in the name of a quantity.

    >>> name_cell(4096, 64)
    'N = 4,096, R = 64'
    """
    return f"N = {subjects:,}, R = {relations}"


def write_blocks(scale: Scale) -> Iterator[tuple[str, FactTable, RecallConstruction]]:
    """Name of the size, facts and block superposition, for every size and seed; the largest for one seed."""
    for cell in (*CELLS, LARGEST):
        for seed in scale.seeds[:1] if cell == LARGEST else scale.seeds:
            table = random_bijections(*cell, world_seed=seed)
            yield name_cell(*cell), table, block_superposition(table)


@collect_arrays
def compute_blocks(scale: Scale) -> Iterator[tuple[str, float]]:
    """Recall of every fact, and the smallest margin over the 2 / m that is promised."""
    for name, table, memory in write_blocks(scale):
        recalled = recall_every_fact(memory.weights, table)
        yield f"recall, {name}", recalled.recall
        yield f"margin over 2/m, {name}", recalled.margins.min() / (2 / memory.code.shape[1])


@collect_arrays
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


@collect_arrays
def compute_sizes(scale: Scale) -> Iterator[tuple[str, float]]:
    """Residual size and MLP width of the weights of one seed, less their formulas."""
    for name, table, memory in write_blocks(Scale(scale.name, scale.seeds[:1])):
        R, m = table.relation_count, memory.code.shape[1]
        yield f"D less R m + R + m, {name}", memory.weights[SUBJECTS].shape[1] - (R * m + R + m)
        yield f"MLP width less 2 R m, {name}", len(memory.weights[EXPAND]) - 2 * R * m


@collect_arrays
def compute_logarithmic(scale: Scale) -> Iterator[tuple[str, float]]:
    """Residual sizes and recall as N grows at fixed R."""
    for count in SIZES:
        memory = block_superposition(table := random_bijections(count, LOGARITHMIC_RELATIONS))
        yield "subjects", count
        yield "residual size", memory.size.residual_size
        yield "recall", recall_every_fact(memory.weights, table).recall


@collect_arrays
def compute_bits(scale: Scale) -> Iterator[tuple[str, float]]:
    """Bits that the subject table holds over the bits of the facts, and L1's width at one bit each."""
    for count in SIZES:
        table = random_bijections(count, LOGARITHMIC_RELATIONS)
        yield "subjects", count
        yield "bits over bound", bits_over_bound(block_superposition(table).size, table)
        yield "fact numbers per subject", LOGARITHMIC_RELATIONS * binary_length(count)
        yield "least numbers per subject", single_hop_width(table)


@collect_arrays
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


@collect_arrays
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


@collect_arrays
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


@collect_arrays
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
