"""Small claims for the tests of the machinery: seconds of training, every outcome there is."""

import os

import numpy as np

from geomem.claims.check import check, draw_bands
from geomem.claims.claim import Claim, Expected
from geomem.claims.counterexamples import imagined
from geomem.claims.evidence import Evidence, final
from geomem.claims.need import FleetRequest, Scale, computed
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


def check_level(runs: Evidence):
    yield check("final level, ring", final(runs["ring"], "geometric_level"), above=0.3)
    levels = [("ring", runs["ring"].steps, runs["ring"].metrics["geometric_level"])]
    yield draw_bands(levels, "step", "level", series="graph", log_x=True)


def small_claim(name: str, *needs, **changes) -> Claim:
    """A claim about Node2Vec on a ring that holds, with whatever a test changes."""
    settings = {
        "id": name,
        "title": f"Title of {name}",
        "statement": "Neighbours <b>become</b> alike & stay so.",
        "place": "Fig 7",
        "stated_conditions": "ring of 6",
        "expected": (Expected(0.9, "own measurement", "here", "final level, ring", "above 0.3"),),
        "needs": needs or (lambda scale: (request("ring", scale, Node2Vec(width=8)),),),
        "checks": check_level,
        "counterexample": imagined("associative"),
    }
    return Claim(**settings | changes)


class Killer(Graph):
    """A graph that ends the process it arrives in."""

    def __reduce__(self):
        return os._exit, (1,)


def killer_world() -> Graph:
    ring = cycle(nodes=5)
    return Killer(name=ring.name, labels=ring.labels, edges=ring.edges)


def check_error(runs: Evidence):
    yield check("error", runs.arrays["error"], below=1e-6, over="everywhere")


def arrays_claim(name: str, error: float = 1e-9, **changes) -> Claim:
    """A claim that no fleet is needed for."""
    settings = {
        "checks": check_error,
        "counterexample": lambda requests: Evidence(arrays={"error": np.array([7.3])}),
    }
    return small_claim(name, computed(lambda scale: {"error": np.array([error])}), **settings | changes)


def associative_claim(name: str, **changes) -> Claim:
    """A claim about another fleet, whose embeddings never move: it fails."""
    needs = (lambda scale: (request("ring", scale, Associative(width=64), steps=5),),)
    return small_claim(name, *needs, **changes)
