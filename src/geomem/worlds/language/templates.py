"""Templates of sentences: what a file of them holds, how it is checked, and where the names stand."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from geomem.errors import InputError, unknown_name
from geomem.files import is_there
from geomem.worlds.text_file import show_label
from geomem.worlds.toml_file import read_toml, what_is_wrong

BUILT_IN = ("graph", "borders")
"""Templates for any graph, and for borders of countries."""
MOST_TEMPLATES = 1000
LONGEST_TEMPLATE = 500
SLOT = re.compile(r"\{(subject|object|next)\}")
LISTS = ("sentences", "two_steps", "ways", "fillers")
FACT, WAY = ("subject", "object"), ("subject", "object", "next")
"""The names in a sentence, and in one about a way."""


@dataclass(frozen=True)
class Templates:
    """Sentences about one relation, with `{subject}` and `{object}`, and sentences about nothing."""

    about: str
    sentences: tuple[str, ...]
    two_steps: tuple[str, ...] = ()
    """Questions about a neighbour's neighbour."""
    ways: tuple[str, ...] = ()
    """What is told of the next node on a way, with `{next}` last."""
    fillers: tuple[str, ...] = ()
    """What may stand around a fact."""


@dataclass(frozen=True)
class Slots:
    """A sentence taken apart."""

    texts: tuple[str, ...]
    """The text before each of its names, and that after the last."""
    columns: tuple[int, ...]
    """Whose name stands where, a place in `WAY`; the last one is asked for."""


def find_templates(templates: str | os.PathLike[str]) -> Templates:
    """The templates of a built-in name or of a TOML file; raises `InputError` as `check_templates` does.

    >>> find_templates("borders").sentences[0]
    '{subject} borders {object}.'
    """
    if isinstance(templates, str) and templates in BUILT_IN:
        path = resources.files("geomem.worlds.language") / "data" / f"{templates}.toml"
        return read_templates(Path(str(path)))
    if isinstance(templates, str) and not is_there(templates):
        raise unknown_name(
            f"'{show_label(templates, 200)}' is neither built-in templates nor a file that exists",
            templates,
            BUILT_IN,
            otherwise=f"give {' or '.join(BUILT_IN)}, or a TOML file",
        )
    return read_templates(Path(templates))


def read_templates(path: Path) -> Templates:
    """Read templates from a TOML file; raises `InputError` if anything in it is wrong."""
    content = read_toml(path)
    known = ("about", *LISTS)
    for key, value in content.items():
        if key not in known:
            raise unknown_name(
                f"The key '{show_label(key)}' in {path} is not one of templates",
                key,
                known,
                otherwise=f"give {', '.join(known)}",
            )
        if isinstance(value, list) == (key == "about"):
            given = 'about = "..."' if key == "about" else f"{key} = [...]"
            raise InputError(
                f"{key} in {path} is {'a list' if key == 'about' else 'not a list'}; write {given}."
            )
        for entry in value if isinstance(value, list) else [value]:
            if wrong := what_is_wrong(entry):
                raise InputError(f"The key '{show_label(key)}' in {path} is {wrong}.")
            if not isinstance(entry, str):
                raise InputError(f"{key} in {path} holds {entry!r}; give text in quotes.")
    about = content.pop("about", path.stem)
    try:
        return check_templates(Templates(about, **{name: tuple(content.get(name, ())) for name in LISTS}))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def check_templates(templates: Templates) -> Templates:
    """The same templates; raises `InputError` for one that does not say where its names stand.

    >>> check_templates(Templates("x", ("{subject} is near.", "{subject} is by {object}.")))
    Traceback (most recent call last):
    geomem.errors.InputError: The sentence '{subject} is near.' has no {object}; write {subject} and \
{object} once each.
    """
    for sentences in (templates.sentences, templates.two_steps, templates.ways, templates.fillers):
        if len(sentences) > MOST_TEMPLATES:
            raise InputError(f"There are {len(sentences):,} sentences; give at most {MOST_TEMPLATES:,}.")
        if twice := next((one for one in sentences if sentences.count(one) > 1), ""):
            raise InputError(f"The sentence '{show_label(twice)}' stands there twice; remove one.")
    for sentence in (*templates.sentences, *templates.two_steps):
        take_apart(sentence)
    for sentence in templates.ways:
        if WAY[take_apart(sentence, WAY).columns[-1]] != "next":
            raise InputError(f"The way '{show_label(sentence)}' does not end in {{next}}; write it last.")
    for filler in templates.fillers:
        _check_text(filler)
        if found := SLOT.search(filler):
            raise InputError(
                f"The filler '{show_label(filler)}' has {found[0]}; move it to sentences, or leave it out."
            )
    if not templates.sentences:
        raise InputError('There is no sentence; write sentences = ["{subject} is next to {object}."].')
    return templates


