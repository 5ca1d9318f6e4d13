"""What claims about one hop measure of memories that are written down; no training (A1, A2, B7).

Glossary: N subjects, R relations, m code length, D residual size, as in our notes on arXiv 2605.12426.
"""

import numpy as np

from geomem.claims.claim import Scale
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
    'N = 4,096 and R = 64'
    """
    return f"N = {subjects:,} and R = {relations}"


def blocks_of(scale: Scale) -> dict[str, list[RecallConstruction]]:
    """Block superpositions of every size, one per seed."""
    sizes = dict.fromkeys(CELLS, scale.seeds) | {LARGEST: scale.seeds[:1]}
    return {
        name_cell(*cell): [block_superposition(random_bijections(*cell, world_seed=seed)) for seed in seeds]
        for cell, seeds in sizes.items()
    }


def compute_blocks(scale: Scale) -> dict[str, np.ndarray]:
    """Recall of every fact, and the smallest margin over the 2 / m that is promised."""
    arrays = {}
    for cell, seeds in {**dict.fromkeys(CELLS, scale.seeds), LARGEST: scale.seeds[:1]}.items():
        found = []
        for seed in seeds:
            table = random_bijections(*cell, world_seed=seed)
            memory = block_superposition(table)
            recalled = recall_every_fact(memory.weights, table)
            found.append((recalled.recall, recalled.margins.min() / (2 / memory.code.shape[1])))
        name = name_cell(*cell)
        arrays[f"recall, {name}"], arrays[f"margin over 2/m, {name}"] = np.array(found).T
    return arrays


def compute_rewritten(scale: Scale) -> dict[str, np.ndarray]:
    """Recall of fresh bijections after the subject table alone was written anew; arrays that changed."""
    arrays = {}
    for cell in (*CELLS, (4096, 8)):
        recalls, changed = [], []
        for seed in scale.seeds:
            old = block_superposition(random_bijections(*cell, world_seed=seed))
            fresh = random_bijections(*cell, world_seed=seed + 1_000_003)
            new = rewrite_subjects(old, fresh)
            recalls.append(recall_every_fact(new.weights, fresh).recall)
            changed.append(
                sum(not np.array_equal(new.weights[name], old.weights[name]) for name in old.weights)
            )
        name = name_cell(*cell)
        arrays[f"recall of new facts, {name}"] = np.array(recalls)
        arrays[f"arrays that changed, {name}"] = np.array(changed, dtype=np.float64)
    return arrays


def compute_sizes(scale: Scale) -> dict[str, np.ndarray]:
    """Residual size and MLP width of the weights, less their formulas."""
    arrays = {}
    for name, memories in blocks_of(scale).items():
        weights = memories[0].weights
        R, m = len(weights[RELATIONS]), memories[0].code.shape[1]
        arrays[f"D less R m + R + m, {name}"] = np.array([weights[SUBJECTS].shape[1] - (R * m + R + m)])
        arrays[f"MLP width less 2 R m, {name}"] = np.array([len(weights[EXPAND]) - 2 * R * m])
    return {name: values.astype(np.float64) for name, values in arrays.items()}


def compute_logarithmic(scale: Scale) -> dict[str, np.ndarray]:
    """Residual sizes and recall as N grows at fixed R."""
    tables = [random_bijections(count, LOGARITHMIC_RELATIONS) for count in SIZES]
    memories = [block_superposition(table) for table in tables]
    recalls = [
        recall_every_fact(memory.weights, table).recall
        for memory, table in zip(memories, tables, strict=True)
    ]
    return {
        "subjects": np.array(SIZES),
        "residual size": np.array([memory.size.residual_size for memory in memories], dtype=np.float64),
        "recall": np.array(recalls),
    }


def compute_bits(scale: Scale) -> dict[str, np.ndarray]:
    """Bits that the subject table holds over the bits of the facts, and L1's width at one bit each."""
    tables = [random_bijections(count, LOGARITHMIC_RELATIONS) for count in SIZES]
    sizes = [block_superposition(table).size for table in tables]
    return {
        "subjects": np.array(SIZES),
        "bits over bound": np.array(
            [bits_over_bound(size, table) for size, table in zip(sizes, tables, strict=True)]
        ),
        "fact numbers per subject": np.array(
            [LOGARITHMIC_RELATIONS * binary_length(count) for count in SIZES], dtype=np.float64
        ),
        "least numbers per subject": np.array([single_hop_width(table) for table in tables]),
    }


