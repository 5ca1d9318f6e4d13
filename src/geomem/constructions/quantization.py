"""Subject tables in 8, 4 or 1 bit: what is stored, and the weights as they are read back.

The block superposition of binary words loses nothing at 1 bit (derived here: its numbers are bits); what real
codes lose is measured by us.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from geomem.constructions.one_hop import SUBJECTS, Weights
from geomem.errors import InputError


@dataclass(frozen=True, eq=False)
class QuantizedSubjects:
    """A subject table as whole numbers times a scale per block of coordinates; its weights as read back."""

    weights: Weights
    levels: Int[np.ndarray, "subject width"]
    scales: Float[np.ndarray, " width"]
    """The scale of every coordinate, equal within a block; 0 for coordinates that no subject uses."""
    bits: int
    """Bits of the whole table: the levels of used coordinates, and 64 for the scale of each block."""


def quantize_subjects(weights: Weights, bits: int, *, block: int = 32) -> QuantizedSubjects:
    """The model with its subject table rounded to `bits` per number, in blocks of `block` coordinates.

        8 or 4 bits: level = round(v / scale) in -L .. L,    scale = max |v| / L,    L = 2^(bits - 1) - 1
        1 bit: level = +1 or -1, the sign,                   scale = mean |v|

    Coordinates that are 0 for every subject (flags, the answer slot) are not stored. Within a block all used
    numbers count, so at 1 bit a missing fact, all zeros, turns into some word: 1 bit has no level for
    "nothing". It keeps a full block superposition of binary words exactly.

    Raises `InputError` for other bits or an empty block.

    >>> from geomem.constructions.answering import recall_every_fact
    >>> from geomem.constructions.one_hop import block_superposition
    >>> from geomem.worlds.facts.families import random_bijections
    >>> table = random_bijections(64, 4)
    >>> small = quantize_subjects(block_superposition(table).weights, 1)
    >>> recall_every_fact(small.weights, table).recall, small.bits - 64 * 4 * 6
    (1.0, 64)
    """
    if bits not in (8, 4, 1):
        raise InputError(f"{bits} bits per number were asked for; give 8, 4 or 1.")
    if block < 1:
        raise InputError(f"block was {block}; give 1 coordinate or more.")
    table = np.asarray(weights[SUBJECTS], dtype=np.float64)
    used = np.flatnonzero(table.any(axis=0))
    levels, scales = np.zeros(table.shape, dtype=np.int8), np.zeros(table.shape[1])
    for start in range(0, len(used), block):
        columns = used[start : start + block]
        values = table[:, columns]
        if bits == 1:
            scale = float(np.abs(values).mean())
            levels[:, columns] = np.where(values >= 0, 1, -1)
        else:
            most = 2 ** (bits - 1) - 1
            scale = float(np.abs(values).max()) / most
            levels[:, columns] = np.rint(values / scale)
        scales[columns] = scale
    read = (levels * scales).astype(weights[SUBJECTS].dtype)
    stored = bits * len(table) * len(used) + 64 * -(-len(used) // block)
    return QuantizedSubjects({**weights, SUBJECTS: read}, levels, scales, stored)
