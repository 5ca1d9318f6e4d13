"""The trainings of path finding that claims need, each an experiment whose arrays are curves.

Axis names: `run`, `row` of the metrics.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import wraps
from typing import TYPE_CHECKING, Any

import numpy as np

from geomem.claims.claim import Checker, Checks, Decorator, needs
from geomem.claims.curves import Imagined, curves, imagine_curves
from geomem.claims.evidence import Evidence
from geomem.claims.experiment import Experiment, experiment
from geomem.claims.need import Scale
from geomem.models.configuration import MODELS, Mamba, Model, Transformer
from geomem.runs.presets import PATH_PRESETS
from geomem.training.configuration import PathTraining
from geomem.training.treatment import Settings, Treatment, describe_treatment, intervene
from geomem.worlds.graphs.families import path_star, tree_star
from geomem.worlds.in_context import InContextPathFinding
from geomem.worlds.path_finding import PathFinding, Target

if TYPE_CHECKING:
    from geomem.runs.job import Job
    from geomem.runs.run import Run

EXACT, FIRST_HOP = "held_out.exact_match", "held_out.first_hop"

FAMILIES = {"path-star": path_star, "tree-star": tree_star}
"""The worlds that paths are found on, by family."""


@dataclass(frozen=True)
class PathSetting:
    """How one fleet is trained to find paths."""

    model: Model
    training: PathTraining
    task: PathFinding | InContextPathFinding
    """In context it is the world as well."""
    arms: int
    length: int
    family: str = "path-star"
    start: "PathSetting | None" = None
    """What the fleet is trained on before: its weights are the start (staged training)."""
    seconds: float = 10.0
    """About how long one seed takes on one core, without its start."""
    interventions: tuple[str, ...] = ()
    """What else is done, by the names of `geomem.training.treatment`."""


# In the weights, on a laptop.

ARMS, LENGTH, EPOCHS = 250, 4, 64
PAUSES = (0, 2, 4, 6, 10)
TREE_ARMS = 125
TREE_LEAVES = 4 * TREE_ARMS

BASE = PathSetting(
    Transformer(layers=2, width=64, heads=4, position_scale=0.02),
    # All epochs are trained, so that two settings differ in nothing but what the claim is about.
    PathTraining(epochs=EPOCHS, learning_rate=2e-3, weight_decay=0.1, stop_at=0.0, metric_every=2),
    PathFinding(edge_weight=5.0),
    ARMS,
    LENGTH,
    seconds=8.0,
)
TWICE = replace(BASE.training, epochs=2 * EPOCHS)
MAMBA = replace(BASE, model=Mamba(layers=2, width=64, state_size=16), training=TWICE, seconds=50.0)
# With frozen embeddings a weight decay of .1 keeps the model from recalling the edges at all: with them from
# N(0, .02²) or N(0, 1) it ended at .16 of them.
WEAK_DECAY = replace(TWICE, learning_rate=5e-3, weight_decay=0.01)
EDGES = replace(BASE, task=PathFinding(edge_weight=5.0, path_weight=0.0))
TREE = replace(BASE, family="tree-star", arms=TREE_ARMS, seconds=12.0)


def with_task(setting: PathSetting, **options: object) -> PathSetting:
    """The setting with other options of the task.

    >>> with_task(BASE, pauses=10).task.pauses
    10
    """
    return replace(setting, task=replace(setting.task, **options))


STARS: dict[str, PathSetting] = {
    "base": BASE,
    "mamba": MAMBA,
    "first-hop": with_task(replace(BASE, training=TWICE), target="first-hop"),
    "edges-only": EDGES,
    "edges-only-mamba": replace(MAMBA, task=EDGES.task),
    "frozen": replace(BASE, model=replace(BASE.model, frozen_embeddings=True), training=WEAK_DECAY),
    "trained": replace(BASE, training=WEAK_DECAY),
    "forward": with_task(BASE, directions="forward"),
    "forward-reverse": with_task(BASE, directions="forward", target="reverse"),
    "backward": with_task(BASE, directions="reverse"),
    "backward-reverse": with_task(BASE, directions="reverse", target="reverse"),
    "backward-reverse-self": with_task(BASE, directions="reverse", target="reverse", self_edges=True),
    "reverse": with_task(BASE, target="reverse"),
    **{f"pauses-{count}": with_task(BASE, pauses=count) for count in PAUSES},
    # The paper's second stage has a 200th of the first one's learning rate; here a quarter, for few epochs.
    "staged": replace(
        with_task(BASE, target="first-hop", edge_weight=0.0, path_weight=1.0),
        training=replace(BASE.training, learning_rate=5e-4, metric_every=1),
        start=EDGES,
    ),
    "tree-leaf": TREE,
    "tree-first-hop": with_task(TREE, split="first-hop"),
    "self-edges": with_task(BASE, self_edges=True),
    "untied": replace(BASE, model=replace(BASE.model, tied=False)),
}
"""How each training in the weights is done, by its key."""

# At the paper's own sizes.

SMALL, MIDDLE, LARGE = "paper-5000x5", "paper-10000x6", "paper-10000x10"

PAPER_STARS: dict[str, PathSetting] = {
    f"{name}-{kind}": PathSetting(
        model,
        PATH_PRESETS[name].training,
        PATH_PRESETS[name].task,
        PATH_PRESETS[name].arms,
        PATH_PRESETS[name].length,
        # On one core, by the count of operations: weeks to a year, which says why these want a GPU.
        seconds=seconds,
    )
    for name, seconds in ((SMALL, 5e6), (MIDDLE, 2e7), (LARGE, 1e8))
    for kind, model in PATH_PRESETS[name].models.items()
}
"""The presets of the paper's sizes, by name and architecture."""

