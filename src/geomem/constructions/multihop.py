"""Chains of relations, written down: with chain of thought, flat, deep and wide.

That chain of thought avoids an exponential price is a claim of arXiv 2605.12426; the four constructions are
derived in this project (notes B4, notes B5), with sizes in `geomem.constructions.hop_sizes`. All take any
fact table: an object goes on as the subject with the same label, and a chain that breaks off has no answer.
"""

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

from geomem.constructions.codes import binary_code, binary_length, code_margin, largest_inner_product
from geomem.constructions.hop_model import Head, HopModel, Layer
from geomem.constructions.hop_sizes import (
    HopSize,
    chain_of_thought_size,
    deep_size,
    deep_stages,
    flat_size,
    wide_size,
)
from geomem.constructions.one_hop import NUMBERS_LIMIT, check_numbers
from geomem.errors import InputError
from geomem.worlds.facts.table import FactTable, answers, object_subjects

# A few roundings of float64 per lookup.
_ROUNDING = 1e-15


def chain_of_thought(table: FactTable, hops: int, *, numbers_limit: int = NUMBERS_LIMIT) -> HopModel:
    """One layer that answers one hop, emits the object, and reads it as the next entity; any number of hops.

    Residual stream: payload (R m) | flag (R) | is an entity (1) | fetched payload (R m) | fetched flag (R) |
    answer (m). A positional head looks k - 1 places back, where the relation of this step stands; a content
    head finds the latest entity; the gate of `block_superposition` reads what they fetched. All weights but
    the one offset are the same for every k.

    Raises `InputError` for no hop, or before it allocates more than `numbers_limit` numbers.

    >>> from geomem.worlds.facts.families import random_permutations
    >>> chain_of_thought(random_permutations(256, 4), hops=8).size.residual_size
    81
    """
    R, m = table.relation_count, binary_length(table.object_count)
    size = chain_of_thought_size(table.subject_count, R, table.object_count, m, hops)
    code = _code(table, size, numbers_limit)
    D, p = size.residual_size, R * m
    flag, entity, fetched = p, p + R, p + R + 1
    subjects = _table(_payloads(table, code, 1), D)
    subjects[:, entity] = 1
    heads = (
        Head(_copy(D, flag, fetched + p, R), offset=hops - 1),
        # The newest entity: being one outweighs every difference of position.
        Head(_copy(D, 0, fetched, p), slope=1.0, flag=entity, content=2.0 * hops + 2),
    )
    layer = _selector(heads, D, m, R, 1, payload=fetched, flags=fetched + p, answer=D - m, code=code)
    relations = np.eye(R, D, flag)
    return _model(table, size, hops, hops, subjects, relations, (layer,), code, np.eye(1, D, entity)[0])


def flat(table: FactTable, hops: int, *, numbers_limit: int = NUMBERS_LIMIT) -> HopModel:
    """One layer and one run: the subject holds the end of every chain of k relations, R^k blocks.

    Positional heads write each relation into its own flag; a block's neurons open iff all k flags match.

    Raises `InputError` as `chain_of_thought` does.

    >>> from geomem.worlds.facts.families import random_permutations
    >>> flat(random_permutations(16, 2), hops=3).size.mlp_width
    64
    """
    R, m = table.relation_count, binary_length(table.object_count)
    size = flat_size(table.subject_count, R, table.object_count, m, hops)
    code = _code(table, size, numbers_limit)
    D, p = size.residual_size, R**hops * m
    layer = _selector(_fetch(D, p, R, hops), D, m, R, hops, payload=0, flags=p, answer=D - m, code=code)
    return _one_run(table, size, hops, _payloads(table, code, hops), p, (layer,), code)


def deep(table: FactTable, hops: int, layers: int, *, numbers_limit: int = NUMBERS_LIMIT) -> HopModel:
    """L stages of ceil(k / L) hops each; between two stages a lookup, one neuron per entity.

        relu(<c_y, z> - theta) / (1 - theta),    theta = (1 + largest <c_y, c_t>) / 2

    Exactly the neuron of the entity found fires; it writes that entity's payload and clears z, while a head
    that looks at its own position clears the old payload. See `deep_size` for stages against layers.

    A lookup has slope 1 / (1 - theta), which is m for binary words of log2 N bits, so rounding grows that
    much per lookup: at m = 12 exact in float64 for 11 lookups, in float32 for about 4.

    Raises `InputError` as `chain_of_thought` does, for no layer, and for so many lookups that float64 would
    not be exact.

    >>> from geomem.worlds.facts.families import random_permutations
    >>> deep(random_permutations(256, 4), hops=4, layers=2).size.residual_size
    152
    """
    R, m = table.relation_count, binary_length(table.object_count)
    size = deep_size(table.subject_count, R, table.object_count, m, hops, layers=layers)
    code = _code(table, size, numbers_limit)
    stages, per_stage, first = deep_stages(hops, layers)
    if _ROUNDING * (1 - _threshold(code)) ** -stages > 0.01:
        raise InputError(
            f"A deep construction of {stages} layers was asked for the table {table.name!r}, and rounding in "
            "its lookups would be larger than its margin; use fewer layers or chain_of_thought."
        )
    D, p = size.residual_size, R**per_stage * m
    made = [_selector(_fetch(D, p, R, hops), D, m, R, first, payload=0, flags=p, answer=D - m, code=code)]
    lookup = _lookup(table, code, _payloads(table, code, per_stage), D) if stages > 1 else None
    for stage in range(1, stages):
        flags = p + (first + (stage - 1) * per_stage) * R
        selector = _selector((), D, m, R, per_stage, payload=0, flags=flags, answer=D - m, code=code)
        made += [lookup, selector]
    return _one_run(table, size, hops, _payloads(table, code, first), p, tuple(made), code)


