"""A module of a person's own on the command line: which file, and that it is executed."""

from dataclasses import dataclass
from functools import cache
from typing import Any

from geomem.cli.options import Head, print_note, value_of
from geomem.errors import InputError
from geomem.models.own import OwnModule, load_module


@dataclass(frozen=True)
class OwnModuleOptions:
    """A module of your own, from tokens to logits; the factory has its options."""

    embedding: str = ""
    """Its nn.Embedding or parameter whose rows are the tokens, if there is not just one."""


def named_module(head: Head) -> str:
    """What --module names; raises `InputError` if --model is given as well.

    >>> from geomem.cli.options import read_head
    >>> named_module(read_head(["cycle", "--module", "mine.py:factory"], "world"))
    'mine.py:factory'
    """
    module = head.value("module")
    if module and (model := value_of("--model", head.arguments)):
        raise InputError(f"--module is {module} and --model {model}; give one of them.")
    return module


def chosen_model(module: str, options: Any) -> Any:
    """The model that the options describe, or the module of a file, which is then executed."""
    return execute(module, options.embedding) if module else options


@cache
def execute(module: str, embedding: str = "") -> OwnModule:
    """Say that a file is executed, and execute it."""
    print_note(f"Executing {module.rpartition(':')[0] or module}.")
    return load_module(module, embedding=embedding)
