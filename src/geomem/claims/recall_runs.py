"""Trained memories of facts as experiments of claims, and what judges ask of their measurements.

Axis names: `run`, `size` (one width of several), `gain` of an attribute swap.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float

from geomem.claims.claim import Picture, Quantity, Scale, measure_quantity
from geomem.claims.evidence import Evidence, imagine_arrays
from geomem.claims.experiment import Experiment, experiment
from geomem.models.configuration import Recall
from geomem.training.configuration import RecallTraining

SUBJECTS, RELATIONS = 1024, 2
WIDTHS = (16, 64, 128, 256)
"""d / (R ln N) of 1.2, 4.6, 9.2 and 18.5."""

QUICK_WIDTHS = (16, 64, 208)
"""d / (R ln N) of 1.2, 4.6 and 15.0, the least that the notes' rules call wide."""

STEPS = 2500
"""Those of the notes' recipe, at any cost: their rules belong to it. After 1,000 all facts are recalled too,
but the maps of relations are closer and fewer new facts transfer."""

EMBEDDING_ONLY_STEPS = 100
"""E11 asks for new facts within so many steps."""

SECONDS = {16: 29.0, 32: 40.0, 64: 52.0, 128: 95.0, 208: 165.0, 256: 240.0}
"""About how long one seed takes at 1,024 subjects and 2 relations on one core, its portrait included."""


@dataclass(frozen=True)
class MemorySetting:
    """How memories are trained before their portraits are drawn."""

    model: Recall
    training: RecallTraining
    subjects: int = SUBJECTS
    relations: int = RELATIONS
    seconds: float = 10.0
    """About how long one seed takes on one core."""

    @property
    def ratio(self) -> float:
        """d / (R ln N)."""
        return float(self.model.width / (self.relations * np.log(self.subjects)))