def wide(table: FactTable, hops: int, *, numbers_limit: int = NUMBERS_LIMIT) -> HopModel:
    """One layer and one run: a neuron per tuple of relations and first object y holds the end of the chain.

        relu(<c_y, block r_1> - theta + 2 (matching flags - k)) / (1 - theta) -> code of the end

    Raises `InputError` as `chain_of_thought` does.

    >>> from geomem.worlds.facts.families import random_permutations
    >>> wide(random_permutations(16, 2), hops=3).size.mlp_width
    128
    """
    R, m, A = table.relation_count, binary_length(table.object_count), table.object_count
    size = wide_size(table.subject_count, R, A, m, hops)
    code = _code(table, size, numbers_limit)
    D, p, tuples = size.residual_size, R * m, R**hops
    theta = _threshold(code)
    digits = _digits(R, hops)
    neurons = np.arange(tuples * A).reshape(tuples, A)
    rows = np.concatenate([np.repeat(neurons.ravel(), m), np.tile(neurons.ravel(), hops)])
    blocks = digits[:, 0, None, None] * m + np.arange(m) + np.zeros((tuples, A, 1), dtype=int)
    flags = [np.repeat(p + hop * R + digits[:, hop], A) for hop in range(hops)]
    columns = np.concatenate([blocks.ravel(), *flags])
    values = np.concatenate([np.tile(code.ravel(), tuples), np.full(hops * tuples * A, 2.0)])
    expand = sparse.csr_array((values, (rows, columns)), shape=(tuples * A, D))
    ends = _ends_after_first(table, hops)
    written = np.vstack([code, np.zeros(m)])[ends.T.ravel()] / (1 - theta)
    contract = _place(written, D, D - m)
    layer = Layer(_fetch(D, p, R, hops), expand, np.full(tuples * A, -theta - 2.0 * hops), contract)
    return _one_run(table, size, hops, _payloads(table, code, 1), p, (layer,), code)


def chain_ends(table: FactTable, hops: int) -> Int[np.ndarray, "subject tuple"]:
    """The end of every chain of `hops` relations from every subject, -1 where it breaks off.

    Tuples (r_1, .., r_k) are in lexicographic order.

    >>> from geomem.worlds.facts.families import random_permutations
    >>> chain_ends(random_permutations(4, 2), 3).shape
    (4, 8)
    """
    # The last row and the last entry stand for "none", which is -1 and so indexes them.
    found = np.vstack([answers(table), np.full(table.relation_count, -1)])
    entities = np.append(object_subjects(table), -1)
    ends = found[:-1]
    for _ in range(hops - 1):
        ends = found[entities[ends]].reshape(len(ends), -1)
    return ends


def _ends_after_first(table: FactTable, hops: int) -> Int[np.ndarray, "object tuple"]:
    """The end of each chain whose first relation led to a given object; tuples of k relations."""
    A, R = table.object_count, table.relation_count
    if hops == 1:
        return np.tile(np.arange(A)[:, None], R)
    rest = np.vstack([chain_ends(table, hops - 1), np.full(R ** (hops - 1), -1)])
    return np.tile(rest[object_subjects(table)], R)


def _payloads(
    table: FactTable, code: Float[np.ndarray, "object length"], hops: int
) -> Float[np.ndarray, "subject payload"]:
    """Codes of all chain ends side by side, zeros where a chain breaks off."""
    codes = np.vstack([code, np.zeros(code.shape[1])])
    return codes[chain_ends(table, hops)].reshape(table.subject_count, -1)


