"""Picture of recall against bits: what memories still answer when their subject tables are rounded."""

from collections.abc import Callable

import matplotlib
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from geomem.constructions.one_hop import SUBJECTS, Weights
from geomem.constructions.quantization import quantize_subjects
from geomem.errors import InputError
from geomem.figures.drawing import STYLE, dressed_axes, new_figure
from geomem.figures.palette import THEMES, Theme

PRECISIONS = (32, 8, 4, 1)
"""Bits per number of the subject table: single precision, and what `quantize_subjects` rounds to."""


def tabulate_bits(
    weights: Weights,
    recall: Callable[[Weights], float],
    *,
    memory: str,
    facts_bits: float,
    other_bits: float = 0.0,
    seed: int = 0,
) -> pl.DataFrame:
    """Recall of one memory with its subject table in 32, 8, 4 and 1 bit per number.

    `recall` answers every fact with the weights it is given; `facts_bits` is the entropy of the facts, and
    `other_bits` what the rest of the weights takes, if facts are kept there too. Columns: memory, seed, bits,
    recall, stored_bits (table and rest), and stored_bits over facts_bits: below 1 no memory recalls all.

    Raises `InputError` for facts of no bits.

    >>> from geomem.constructions.answering import recall_every_fact
    >>> from geomem.constructions.one_hop import block_superposition
    >>> from geomem.worlds.facts.families import random_bijections
    >>> from geomem.worlds.facts.table import entropy_bits
    >>> facts = random_bijections(64, 4)
    >>> rows = tabulate_bits(block_superposition(facts).weights, lambda w: recall_every_fact(w, facts).recall,
    ...     memory="block", facts_bits=entropy_bits(facts))
    >>> rows["recall"].to_list(), rows["stored_per_fact_bit"].round(2).to_list()
    ([1.0, 1.0, 1.0, 1.0], [41.51, 10.43, 5.24, 1.35])
    """
    if not facts_bits > 0:
        raise InputError(f"The facts of {memory} have {facts_bits} bits; give facts that could be otherwise.")
    rows = []
    for bits in PRECISIONS:
        if bits == 32:
            table = np.asarray(weights[SUBJECTS], dtype=np.float32)
            stored = 32 * len(table) * int(table.any(axis=0).sum())
            read = {**weights, SUBJECTS: table.astype(np.float64)}
        else:
            quantized = quantize_subjects(weights, bits)
            stored, read = quantized.bits, quantized.weights
        rows.append({"memory": memory, "seed": seed, "bits": bits, "recall": recall(read)})
        rows[-1]["stored_bits"] = stored + other_bits
        rows[-1]["stored_per_fact_bit"] = (stored + other_bits) / facts_bits
    return pl.DataFrame(rows)


def draw_bits(table: pl.DataFrame, *, theme: str = "light") -> Figure:
    """Recall over the bits per number of the subject table, and over all bits kept per bit of the facts.

    `table` holds rows of `tabulate_bits`, of any memories and seeds: lines are means over seeds, bars reach
    from the lowest to the highest. The dotted line is L1: less than one bit per bit of facts is too little.
    """
    colours = THEMES[theme]
    with matplotlib.rc_context(STYLE):
        figure = new_figure(9.4, 3.6, colours)
        left, right = dressed_axes(figure, colours, 1, 2, 1), dressed_axes(figure, colours, 1, 2, 2)
        _paint_memories(left, table, "bits", colours)
        _paint_memories(right, table, "stored_per_fact_bit", colours)
        left.set_title("the same tables, rounded")
        left.set_xlabel("bits per number of the subject table")
        left.set_ylabel("recall")
        left.set_xticks(sorted(PRECISIONS), [str(bits) for bits in sorted(PRECISIONS)])
        right.set_title("what recall costs")
        right.set_xlabel("bits kept per bit of the facts")
        right.axvline(1, color=colours.muted, linewidth=1.2, linestyle=":")
        right.text(1.06, 0.02, "L1", color=colours.muted, fontsize=8)
        ticks = [2**power for power in range(12) if 2**power <= right.get_xlim()[1]]
        ticks = ticks[:: -(-len(ticks) // 8)]
        right.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        handles, names = left.get_legend_handles_labels()
        figure.legend(
            handles, names, loc="outside right upper", frameon=False, fontsize=8, labelcolor=colours.ink
        )
    return figure


def _paint_memories(axes: Axes, table: pl.DataFrame, x: str, theme: Theme) -> None:
    axes.set_xscale("log", base=2)
    for number, memory in enumerate(table["memory"].unique(maintain_order=True).to_list()):
        rows = (
            table.filter(pl.col("memory") == memory)
            .group_by("bits")
            .agg(
                pl.col("stored_per_fact_bit").mean(),
                pl.col("recall").mean(),
                pl.col("recall").min().alias("low"),
                pl.col("recall").max().alias("high"),
            )
            .sort("bits")
        )
        colour = theme.branches[number % len(theme.branches)]
        # Wide lines below, thin ones above: where memories recall the same, all of them are still seen.
        look = {"marker": "os^Dv"[number % 5], "markersize": 4, "linewidth": max(1.2, 4.0 - 0.6 * number)}
        axes.plot(rows[x], rows["recall"], color=colour, label=memory, **look)
        axes.vlines(rows[x], rows["low"], rows["high"], color=colour, linewidth=1)
    axes.set_ylim(-0.02, 1.05)
    axes.xaxis.set_minor_locator(NullLocator())
