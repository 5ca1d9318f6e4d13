"""Settings of path finding that work or were published, as data: world, models, task, training."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from geomem.errors import InputError, unknown_name
from geomem.models.architecture import Model
from geomem.models.configuration import Mamba, Transformer
from geomem.training.configuration import PathTraining
from geomem.worlds.path_finding import PathFinding


@dataclass(frozen=True)
class PathPreset:
    """One setting of path finding on a path-star."""

    about: str
    """One line: what it shows, on what machine."""
    arms: int
    length: int
    models: Mapping[str, Model]
    """The architectures the setting is for, by the name the command line uses."""
    task: PathFinding
    training: PathTraining
    interventions: tuple[str, ...] = ()


def _both(width: int) -> Mapping[str, Model]:
    """The paper's large models: 12 layers, 8 heads, sinusoidal positions; Mamba: 16 states (notes B.0.4)."""
    return MappingProxyType(
        {
            "transformer": Transformer(layers=12, width=width, heads=8, positions="sinusoidal"),
            "mamba": Mamba(layers=12, width=width, state_size=16),
        }
    )


def _published(batches: int) -> PathTraining:
    """Table 1 (notes B.0.5) with the release's warm-up and floor (notes B.0.3).

    Batches of 1,024 examples, the largest of the paper's grid; "a couple of thousand" epochs of its 50,000.
    """
    return PathTraining(
        epochs=2000,
        batches=batches,
        learning_rate=5e-5,
        weight_decay=0.01,
        warmup_steps=1000,
        metric_every=10,
        snapshots=2,
    )


NARROW = Transformer(layers=2, width=32, heads=4, position_scale=0.02)
"""Found by search: at length 6 it plans where a model of width 128 learns its training paths by rote."""

NARROW_TRAINING = PathTraining(
    epochs=200, batches=16, learning_rate=4e-3, weight_decay=0.1, schedule="constant", averaging=0.98
)
"""A constant learning rate, and the mean of the weights over about six epochs: annealing lets rote in."""

AT_SCALE = replace(NARROW, width=64)

AT_SCALE_TRAINING = replace(
    NARROW_TRAINING, epochs=24, batches=64, schedule="cosine", averaging=0.99, metric_every=2, stop_at=0.0
)
"""With the Dirichlet energy annealing does not let rote in; a constant rate stays too noisy."""

PATH_PRESETS: Mapping[str, PathPreset] = MappingProxyType(
    {
        "headline": PathPreset(
            about="plan over 4 nodes among 1,000 arms; ten seconds a seed on two cores",
            arms=1000,
            length=4,
            models=MappingProxyType({"transformer": NARROW}),
            task=PathFinding(edge_weight=5.0),
            training=NARROW_TRAINING,
        ),
        "length-6": PathPreset(
            about="plan over 6 nodes among 1,000 arms; twenty seconds a seed on two cores",
            arms=1000,
            length=6,
            models=MappingProxyType({"transformer": NARROW}),
            task=PathFinding(edge_weight=5.0),
            training=NARROW_TRAINING,
        ),
        # The narrow setting at the paper's sizes; `docs/path-finding.md` has what was measured.
        "paper-5000x5-fast": PathPreset(
            about="5,000 arms of length 5 by a narrow model with the Dirichlet energy in its loss; three "
            "seeds found .998, .997, .999 of the held-out first hops, six minutes a seed on one core",
            arms=5000,
            length=5,
            models=MappingProxyType({"transformer": AT_SCALE}),
            task=PathFinding(edge_weight=5.0),
            training=AT_SCALE_TRAINING,
            interventions=("strong-dirichlet",),
        ),
        "paper-10000x6-fast": PathPreset(
            about="10,000 arms of length 6 by a narrow model with the Dirichlet energy in its loss; three "
            "seeds found .998, .997, .988 of the held-out first hops, half an hour a seed on one core",
            arms=10_000,
            length=6,
            models=MappingProxyType({"transformer": AT_SCALE}),
            task=PathFinding(edge_weight=5.0),
            training=AT_SCALE_TRAINING,
            interventions=("strong-dirichlet",),
        ),
        # Examples of an epoch (facts and training paths, notes B.0.3) by 1,024: 43,750, 107,500 and 187,500.
        "paper-5000x5": PathPreset(
            about="the paper's smallest: 5,000 arms of length 5 (Table 1), for a GPU",
            arms=5000,
            length=5,
            models=_both(384),
            task=PathFinding(pauses=5),
            training=_published(43),
        ),
        "paper-10000x6": PathPreset(
            about="the paper's middle: 10,000 arms of length 6 (Table 1), for a GPU",
            arms=10_000,
            length=6,
            models=_both(384),
            task=PathFinding(pauses=6),
            training=_published(105),
        ),
        "paper-10000x10": PathPreset(
            about="the paper's largest: 10,000 arms of length 10 (Table 1), for a GPU",
            arms=10_000,
            length=10,
            models=_both(784),
            task=PathFinding(pauses=10),
            training=_published(184),
        ),
    }
)
"""The presets by the name that `geomem paths --preset` takes."""


def find_preset(name: str) -> PathPreset:
    """The preset of that name; raises `InputError`, with the nearest names, if there is none.

    >>> find_preset("headline").arms
    1000
    """
    if name not in PATH_PRESETS:
        raise unknown_name(
            f"{name!r} is not a preset",
            name,
            PATH_PRESETS,
            otherwise=f"give one of {', '.join(PATH_PRESETS)}",
        )
    return PATH_PRESETS[name]


def preset_model(name: str, model: str) -> Model:
    """The configuration a preset has for an architecture; raises `InputError` if it has none for it.

    >>> preset_model("paper-10000x6", "mamba").width
    384
    """
    models = find_preset(name).models
    if model not in models:
        raise InputError(
            f"The preset {name!r} has no setting for {model}; give --model {' or '.join(models)}."
        )
    return models[model]
