"""Interventions: what else a training may do to bring out a geometry, by name; no torch.

An intervention changes fields of the task, the model and the training where they say it, and fields of a
`Treatment` for the rest: starts, rates and decays of some tensors only, penalties, noise, Muon.

>>> @intervention
... def tiny_steps(settings):
...     '''The network learns a hundred times slower.'''
...     return settings.change(network_rate=0.01)
>>> from geomem.models.configuration import Transformer
>>> from geomem.training.configuration import Training
>>> from geomem.worlds.tasks import EdgeMemorization
>>> given = Settings(EdgeMemorization(), Transformer(), Training())
>>> describe_treatment(intervene(["self-edges", "tiny-steps"], given).treatment)
{'network_rate': 0.01}
>>> INTERVENTIONS.pop("tiny-steps").explanation
'The network learns a hundred times slower.'
"""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Generic, Literal, TypeVar

from geomem.errors import InputError, unknown_name
from geomem.fields import NonNegative, ShareBelowOne, check_fields, read_fields


@dataclass(frozen=True)
class Treatment:
    """What a training does beside its settings; by default nothing.

    The embeddings are the tables of the vocabulary, of the input and of an untied read-out; the network is
    what stands between them, without positions and the last norm.
    """

    embedding_start: NonNegative = 1.0
    """Factor on the embeddings' initial numbers."""
    network_start: NonNegative = 1.0
    """Factor on the initial numbers of the network's matrices."""
    branch_start: NonNegative = 1.0
    """Factor on the initial last matrix of every residual branch: at 0 the network begins as the identity."""
    spectral_start: NonNegative = 0.0
    """Root mean square of what the Laplacian's lowest modes add to each coordinate they use at the start."""
    readout_start: Literal["drawn", "embedding"] = "drawn"
    """An untied read-out begins as it is drawn, or as a copy of the token embedding."""
    embedding_rate: NonNegative = 1.0
    """Factor on the embeddings' learning rate."""
    network_rate: NonNegative = 1.0
    """Factor on the network's learning rate."""
    embedding_decay: NonNegative = 0.0
    """Weight decay of the embeddings, beside the training's."""
    network_decay: NonNegative = 0.0
    """Weight decay of the network, gains of its norms included, beside the training's."""
    dirichlet: NonNegative = 0.0
    """Weight in the loss of the embeddings' Dirichlet energy."""
    noise: NonNegative = 0.0
    """Standard deviation of the noise on the token embedding, as a share of its own root mean square."""
    dropout: ShareBelowOne = 0.0
    """Share of the token embedding's numbers that a step does not see."""
    muon: Literal["none", "network", "all"] = "none"
    """Which matrices Muon updates in AdamW's place: the network's, or the embeddings too."""

    @property
    def reads_graph(self) -> bool:
        """Whether it needs one graph that is the same in all examples."""
        return bool(self.spectral_start or self.dirichlet)


NOTHING = Treatment()


def describe_treatment(treatment: Treatment) -> dict[str, Any]:
    """The fields that differ from doing nothing, as the configuration of a run has them.

    >>> describe_treatment(Treatment(dirichlet=0.1)), describe_treatment(NOTHING)
    ({'dirichlet': 0.1}, {})
    """
    return {name: value for name, value in asdict(treatment).items() if value != getattr(NOTHING, name)}


SomeTask = TypeVar("SomeTask")
SomeModel = TypeVar("SomeModel")
SomeTraining = TypeVar("SomeTraining")


@dataclass(frozen=True)
class Settings(Generic[SomeTask, SomeModel, SomeTraining]):
    """All that an intervention may change."""

    task: SomeTask
    model: SomeModel
    training: SomeTraining
    treatment: Treatment = NOTHING

    def change(self, **values: Any) -> "Settings[SomeTask, SomeModel, SomeTraining]":
        """The same with other values of fields, wherever a field of that name is.

        Raises `InputError` if there is none.
        """
        changed: dict[str, dict[str, Any]] = {}
        for name, value in values.items():
            owner = next((part for part in fields(self) if hasattr(getattr(self, part.name), name)), None)
            if owner is None:
                kinds = ", ".join(type(getattr(self, part.name)).__name__ for part in fields(self))
                raise InputError(f"The field {name} that it changes is in none of {kinds}; leave it out.")
            changed.setdefault(owner.name, {})[name] = value
        return replace(self, **{part: replace(getattr(self, part), **own) for part, own in changed.items()})


@dataclass(frozen=True, eq=False)
class Intervention:
    """One intervention; `intervention` registers it."""

    name: str
    explanation: str
    apply: Callable[[Settings], Settings]


INTERVENTIONS: dict[str, Intervention] = {}
"""The interventions by name; `intervention` adds to them."""


def intervention(function: Callable[[Settings], Settings]) -> Callable[[Settings], Settings]:
    """Register what a function does to settings under its name with dashes; its docstring explains it.

    Raises `InputError` for a second one of a name, or without a docstring.
    """
    name = function.__name__.replace("_", "-")
    explanation = " ".join((inspect.getdoc(function) or "").partition("\n\n")[0].split())
    if not explanation:
        raise InputError(f"The intervention {name!r} has no docstring; its first paragraph explains it.")
    if name in INTERVENTIONS:
        raise InputError(f"An intervention {name!r} exists already; choose another name.")
    INTERVENTIONS[name] = Intervention(name, explanation, function)
    return function


