"""The geometric level over training: judges of the claims T5 to T8, which `geometry` lists."""

import numpy as np

from geomem.claims.claim import Judgement, Picture, Quantity, judge_by_means, measure_quantity
from geomem.claims.evidence import Evidence, FleetEvidence, curve_table, final, first_step_memorized, shells
from geomem.claims.tiny_graphs import GRAPHS, list_means, measure_graphs

EVERY_GRAPH = tuple(GRAPHS)
EARLY = 50
PEAK = 0.85
DECAYED = 0.55
KEPT = 0.45
FORWARD_LEVEL = 0.25
NO_LEVEL = 0.1


def level(fleet: FleetEvidence) -> np.ndarray:
    """The geometric level after the last step, [run]."""
    return final(fleet, "geometric_level")


def level_picture(evidence: Evidence, name: str) -> Picture:
    """The geometric level over the steps, one line a graph."""
    title = "mean cosine of neighbours"
    table = curve_table(
        {graph: evidence[f"{name}/{graph}"] for graph in EVERY_GRAPH}, "geometric_level", title=title
    )
    return Picture(table, "step", title, series="graph")


def judge_no_level(evidence: Evidence) -> Judgement:
    """That associative runs show no geometric level at any step."""
    quantities = []
    for name in ("associative", "associative-fast"):
        for graph in EVERY_GRAPH:
            most = np.abs(evidence[f"{name}/{graph}"].metrics["geometric_level"]).max(axis=0)
            title = "|level|, wide" if name.endswith("fast") else "|level|"
            quantities.append(measure_quantity(f"{title}, {graph}", most, held=most < NO_LEVEL))
    largest = max(float(quantity.values.max()) for quantity in quantities)
    return judge_by_means(
        *quantities,
        sentence=f"No run's mean cosine of neighbours leaves zero by more than {largest:.3f} at any step.",
    )


def judge_peak(evidence: Evidence) -> Judgement:
    """That the Transformer's geometric level peaks high and early."""
    quantities: list[Quantity] = list(
        measure_graphs(
            evidence,
            "transformer",
            "peak level",
            lambda fleet: fleet.metrics["geometric_level"].max(axis=0),
            lambda peak: peak >= PEAK,
        )
    )
    quantities += measure_graphs(
        evidence,
        "transformer",
        "step of the peak",
        lambda fleet: fleet.steps[fleet.metrics["geometric_level"].argmax(axis=0)],
        lambda step: step <= EARLY,
    )
    return judge_by_means(
        *quantities,
        picture=level_picture(evidence, "transformer"),
        sentence=f"The mean cosine of neighbours peaks at {list_means(quantities[:4])} after "
        f"{list_means(quantities[4:], 0)} steps.",
    )


def judge_before_recall(evidence: Evidence) -> Judgement:
    """That the peak comes before all is recalled."""
    quantities = []
    for graph in EVERY_GRAPH:
        fleet = evidence[f"transformer/{graph}"]
        peak = fleet.steps[fleet.metrics["geometric_level"].argmax(axis=0)].astype(np.float64)
        quantities.append(
            measure_quantity(f"step of the peak, {graph}", peak, held=peak < first_step_memorized(fleet))
        )
        recalled = np.minimum(first_step_memorized(fleet), fleet.request.training.steps)
        quantities.append(measure_quantity(f"step of recall, {graph}", recalled))
    return judge_by_means(
        *quantities,
        sentence=f"The level peaks after {list_means(quantities[0::2], 0)} steps; all is recalled after "
        f"{list_means(quantities[1::2], 0)} or later.",
    )


def judge_decay(evidence: Evidence) -> Judgement:
    """That the level ends low after its peak."""
    quantities = measure_graphs(
        evidence, "transformer", "final level", level, lambda values: values <= DECAYED
    )
    fallen = [
        float((evidence[f"transformer/{graph}"].metrics["geometric_level"].max(axis=0)).mean())
        for graph in EVERY_GRAPH
    ]
    return judge_by_means(
        *quantities,
        holds=all(quantity.held_share > 0.5 for quantity in quantities) and min(fallen) >= PEAK,
        picture=level_picture(evidence, "transformer"),
        sentence=f"From mean peaks of {min(fallen):.2f} and more the level falls to "
        f"{list_means(quantities)}.",
    )


def judge_kept(evidence: Evidence) -> Judgement:
    """That self-edges keep the level up and the shells in order."""
    quantities: list[Quantity] = list(
        measure_graphs(evidence, "transformer-self", "final level", level, lambda values: values >= KEPT)
    )
    for graph in EVERY_GRAPH:
        means = shells(evidence[f"transformer-self/{graph}"])
        gap = means[:, 0] - means[:, 1]
        quantities.append(measure_quantity(f"s1 - s2, {graph}", gap, held=gap >= 0))
    return judge_by_means(
        *quantities,
        picture=level_picture(evidence, "transformer-self"),
        sentence=f"With self-edges the level ends at {list_means(quantities[:4])}, and neighbours are more "
        f"alike than second neighbours by {list_means(quantities[4:])}.",
    )


def judge_forward(evidence: Evidence) -> Judgement:
    """That one direction of the edges gives a geometry."""
    quantities = measure_graphs(
        evidence, "transformer-forward", "final level", level, lambda values: values > FORWARD_LEVEL
    )
    return judge_by_means(
        *quantities,
        picture=level_picture(evidence, "transformer-forward"),
        sentence=f"From forward edges alone the level ends at {list_means(quantities)}.",
    )