def _selector(
    heads: tuple[Head, ...],
    width: int,
    length: int,
    relations: int,
    hops: int,
    *,
    payload: int,
    flags: int,
    answer: int,
    code: Float[np.ndarray, "object length"],
) -> Layer:
    """Pass the block whose flags all match: relu(+-h_j + M (matching flags - hops)) -> +-answer_j."""
    R, m, tuples = relations, length, relations**hops
    M = float(np.abs(code).max())
    block = np.arange(tuples * m)
    # Neuron (tuple, j) with + stands before all with -.
    neurons = np.concatenate([block, block + tuples * m])
    signs = np.repeat([1.0, -1.0], tuples * m)
    digits = np.repeat(_digits(R, hops), m, axis=0)
    flag_columns = [np.tile(flags + hop * R + digits[:, hop], 2) for hop in range(hops)]
    rows = np.tile(neurons, hops + 1)
    columns = np.concatenate([payload + np.tile(block, 2), *flag_columns])
    values = np.concatenate([signs, np.full(hops * 2 * tuples * m, M)])
    expand = sparse.csr_array((values, (rows, columns)), shape=(2 * tuples * m, width))
    written = (signs, (neurons, answer + np.tile(block % m, 2)))
    contract = sparse.csr_array(written, shape=(2 * tuples * m, width))
    return Layer(heads, expand, np.full(2 * tuples * m, -M * hops), contract)


def _lookup(
    table: FactTable,
    code: Float[np.ndarray, "object length"],
    payloads: Float[np.ndarray, "subject payload"],
    width: int,
) -> Layer:
    """Replace the code in the answer slot by the payload of its entity."""
    A, m = code.shape
    p = payloads.shape[1]
    theta = _threshold(code)
    clear = Head(-_copy(width, 0, 0, p), offset=0)
    entities = object_subjects(table)
    found = np.where(entities[:, None] >= 0, payloads[entities], 0.0)
    written = _place(np.hstack([found, np.zeros((A, width - p - m)), -code]) / (1 - theta), width, 0)
    return Layer((clear,), _place(code, width, width - m), np.full(A, -theta), written)


def _threshold(code: Float[np.ndarray, "object length"]) -> float:
    """Halfway between a code's product with itself and the largest with another one."""
    return (1 + max(-1.0, largest_inner_product(code))) / 2


def _fetch(width: int, payload: int, relations: int, hops: int) -> tuple[Head, ...]:
    """Heads that bring the subject's payload and all earlier relations' flags to the last position."""
    R, last = relations, payload + (hops - 1) * relations
    flags = [Head(_copy(width, last, payload + hop * R, R), offset=hops - 1 - hop) for hop in range(hops - 1)]
    return (Head(_copy(width, 0, 0, payload), offset=hops), *flags)


def _copy(width: int, source: int, target: int, count: int) -> sparse.csr_array:
    """The map that copies `count` coordinates from `source` on to `target` on."""
    steps = np.arange(count)
    return sparse.csr_array((np.ones(count), (target + steps, source + steps)), shape=(width, width))


def _place(rows: Float[np.ndarray, "row column"], width: int, start: int) -> sparse.csr_array:
    """The rows as sparse ones of a wider matrix, from column `start` on."""
    found = sparse.coo_array(rows)
    return sparse.csr_array((found.data, (found.row, found.col + start)), shape=(len(rows), width))


def _table(rows: Float[np.ndarray, "row payload"], width: int) -> Float[np.ndarray, "row width"]:
    """Token vectors that hold the rows in their first coordinates."""
    table = np.zeros((len(rows), width))
    table[:, : rows.shape[1]] = rows
    return table


def _digits(relations: int, hops: int) -> Int[np.ndarray, "tuple hop"]:
    """All tuples of relations in lexicographic order."""
    places = relations ** np.arange(hops - 1, -1, -1)
    return np.arange(relations**hops)[:, None] // places % relations


def _code(table: FactTable, size: HopSize, limit: int) -> Float[np.ndarray, "object length"]:
    """The objects' binary words; raises `InputError` if the construction would hold too many numbers."""
    check_numbers(f"{size.model} construction of the table {table.name!r}", size.stored_numbers, limit)
    return binary_code(table.object_count, binary_length(table.object_count))


def _one_run(
    table: FactTable,
    size: HopSize,
    hops: int,
    payloads: Float[np.ndarray, "subject payload"],
    flags: int,
    layers: tuple[Layer, ...],
    code: Float[np.ndarray, "object length"],
) -> HopModel:
    """A model that reads payloads and, at the last of its flags from `flags` on, the last relation."""
    R, D = table.relation_count, size.residual_size
    relations = np.eye(R, D, flags + (hops - 1) * R)
    return _model(table, size, hops, 1, _table(payloads, D), relations, layers, code, np.zeros(D))


def _model(
    table: FactTable,
    size: HopSize,
    hops: int,
    steps: int,
    subjects: Float[np.ndarray, "subject width"],
    relations: Float[np.ndarray, "relation width"],
    layers: tuple[Layer, ...],
    code: Float[np.ndarray, "object length"],
    unknown: Float[np.ndarray, " width"],
) -> HopModel:
    D, m = subjects.shape[1], code.shape[1]
    objects, entities = _place(code, D, D - m), object_subjects(table)
    margin = code_margin(code)
    return HopModel(size, hops, steps, subjects, relations, objects, entities, unknown, layers, margin)
