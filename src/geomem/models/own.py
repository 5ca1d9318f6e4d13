"""A module of a person's own as an architecture: its factory, and what is kept of it; no torch.

A factory maps `Sizes` to a `torch.nn.Module` from tokens [example, seq] to logits. What a run keeps are the
names and shapes of its tensors and a hash of its source, never its code: whoever opens a kept run executes
nothing, and a factory is called only if the person named it in the same process.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any, ClassVar

from geomem.errors import InputError
from geomem.models.architecture import Model, ParameterDescription, Sizes
from geomem.models.networks import network_of
from geomem.models.own_source import Source, find_source, load_source

Factory = Callable[[Sizes], Any]
"""From sizes to a `torch.nn.Module`."""

FROZEN = "frozen"
"""Last word of a tensor that training does not change."""
MOST_TENSORS = 100_000

_LOADED: dict[tuple[str, str], Source] = {}
"""The factories that were named in this process, by source and digest."""


@dataclass(frozen=True)
class OwnModule(Model):
    """A module of your own, from tokens [example, seq] to logits."""

    source: str = ""
    """File and function, as in mine.py:factory."""
    digest: str = field(default="", repr=False)
    """Hash of the source, and of the values that the factory takes from around it."""
    embedding: str = ""
    """The parameter whose first rows are the nodes; empty if none is known."""
    width: int = 0  # pyright: ignore[reportIncompatibleVariableOverride]
    """Columns of the embedding."""
    sizes: tuple[int, ...] = field(default=(), repr=False)
    """Vocabulary, context and nodes (of facts, subjects) that the module was made for."""
    described: tuple[str, ...] = field(default=(), repr=False)
    """Every tensor, as in `head.weight 26x32`, with the word frozen if training does not change it."""

    name: ClassVar[str] = "module"
    network: ClassVar[str] = "geomem.models.networks.own"
    title: ClassVar[str] = "Own module"
    laptop = MappingProxyType({})
    recurrent: ClassVar[bool] = True
    layers = 1
    block_calls: ClassVar[int] = 200

    def tensors(self, sizes: Sizes) -> dict[str, ParameterDescription]:
        """Every tensor by name, as it was described when the module was first made; its start is its own.

        The embedding is called `token_embedding`, whatever its name in the module is.
        """
        found = {}
        for line in self.described:
            name, shape, *frozen = line.rsplit(" ", 2) if line.endswith(" " + FROZEN) else line.rsplit(" ", 1)
            lengths = tuple(int(length) for length in shape.split("x")) if shape else ()
            found[self.kept_name(name)] = ParameterDescription(lengths, "own", trained=not frozen)
        return found

    def kept_name(self, name: str) -> str:
        """What a tensor of the module is called among the parameters of a fleet.

        >>> OwnModule(embedding="embed.weight").kept_name("embed.weight")
        'token_embedding'
        """
        return "token_embedding" if name == self.embedding else name

    def own_name(self, kept: str) -> str:
        """What the module itself calls a tensor that is kept under this name."""
        return self.embedding if kept == "token_embedding" else kept

    def check(self) -> None:
        """Raise `InputError` unless the tensors are described as this class describes them."""
        for name in ("source", "digest", "embedding"):
            if not isinstance(getattr(self, name), str):
                raise InputError(f"{name} is {getattr(self, name)!r}; give a text.")
        if not (self.sizes or self.described):
            return
        try:
            wrong = len(self.described) > MOST_TENSORS or self.width < 0 or len(self.sizes) not in (0, 3)
            found = self.tensors(Sizes(1, 1, 1))
            wrong = wrong or len(found) < len(self.described)
            wrong = wrong or not all(length > 0 for own in found.values() for length in own.shape)
            shape = found["token_embedding"].shape if self.embedding else (1, 0)
            wrong = wrong or len(shape) != 2 or shape[1] != self.width
        except (AttributeError, KeyError, TypeError, ValueError):
            wrong = True
        if wrong:
            raise InputError("described does not list tensors and their shapes; leave it as it was written.")

    def fit(self, sizes: Sizes) -> "OwnModule":
        """The same with its tensors and its embedding, after the module was made once and tried.

        Raises `InputError` if the factory or its module does not do what is asked of it.
        """
        given = replace(self.given, sizes=(sizes.vocabulary_size, sizes.context_length, sizes.node_count))
        tried = network_of(self).try_module(given)
        return replace(given, embedding=tried.embedding, width=tried.width, described=tried.described)

    def count_activations(self, context: int) -> int:
        """Numbers of a position that a forward pass of the module keeps for the backward pass, counted."""
        # Beside them the logits, their exponentials and the gradients of both.
        return network_of(self).try_module(self.given).kept_numbers + 4 * self.sizes[0]

    @property
    def hops(self) -> int:
        """Relations in a question, of a module that learns facts: its context is a subject and these."""
        return self.sizes[1] - 1

    @property
    def read_out(self) -> str:
        """The tensor whose rows tell the tokens apart in the logits; empty if shapes do not say which.

        It is the only matrix beside the embedding with a row for each token; if nothing else has as many
        rows or columns, the embedding.

        >>> OwnModule(sizes=(9, 2, 4), described=("head.weight 9x3", "head.bias 9")).read_out
        'head.weight'
        """
        shapes = {name: each.shape for name, each in self.tensors(Sizes(1, 1, 1)).items()}
        tied = shapes.pop("token_embedding", ())
        others = {name: shape for name, shape in shapes.items() if len(shape) > 1 and self.sizes[0] in shape}
        rows = [name for name, shape in others.items() if shape[0] == self.sizes[0] and len(shape) == 2]
        if len(rows) == 1:
            return rows[0]
        return "token_embedding" if tied[:1] == self.sizes[:1] and not others else ""

    @property
    def given(self) -> "OwnModule":
        """The module before it was made: what was named, and sizes."""
        return replace(self, width=0, described=())

    @property
    def key(self) -> tuple[str, str]:
        """What the factory is found by."""
        return self.source, self.digest

    def factory(self) -> Factory:
        """The factory; raises `InputError` if nobody named it in this process."""
        if self.key not in _LOADED:
            raise InputError(
                f"The code of the module {self.source} is not loaded, and no run brings code of its own; "
                f"give --module {self.source} (in Python model=...), which executes that file."
            )
        return _LOADED[self.key].factory

    def __reduce__(self) -> Any:
        # A job goes to other processes, which have to know its factory.
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        source = _LOADED.get(self.key)
        return _restore, (values, source.path if source else "", source and source.portable)


def _restore(values: dict[str, Any], path: str, factory: Factory | None) -> OwnModule:
    model = OwnModule(**values)
    if path:
        with suppress(InputError):  # said where the factory is asked for
            load_module(path)
    elif factory is not None:
        _LOADED[model.key] = Source(model.source, model.digest, factory)
    return model


def own_module(factory: Factory, *, embedding: str = "") -> OwnModule:
    """The architecture of a factory, which maps `Sizes` to a `torch.nn.Module`.

    The module maps tokens [example, seq] to logits [example, seq, vocab], or [example, vocab] of the last
    position. `embedding` names the `nn.Embedding` or the parameter whose rows are the tokens, where there is
    not exactly one `nn.Embedding` with a row for each.

    Raises `InputError` if the factory cannot be called, or its source cannot be read.

    >>> import torch
    >>> def factory(sizes):
    ...     return torch.nn.Embedding(sizes.vocabulary_size, sizes.vocabulary_size)
    >>> own_module(factory, embedding="weight").embedding
    'weight'
    """
    return _remember(find_source(factory), embedding)


def load_module(
    named: str, *, embedding: str = "", say: Callable[[str], object] = lambda sentence: None
) -> OwnModule:
    """Execute a file, and take the factory that it defines, as in `mine.py:factory`.

    `say` is told which file is executed, before it is. Raises `InputError` if there is no such file or
    function, or if the file fails.

    >>> load_module("mine.py")
    Traceback (most recent call last):
    geomem.errors.InputError: The module is 'mine.py'; give file and function, as in mine.py:factory.
    """
    return _remember(load_source(named, say), embedding)


def _remember(source: Source, embedding: str) -> OwnModule:
    _LOADED[source.name, source.digest] = source
    return OwnModule(source=source.name, digest=source.digest, embedding=embedding)
