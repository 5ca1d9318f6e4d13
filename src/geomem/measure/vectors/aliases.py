"""Other names under which vectors or a model may know what a world names: a file of two columns."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from geomem.errors import InputError, unknown_name
from geomem.measure.vectors.matching import SPELLINGS
from geomem.worlds.columns import FileLayout, plain_name, read_columns, words
from geomem.worlds.text_file import clean_label, counted, read_text, show_label, what_is_wrong

Aliases = Mapping[str, Sequence[str]]
"""The aliases of each name, the best first."""

_CONTENT = "one alias per line: a name of the world, and the name to look for"
_TITLES = words("alias aliases spelling called model vectors word token")
"""Titles of the second column that say that the first line is a header."""


def read_aliases(path: Path, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Aliases of names from a text of two columns, a name and what else to look for; several lines add up.

    The columns are found as those of files of edges and facts (`geomem.worlds.columns.read_columns`). Raises
    `InputError` for another number of columns, a name that is none of `names`, and an alias that cannot be a
    label.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "aliases.tsv"
    ...     _ = file.write_text("Eswatini\\tSwaziland\\nCzechia\\tCzech Republic\\nEswatini\\tNgwane\\n")
    ...     read_aliases(file, ["Chad", "Czechia", "Eswatini"])
    {'Eswatini': ('Swaziland', 'Ngwane'), 'Czechia': ('Czech Republic',)}
    """
    columns = read_columns(
        path,
        read_text(path, _CONTENT),
        FileLayout(),
        content=_CONTENT,
        known=lambda titles: (0, 1) if len(titles) == 2 and plain_name(titles[1]) in _TITLES else None,
    )
    if columns.width != 2:
        raise InputError(f"{path} has {counted(columns.width, 'column')}; give {_CONTENT}.")
    known = set(names)
    found: dict[str, list[str]] = {}
    for number, cells in zip(columns.numbers, zip(*columns.cells, strict=True), strict=True):
        name, alias = map(clean_label, cells)
        if name not in known:
            said = f"Line {number} of {path} is about {show_label(name)!r}, which is no name of the world"
            raise unknown_name(said, name, names, otherwise="give a name as the world spells it")
        if wrong := what_is_wrong(alias):
            raise InputError(f"Line {number} of {path} has an alias that {wrong}; give another.")
        found.setdefault(name, []).append(alias)
    return {name: tuple(dict.fromkeys(given)) for name, given in found.items()}


def check_aliases(aliases: Aliases, names: Sequence[str]) -> None:
    """Raise `InputError` for an alias that stands for two names, in whatever spelling.

    >>> check_aliases({"Zaire": ["Congo"]}, ["Zaire", "congo"])
    Traceback (most recent call last):
    geomem.errors.InputError: 'Congo' is an alias of 'Zaire' and stands for 'congo' as well; give each name \
its own.
    """
    loosest = SPELLINGS[-1]
    owner = {loosest(name): name for name in names}
    for name, given in aliases.items():
        for alias in given:
            other = owner.setdefault(loosest(alias), name)
            if other != name:
                raise InputError(
                    f"{show_label(alias)!r} is an alias of {show_label(name)!r} and stands for "
                    f"{show_label(other)!r} as well; give each name its own."
                )


def of_names(aliases: Aliases, names: Sequence[str]) -> Aliases:
    """The aliases of these names alone.

    >>> of_names({"a": ["b"], "c": ["d"]}, ["c"])
    {'c': ['d']}
    """
    return {name: aliases[name] for name in names if name in aliases}
