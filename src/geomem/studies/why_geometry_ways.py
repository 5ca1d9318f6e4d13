"""The way to both memories of a graph, step by step: what lowers the loss, whither, and what decay does.

Axis names: `run`, `row` of a curve, `node`, `token`, `width`, `parameter`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

from geomem.claims.experiment import experiment
from geomem.constructions.bilinear_memories import (
    BilinearMemory,
    at_least_cost,
    factored_memory,
    imbalance,
    least_cost,
    lookup_memory,
)
from geomem.constructions.graph_memories import adjacency_table
from geomem.geometry.landscape import turn_onto
from geomem.geometry.margins import bilinear_logits
from geomem.studies.why_geometry_ends import (
    BILINEAR,
    ENDS,
    MOST_STEPS,
    WIDTH,
    Weights,
    draw,
    examples_of,
    look_at,
    node_memory,
    reach,
    target_logits,
    world_of,
)
from geomem.training.configuration import Training


@dataclass(frozen=True)
class Way:
    """A training that is followed."""

    start: str
    """One of the bilinear ends: as it is drawn, a lookup table as it is at the loss of comparison."""
    optimizer: Literal["adamw", "gradient-descent"] = "adamw"
    rate: float = 0.01
    decay: float = 0.0
    steps: int = MOST_STEPS


STARTS = ("gaussian", "identity", "wide", "lookup")
DECAYS = {"": 0.0, ", light decay": 0.1, ", heavy decay": 1.0}
WAYS: dict[str, Way] = {
    f"{start}{words}": Way(start, decay=decay) for start in STARTS for words, decay in DECAYS.items()
}
"""What weight decay selects, and what happens to a lookup table."""
WAYS |= {f"{start}, slow": Way(start, rate=0.001, steps=20_000) for start in ("gaussian", "identity")}
"""Whether crossing is kept at 1, 6 and 40 times 500 steps."""
WAYS |= {
    "lookup, descent": Way("lookup", "gradient-descent", 0.1),
    "lookup, descent, decay": Way("lookup", "gradient-descent", 0.1, 0.01),
}
"""For the law of what gradient flow never changes, from the lookup table."""
WAYS |= {
    f"{start}, descent": Way(start, "gradient-descent", 0.1, steps=10_000)
    for start in ("gaussian", "identity")
}
"""The same from a small start."""
ROWS = 40


BUDGETS = (500, 3000, 20_000)
"""The paper's budget, and 6 and 40 times it."""


def kept_steps(steps: int) -> Int[np.ndarray, " row"]:
    """Steps that are looked at, denser at the beginning; the first is 0, the budgets are among them."""
    even = np.geomspace(1, steps, ROWS).round().astype(int)
    return np.unique([0, *even, *(budget for budget in BUDGETS if budget <= steps)])


@experiment(version=1)
def follow(
    settings: Mapping[str, Any], *, directory: Any, device: str, on_progress: Callable[[float], None]
) -> dict[str, np.ndarray]:
    """A training of a bilinear network, looked at on its way: "steps" [row], all else [row, run].

    `by_rows` and `by_map` are the first-order decrease of the loss since the start, -g · Δ summed over
    updates, by the embeddings and by the rest. `toward_lookup` and `toward_factored` are cosines of the next
    update with the direction to the lookup table over the rows of the start and to the factored memory,
    turned onto the rows as they are, both written down at the scale that costs least; node rows and map
    alone, and not of the last row. `balance_error` is ‖C(t) - (1 - ηλ)^(2t) C(0)‖ / ‖C(0)‖ with
    C = EᵀE - WWᵀ - WᵀW - bbᵀ.
    """
    from geomem.training.watched import train_watched

    name, way, seeds = settings["world"], WAYS[settings["way"]], settings["seeds"]
    end = ENDS["bilinear"][way.start]
    weights = reach(name, end, seeds) if way.start == "lookup" else draw(name, end.model, seeds, end.rows)
    training = Training(
        steps=way.steps,
        learning_rate=way.rate,
        weight_decay=way.decay,
        schedule="constant",
        optimizer=way.optimizer,
    )
    tokens = weights["token_embedding"].shape[1]
    numbers, steps = tokens * WIDTH, kept_steps(way.steps)
    kept, totals = set(steps.tolist()), np.zeros((2, len(seeds)))
    compass = _Compass(name, weights)
    first = [balance(weights, run) for run in range(len(seeds))]
    rows: list[dict[str, np.ndarray]] = []
    former: list[np.ndarray] = []

    def watch(step: int, losses: np.ndarray, flat: np.ndarray, gradient: np.ndarray) -> None:
        if former:
            before, slope = former
            gains = -slope * (flat - before)
            totals[:] += gains[:, :numbers].sum(axis=1), gains[:, numbers:].sum(axis=1)
            if step - 1 in kept:
                rows[-1].update(compass.read(_cut(before, tokens), _cut(flat - before, tokens)))
        former[:] = flat.copy(), gradient.copy()
        if step in kept:
            own = _cut(flat, tokens)
            shrunk = (1 - way.rate * way.decay) ** (2 * step)
            errors = [
                np.linalg.norm(balance(own, run) - shrunk * start) / np.linalg.norm(start)
                for run, start in enumerate(first)
            ]
            decreases = {"by_rows": totals[0].copy(), "by_map": totals[1].copy()}
            rows.append({"loss": losses.copy(), **decreases, "balance_error": np.array(errors)})
            rows[-1].update(_look(name, own))
            on_progress(step / way.steps)

    train_watched(BILINEAR, examples_of(name), weights, training, watch)
    rows[-1].update({key: np.full(len(seeds), np.nan) for key in rows[0].keys() - rows[-1].keys()})
    return {"steps": steps, **{key: np.array([row[key] for row in rows]) for key in rows[0]}}


