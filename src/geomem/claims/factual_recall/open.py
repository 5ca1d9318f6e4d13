"""Claims: what the paper left open and small trainings can answer (notes on arXiv 2605.12426, F).

No statements of the paper: our own questions, at N = 128 subjects and R = 4 relations. Every bound is ours,
written before the measurement.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from geomem.claims.check import Check, Picture, check
from geomem.claims.claim import OWN, Decorator, checked, claim, conditions, expects, needs
from geomem.claims.evidence import Evidence
from geomem.claims.factual_recall.capacity import (
    PARTS,
    draw_recalls,
    imagine_capacity,
    own_thresholds,
    request_capacity,
)
from geomem.models.configuration import Recall

SHARED = PARTS["shared"]
SUBJECTS, RELATIONS = SHARED.subjects[0], SHARED.relations[0]
CONDITIONS = (
    f"N = {SUBJECTS}, R = {RELATIONS}; MLP of 4 d neurons, Adam, lr .01, cosine, full batch, 1,200 steps"
)

ENTROPY = {
    "shared": SHARED,
    "eight": replace(SHARED, facts="many-to-one-8", sizes=(2, 3, 4, 5, 6), seconds=3.0),
    "thirty-two": replace(SHARED, facts="many-to-one-32", sizes=(3, 4, 5, 6, 7), seconds=4.0),
    "skewed": replace(SHARED, facts="zipf", sizes=(2, 3, 4, 5, 6, 7), seconds=5.0),
}
"""Facts of less entropy, by key."""

KINDS = {"shared": "bijections", "eight": "8 objects", "thirty-two": "32 objects", "skewed": "Zipf's law"}

ARCHITECTURES = {
    "two-layers": replace(SHARED, sizes=(3, 4, 5, 6, 7), model=Recall(layers=2), seconds=10.0),
    "four-layers": replace(SHARED, sizes=(3, 4, 5, 6), model=Recall(layers=4), seconds=20.0),
    "norm": replace(SHARED, sizes=(4, 5, 6, 7, 8, 10), model=Recall(layer_norm=True), seconds=9.0),
    # The draws of `random_bijections` under the subjects' own labels: the same facts for both models.
    "tied": replace(
        SHARED,
        facts="random-permutations",
        sizes=(6, 7, 8, 9, 10, 12, 14),
        model=Recall(tied=True),
        seconds=10.0,
    ),
}
"""Other models for the same facts, by key."""


def bits_at_threshold(runs: Evidence, key: str) -> Float[np.ndarray, " run"]:
    """Entropy of the facts over the weights of a model as wide as each seed's threshold; 0 without one."""
    sizes, weights = runs.arrays[f"{key}.sizes"], runs.arrays[f"{key}.weights"]
    order = np.argsort(sizes, kind="stable")
    own = own_thresholds(runs, key)
    needed = np.interp(own, sizes[order], weights[order])
    return np.where(np.isfinite(own), runs.arrays[f"{key}.bits"].mean() / needed, 0.0)


def imagine_bits(thresholds: Mapping[str, float]) -> Evidence:
    """Capacities of facts of 2,800 bits in models of 400 weights per dimension, by key."""
    arrays = dict(
        imagine_capacity({key: {(SUBJECTS, RELATIONS): own} for key, own in thresholds.items()}).arrays
    )
    for key in thresholds:
        arrays[f"{key}.weights"] = 400 * arrays[f"{key}.sizes"]
        arrays[f"{key}.bits"] = np.full(4, 2800.0)
    return Evidence(arrays=arrays)


def report_thresholds(runs: Evidence, names: Mapping[str, str]) -> Iterator[Check | Picture]:
    """Bits per weight of trainings by key, and their thresholds where every seed reaches one; drawn."""
    for key, name in names.items():
        yield check(f"bits per weight, {name}", bits_at_threshold(runs, key))
    for key, name in names.items():
        own = own_thresholds(runs, key)
        if np.isfinite(own).all():
            yield check(f"d*, {name}", own)
    yield draw_recalls(runs, {name: key for key, name in names.items()}, "width")


@claim("recall-open/entropy", place="A2, S1 [D]; C1 [M]")
@needs(
    request_capacity(ENTROPY),
    counterexample=imagine_bits({"shared": 5.0, "eight": 5.0, "thirty-two": 20.0, "skewed": 20.0}),
)
@conditions(
    f"{CONDITIONS}; bijections, 8 and 32 shared objects drawn at random, and Zipf's law over "
    "128; entropy of the facts per weight, at each seed's own threshold"
)
@expects("R times the entropy", "derived", "A2, S1 [D]")
@expects(1.38, OWN, "C1 [M]", "bits per weight, bijections", "1.1 to 1.9")
def entropy(runs):
    """The threshold follows the entropy of the facts.

    Bijectivity is not needed: many-to-one relations and skewed ones have less entropy, and the threshold
    falls with it.
    """
    usual = bits_at_threshold(runs, "shared")
    for key in ("eight", "thirty-two", "skewed"):
        ratio = bits_at_threshold(runs, key) / usual
        yield check(f"bits per weight over bijections', {KINDS[key]}", ratio, at_least=2 / 3, at_most=1.5)
    yield from report_thresholds(runs, KINDS)


def another_model(key: str, name: str, more: str = "", *, at_most: float | None = None) -> Decorator:
    """That another model holds at least two thirds of the plain one's bits per weight."""
    title = "bits per weight over the plain model's"

    def check_model(runs: Evidence) -> Iterator[Check | Picture]:
        ratio = bits_at_threshold(runs, key) / bits_at_threshold(runs, "shared")
        yield check(title, ratio, at_least=2 / 3, at_most=at_most)
        yield from report_thresholds(runs, {"shared": "plain", key: name})

    return checked(
        check_model,
        needs(
            request_capacity({"shared": SHARED, key: ARCHITECTURES[key]}),
            counterexample=imagine_bits({"shared": 5.0, key: 12.0}),
        ),
        conditions(f"{CONDITIONS}{more}; bits of the facts per weight, at each seed's own threshold"),
        expects("about as many", OWN, "C1 [M]", title),
    )


@claim("recall-open/two-layers", place="A5 [T]; C1 [M]")
@another_model("two-layers", "two layers")
def two_layers(runs):
    """Two layers hold as many bits per weight.

    No statement of the paper, whose model has one layer: a second block is memory like any other.
    """


@claim("recall-open/four-layers", place="A5 [T]; C1 [M]")
@another_model("four-layers", "four layers")
def four_layers(runs):
    """Four layers hold as many bits per weight.

    No statement of the paper, whose model has one layer: three more blocks are memory like any other.
    """


@claim("recall-open/tied", place="A5 [T]; C1 [M]")
@another_model(
    "tied",
    "tied tables",
    "; objects are the subjects, read out with the subjects' table, against the same facts with a table of "
    "objects",
    at_most=1.5,
)
def tied(runs):
    """Tied tables hold as many bits per weight.

    No statement of the paper, whose tying is unknown: where objects are the subjects one table may be both,
    and holds half the facts of two.
    """


@claim("recall-open/layer-norm", place="A5 [T]; C1 [M]")
@another_model("norm", "LayerNorm")
def layer_norm(runs):
    """LayerNorm costs no capacity.

    No statement of the paper: normalising before head, MLP and read-out leaves the capacity as it is.
    """
