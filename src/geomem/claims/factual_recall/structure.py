"""Claims: what the embeddings and the network of a trained memory look like (A5; E9, E15, E16; C2).

One set of memories, trained once per width, serves these claims and those of transfer.
"""

from typing import Any

import numpy as np
import polars as pl

from geomem.claims.check import Picture, check, paper
from geomem.claims.claim import OWN, claim, conditions, deviates, expects, expects_each, needs, of_vectors
from geomem.claims.counterexamples import imagine_arrays
from geomem.claims.evidence import Evidence
from geomem.claims.factual_recall.settings import (
    FOUR_RELATIONS,
    RELATIONS,
    STEPS,
    SUBJECTS,
    TWO_RELATIONS,
    draw_over_widths,
    measured_widths,
    memory_settings,
    needs_memories,
    over_widths,
    request_memories,
    stack_widths,
    widths_from,
)
from geomem.claims.need import Scale


def settings_of_controls(scale: Scale) -> dict[str, dict[str, Any]]:
    """A memory with learned tables beside one whose tables are random and frozen: a key-value memory."""
    tables = ("subjects", "relations", "objects")
    return {"learned": memory_settings(128), "frozen": memory_settings(128, frozen=tables)}


def well_posed(runs: Evidence) -> tuple[int, ...]:
    """Widths at which E9 asks for a held-out fit: N >= 4 R d."""
    return tuple(width for width in measured_widths(runs) if 4 * RELATIONS * width <= SUBJECTS)


def draw_selector(runs: Evidence) -> Picture:
    """Cosine of maps, affine surrogate and gates over d / (R ln N)."""
    lines = {
        "cosine of maps": "map_cosine",
        "affine surrogate": "affine_surrogate",
        "gates by relation": "gate_variance_explained",
    }
    return draw_over_widths(runs, lines, title="share or cosine")


@claim("recall-structure/superposition", "E9", place="A5 [P/T]; D4, C2, E9 [M]")
@of_vectors()
@needs_memories(counterexample={"superposition": [-0.02]}, more="a bound on R^2 where N >= 4 R d")
@expects("precisely the predicted structure", "paper", "A5 [P]")
@expects_each(
    (value, OWN, "C2, E9 [M]", f"held-out R^2, d = {width}")
    for width, value in ((16, 0.82), (64, 0.83), (128, 0.80))
)
def superposition(runs):
    """Trained subject embeddings are sums of relation-specific attribute vectors.

    Gradient descent finds embeddings that are nearly linear superpositions of per-relation attribute vectors.
    """
    fitted = well_posed(runs)
    others = [width for width in measured_widths(runs) if width not in fitted]
    fit, shuffled = {"held-out R^2": "superposition"}, {"shuffled R^2": "superposition_shuffled"}
    yield from over_widths(runs, fit, widths=fitted, at_least=0.7)
    yield from over_widths(runs, shuffled, widths=fitted, at_most=0.02)
    yield from over_widths(runs, fit, widths=others)
    yield from over_widths(runs, {"recall": "recall"})
    lines = {"shuffled": "superposition_shuffled", "linear read-out": "read_out_accuracy"}
    lines = {"superposition": "superposition", **lines}
    yield draw_over_widths(runs, lines, title="held-out R^2 or accuracy")


@claim("recall-structure/precisely", place="A5 [P]; C2, E9 [M]")
@of_vectors()
@needs_memories(counterexample={"superposition": [0.1]})
@deviates(
    "About a fifth of the variance of trained embeddings is no sum of one map per relation of the attributes."
)
@expects("precisely", "paper", "A5 [P]")
@expects(0.83, OWN, "C2 [M]", "highest held-out R^2 over widths")
def precisely(runs):
    """Precisely the predicted structure is a superposition up to a fifth.

    Gradient descent finds solutions with precisely the predicted structure.
    """
    best = stack_widths(runs, "superposition", widths=well_posed(runs)).max(axis=0)
    yield paper(check("highest held-out R^2 over widths", best, at_least=0.95, over="mean"))
    yield check("highest held-out R^2 over widths", best, at_least=0.5, over="mean")
    yield draw_over_widths(runs, {"superposition": "superposition"}, title="held-out R^2")