def _cut(flat: Float[np.ndarray, "run parameter"], tokens: int) -> Weights:
    parts = np.split(flat.astype(np.float64), [tokens * WIDTH, tokens * WIDTH + WIDTH**2], axis=1)
    shapes = {"token_embedding": (tokens, WIDTH), "weight": (WIDTH, WIDTH), "bias": (WIDTH,)}
    return {key: part.reshape(-1, *shapes[key]) for key, part in zip(shapes, parts, strict=True)}


def _look(name: str, own: Weights) -> dict[str, np.ndarray]:
    """What the runs show and hold as they are, [run]."""
    from geomem.measure.uses.held import recalled

    table, nodes = own["token_embedding"], world_of(name).node_count
    logits = bilinear_logits(table, own["weight"], own["bias"])[:, :nodes]
    answers = np.zeros(logits.shape[1:], dtype=bool)
    answers[:, :nodes] = adjacency_table(world_of(name)) > 0
    memories = [node_memory(name, {key: a[run] for key, a in own.items()}) for run in range(len(table))]
    shown = [look_at(name, table[run : run + 1]) for run in range(len(table))]
    return {
        "recall": recalled(logits, answers).mean(axis=1),
        "price": np.array([at_least_cost(one).cost / least_cost(one.logits) for one in memories]),
        "cost": np.array([one.cost for one in memories]),
        "imbalance": np.array([imbalance(one) for one in memories]),
        **{key: np.array([one[key] for one in shown]) for key in shown[0]},
    }


@dataclass(frozen=True, eq=False)
class _Compass:
    """Where the two memories lie that are written down."""

    name: str
    start: Weights

    def read(self, now: Weights, update: Weights) -> dict[str, Float[np.ndarray, " run"]]:
        """Cosines of an update of every run with the directions to both."""
        name, nodes = self.name, world_of(self.name).node_count
        logits = target_logits(name)
        factored = at_least_cost(factored_memory(logits, WIDTH))
        found: dict[str, list[float]] = {"toward_lookup": [], "toward_factored": []}
        for run, table in enumerate(now["token_embedding"]):
            E, W = table[:nodes], now["weight"][run]
            moved = np.concatenate(
                [update["token_embedding"][run, :nodes].ravel(), update["weight"][run].ravel()]
            )
            rows = self.start["token_embedding"][run, :nodes].astype(np.float64)
            R = turn_onto(factored.embedding, E)
            goals = {
                "toward_lookup": at_least_cost(lookup_memory(logits, rows)),
                "toward_factored": BilinearMemory(factored.embedding @ R, R.T @ factored.weight @ R),
            }
            for key, goal in goals.items():
                there = np.concatenate([(goal.embedding - E).ravel(), (goal.weight - W).ravel()])
                found[key].append(float(moved @ there / (np.linalg.norm(moved) * np.linalg.norm(there))))
        return {key: np.array(values) for key, values in found.items()}


def balance(weights: Weights, run: int) -> Float[np.ndarray, "width width"]:
    """EᵀE - WWᵀ - WᵀW - bbᵀ of one run, all tokens: what gradient flow never changes."""
    E, W, b = (weights[key][run].astype(np.float64) for key in ("token_embedding", "weight", "bias"))
    return E.T @ E - W @ W.T - W.T @ W - np.outer(b, b)