# In context. Found on seeds 10 and 11: both look up nodes in the prompt after 1,000 batches. With width 32,
# 2 heads and 64 prompts three other seeds took up to 5,500; 4 layers with 64 prompts left one guessing after
# 1,200.

PROMPT_ARMS, PROMPT_LENGTH = 2, 5
PROMPT_TRAINING = PathTraining(
    epochs=40,  # what is called an epoch here is 50 batches
    batches=50,
    prompts=128,
    learning_rate=1e-3,
    warmup_steps=100,
    schedule="constant",
    stop_at=0.0,
    metric_every=2,
)


def prompt_setting(target: Target) -> PathSetting:
    """A laptop's training on prompts that use all node tokens."""
    arms, length = PROMPT_ARMS, PROMPT_LENGTH
    task = InContextPathFinding(arms=arms, length=length, node_tokens=arms * (length - 1) + 1, target=target)
    return PathSetting(BASE.model, PROMPT_TRAINING, task, arms, length, seconds=140.0)


PROMPTS: dict[str, PathSetting] = {
    "arms-2": prompt_setting("path"),
    # Without the answer's tokens three steps back from the leaf are taken within the layers: two are too few.
    "teacherless": replace(
        prompt_setting("teacherless"),
        model=replace(BASE.model, layers=4),
        training=replace(PROMPT_TRAINING, prompts=64, epochs=240, metric_every=4),
        seconds=1000.0,
    ),
    "reverse": prompt_setting("reverse"),
    "first-hop": prompt_setting("first-hop"),
}
"""How each training in context is done, by its key."""

# Table 1 of the paper; node tokens and prompts are those of Next-Token-Failures (notes B.2), whose 200,000
# prompts are seen for 100 epochs there and are fresh here.
_PAPER_PROMPTS = PathTraining(
    epochs=800,
    batches=100,
    prompts=256,
    learning_rate=1e-4,
    warmup_steps=100,
    stop_at=0.0,
    metric_every=10,
    snapshots=2,
)
PAPER_PROMPTS: dict[str, PathSetting] = {
    f"arms-{arms}": PathSetting(
        Transformer(layers=12, width=width, heads=8, positions="sinusoidal"),
        _PAPER_PROMPTS,
        InContextPathFinding(arms=arms, length=PROMPT_LENGTH, node_tokens=nodes),
        arms,
        PROMPT_LENGTH,
        seconds=3e5,
    )
    for arms, width, nodes in ((2, 384, 50), (10, 384, 50), (20, 784, 100))
}
"""The paper's own sizes in context."""


