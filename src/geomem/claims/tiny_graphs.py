"""Helpers of claims that are not measured tests yet."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float

from geomem.claims.claim import Judgement, Quantity, measure_quantity
from geomem.claims.evidence import Evidence, FleetEvidence
from geomem.claims.memorize_geometrically.tiny_graphs import *  # noqa: F403
from geomem.claims.memorize_geometrically.tiny_graphs import GRAPHS
from geomem.claims.memorize_geometrically.tiny_graphs import tiny_graphs as request_fleets  # noqa: F401


def measure_graphs(
    evidence: Evidence,
    name: str,
    title: str,
    measure: Callable[[FleetEvidence], Float[np.ndarray, " run"]],
    holds: Callable[[Float[np.ndarray, " run"]], Bool[np.ndarray, " run"]] | None = None,
    *,
    graphs: Sequence[str] = tuple(GRAPHS),
) -> tuple[Quantity, ...]:
    """A measurement of the fleets of one setting, a quantity per graph called "title, graph"."""
    quantities = []
    for graph in graphs:
        values = np.asarray(measure(evidence[f"{name}/{graph}"]), dtype=np.float64)
        held = None if holds is None else np.asarray(holds(values), dtype=bool)
        quantities.append(measure_quantity(f"{title}, {graph}", values, held=held))
    return tuple(quantities)


def list_means(quantities: Sequence[Quantity], digits: int = 2) -> str:
    """The means of quantities called "title, graph", for a sentence: "0.36 (star), 0.25 (grid)"."""
    return ", ".join(
        f"{quantity.mean:.{digits}f} ({quantity.name.rpartition(', ')[2]})" for quantity in quantities
    )


def hold_somewhere(quantities: Sequence[Quantity], share: float = 1 / 3) -> bool:
    """Whether every quantity's rule holds for at least that share of its seeds."""
    return all(quantity.held_share >= share - 1e-9 for quantity in quantities)


def judge_deviation(*quantities: Quantity, holds: bool, deviates: bool, sentence: str) -> Judgement:
    """The judgement of a claim that the paper makes too strongly: it holds, deviates as said, or fails."""
    outcome = "holds" if holds else "deviates" if deviates else "fails"
    return Judgement(outcome, sentence, quantities)


def mix_evidence(*parts: Evidence) -> Evidence:
    """The fleets of several pieces of evidence as one."""
    fleets: Mapping[str, FleetEvidence] = {key: fleet for part in parts for key, fleet in part.fleets.items()}
    return Evidence(fleets)
