"""Trained memories of facts as experiments, and how claims read their measurements.

Glossary for the claims on arXiv 2605.12426: N subjects, R relations, d width of the residual stream, m code
length, k hops, L layers, ratio d / (R ln N). Axis names: `run`, `size` (one of several widths), `gain` of an
attribute swap.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from geomem.claims.check import Check, Picture, check, draw_bands
from geomem.claims.claim import Claim, Decorator, conditions, needs
from geomem.claims.counterexamples import imagine_arrays
from geomem.claims.evidence import Evidence
from geomem.claims.experiment import Experiment, Measure, experiment
from geomem.claims.need import Scale
from geomem.errors import InputError
from geomem.models.configuration import Recall
from geomem.models.own import OwnModule
from geomem.runs.facts import fact_job
from geomem.training.configuration import RecallTraining
from geomem.worlds.facts.families import random_bijections

SUBJECTS, RELATIONS = 1024, 2
STEPS = 2500
"""The notes' recipe at any cost, because their rules belong to it. After 1,000 steps all facts are recalled
too, but the maps of relations are closer and fewer new facts transfer."""

Request = Callable[[Scale], tuple[Experiment, ...]]
"""What a claim `needs` if it needs experiments."""

EMBEDDING_ONLY_STEPS = 100
"""Steps within which E11 asks for new facts."""

SECONDS = {16: 29.0, 32: 40.0, 64: 52.0, 128: 95.0, 208: 165.0, 256: 240.0}
"""Seconds per seed at 1,024 subjects and 2 relations on one core, portrait included, by width."""


def memory_settings(
    width: int, *, subjects: int = SUBJECTS, relations: int = RELATIONS, steps: int = STEPS, **changes: Any
) -> dict[str, Any]:
    """Settings of `measure_portraits` but the seeds: C2's recipe with some options changed.

    That is 4 d neurons, half the subjects in a batch, .003 with a cosine, subjects drawn at .05. `changes`
    are options of the model or of the training.

    >>> changed = memory_settings(32, weight_decay=0.1)
    >>> changed["model"]["mlp_width"], changed["training"]["weight_decay"]
    (128, 0.1)
    """
    training = RecallTraining(steps=steps, learning_rate=3e-3, batch_subjects=subjects // 2, metric_every=100)
    model = Recall(width=width, mlp_width=4 * width, subject_scale=0.05)
    of_training = {name: value for name, value in changes.items() if hasattr(training, name)}
    of_model = {name: value for name, value in changes.items() if name not in of_training}
    return {
        "subjects": subjects,
        "relations": relations,
        "model": asdict(replace(model, **of_model)),
        "training": asdict(replace(training, **of_training)),
        "embedding_only_steps": EMBEDDING_ONLY_STEPS,
    }


def fewer_seeds(scale: Scale) -> tuple[int, ...]:
    """Seeds of a long training: the first two at the quick scale, else all.

    >>> fewer_seeds(Scale("quick", (0, 1, 2)))
    (0, 1)
    """
    return scale.seeds[:2] if scale.name == "quick" else scale.seeds


@experiment(version=2, name="geomem.claims.recall_runs.measure_portraits")
def measure_portraits(
    settings: Mapping[str, Any], *, directory: Any, device: str, on_progress: Callable[[float], None]
) -> dict[str, np.ndarray]:
    """Every number of `portrait_numbers` as [run], and the curves of attribute swaps as [run, gain].

    The memory stays in the directory, so that an interrupted training resumes.
    """
    from geomem.measure.facts import draw_portrait
    from geomem.measure.recall_portrait import portrait_numbers
    from geomem.runs.configuration import read_model
    from geomem.runs.facts import learn_facts
    from geomem.training.loop import Progress

    def tell(event: object) -> None:
        if isinstance(event, Progress):
            on_progress(0.7 * event.step / event.steps)

    memory = learn_facts(
        random_bijections(settings["subjects"], settings["relations"]),
        model=read_model(Path(directory), {"kind": "recall", **settings["model"]}),
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
    if portraits[0].network is None:
        return arrays
    return arrays | {
        "gains": portraits[0].swaps.gains,
        "successes": np.stack([portrait.swaps.success for portrait in portraits]),
        "retentions": np.stack([portrait.swaps.retention for portrait in portraits]),
    }


def request(
    measure: Measure,
    work: Mapping[str, tuple[Mapping[str, Any], float]],
    seeds: Callable[[Scale], tuple[int, ...]] = fewer_seeds,
) -> Request:
    """What a claim `needs`: an experiment per key, from settings without seeds and seconds per seed."""
    return lambda scale: tuple(
        Experiment(key, measure, {**own, "seeds": seeds(scale)}, seconds * len(seeds(scale)))
        for key, (own, seconds) in work.items()
    )


def request_memories(settings: Callable[[Scale], Mapping[str, Mapping[str, Any]]]) -> Request:
    """What a claim `needs`: a portrait for each setting, by its key.

    >>> [experiment.key for experiment in request_memories(TWO_RELATIONS.settings)(Scale("quick", (0, 1)))]
    ['d16', 'd64', 'd208']
    """

    def seconds(own: Mapping[str, Any]) -> float:
        work = own["subjects"] * own["relations"] * own["training"]["steps"]
        return SECONDS[own["model"]["width"]] * work / (SUBJECTS * RELATIONS * STEPS)

    return lambda scale: request(
        measure_portraits, {key: (own, seconds(own)) for key, own in settings(scale).items()}
    )(scale)


def exchange_memories(claim: Claim, module: OwnModule) -> Claim:
    """A claim on the vectors of memories of several widths, asked of a module at the width that it has.

    Raises `InputError` if the module has no embedding or no read-out that is known, or is too wide.
    """
    first = claim.experiments(Scale(claim.cost, (0,)))[0].settings
    table = random_bijections(first["subjects"], first["relations"])
    fitted = fact_job(table, model=module).model
    if not (fitted.width and fitted.read_out):
        missing = "read-out" if fitted.width else "embedding"
        raise InputError(
            f"The {missing} of the module is not known, so its vectors cannot be measured; let it have one "
            "nn.Embedding and one nn.Linear with a row for each token, or name the former with --embedding."
        )
    if 4 * first["relations"] * fitted.width > first["subjects"]:
        raise InputError(
            f"The module's width is {fitted.width}, and {first['subjects']:,} subjects with "
            f"{first['relations']} relations judge a superposition up to width "
            f"{first['subjects'] // (4 * first['relations'])}; ask a narrower one."
        )
    settings = {**first, "model": {"kind": fitted.name, **asdict(fitted)}}
    seconds = 4 * SECONDS[32] * first["training"]["steps"] / STEPS

    def ask(scale: Scale) -> tuple[Experiment, ...]:
        seeds = fewer_seeds(scale)
        own = {**settings, "seeds": seeds}
        return (Experiment(f"d{fitted.width}", measure_portraits, own, seconds * len(seeds), module=fitted),)

    said = f"N = {first['subjects']:,}, R = {first['relations']}; module {fitted.source}, d = {fitted.width}"
    return replace(claim, needs=(ask,), stated_conditions=f"{said}; {TRAINED}")


@dataclass(frozen=True)
class Memories:
    """Memories of one table of facts at several widths, which most claims look at."""

    subjects: int
    relations: int
    widths: tuple[int, ...]
    quick_widths: tuple[int, ...]
    """Those of the quick scale."""
    sizes: str
    """In words."""

    def settings(self, scale: Scale) -> dict[str, dict[str, Any]]:
        """The settings by width."""
        widths = self.quick_widths if scale.name == "quick" else self.widths
        sizes = {"subjects": self.subjects, "relations": self.relations}
        return {f"d{width}": memory_settings(width, **sizes) for width in widths}


TWO_RELATIONS = Memories(
    SUBJECTS,
    RELATIONS,
    widths=(16, 64, 128, 256),  # ratios of 1.2, 4.6, 9.2 and 18.5
    quick_widths=(16, 64, 208),  # 1.2, 4.6 and 15.0, the smallest that the notes' rules call wide
    sizes=f"N = {SUBJECTS:,}, R = {RELATIONS}, d = 16, 64, 208 (16, 64, 128, 256 at full cost), d / (R ln N) "
    "from 1.2 to 15 or more",
)
FOUR_RELATIONS = Memories(
    2 * SUBJECTS,
    4,
    widths=TWO_RELATIONS.widths,
    quick_widths=TWO_RELATIONS.widths,
    sizes=f"N = {2 * SUBJECTS:,}, R = 4, d = 16, 64, 128, 256, d / (R ln N) from .5 to 8.4",
)
TRAINED = f"half the subjects in a batch, Adam, lr .003, cosine, {STEPS:,} steps"
RECIPE = (
    "MLP of 4 d neurons, half the subjects in a batch, Adam, lr .003, cosine, subjects drawn at .05, "
    f"{STEPS:,} steps"
)


def needs_memories(
    memories: Memories = TWO_RELATIONS, *, counterexample: Mapping[str, Any], more: str = ""
) -> Decorator:
    """`needs` of memories and their `conditions`; of the counterexample, what differs in the portraits."""
    need = needs(
        request_memories(memories.settings), counterexample=imagine_portraits(memories, **counterexample)
    )
    describe = conditions("; ".join(filter(None, (memories.sizes, RECIPE, more))))
    return lambda checks: describe(need(checks))


# How claims read measurements.


def measured_widths(runs: Evidence) -> tuple[int, ...]:
    """The measured widths, ascending.

    >>> measured_widths(imagine_portraits())
    (16, 64, 208)
    """
    keys = {name.partition(".")[0] for name in runs.arrays}
    return tuple(sorted(int(key[1:]) for key in keys if key[0] == "d" and key[1:].isdigit()))


def stack_widths(
    runs: Evidence, name: str, *, widths: Sequence[int] | None = None
) -> Float[np.ndarray, "size run"]:
    """A number of the portraits at these widths; at every measured width, ascending, by default."""
    widths = measured_widths(runs) if widths is None else widths
    return np.stack([runs.arrays[f"d{width}.{name}"] for width in widths])


def widths_from(runs: Evidence, ratio: float) -> list[int]:
    """The measured widths d of at least `ratio` times R ln N."""
    return [width for width in measured_widths(runs) if runs.arrays[f"d{width}.ratio"][0] >= ratio]


def over_widths(
    runs: Evidence, lines: Mapping[str, str], *, widths: Sequence[int] | None = None, **bound: Any
) -> Iterator[Check]:
    """A check per width of every number in `lines`, by title; `bound` goes to each check."""
    for title, name in lines.items():
        for width in measured_widths(runs) if widths is None else widths:
            yield check(f"{title}, d = {width}", runs.arrays[f"d{width}.{name}"], **bound)


def check_arrays(runs: Evidence, *starts: str, **bound: Any) -> Iterator[Check]:
    """A check on every seed for each array whose name starts with one of `starts`."""
    for name, values in runs.arrays.items():
        if name.startswith(starts):
            yield check(name, values, over="every seed", **bound)


def draw_over_widths(runs: Evidence, lines: Mapping[str, str], *, title: str) -> Picture:
    """Mean, lowest and highest value over seeds against d / (R ln N); `lines` names numbers by label."""
    ratios = stack_widths(runs, "ratio")[:, 0]
    curves = [(label, ratios, stack_widths(runs, name)) for label, name in lines.items()]
    return draw_bands(curves, "d / (R ln N)", title, log_x=True)


# Counterexamples.

IMAGINED = {
    "recall": [1.0],
    "superposition": [0.8],
    "superposition_shuffled": [0.0],
    "read_out_accuracy": [0.9],
    "map_cosine": [0.9, 0.2],
    "affine_surrogate": [1.0],
    "constancy": [0.9],
    "gate_variance_explained": [0.3],
    "swap_best": [0.5],
    "swap_success": [0.5],
    "swap_retention": [0.5],
    "transfer_ridge": [0.05, 0.94],
    "transfer_least_squares": [0.05, 0.98],
    "transfer_adjoint": [0.05, 0.8],
    "transfer_ridge_wrong_maps": [0.03],
    "transfer_least_squares_wrong_maps": [0.03],
    "embedding_only_trained": [1.0],
    "embedding_only_random": [0.1, 0.84],
    "embedding_only_trained_steps": [30.0],
}
"""Numbers of a portrait at the smallest and the largest width, or at both."""


def imagine_portraits(memories: Memories = TWO_RELATIONS, **changes: Any) -> Evidence:
    """Portraits of two memories per quick width as the notes have them, except for the changes.

    A number is one for all widths or the two ends of a straight line.

    >>> imagine_portraits(recall=[0.5, 1.0]).arrays["d208.recall"]
    array([1., 1.])
    """
    curves, widths, arrays = {**IMAGINED, **changes}, memories.quick_widths, {}
    for place, width in enumerate(widths):
        share = place / (len(widths) - 1)
        own = {name: np.full(2, (1 - share) * ends[0] + share * ends[-1]) for name, ends in curves.items()}
        arrays[f"d{width}"] = own | {
            "ratio": np.full(2, width / (memories.relations * np.log(memories.subjects))),
            "successes": np.full((2, 3), 0.5),
            "retentions": np.full((2, 3), 0.5),
        }
    return imagine_arrays(arrays)