def memory_setting(
    width: int,
    *,
    subjects: int = SUBJECTS,
    relations: int = RELATIONS,
    steps: int = STEPS,
    seconds: float | None = None,
    **changes: Any,
) -> MemorySetting:
    """C2's recipe: 4 d neurons, half the subjects in a batch, .003 with a cosine, subjects from .05.

    `changes` are options of the model or of the training.

    >>> round(memory_setting(128).ratio, 1), memory_setting(32, weight_decay=0.1).training.weight_decay
    (9.2, 0.1)
    """
    training = RecallTraining(steps=steps, learning_rate=3e-3, batch_subjects=subjects // 2, metric_every=100)
    model = Recall(width=width, mlp_width=4 * width, subject_scale=0.05)
    of_training = {name: value for name, value in changes.items() if hasattr(training, name)}
    of_model = {name: value for name, value in changes.items() if name not in of_training}
    if seconds is None:
        seconds = SECONDS.get(width, width * 0.5) * subjects * relations / (SUBJECTS * RELATIONS)
        seconds *= steps / STEPS
    return MemorySetting(
        replace(model, **of_model), replace(training, **of_training), subjects, relations, seconds
    )


def fewer_seeds(scale: Scale) -> tuple[int, ...]:
    """The seeds of a training that takes long: the first two where time is short, else all.

    >>> fewer_seeds(Scale("quick", (0, 1, 2)))
    (0, 1)
    """
    return scale.seeds[:2] if scale.name == "quick" else scale.seeds


def read_model(options: Mapping[str, Any]) -> Recall:
    """The model of options that went through JSON, which has no tuples.

    >>> read_model({"width": 4, "frozen": ["objects"]}).frozen
    ('objects',)
    """
    return Recall(**{**options, "frozen": tuple(options.get("frozen", ()))})


@experiment(version=2)
def measure_portraits(
    settings: Mapping[str, Any], *, directory: Any, device: str, on_progress: Callable[[float], None]
) -> dict[str, np.ndarray]:
    """Every number of `portrait_numbers` as [run], and the curves of attribute swaps as [run, gain].

    The memory stays in the directory, so that an interrupted training goes on.
    """
    from geomem.measure.facts import draw_portrait
    from geomem.measure.recall_portrait import portrait_numbers
    from geomem.runs.facts import learn_facts
    from geomem.training.loop import Progress
    from geomem.worlds.facts.families import random_bijections

    def tell(event: object) -> None:
        if isinstance(event, Progress):
            on_progress(0.7 * event.step / event.steps)

    memory = learn_facts(
        random_bijections(settings["subjects"], settings["relations"]),
        model=read_model(settings["model"]),
        training=RecallTraining(**settings["training"]),
        seeds=settings["seeds"],
        directory=directory,
        device=device,
        on_progress=tell,
    )
    portraits = [
        draw_portrait(memory, run, training_steps=settings["embedding_only_steps"])
        for run in range(len(memory.seeds))
    ]
    numbers = [portrait_numbers(portrait) for portrait in portraits]
    arrays = {name: np.array([one[name] for one in numbers]) for name in numbers[0]}
    swaps = [portrait.swaps for portrait in portraits]
    return arrays | {
        "gains": swaps[0].gains,
        "successes": np.stack([swap.success for swap in swaps]),
        "retentions": np.stack([swap.retention for swap in swaps]),
    }


def describe_memories(setting: MemorySetting, seeds: Sequence[int]) -> dict[str, Any]:
    """The settings of `measure_portraits`, as JSON can hold them."""
    return {
        "subjects": setting.subjects,
        "relations": setting.relations,
        "model": asdict(setting.model),
        "training": asdict(setting.training),
        "embedding_only_steps": EMBEDDING_ONLY_STEPS,
        "seeds": list(seeds),
    }


def request_memories(
    settings: Callable[[Scale], Mapping[str, MemorySetting]],
) -> Callable[[Scale], tuple[Experiment, ...]]:
    """The function a claim's `experiments` is: a portrait for each setting, by its key.

    >>> [experiment.key for experiment in request_memories(settings_by_width)(Scale("quick", (0, 1, 2)))]
    ['d16', 'd64', 'd208']
    """

    def request(scale: Scale) -> tuple[Experiment, ...]:
        seeds = fewer_seeds(scale)
        return tuple(
            Experiment(key, measure_portraits, describe_memories(own, seeds), own.seconds * len(seeds))
            for key, own in settings(scale).items()
        )

    return request


def widths_at(scale: Scale) -> tuple[int, ...]:
    """Fewer and less wide where time is short."""
    return QUICK_WIDTHS if scale.name == "quick" else WIDTHS


def settings_by_width(scale: Scale) -> dict[str, MemorySetting]:
    """The memories that most claims look at, by width."""
    return {f"d{width}": memory_setting(width) for width in widths_at(scale)}


# What judges ask of portraits.


def numbers(evidence: Evidence, key: str, name: str) -> Float[np.ndarray, " run"]:
    """A number of the portraits of one setting."""
    return evidence.arrays[f"{key}.{name}"]


def measured_widths(evidence: Evidence) -> tuple[int, ...]:
    """The widths of which there are portraits, ascending.

    >>> measured_widths(imagine_memories({"recall": 1.0}, widths=(64, 16)))
    (16, 64)
    """
    return tuple(
        sorted(
            int(key[1:])
            for key in {name.partition(".")[0] for name in evidence.arrays}
            if key[0] == "d" and key[1:].isdigit()
        )
    )


def stack_widths(
    evidence: Evidence, name: str, *, widths: Sequence[int] | None = None
) -> Float[np.ndarray, "size run"]:
    """A number of the portraits at every width, ascending, of all that were measured if none are given."""
    widths = measured_widths(evidence) if widths is None else widths
    return np.stack([numbers(evidence, f"d{width}", name) for width in widths])


def over_widths(
    evidence: Evidence, name: str, title: str, *, widths: Sequence[int] | None = None
) -> tuple[Quantity, ...]:
    """A number of the portraits as one quantity per width, of all that were measured if none are given."""
    return tuple(
        measure_quantity(f"{title}, d = {width}", numbers(evidence, f"d{width}", name))
        for width in (measured_widths(evidence) if widths is None else widths)
    )


def draw_over_widths(evidence: Evidence, lines: Mapping[str, str], *, title: str) -> Picture:
    """Mean, lowest and highest value over seeds against d / (R ln N); `lines` names numbers by label."""
    rows = [
        {
            "d / (R ln N)": float(numbers(evidence, f"d{width}", "ratio")[0]),
            title: float(values.mean()),
            "low": float(values.min()),
            "high": float(values.max()),
            "curve": label,
        }
        for label, name in lines.items()
        for width in measured_widths(evidence)
        for values in [numbers(evidence, f"d{width}", name)]
    ]
    return Picture(pl.DataFrame(rows), "d / (R ln N)", title, series="curve", log_x=True)


def imagine_memories(
    curves: Mapping[str, Any], *, widths: Sequence[int] = QUICK_WIDTHS, runs: int = 2
) -> Evidence:
    """Numbers that portraits might have held: by name, one for all widths or the ends of a straight line.

    >>> imagine_memories({"recall": [0.5, 1.0]}, widths=(16, 64)).arrays["d64.recall"]
    array([1., 1.])
    """
    made: dict[str, dict[str, np.ndarray]] = {f"d{width}": {} for width in widths}
    for place, width in enumerate(widths):
        made[f"d{width}"]["ratio"] = np.full(runs, width / (RELATIONS * np.log(SUBJECTS)))
        for name, values in curves.items():
            first, last = np.broadcast_to(np.asarray(values, dtype=np.float64), 2)
            made[f"d{width}"][name] = np.full(runs, np.linspace(first, last, len(widths))[place])
    return imagine_arrays(made)
