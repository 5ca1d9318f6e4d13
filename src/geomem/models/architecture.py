"""What can be said of an architecture without running it, and how it becomes known; no torch.

An architecture is two files: here its configuration, a frozen dataclass with bounds at its fields and the
table of its tensors; in `geomem.models.networks` what it computes.

>>> @architecture("nearest", network="somewhere.networks.nearest")
... @dataclass(frozen=True)
... class Nearest(Model):
...     width: Count = 8
...
...     def tensors(self, sizes):
...         shape = (sizes.vocabulary_size, self.width)
...         return {"token_embedding": ParameterDescription(shape, "normal", 1.0)}
>>> Nearest.name, MODELS.pop("nearest") is Nearest
('nearest', True)
"""

from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal, TypeVar

from geomem.fields import Count as Count
from geomem.fields import check_fields


@dataclass(frozen=True)
class Sizes:
    """What the shapes of a model's tensors depend on beside its configuration."""

    vocabulary_size: int
    context_length: int
    node_count: int


@dataclass(frozen=True)
class ParameterDescription:
    """Shape and start of one tensor of one run; in a fleet a `run` axis comes first."""

    shape: tuple[int, ...]
    start: Literal[
        "normal", "uniform", "zeros", "ones", "identity", "sinusoids", "logarithms", "step-sizes", "own"
    ]
    """`own` is drawn by the network itself."""
    deviation: float = 0.0
    """Standard deviation of a normal or uniform start."""
    trained: bool = True


class Model:
    """What every architecture says of itself; a subclass is a frozen dataclass whose fields are options."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    name: ClassVar[str]
    """What the command line and the manifest of a run call it; `architecture` sets it."""
    network: ClassVar[str]
    """The module that computes it (see `geomem.models.networks`); `architecture` sets it."""
    title: ClassVar[str]
    """What a page calls it; `architecture` sets it."""
    published: ClassVar[Mapping[str, Any]] = MappingProxyType({"steps": 500})
    """Fields of `Training`: the published setting on the tiny graphs."""
    remarks: ClassVar[Mapping[str, Mapping[Any, str]]] = MappingProxyType({})
    """By field, the values worth a word in the title of a run, and the word."""
    laptop: ClassVar[Mapping[str, Any] | None] = None
    """Its own fields where it finds paths on a laptop; None if it reads no sequence."""
    recurrent: ClassVar[bool] = False
    """Whether every position is computed, however few are read."""
    scores: ClassVar[Literal["tokens", "nodes"]] = "tokens"
    """What its logits are of; with nodes, the loss is a mean over nodes and not over facts."""
    step_calls: ClassVar[int] = 200
    """Calls of torch in a step outside the blocks, forward and back, counted."""
    block_calls: ClassVar[int] = 0
    """Calls of torch in a step per block, forward and back, counted; small models are as slow as these."""
    layers: int = 0
    tied: bool = True
    width: int

    def tensors(self, sizes: Sizes) -> dict[str, ParameterDescription]:
        """Every tensor by name; weights act as `y = W x + b` with `W` of shape [out, in]."""
        raise NotImplementedError

    def fit(self, sizes: Sizes) -> "Model":
        """The model as it is for a world of these sizes; ours are the same for all."""
        return self

    def check(self) -> None:
        """Raise `InputError` if fields that are possible alone contradict each other."""

    def count_activations(self, context: int) -> int:
        """Numbers of one position and block that live until the backward pass, about; `context` positions."""
        return 16 * self.width

    def count_scan(self) -> int:
        """Operations of one position and block outside matrices, a fourth."""
        return 0

    @property
    def reads_past(self) -> bool:
        """Whether a token's state depends on the tokens before it."""
        return True


SomeModel = TypeVar("SomeModel", bound=type[Model])

MODELS: dict[str, type[Model]] = {}
"""The architectures known by now, by the name the command line uses; `configuration` makes ours known."""


def architecture(name: str, *, network: str, title: str = "") -> Callable[[SomeModel], SomeModel]:
    """Make an architecture known by a name, whichever package it comes from; decorates its dataclass.

    `network` is the module that computes it, imported when first needed.
    Raises `ValueError` if the name is taken by a class of another module.
    """

    def register(kind: SomeModel) -> SomeModel:
        taken = MODELS.get(name)
        if taken is not None and (taken.__module__, taken.__name__) != (kind.__module__, kind.__name__):
            raise ValueError(f"the architecture {name!r} is {taken.__module__}.{taken.__name__} already")
        kind.name, kind.network, kind.title = name, network, title or kind.__name__
        MODELS[name] = kind
        return kind

    return register


def check_model(model: Model) -> None:
    """Raise `InputError` if the configuration describes no model: sizes, heads, chances, unknown words.

    >>> from geomem.models.configuration import Transformer
    >>> check_model(Transformer(width=32, heads=4))
    >>> check_model(Transformer(width=32, heads=5))
    Traceback (most recent call last):
    geomem.errors.InputError: width is 32 and heads is 5; heads must divide width, for example heads 4.
    """
    check_fields(model)
    model.check()


def describe_linear(name: str, inputs: int, outputs: int) -> dict[str, ParameterDescription]:
    """A weight from N(0, 0.02²) and a bias of zeros, GPT-2's."""
    return {
        f"{name}.weight": ParameterDescription((outputs, inputs), "normal", 0.02),
        f"{name}.bias": ParameterDescription((outputs,), "zeros"),
    }


def describe_norm(name: str, width: int, *, bias: bool = True) -> dict[str, ParameterDescription]:
    """A gain of ones, and a bias of zeros unless the norm has none."""
    gain = {f"{name}.weight": ParameterDescription((width,), "ones")}
    return gain | ({f"{name}.bias": ParameterDescription((width,), "zeros")} if bias else {})