def describe_setting(setting: PathSetting, seeds: Sequence[int]) -> dict[str, Any]:
    """The settings of `measure_paths`, as JSON can hold them."""
    done = intervene(setting.interventions, Settings(setting.task, setting.model, setting.training))
    in_context = isinstance(setting.task, InContextPathFinding)
    world = {"family": setting.family, "arms": setting.arms, "length": setting.length}
    described = {
        "world": {"family": "in-context"} if in_context else world,
        "model": {"kind": done.model.name, **asdict(done.model)},
        "task": asdict(done.task),
        "training": asdict(done.training),
        "seeds": list(seeds),
    }
    if treatment := describe_treatment(done.treatment):
        described["treatment"] = treatment
    if setting.start is not None:
        described["start"] = describe_setting(setting.start, seeds)
    return described


def path_training(settings: Mapping[str, Any], start: "Run | None" = None) -> "Job | None":
    """The run of one setting; None if it starts from another run that is not given."""
    from geomem.runs.paths import path_job

    if "start" in settings and start is None:
        return None
    world, model = dict(settings["world"]), dict(settings["model"])
    kind, family = model.pop("kind"), world.pop("family")
    trained: Any = MODELS[kind](**model)
    in_context = family == "in-context"
    return path_job(
        InContextPathFinding(**settings["task"]) if in_context else FAMILIES[family](**world),
        model=trained,
        task=None if in_context else PathFinding(**settings["task"]),
        training=PathTraining(**settings["training"]),
        seeds=settings["seeds"],
        start=start,
        treatment=Treatment(**settings.get("treatment", {})),
    )


@experiment(version=1, name="geomem.claims.path_runs.measure_paths", training=path_training)
def measure_paths(
    settings: Mapping[str, Any], *, directory: Any, device: str, on_progress: Callable[[float], None]
) -> dict[str, np.ndarray]:
    """Every metric of a fleet of `find_paths` as [run, row], and `epochs` as [row].

    The fleet stays in the directory, so that an interrupted one goes on and a staged one shares its start.
    """

    fleet = _train(settings, directory, device, on_progress)
    curves = {name: values.T for name, values in fleet.curves().items()}
    return {"epochs": fleet.steps / settings["training"]["batches"]} | curves


def _train(
    settings: Mapping[str, Any], directory: Any, device: str, on_progress: Callable[[float], None]
) -> "Run":
    from geomem.runs.train import train
    from geomem.training.loop import Progress

    start = None
    if "start" in settings:
        start = _train(settings["start"], directory, device, lambda share: None)

    def tell(event: object) -> None:
        if isinstance(event, Progress):
            on_progress(event.step / event.steps)

    job: Any = path_training(settings, start)
    return train(job, directory, device=device, on_progress=tell)


def needs_trainings(counterexample: Imagined, settings: Mapping[str, PathSetting] = STARS) -> Decorator:
    """`needs` of the trainings whose curves the counterexample has, by their keys.

    The checks are given the curves by key, in place of the evidence.
    """

    def request(scale: Scale) -> tuple[Experiment, ...]:
        described = {key: describe_setting(settings[key], scale.seeds) for key in counterexample}
        return tuple(
            Experiment(key, measure_paths, own, settings[key].seconds * len(scale.seeds))
            for key, own in described.items()
        )

    def decorate(checks: Checker) -> Checker:
        @wraps(checks)
        def check_curves(evidence: Evidence) -> Checks:
            return checks({key: curves(evidence, key) for key in counterexample})

        return needs(request, counterexample=imagine_curves(counterexample))(check_curves)

    return decorate
