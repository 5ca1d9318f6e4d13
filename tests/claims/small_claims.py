"""Small claims for the tests of the machinery: seconds of training, every outcome there is."""

import os

import numpy as np

from geomem.claims.claim import (
    Claim,
    Expected,
    FleetRequest,
    Judgement,
    Picture,
    Scale,
    judge_by_means,
    measure_quantity,
)
from geomem.claims.evidence import Evidence, curve_table, final, imagine_fleets
from geomem.models.configuration import Associative, Model, Node2Vec
from geomem.training.configuration import Training
from geomem.worlds.graphs.families import cycle
from geomem.worlds.graphs.graph import Graph

RING = cycle(nodes=6)
STEPS = 60


def training(model: Model, steps: int = STEPS) -> Training:
    if isinstance(model, Node2Vec):
        return Training(
            steps=steps, learning_rate=0.05, schedule="constant", optimizer="gradient-descent", snapshots=3
        )
    return Training(steps=steps, learning_rate=0.05, snapshots=3)


def request(key: str, scale: Scale, model: Model, world: Graph = RING, steps: int = STEPS) -> FleetRequest:
    return FleetRequest(key, world, model, training(model, steps), scale.seeds)


def judge_level(evidence: Evidence) -> Judgement:
    level = final(evidence["ring"], "geometric_level")
    quantity = measure_quantity("final level, ring", level, held=level > 0.3)
    table = curve_table({"ring": evidence["ring"]}, "geometric_level", title="level")
    picture = Picture(table, "step", "level", series="graph", log_x=True)
    return judge_by_means(
        quantity, sentence="Neighbours end with a mean cosine of {mean:.2f}.", picture=picture
    )


def small_claim(name: str, **changes) -> Claim:
    """A claim about Node2Vec on a ring that holds, with whatever a test changes."""
    settings = {
        "id": name,
        "title": f"Title of {name}",
        "statement": "Neighbours <b>become</b> alike & stay so.",
        "place": "Fig 7",
        "conditions": "ring of 6",
        "rule": "The level exceeds 0.3.",
        "expected": (Expected(0.9, "own measurement", "here", "above 0.3", quantity="final level, ring"),),
        "fleets": lambda scale: (request("ring", scale, Node2Vec(width=8)),),
        "judge": judge_level,
        "wrong": lambda requests: imagine_fleets(requests, "associative"),
    }
    return Claim(**settings | changes)


class Killer(Graph):
    """A graph that ends the process it arrives in."""

    def __reduce__(self):
        return os._exit, (1,)


def killer_world() -> Graph:
    ring = cycle(nodes=5)
    return Killer(name=ring.name, labels=ring.labels, edges=ring.edges)


def judge_arrays(evidence: Evidence) -> Judgement:
    error = evidence.arrays["error"]
    quantity = measure_quantity("error", error)
    return judge_by_means(quantity, holds=bool(error.max() < 1e-6), sentence="The error is {mean:.1g}.")


def arrays_claim(name: str, **changes) -> Claim:
    """A claim that no fleet is needed for."""
    return small_claim(
        name,
        **{
            "fleets": lambda scale: (),
            "compute": lambda scale: {"error": np.array([1e-9])},
            "judge": judge_arrays,
            "wrong": lambda requests: Evidence(arrays={"error": np.array([7.3])}),
        }
        | changes,
    )


def associative_claim(name: str, **changes) -> Claim:
    """A claim about another fleet, whose embeddings never move: it fails."""
    return small_claim(
        name, **{"fleets": lambda scale: (request("ring", scale, Associative(width=64), steps=5),)} | changes
    )
