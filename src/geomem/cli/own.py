"""A module of a person's own on the command line: which file, and that it is executed."""

from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any

from annotated_types import Le

from geomem.cli.options import Head, print_note
from geomem.errors import InputError
from geomem.fields import Count
from geomem.models.architecture import Model
from geomem.models.own import OwnModule, load_module
from geomem.models.recall import MOST_HOPS


@dataclass(frozen=True)
class OwnModuleOptions:
    """A module of your own, from tokens to logits; the factory has its options."""

    embedding: str = ""
    """Its nn.Embedding or parameter whose rows are the tokens, if there is not just one."""


@dataclass(frozen=True)
class OwnFactOptions(OwnModuleOptions):
    """A module of your own, from tokens to logits, that learns facts; the factory has its options."""

    hops: Annotated[Count, Le(MOST_HOPS)] = 1
    """Relations in a question."""


def named_module(head: Head) -> str:
    """What --module names; raises `InputError` if --model is given as well.

    >>> from geomem.cli.options import read_head
    >>> named_module(read_head(["cycle", "--module", "mine.py:factory"], "world"))
    'mine.py:factory'
    """
    module = head.value("module")
    if module and (model := head.value("model")):
        raise InputError(f"--module is {module} and --model {model}; give one of them.")
    return module


def continued_model(start: Any, stored: Model, module: str) -> Model | OwnModuleOptions:
    """The model that goes on from a stored run: the same, or the options of the module that it was of.

    Raises `InputError` if the run is of a module and none is named, or the other way round.
    """
    if not isinstance(stored, OwnModule):
        if module:
            raise InputError(f"The run {start} is of a {stored.name}; leave --module out.")
        return stored
    if not module:
        raise InputError(
            f"The run {start} is of the module {stored.source}, and no run brings code of its own; give "
            f"--module {stored.source}, which executes that file."
        )
    return OwnModuleOptions(stored.embedding)


def chosen_model(module: str, options: Any) -> Any:
    """The model that the options describe, or the module of a file, which is then executed."""
    return execute(module, options.embedding) if module else options


@cache
def execute(module: str, embedding: str = "") -> OwnModule:
    """Say that a file is executed, and execute it."""
    return load_module(module, embedding=embedding, say=print_note)
