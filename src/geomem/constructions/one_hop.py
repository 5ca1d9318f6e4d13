"""One hop, written down: subjects hold one code per relation, and a ReLU gate lets the asked one through.

The claim that a one-layer Transformer with O(R log N) dimensions recalls all facts is that of Theorem 4.1 of
arXiv 2605.12426. The statements, sizes and margins here are derived in this project (S1 of its notes on that
paper), as the paper's own constants were not available to us.

Residual stream: payload (R m) | flag (R) | answer (m). Weights carry the names of the `Recall` model, without
its run axis, and stand in the order of the table's labels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int, Shaped

from geomem.constructions.codes import CodeKind, binary_length, code_margin, object_code
from geomem.errors import InputError
from geomem.worlds.facts.table import FactTable, answers

NUMBERS_LIMIT = 50_000_000
"""Most numbers a construction may allocate unless told otherwise: 400 MB in float64."""

SUBJECTS = "subject_embedding"
RELATIONS = "relation_embedding"
OBJECTS = "output_embedding"
QUERY, KEY, VALUE, OUTPUT = (
    f"block_0.attention.{part}.weight" for part in ("query", "key", "value", "output")
)
EXPAND, EXPAND_BIAS = "block_0.mlp.expand.weight", "block_0.mlp.expand.bias"
CONTRACT, CONTRACT_BIAS = "block_0.mlp.contract.weight", "block_0.mlp.contract.bias"

Weights = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class RecallSize:
    """What a one-hop construction takes, by formula."""

    residual_size: int
    mlp_width: int
    numbers: int
    """All weights of the model, zeros included."""
    fact_numbers: int
    """Weights that depend on the facts."""
    fact_bits: int
    """Bits that these hold: one each for binary words, 64 each where they are real numbers."""


@dataclass(frozen=True, eq=False)
class RecallConstruction:
    """Weights in closed form for the facts of a table, with the size and margin they were made for."""

    name: str
    weights: Weights
    code: Shaped[np.ndarray, "object length"]
    margin: float
    """Right logit minus best wrong one: at least this on every fact of the table."""
    size: RecallSize


def block_size(subjects: int, relations: int, objects: int, length: int) -> RecallSize:
    """Size of the block superposition with codes of `length` (derived here, S1).

        D = R m + R + m,    MLP width 2 R m,    N R m numbers that depend on the facts, one bit each

    >>> size = block_size(256, 4, 256, 8)
    >>> size.residual_size, size.mlp_width, size.fact_bits
    (44, 64, 8192)
    """
    return gate_size(subjects, relations, objects, payload=relations * length, length=length)


def smallest_width(table: FactTable) -> int:
    """Smallest residual size in which `block_superposition` holds the table: R m + R + m, m = ceil(log2 A).

    >>> from geomem.worlds.facts.families import random_bijections
    >>> smallest_width(random_bijections(4096, 64))
    844
    """
    R, m = table.relation_count, binary_length(table.object_count)
    return R * m + R + m


def length_for_width(table: FactTable, width: int) -> int:
    """Longest code of a block superposition whose residual size is at most `width`: m = (D - R) // (R + 1).

    Raises `InputError` that names the smallest width if this one is too small for binary words.

    >>> from geomem.worlds.facts.families import random_bijections
    >>> length_for_width(random_bijections(256, 4), 64)
    12
    """
    needed = smallest_width(table)
    if width < needed:
        raise InputError(
            f"A width of {width} is too small for {table.relation_count:,} relations and "
            f"{table.object_count:,} objects of the table {table.name!r}; give {needed} or more."
        )
    return (width - table.relation_count) // (table.relation_count + 1)


def block_superposition(
    table: FactTable,
    *,
    code: CodeKind = "binary",
    length: int | None = None,
    seed: int = 0,
    numbers_limit: int = NUMBERS_LIMIT,
) -> RecallConstruction:
    """Each relation has its own block of the subject vector; the gate passes the block that is asked for.

        s_x = sum_r c_{a(x, r)} in block r,        relu(+-h_rj + M flag_r - M) -> +-answer_j,    M = max |c|
        logit_y = <c_y, c_{a(x, r)}>

    Where flag_r = 0 both neurons of a coordinate are 0, as |h| <= M; where it is 1 their difference is h
    (derived here: notes S1, notes B1).
    With binary words the margin is at least 2 / m, and every number of the
    subject table is one bit. Any table will do: partial, many to one, objects that are subjects. A missing
    fact is an empty block, so all its logits are 0.

    Raises `InputError` if the code is too short for the objects or does not tell them apart, or before it
    allocates more than `numbers_limit` numbers.

    >>> from geomem.worlds.facts.families import random_bijections
    >>> memory = block_superposition(random_bijections(256, 4))
    >>> memory.size.residual_size, memory.margin, memory.weights["subject_embedding"].shape
    (44, 0.25, (256, 44))
    """
    if length is not None and length < binary_length(table.object_count) and code != "circle":
        needed = binary_length(table.object_count)
        raise InputError(
            f"A code of length {length} is too short for the {table.object_count:,} objects of the table "
            f"{table.name!r}; give a length of {needed} or more, a width of {smallest_width(table)}."
        )
    codes = object_code(code, table.object_count, length, seed=seed)
    m, R = codes.shape[1], table.relation_count
    size = block_size(table.subject_count, R, table.object_count, m)
    check_numbers(f"block superposition of the table {table.name!r}", size.numbers, numbers_limit)
    margin = code_margin(codes)
    if code == "binary" and table.object_count > 1:
        margin = max(margin, 2 / m)
    if margin <= 0:
        raise InputError(
            f"The {code} code of length {m} and seed {seed} does not tell the {table.object_count:,} objects "
            "apart; give a greater length or another seed."
        )
    blocks = np.eye(R * m).reshape(R, m, R * m)
    weights = gate_weights(blocks, codes, float(np.abs(codes).max()), _block_payloads(table, codes))
    bits = size.fact_numbers * (1 if code in ("binary", "signs") else 64)
    size = replace(size, fact_bits=bits)
    return RecallConstruction(f"block superposition ({code})", weights, codes, margin, size)


def rewrite_subjects(construction: RecallConstruction, table: FactTable) -> RecallConstruction:
    """The same block superposition with other facts: only the subject table is written again.

    Raises `InputError` if the table has other numbers of subjects, relations or objects, or if the
    construction is no block superposition.

    >>> from geomem.worlds.facts.families import random_bijections
    >>> old = block_superposition(random_bijections(8, 2))
    >>> new = rewrite_subjects(old, random_bijections(8, 2, world_seed=1))
    >>> [name for name in old.weights if new.weights[name] is not old.weights[name]]
    ['subject_embedding']
    """
    old = construction.weights[SUBJECTS]
    m, R = construction.code.shape[1], len(construction.weights[RELATIONS])
    shape, given = (len(old), R, len(construction.code)), table.sizes
    if given != shape or old.shape[1] != R * m + R + m:
        raise InputError(
            f"The table {table.name!r} has {given[0]:,} subjects, {given[1]:,} relations and {given[2]:,} "
            f"objects; give the block superposition of {shape[0]:,}, {shape[1]:,} and {shape[2]:,}."
        )
    subjects = np.zeros_like(old)
    subjects[:, : R * m] = _block_payloads(table, construction.code)
    return replace(construction, weights={**construction.weights, SUBJECTS: subjects})


def gate_size(subjects: int, relations: int, objects: int, *, payload: int, length: int) -> RecallSize:
    """Size of a gated memory with any payload and codes of `length`; all its payload counts as facts.

    >>> gate_size(256, 4, 256, payload=100, length=100).residual_size
    204
    """
    D, w = payload + relations + length, 2 * relations * length
    return recall_size(subjects + relations + objects, D, w, subjects * payload, subjects * payload)


def recall_size(tokens: int, width: int, neurons: int, fact_numbers: int, fact_bits: int) -> RecallSize:
    """Size of a one-layer `Recall` model: tables of all tokens and objects, attention, and the MLP if any.

        T D + 4 D^2,    and 2 w D + w + D with an MLP of width w

    >>> recall_size(516, 44, 64, 8192, 8192).numbers
    36188
    """
    mlp = 2 * neurons * width + neurons + width if neurons else 0
    return RecallSize(width, neurons, tokens * width + 4 * width**2 + mlp, fact_numbers, fact_bits)


def recall_weights(
    subjects: Shaped[np.ndarray, "subject width"],
    relations: Shaped[np.ndarray, "relation width"],
    objects: Shaped[np.ndarray, "object width"],
    copy: Shaped[np.ndarray, "width width"],
    mlp: Sequence[Shaped[np.ndarray, "..."]] = (),
) -> dict[str, np.ndarray]:
    """Weights of the `Recall` model with uniform attention; `mlp` is expand, its bias, contract, its bias.

    Queries and keys are 0. The factor 2 in the value map undoes the weight 1/2 that uniform attention gives
    to the subject.

    >>> list(recall_weights(*[np.eye(2)] * 4))[:3]
    ['subject_embedding', 'relation_embedding', 'block_0.attention.query.weight']
    """
    zeros = np.zeros_like(copy)
    attention = {QUERY: zeros, KEY: zeros.copy(), VALUE: 2 * copy, OUTPUT: copy}
    neurons = dict(zip((EXPAND, EXPAND_BIAS, CONTRACT, CONTRACT_BIAS), mlp, strict=False))
    return {SUBJECTS: subjects, RELATIONS: relations, **attention, **neurons, OBJECTS: objects}


def gate_weights(
    readouts: Shaped[np.ndarray, "relation length payload"],
    code: Shaped[np.ndarray, "object length"],
    bound: float | int,
    payloads: Shaped[np.ndarray, "subject payload"],
) -> dict[str, np.ndarray]:
    """Weights of the `Recall` model (uniform attention) whose logits are <c_y, B_r s_x> for readouts B_r.

    `bound` must be at least every |(B_r s_x)_j|: then all neurons of the other relations are off.
    """
    R, m, p = readouts.shape
    D = p + R + m
    dtype = np.result_type(readouts, code, payloads)
    payload, flag, answer = slice(0, p), slice(p, p + R), slice(p + R, D)

    def zeros(*shape: int) -> np.ndarray:
        return np.zeros(shape, dtype)

    subjects, relations, objects = zeros(len(payloads), D), zeros(R, D), zeros(len(code), D)
    subjects[:, payload], objects[:, answer] = payloads, code
    relations[:, flag] = np.eye(R, dtype=int)
    copy = zeros(D, D)
    copy[payload, payload] = np.eye(p, dtype=int)
    # Neuron (r, sign, j) stands in row (2 r + sign) m + j.
    expand, contract = zeros(R, 2, m, D), zeros(D, R, 2, m)
    expand[:, 0, :, payload], expand[:, 1, :, payload] = readouts, -readouts
    expand[:, :, :, flag] = bound * np.eye(R, dtype=dtype)[:, None, None]
    contract[answer] = (np.eye(m, dtype=int)[:, None] * np.array([[1], [-1]]))[:, None]
    neurons = 2 * R * m
    mlp = (expand.reshape(neurons, D), zeros(neurons) - bound, contract.reshape(D, neurons), zeros(D))
    return recall_weights(subjects, relations, objects, copy, mlp)


def check_numbers(what: str, numbers: int, limit: int) -> None:
    """Raise `InputError` with the estimate if `what` would hold more than `limit` numbers.

    >>> check_numbers("memory", 1000, NUMBERS_LIMIT)
    """
    if numbers > limit:
        raise InputError(
            f"The {what} would hold {numbers:,} numbers, {numbers * 8 / 2**30:,.1f} GiB, more than the "
            f"limit of {limit:,}; use fewer subjects, relations or hops, or raise the limit with "
            "numbers_limit (--numbers-limit)."
        )


def _block_payloads(
    table: FactTable, code: Float[np.ndarray, "object length"]
) -> Float[np.ndarray, "subject payload"]:
    """Every subject's codes side by side, zeros where it has no fact."""
    found: Int[np.ndarray, "subject relation"] = answers(table)
    payloads = code[found]
    payloads[found < 0] = 0
    return payloads.reshape(table.subject_count, -1)