def compute_short_codes(scale: Scale) -> dict[str, np.ndarray]:
    """Recall and margin of codes whose length does not grow with N: on a circle, and on a moment curve."""
    table = random_bijections(256, 4)
    circle = block_superposition(table, code="circle")
    said = recall_every_fact(circle.weights, table)
    arrays = {
        "recall, circle, m = 2": np.array([said.recall]),
        "margin, circle": np.array([said.margins.min()]),
    }
    for cell in MOMENT_CELLS:
        table = random_bijections(*cell)
        memory = moment_curve(table)
        name = f"moment curve, {name_cell(*cell)}"
        arrays[f"recall, {name}"] = np.array([recall_every_fact(memory.weights, table).recall])
        arrays[f"length less 2 R + 1, {name}"] = np.array([memory.code.shape[1] - (2.0 * cell[1] + 1)])
    return arrays


def compute_additive(scale: Scale) -> dict[str, np.ndarray]:
    """Recall of sums without a gate: of shared objects, with the bound on it, and of disjoint ones."""
    arrays = {}
    for R in ADDITIVE_RELATIONS:
        shared, bounds, disjoint = [], [], []
        for seed in scale.seeds:
            table = random_bijections(ADDITIVE_SUBJECTS, R, world_seed=seed)
            shared.append(recall_every_fact(additive_superposition(table, seed=seed).weights, table).recall)
            bounds.append(additive_recall_bound(table))
            apart = disjoint_bijections(ADDITIVE_SUBJECTS, R, world_seed=seed)
            disjoint.append(recall_every_fact(disjoint_superposition(apart).weights, apart).recall)
        arrays[f"recall, shared, R = {R}"] = np.array(shared)
        arrays[f"bound, R = {R}"] = np.array(bounds)
        arrays[f"recall, disjoint, R = {R}"] = np.array(disjoint)
    return arrays


def compute_swaps(scale: Scale) -> dict[str, np.ndarray]:
    """One attribute exchanged in a subject's vector: whether it answers the new one, and all others stay."""
    success, retention = [], []
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
        success.append(right / SWAPS)
        retention.append(kept / SWAPS)
    return {"success": np.array(success), "retention": np.array(retention)}


def compute_gates(scale: Scale) -> dict[str, np.ndarray]:
    """Share of the gates' variance that the relation explains: as written down, and with the flag thrice."""
    arrays: dict[str, list[float]] = {}
    for R in (2, 4, 8):
        for seed in scale.seeds:
            memory = block_superposition(random_bijections(256, R, world_seed=seed))
            plain, strong = _gate_rates(memory, flag=1.0), _gate_rates(memory, flag=3.0)
            arrays.setdefault(f"as written, R = {R}", []).append(gate_variance_explained(plain))
            arrays.setdefault(f"(R - 1) / (2 R - 1), R = {R}", []).append((R - 1) / (2 * R - 1))
            arrays.setdefault(f"flag counted thrice, R = {R}", []).append(gate_variance_explained(strong))
    return {name: np.array(values) for name, values in arrays.items()}


def _gate_rates(memory: RecallConstruction, *, flag: float) -> np.ndarray:
    """Share of subjects for which each neuron is open under each relation, its flag counted `flag` times."""
    weights = memory.weights
    payload = weights[EXPAND] @ weights[SUBJECTS].T
    flags = weights[EXPAND] @ weights[RELATIONS].T  # M where the neuron is the relation's own
    opened = payload[:, None] + flag * flags[:, :, None] + weights[EXPAND_BIAS][:, None, None]
    return (opened > 0).mean(axis=2).T
