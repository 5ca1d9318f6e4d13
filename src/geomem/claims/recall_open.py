"""Claims: what the paper left open and small trainings can answer (notes on arXiv 2605.12426, F).

No statements of the paper: our own questions, at N = 128 subjects and R = 4 relations.
"""

from collections.abc import Callable, Mapping

import numpy as np

from geomem.claims.claim import (
    RECALL_PAPER,
    Claim,
    Expected,
    Judgement,
    Quantity,
    judge_by_means,
    measure_quantity,
)
from geomem.claims.evidence import Evidence
from geomem.claims.factual_recall.capacity import (
    CapacitySetting,
    draw_recalls,
    imagine_capacity,
    own_thresholds,
    request_capacity,
)
from geomem.models.configuration import Recall

SUBJECTS, RELATIONS = 128, 4
CONDITIONS = (
    f"N = {SUBJECTS}, R = {RELATIONS}; MLP of 4 d neurons, Adam, lr .01, cosine, full batch, 1,200 steps"
)

BIJECTIONS = CapacitySetting((SUBJECTS,), (RELATIONS,), sizes=(4, 5, 6, 7, 8), seconds=6.0)
"""Equal to a setting of recall-capacity/parts, so that it is trained once."""

ENTROPY = {
    "shared": BIJECTIONS,
    "eight": CapacitySetting((SUBJECTS,), (RELATIONS,), "many-to-one-8", sizes=(2, 3, 4, 5, 6), seconds=3.0),
    "thirty-two": CapacitySetting(
        (SUBJECTS,), (RELATIONS,), "many-to-one-32", sizes=(3, 4, 5, 6, 7), seconds=4.0
    ),
    "skewed": CapacitySetting((SUBJECTS,), (RELATIONS,), "zipf", sizes=(2, 3, 4, 5, 6, 7), seconds=5.0),
}
"""Facts of less entropy, by key."""

NAMES = {"shared": "bijections", "eight": "8 objects", "thirty-two": "32 objects", "skewed": "skewed (Zipf)"}

ARCHITECTURES = {
    "shared": BIJECTIONS,
    "two-layers": CapacitySetting(
        (SUBJECTS,), (RELATIONS,), sizes=(3, 4, 5, 6, 7), model=Recall(layers=2), seconds=10.0
    ),
    "four-layers": CapacitySetting(
        (SUBJECTS,), (RELATIONS,), sizes=(3, 4, 5, 6), model=Recall(layers=4), seconds=20.0
    ),
    "norm": CapacitySetting(
        (SUBJECTS,), (RELATIONS,), sizes=(4, 5, 6, 7, 8, 10), model=Recall(layer_norm=True), seconds=9.0
    ),
    # The draws of `random_bijections` under the subjects' own labels: the same facts for both models.
    "tied": CapacitySetting(
        (SUBJECTS,),
        (RELATIONS,),
        "random-permutations",
        sizes=(6, 7, 8, 9, 10, 12, 14),
        model=Recall(tied=True),
        seconds=10.0,
    ),
}
"""Other models for the same facts, by key."""


def judge_entropy(evidence: Evidence) -> Judgement:
    """That bits per weight at the threshold do not depend on the kind of facts."""
    bits = {key: bits_at_threshold(evidence, key) for key in NAMES}
    ratios = {key: bits[key] / bits["shared"] for key in NAMES if key != "shared"}
    quantities = [
        measure_quantity(
            f"bits per weight over bijections', {NAMES[key]}",
            values,
            held=(values >= 2 / 3) & (values <= 1.5),
        )
        for key, values in ratios.items()
    ]
    return judge_by_means(
        *quantities,
        *(measure_quantity(f"bits per weight, {NAMES[key]}", values) for key, values in bits.items()),
        *measure_thresholds(evidence, {title: key for key, title in NAMES.items()}),
        sentence="At the threshold a weight holds "
        + ", ".join(f"{values.mean():.2f} bits ({NAMES[key]})" for key, values in bits.items())
        + ", counted as entropy.",
        picture=draw_recalls(evidence, {title: key for key, title in NAMES.items()}, "width"),
    )


def bits_at_threshold(evidence: Evidence, key: str) -> np.ndarray:
    """Entropy of the facts over the weights of a model as wide as each seed's own threshold."""
    sizes, weights = evidence.arrays[f"{key}.sizes"], evidence.arrays[f"{key}.weights"]
    order = np.argsort(sizes, kind="stable")
    own = own_thresholds(evidence, key)
    needed = np.interp(own, sizes[order], weights[order])
    return np.where(np.isfinite(own), evidence.arrays[f"{key}.bits"].mean() / needed, 0.0)


def measure_thresholds(evidence: Evidence, keys: Mapping[str, str]) -> list[Quantity]:
    """Thresholds by title, those that every seed reached."""
    found = {title: own_thresholds(evidence, key) for title, key in keys.items()}
    return [measure_quantity(f"d*, {title}", own) for title, own in found.items() if np.isfinite(own).all()]