def take_apart(sentence: str, names: tuple[str, ...] = FACT) -> Slots:
    """Where the names of a sentence stand; raises `InputError` if that is not clear.

    A name stands at the beginning or after a space, so that it is always written with the same tokens.

    >>> take_apart("{object} is by {subject}.")
    Slots(texts=('', ' is by', '.'), columns=(1, 0))
    """
    _check_text(sentence)
    found = [match[1] for match in SLOT.finditer(sentence)]
    *others, last = (f"{{{name}}}" for name in names)
    wanted = f"{', '.join(others)} and {last}"
    for name in (*names, *found):
        if found.count(name) != names.count(name):
            has = f"has no {{{name}}}" if name not in found else f"has {{{name}}} {found.count(name)} times"
            has = has if name in names else f"has {{{name}}}, which stands in ways alone"
            raise InputError(f"The sentence '{show_label(sentence)}' {has}; write {wanted} once each.")
    first, *later = SLOT.split(sentence)[::2]
    if (first and not first.endswith(" ")) or not all(text.endswith(" ") for text in later[:-1]):
        raise InputError(
            f"The sentence '{show_label(sentence)}' has a name that follows no space; write a space before "
            f"{wanted}."
        )
    if any(text[:1].isalnum() for text in later):
        raise InputError(
            f"The sentence '{show_label(sentence)}' goes on right after a name; write a space or a comma "
            "there."
        )
    leading = f" {first.rstrip(' ')}" if first else ""
    between = (text.removesuffix(" ") for text in later[:-1])
    return Slots((leading, *between, later[-1]), tuple(map(WAY.index, found)))


def _check_text(sentence: str) -> None:
    said = show_label(sentence)
    if not sentence.strip() or sentence != sentence.strip() or "  " in sentence:
        raise InputError(f"The sentence '{said}' is empty, or has spaces too many; write one between words.")
    if len(sentence) > LONGEST_TEMPLATE:
        raise InputError(f"A sentence has {len(sentence):,} characters; give at most {LONGEST_TEMPLATE}.")
    if "{" in SLOT.sub("", sentence) or "}" in SLOT.sub("", sentence):
        raise InputError(
            f"The sentence '{said}' has a brace that is no name; write {{subject}} or {{object}}."
        )


def choose_sentences(sentences: Sequence[str], told: int, held_out: int) -> tuple[tuple[str, ...], ...]:
    """The first sentences, which are told, and the last ones, which are held out.

    Raises `InputError` if there are fewer than both together.

    >>> choose_sentences(("a", "b", "c", "d"), 1, 2)
    (('a',), ('c', 'd'))
    """
    if told < 1 or held_out < 1 or told + held_out > len(sentences):
        raise InputError(
            f"told is {told} and held_out {held_out}, and there are {len(sentences)} sentences; give at "
            "least 1 of each and no more than there are."
        )
    return tuple(sentences[:told]), tuple(sentences[len(sentences) - held_out :])