for _more, _alias, _memories in (("", "", TWO_RELATIONS), ("-four-relations", "-four", FOUR_RELATIONS)):

    @claim(f"recall-structure/selector{_more}", f"E15{_alias}", place="A5 [T]; C2, E15 [M]", full=bool(_more))
    @needs_memories(
        _memories, counterexample={"affine_surrogate": [0.12]}, more="a bound where d >= 2.3 R ln N"
    )
    @expects("a selector", "paper", "A5 [T]")
    @expects("at least .98", OWN, "C2, E15 [M]", "lowest affine surrogate")
    def selector(runs):
        """The network is one affine map per relation.

        The MLP acts as a relation-specific selector and not as a key-value map: one affine map per relation.
        """
        lowest = stack_widths(runs, "affine_surrogate", widths=widths_from(runs, 2.3)).min(axis=0)
        yield check("lowest affine surrogate", lowest, at_least=0.98)
        lines = {"affine surrogate": "affine_surrogate", "constancy of a relation's map": "constancy"}
        yield from over_widths(runs, lines)
        yield draw_selector(runs)

    @claim(
        f"recall-structure/maps-part{_more}",
        f"E15-width{_alias}",
        place="A5 [T]; C2, E15 [M]",
        full=bool(_more),
    )
    @needs_memories(_memories, counterexample={"map_cosine": [0.95]})
    @expects(0.82, OWN, "C2, E15 [M]", "fall of the cosine of maps")
    @expects(0.97, OWN, "C2, E15 [M]", "cosine, d = 16")
    @expects(0.05, OWN, "C2, E15 [M]", "lowest share of gates' variance")
    @expects(0.58, OWN, "C2, E15 [M]", "highest share of gates' variance")
    def maps_part(runs):
        """The maps of relations part as the width grows.

        No statement of the paper: the maps of relations differ the more, the more dimensions there are, and
        gates follow the relation in part.
        """
        cosines, gates = stack_widths(runs, "map_cosine"), stack_widths(runs, "gate_variance_explained")
        falls, rule = (np.diff(cosines, axis=0) < 0).all(axis=0), "in every step from width to width"
        yield check("fall of the cosine of maps", cosines[0] - cosines[-1], held=falls, rule=rule)
        yield check("lowest share of gates' variance", gates.min(axis=0), at_least=0.05)
        yield check("highest share of gates' variance", gates.max(axis=0), at_most=0.6)
        yield from over_widths(runs, {"cosine": "map_cosine", "gates' variance": "gate_variance_explained"})
        yield draw_selector(runs)


@claim("recall-structure/swap", "E16", place="A5 [T]; D9, E16 [M]")
@needs_memories(counterexample={"swap_best": [0.1]})
@expects("causal interventions", "paper", "A5 [T]")
@expects("0.4 to 0.65", OWN, "D9, E16 [M]", "best of both over d and g")
def swap(runs):
    """Exchanging an attribute in a trained embedding works in part.

    Causal interventions confirm the superposition: with one attribute vector exchanged the answer to that
    relation changes and the others stay.
    """
    best = stack_widths(runs, "swap_best").max(axis=0)
    yield check("best of both over d and g", best, at_least=0.4, below=1)
    lines = {"success at g = 1": "swap_success", "retention at g = 1": "swap_retention"}
    yield from over_widths(runs, {"best of both": "swap_best", **lines})
    table = pl.concat(
        pl.DataFrame(
            {
                "success": runs.arrays[f"d{width}.successes"].mean(axis=0),
                "retention": runs.arrays[f"d{width}.retentions"].mean(axis=0),
            }
        ).with_columns(pl.lit(f"d = {width}").alias("width"))
        for width in measured_widths(runs)
    )
    yield Picture(table, "success", "retention", series="width")


@claim("recall-structure/lookup-table", place="A1 [P]; B8, D12 [D]; C4 [M]", full=True)
@needs(
    request_memories(settings_of_controls),
    counterexample=imagine_arrays(
        {
            key: {"superposition": [0.8, 0.8], "affine_surrogate": [1.0, 1.0], "recall": [1.0, 1.0]}
            for key in ("frozen", "learned")
        }
    ),
)
@conditions(f"N = {SUBJECTS:,}, R = {RELATIONS}, d = 128, {STEPS:,} steps; all tables learned, or all frozen")
@expects_each(
    (value, OWN, "docs/recall-measurements.md, D12 [M]", f"{name}, frozen", f"at most {most}")
    for value, most, name in ((-0.015, ".1", "held-out R^2"), (0.124, ".5", "affine surrogate"))
)
def lookup_table(runs):
    """The same probes tell a key-value memory apart.

    A model whose tables are random and frozen stores the facts as pairs in its MLP: no superposition, no
    affine map per relation.
    """
    for title, name, most, least in (
        ("held-out R^2", "superposition", 0.1, 0.7),
        ("affine surrogate", "affine_surrogate", 0.5, 0.98),
    ):
        yield check(f"{title}, frozen", runs.arrays[f"frozen.{name}"], at_most=most)
        yield check(f"{title}, learned", runs.arrays[f"learned.{name}"], at_least=least)
    yield check("recall, frozen", runs.arrays["frozen.recall"], at_least=0.99)