def judge_change(key: str, title: str, *, most: float = np.inf) -> Callable[[Evidence], Judgement]:
    """The judge that another model holds two thirds to `most` times the plain one's bits per weight."""

    def judge(evidence: Evidence) -> Judgement:
        bits, usual = (bits_at_threshold(evidence, name) for name in (key, "shared"))
        ratio = bits / usual
        return judge_by_means(
            measure_quantity(
                "bits per weight over the plain model's", ratio, held=(ratio >= 2 / 3) & (ratio <= most)
            ),
            measure_quantity(f"bits per weight, {title}", bits),
            measure_quantity("bits per weight, plain", usual),
            *measure_thresholds(evidence, {"plain": "shared", title: key}),
            sentence=f"With {title} a weight holds {bits.mean():.2f} bits at the threshold, "
            f"{usual.mean():.2f} "
            "without: {mean:.2f} ({low:.2f} to {high:.2f}) times as many.",
            picture=draw_recalls(evidence, {"plain": "shared", title: key}, "width"),
        )

    return judge


def imagine_bits(thresholds: dict[str, float]) -> Evidence:
    """Capacities of facts of 2,800 bits in models of 400 weights per dimension, by key."""
    made = imagine_capacity({key: {(SUBJECTS, RELATIONS): value} for key, value in thresholds.items()})
    extra = {}
    for key in thresholds:
        sizes = np.arange(1, 41)
        extra |= {f"{key}.sizes": sizes, f"{key}.weights": 400 * sizes, f"{key}.bits": np.full(40, 2800.0)}
        extra |= {f"{key}.recall": np.ones(40)}
        extra |= {f"{key}.subjects": np.full(40, SUBJECTS), f"{key}.relations": np.full(40, RELATIONS)}
    return Evidence(arrays={**made.arrays, **extra})


def _claim(name: str, key: str, what: str, **changes) -> Claim:
    return Claim(
        **{
            "id": f"recall-open/{name}",
            "place": "A5 [T]; C1 [M]",
            "conditions": CONDITIONS,
            "paper": RECALL_PAPER,
            "rule": "On most seeds a weight holds at least two thirds of the bits that it holds in the plain "
            "model, at each one's own threshold; the rule is ours, written before the measurement.",
            "expected": (
                Expected(
                    "about as many",
                    "own measurement",
                    "C1 [M]",
                    "2/3 or more",
                    "bits per weight over the plain model's",
                ),
            ),
            "experiments": request_capacity({own: ARCHITECTURES[own] for own in ("shared", key)}),
            "judge": judge_change(key, what),
            "wrong": lambda requests: imagine_bits({"shared": 5.0, key: 12.0}),
        }
        | changes
    )


CLAIMS: tuple[Claim, ...] = (
    Claim(
        id="recall-open/entropy",
        title="The threshold follows the entropy of the facts",
        statement="Bijectivity is not needed: many-to-one relations and skewed ones have less entropy, and "
        "the threshold falls with it.",
        place="A2, S1 [D]; C1 [M]",
        conditions=f"{CONDITIONS}; bijections, 8 and 32 shared objects drawn at random, and Zipf's law over "
        "128",
        rule="On most seeds the entropy per weight at the threshold is within a factor of 1.5 of that of "
        "bijections, for each kind; the rule is ours, written before the measurement.",
        expected=(
            Expected("R times the entropy", "derived", "A2, S1 [D]", "within 1.5"),
            Expected(1.38, "own measurement", "C1 [M]", "1.1 to 1.9", "bits per weight, bijections"),
        ),
        paper=RECALL_PAPER,
        experiments=request_capacity(ENTROPY),
        judge=judge_entropy,
        wrong=lambda requests: imagine_bits(
            {"shared": 5.0, "eight": 5.0, "thirty-two": 20.0, "skewed": 20.0}
        ),
    ),
    _claim(
        "two-layers",
        "two-layers",
        "two layers",
        title="Two layers hold as many bits per weight",
        statement="No statement of the paper, whose model has one layer: a second block is memory like any "
        "other.",
    ),
    _claim(
        "four-layers",
        "four-layers",
        "four layers",
        title="Four layers hold as many bits per weight",
        statement="No statement of the paper, whose model has one layer: three more blocks are memory like "
        "any other.",
    ),
    _claim(
        "tied",
        "tied",
        "tied tables",
        title="Tied tables hold as many bits per weight",
        statement="No statement of the paper, whose tying is unknown: where objects are the subjects one "
        "table may be both, and holds half the facts of two.",
        conditions=f"{CONDITIONS}; objects are the subjects, read out with the subjects' table, against the "
        "same facts with a table of objects",
        rule="On most seeds the bits per trained weight at each one's own threshold are within a factor of "
        "1.5 of those with a table of objects; the rule is ours, written before the measurement.",
        expected=(
            Expected(
                "about as many",
                "own measurement",
                "C1 [M]",
                "within 1.5",
                "bits per weight over the plain model's",
            ),
        ),
        judge=judge_change("tied", "tied tables", most=1.5),
    ),
    _claim(
        "layer-norm",
        "norm",
        "LayerNorm",
        title="LayerNorm costs no capacity",
        statement="No statement of the paper: normalising before head, MLP and read-out leaves the capacity "
        "as it is.",
    ),
)
"""Facts first, then models."""
