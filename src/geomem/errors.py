"""The one error a person can cause: what was given, what was expected, what to do."""

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(ValueError):
    """What the user gave cannot be used; the message is one sentence a person can act on.

    The command line prints the message alone and exits with status 2.
    """


def unknown_name(sentence: str, given: str, known: Iterable[str], *, otherwise: str) -> InputError:
    """The error for a name that is not known: `sentence`, then the nearest known ones, or `otherwise`.

    >>> print(unknown_name("'grit' is not a world", "grit", ["grid", "path"], otherwise="look them up"))
    'grit' is not a world; did you mean grid?
    """
    near = get_close_matches(given, list(known), n=3, cutoff=0.6)
    advice = f"did you mean {' or '.join(near)}?" if near else f"{otherwise}."
    return InputError(f"{sentence}; {advice}")
