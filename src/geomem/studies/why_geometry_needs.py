"""What the study of why geometry wins needs, how its claims find it, and made-up measurements of a draw."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from geomem.claims.claim import Decorator, needs
from geomem.claims.counterexamples import imagine_arrays
from geomem.claims.evidence import Evidence, FleetEvidence
from geomem.claims.experiment import Experiment
from geomem.claims.need import FleetRequest, Need, Needs, Scale
from geomem.studies.why_geometry_ends import (
    ENDS,
    FURTHER,
    TRANSFORMER,
    WORLDS,
    measure_ends,
    measure_written,
    target_loss,
    world_of,
)
from geomem.studies.why_geometry_ways import WAYS, follow, kept_steps
from geomem.training.configuration import Training

STREAMS = {
    "whole": TRANSFORMER,
    "no residual": replace(TRANSFORMER, residual=False),
    "no attention": replace(TRANSFORMER, attention=False),
    "neither": replace(TRANSFORMER, residual=False, attention=False),
}
"""Transformers by what they lack; with a residual stream the map to the read-out starts near the identity."""
STREAM_TRAINING = Training(steps=1000, schedule="constant", snapshots=2)


def worlds_at(scale: Scale) -> tuple[str, ...]:
    """The worlds of a scale by name."""
    return tuple(WORLDS | FURTHER if scale.name == "full" else WORLDS)


def written(scale: Scale) -> tuple[Need, ...]:
    """Both memories written down; keys "written/world"."""
    return tuple(
        Experiment(
            f"written/{world}",
            measure_written,
            {"world": world, "seeds": list(scale.seeds)},
            seconds=0.2 * len(scale.seeds),
        )
        for world in worlds_at(scale)
    )


def trained(kind: str) -> Needs:
    """Memories of a model trained to one loss; keys "ends-model/world"."""

    def request(scale: Scale) -> tuple[Need, ...]:
        return tuple(
            Experiment(
                f"ends-{kind}/{world}",
                measure_ends,
                {"world": world, "model": kind, "seeds": list(scale.seeds)},
                seconds=(0.6 if kind == "bilinear" else 1.3) * len(scale.seeds),
            )
            for world in worlds_at(scale)
        )

    return request


def followed(*names: str) -> Needs:
    """Trainings that are followed; keys "way/world/name"."""

    def request(scale: Scale) -> tuple[Need, ...]:
        return tuple(
            Experiment(
                f"way/{world}/{name}",
                follow,
                {"world": world, "way": name, "seeds": list(scale.seeds)},
                seconds=1.0 + WAYS[name].steps * (0.0004 + 0.00005 * len(scale.seeds)),
            )
            for world in worlds_at(scale)
            for name in names
        )

    return request


def streams(scale: Scale) -> tuple[Need, ...]:
    """Transformers with and without the residual stream; keys "parts/world"."""
    return tuple(
        FleetRequest(f"{name}/{world}", world_of(world), model, STREAM_TRAINING, scale.seeds)
        for name, model in STREAMS.items()
        for world in worlds_at(scale)
    )


def level_when_reached(fleet: FleetEvidence, world: str) -> Float[np.ndarray, " run"]:
    """The geometric level when the loss is first that of comparison; at the end, if it never is."""
    low = fleet.metrics["loss"] <= target_loss(world)
    rows = np.where(low.any(axis=0), low.argmax(axis=0), len(low) - 1)
    return fleet.metrics["geometric_level"][rows, np.arange(low.shape[1])]


def of_memory(runs: Evidence, kind: str, memory: str, quantity: str) -> dict[str, Float[np.ndarray, "..."]]:
    """What was measured of one memory, by world; `kind` is "written" or "ends-model"."""
    ends = {key: key.removesuffix(f".{memory}.{quantity}") for key in runs.arrays}
    return {
        end.partition("/")[2]: runs.arrays[key]
        for key, end in ends.items()
        if end != key and end.startswith(f"{kind}/")
    }


def of_way(runs: Evidence, name: str, quantity: str) -> dict[str, Float[np.ndarray, "row run"]]:
    """A curve of one training, by world."""
    end = f"/{name}.{quantity}"
    found = {key: array for key, array in runs.arrays.items() if key.startswith("way/")}
    return {key.split("/")[1]: array for key, array in found.items() if key.endswith(end)}


def ratios(
    runs: Evidence, kind: str, quantity: str, memory: str, other: str
) -> dict[str, Float[np.ndarray, " run"]]:
    """A quantity of one memory as a multiple of another's, by world and seed."""
    below = of_memory(runs, kind, other, quantity)
    return {world: values / below[world] for world, values in of_memory(runs, kind, memory, quantity).items()}


def race(*wanted: Needs) -> Decorator:
    """What a claim is checked on, with a draw as what would refute it."""
    return needs(*wanted, counterexample=lambda requests: imagine_draw(wanted))


def imagine_draw(wanted: Iterable[Needs]) -> Evidence:
    """Memories that are all alike, and trainings in which nothing happens."""
    keys = {getattr(need, "key", "") for needs in wanted for need in needs(Scale("quick", (0, 1, 2)))}
    quantities = "loss", "sharpness", "trace", "squares", "cost", "price", "imbalance"
    looks = "level", "contrast", "alignment"
    alike = dict.fromkeys((*quantities, *looks, "margin"), np.ones(3))
    alike |= {"margin at cost 100": np.ones(3), "map, nuclear": np.ones(3)}
    hill = np.tile(np.hstack([np.linspace(1, 9, 13), np.linspace(8, 1, 12)]), (3, 1))
    forms = ("orthonormal rows", "drawn rows", "factored")
    experiments = {}
    for world in WORLDS:
        experiments[f"written/{world}"] = {f"{form}.{q}": v for form in forms for q, v in alike.items()}
        for kind, ends in ENDS.items():
            names = [*ends, *(f"{end}, balanced" for end in ends if kind == "bilinear")]
            found = {f"{end}.{q}": v for end in names for q, v in alike.items()}
            found |= {f"{end}.segment": np.ones((3, 25)) if kind == "transformer" else hill for end in names}
            if kind == "bilinear":
                found |= {f"{end}.turned": hill for end in names}
            experiments[f"ends-{kind}/{world}"] = found
        for name, way in WAYS.items():
            steps = kept_steps(way.steps)
            curves = "loss", "recall", "price", "cost", "imbalance", *looks, "balance_error"
            still = dict.fromkeys(curves, np.ones((len(steps), 3)))
            rising = np.linspace(0, 1, len(steps))[:, None] * np.ones(3)
            still |= {"by_rows": 0 * rising, "by_map": 1 + rising, "loss": 9 * still["loss"]}
            still |= {"price": 2 * still["price"], "toward_lookup": rising, "toward_factored": rising}
            experiments[f"way/{world}/{name}"] = {"steps": steps, **still}
    return imagine_arrays({key: found for key, found in experiments.items() if key in keys})