def intervene(
    names: Iterable[str], settings: Settings[SomeTask, SomeModel, SomeTraining]
) -> Settings[SomeTask, SomeModel, SomeTraining]:
    """The settings after the named interventions, one after the other.

    A name with a value, as in `dirichlet=7`, sets that field of the treatment. Raises `InputError` for an
    unknown name, for a value that the field does not take, or for one that cannot be on these settings.

    >>> describe_treatment(intervene(["noise", "dirichlet=7"], Settings(None, None, None)).treatment)
    {'dirichlet': 7.0, 'noise': 0.3}
    >>> intervene(["nois"], Settings(None, None, None))
    Traceback (most recent call last):
    geomem.errors.InputError: 'nois' is not an intervention; did you mean noise?
    """
    for name in names:
        if "=" in name:
            settings = replace(settings, treatment=_set_field(settings.treatment, name))
            continue
        if name not in INTERVENTIONS:
            raise unknown_name(
                f"{name!r} is not an intervention",
                name,
                INTERVENTIONS,
                otherwise=f"give some of {', '.join(INTERVENTIONS)}",
            )
        try:
            settings = INTERVENTIONS[name].apply(settings)
        except InputError as error:
            raise InputError(f"The intervention {name!r} does not apply here. {error}") from error
    check_fields(settings.treatment)
    return settings


def _set_field(treatment: Treatment, given: str) -> Treatment:
    title, _, text = given.partition("=")
    name, value = title.strip().replace("-", "_"), text.strip()
    known = [field.name for field in fields(Treatment)]
    if name not in known:
        titles = [field.replace("_", "-") for field in known]
        raise unknown_name(
            f"{given!r} sets no field of a treatment",
            title.strip(),
            titles,
            otherwise=f"give a value to one of {', '.join(titles)}",
        )
    return read_fields(Treatment, asdict(treatment) | {name: value})


# The task.


@intervention
def self_edges(settings: Settings) -> Settings:
    """Every node is asked for itself too."""
    return settings.change(self_edges=True)


@intervention
def forward_only(settings: Settings) -> Settings:
    """No reverse facts: every edge is asked in one direction only."""
    return settings.change(directions="forward")


# The start.


@intervention
def small_embeddings(settings: Settings) -> Settings:
    """The embeddings start ten times smaller."""
    return settings.change(embedding_start=0.1)


@intervention
def wide_embeddings(settings: Settings) -> Settings:
    """The embeddings start fifty times larger, from N(0, 1): a control that keeps to the lookup table."""
    return settings.change(embedding_start=50.0)


@intervention
def small_start(settings: Settings) -> Settings:
    """All matrices start ten times smaller."""
    return settings.change(embedding_start=0.1, network_start=0.1)


@intervention
def spectral_start(settings: Settings) -> Settings:
    """The lowest modes of the graph's Laplacian are added to the embeddings at the start."""
    return settings.change(spectral_start=0.5)


@intervention
def identity_start(settings: Settings) -> Settings:
    """The network starts as the identity: residual branches at zero, a bilinear map at the unit matrix."""
    if "initialization" in vars(settings.model) and not hasattr(settings.model, "residual"):
        return settings.change(initialization="identity")
    return settings.change(branch_start=0.0)


# Rates and decays of some tensors only.


@intervention
def slow_network(settings: Settings) -> Settings:
    """The network learns thirty times slower than the embeddings."""
    return settings.change(network_rate=1 / 30)


@intervention
def fast_embeddings(settings: Settings) -> Settings:
    """The embeddings learn three times faster."""
    return settings.change(embedding_rate=3.0)


@intervention
def embedding_decay(settings: Settings) -> Settings:
    """Weight decay of .3 on the embeddings alone."""
    return settings.change(embedding_decay=0.3)


@intervention
def network_decay(settings: Settings) -> Settings:
    """Weight decay of 3 on the network, which then fades out."""
    return settings.change(network_decay=3.0)


# The loss.


@intervention
def dirichlet(settings: Settings) -> Settings:
    """The Dirichlet energy of the embeddings is in the loss, with a weight of .1."""
    return settings.change(dirichlet=0.1)


@intervention
def strong_dirichlet(settings: Settings) -> Settings:
    """The Dirichlet energy of the embeddings is in the loss, with a weight of 3: for long paths."""
    return settings.change(dirichlet=3.0)


@intervention
def noise(settings: Settings) -> Settings:
    """Every step sees the token embedding with noise of .3 of its size."""
    return settings.change(noise=0.3)


@intervention
def dropout(settings: Settings) -> Settings:
    """Every step sees the token embedding without a tenth of its numbers."""
    return settings.change(dropout=0.1)


# The model.


@intervention
def untied(settings: Settings) -> Settings:
    """The read-out has a table of its own."""
    return settings.change(tied=False)


@intervention
def tied_start(settings: Settings) -> Settings:
    """The read-out has a table of its own that starts as a copy of the embedding."""
    return settings.change(tied=False, readout_start="embedding")


@intervention
def width_8(settings: Settings) -> Settings:
    """Embeddings of 8 dimensions."""
    return settings.change(width=8)


# The optimizer.


@intervention
def gradient_descent(settings: Settings) -> Settings:
    """Gradient descent at a learning rate of 1 in AdamW's place."""
    return settings.change(optimizer="gradient-descent", learning_rate=1.0)


@intervention
def muon_network(settings: Settings) -> Settings:
    """Muon updates the network's matrices."""
    return settings.change(muon="network")


@intervention
def muon(settings: Settings) -> Settings:
    """Muon updates all matrices, the embeddings too."""
    return settings.change(muon="all")
