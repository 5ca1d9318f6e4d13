"""Vectors of names, as of a graph's nodes, from a file: read, matched, and what was understood of it.

Axis names: `run`, `node`, `found` (a node that has a row), `width`; a row belongs to the file, a node to the
graph.
"""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from geomem.errors import InputError
from geomem.files import check_plain_file, system_errors
from geomem.measure.vectors.aliases import Aliases, check_aliases
from geomem.measure.vectors.array_file import read_arrays
from geomem.measure.vectors.binary_file import is_word2vec_binary, read_word2vec_binary
from geomem.measure.vectors.frame_file import read_frame
from geomem.measure.vectors.label_file import read_labels
from geomem.measure.vectors.matching import Match, match_rows
from geomem.measure.vectors.order import describe_order, find_better_order
from geomem.measure.vectors.text_table import LARGEST_KEPT, VectorTable, read_text_table, wrong_label_count
from geomem.worlds.graphs.graph import Graph, component_labels, induced_subgraph
from geomem.worlds.text_file import counted

LARGEST_FILE = 8 << 30
"""Bytes accepted of a file; of text and mapped arrays only the rows of the graph's nodes are loaded."""

MISSING_SHARE = 0.1
"""At most this share of the nodes may lack a row by default: the graph of the others is measured."""

LISTED = 10
"""Names that a sentence lists."""

ARRAY_FILES = (".npy", ".npz", ".safetensors")

_PYTORCH = "PyTorch's format, which is a pickle; save the vectors with safetensors or numpy.savez"
_PICKLE = "a pickle, which is never opened; save the vectors with numpy.savez"
_HDF5 = "an HDF5 file; save the vectors with numpy.savez"
OTHER_FILES = {
    ".pt": _PYTORCH,
    ".pth": _PYTORCH,
    ".pkl": _PICKLE,
    ".pickle": _PICKLE,
    ".h5": _HDF5,
    ".hdf5": _HDF5,
    ".kv": "gensim's own format, which is a pickle; write it with save_word2vec_format(path)",
    ".model": "gensim's own format, which is a pickle; write model.wv with save_word2vec_format(path)",
    ".feather": "a Feather file; write the data frame with to_csv(path)",
    ".mat": "a MATLAB file; save the vectors with numpy.savez(path, **scipy.io.loadmat(old))",
    ".json": "JSON; write the vectors as a table with labels, .csv or .tsv",
    ".zip": "a zip archive; unpack it",
    ".bz2": "packed with bzip2; unpack it, or pack it with gzip",
    ".xz": "packed with xz; unpack it, or pack it with gzip",
}
"""Endings of files that hold vectors and are not read, and the way out."""


Multiword = Literal["whole", "mean"]
"""A name of several words is found as a whole only, or else is the mean of its words."""


@dataclass(frozen=True, eq=False)
class NamedVectors:
    """Vectors of those names that a file has rows for, in the order of the names."""

    vectors: Float[np.ndarray, "run found width"]
    found: Int[np.ndarray, " found"]
    """Places of these among the names."""
    row: Int[np.ndarray, " found"]
    """Where each stands in the file, the mean of words where its last word does."""
    match: Match[int] | None
    """None where rows stand for names by their order."""
    notes: tuple[str, ...]
    """What was understood, one sentence each."""


@dataclass(frozen=True, eq=False)
class NodeEmbeddings:
    """Embeddings in the order of a graph's nodes."""

    embeddings: Float[np.ndarray, "run node width"]
    graph: Graph
    """The graph they belong to: the one given, or that of its nodes which have a row."""
    notes: tuple[str, ...]
    """What was understood and left out, one sentence each."""
    warnings: tuple[str, ...] = ()
    """What speaks against the order in which rows without labels were taken."""


def read_embeddings(
    path: str | os.PathLike[str],
    graph: Graph,
    *,
    labels: Sequence[str] | str | os.PathLike[str] | None = None,
    array: str | None = None,
    multiword: Multiword = "whole",
    aliases: Aliases = MappingProxyType({}),
    missing_share: float = MISSING_SHARE,
) -> NodeEmbeddings:
    """Embeddings of a graph's nodes from a file, in float64, matched by label wherever the rows have labels.

    Files, `labels`, `array`, `multiword` and `aliases` are those of `read_named_vectors`. If at most
    `missing_share` of the nodes lack a row, the graph of the others is taken. Rows without labels stand in
    the order of the graph's nodes; the notes say which that is, and warn if another plausible order fits far
    better.

    Raises `InputError` for what `read_named_vectors` refuses, and if too many nodes have no row.

    >>> import tempfile
    >>> from geomem.worlds.graphs.families import path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "vectors.tsv")
    ...     _ = file.write_text("node\\tx\\ty\\n1\\t0.5\\t2\\n0\\t1\\t3\\nb\\t9\\t9\\n")
    ...     read = read_embeddings(file, path(2))
    >>> read.embeddings.tolist()
    [[[1.0, 3.0], [0.5, 2.0]]]
    >>> for note in read.notes:
    ...     print(note)
    vectors.tsv: 3 rows of width 2 (separated by tabs, header yes, labels in column 1 ('node')).
    2 of 2 nodes found by label; 1 row belongs to no node and is left out (such as 'b').
    """
    read = read_named_vectors(
        path, graph.labels, labels=labels, array=array, multiword=multiword, aliases=aliases
    )
    if read.match is None:
        order = f"The rows have no labels: {describe_order(graph)}; --labels FILE gives each its own."
        better = find_better_order(read.vectors[0], graph)
        warnings = () if better is None else (better,)
        return NodeEmbeddings(read.vectors, graph, (*read.notes, order), warnings)
    part, notes = _found_part(Path(path), graph, read, missing_share)
    return NodeEmbeddings(read.vectors, part, (*read.notes, *notes))


def read_named_vectors(
    path: str | os.PathLike[str],
    names: Sequence[str],
    *,
    labels: Sequence[str] | str | os.PathLike[str] | None = None,
    array: str | None = None,
    multiword: Multiword = "whole",
    aliases: Aliases = MappingProxyType({}),
) -> NamedVectors:
    """Vectors of names from a file, in float64, matched by label wherever the rows have labels.

    - Text, also gzipped: word2vec's and GloVe's layouts, `.csv` and `.tsv`, with labels in any order or
      without (see `geomem.measure.vectors.layout`).
    - word2vec's binary format, of which only the rows of the names are read.
    - `.npz` and `.safetensors`: the array of two or three axes, or the one called `array`; labels in an array
      called `labels`, `names`, `words`, ... or the only one of text.
    - `.npy`: [node, width] or [run, node, width]. `.parquet`: a column per number, or one of lists.

    `labels` name the rows of a file without labels: a list, or a file (`geomem.measure.vectors.label_file`).
    Labels are matched without blanks at their ends, in Unicode's form NFC, equal numbers as one (`1`,
    `1.0`); where none is spelt so, underscores are blanks and capitals do not count. Rows that belong to no
    name are left out. With `multiword="mean"` a name without a row is the mean of the rows of its words. A
    name with `aliases` is the first of these that is found so, else itself.
    Rows without labels must be as many as the names, and stand in their order.

    Raises `InputError` if the file is missing, damaged, too large or of another kind, if two rows belong to
    one name, or if a number is not finite.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "words.txt")
    ...     _ = file.write_text("mali 1 2\\nsan 0 4\\nmarino 2 2\\n")
    ...     read = read_named_vectors(file, ["San Marino", "Chad", "Mali"], multiword="mean")
    >>> read.vectors.tolist(), read.found.tolist()
    ([[[1.0, 3.0], [1.0, 2.0]]], [0, 2])
    """
    path = Path(path)
    kind = path.suffix.lower()
    _refuse_other_files(path, kind)
    if labels is not None:
        labels = read_labels(Path(labels)) if isinstance(labels, str | os.PathLike) else tuple(labels)
    check_aliases(aliases, names)
    every = [*names, *(alias for name in names for alias in aliases.get(name, ()))]
    wanted, words = _with_words(every) if multiword == "mean" else (every, {})
    in_order = partial(_check_in_order, path, names, aliases)
    with system_errors(path, "read"):
        if kind in ARRAY_FILES:
            vectors, match, said = _from_arrays(path, wanted, labels, array, in_order)
        else:
            if array is not None:
                raise InputError(
                    f"The file {str(path)!r} is a table without named arrays; leave out --array."
                )
            table = _table_reader(path, kind)(path, wanted, labels=labels)
            vectors, match = table.vectors[None], table.match
            said = f"{counted(table.row_count, 'row')} of width {table.vectors.shape[1]} ({table.layout})"
            if match is None:
                in_order(table.row_count)
        rows: dict[int, tuple[int, ...]] = {at: (at,) for at in range(len(names))}
        used: dict[int, str] = {}
        if match is not None:
            spelt: dict[int, tuple[int, ...]] = {}
            spelt |= {at: (row,) for at, row in match.rows.items() if at < len(every)}
            for at, parts in words.items():
                if at not in spelt and all(part in match.rows for part in parts):
                    spelt[at] = tuple(match.rows[part] for part in parts)
            rows, used = _first_found(names, aliases, every, spelt)
        found = np.array(sorted(rows), dtype=np.int64)
        with np.errstate(all="ignore"):  # of a wider kind of numbers some may be infinite here
            taken = [vectors[:, list(rows[at])].astype(np.float64).mean(axis=1) for at in found.tolist()]
    chosen = np.stack(taken, axis=1) if taken else np.empty((len(vectors), 0, vectors.shape[2]))
    wrong = np.flatnonzero(~np.isfinite(chosen).all(axis=(0, 2)))
    if len(wrong):
        raise InputError(
            f"The embedding of node {names[int(found[wrong[0]])][:80]!r} holds NaN or infinity; "
            "give finite numbers only."
        )
    notes = [f"{path.name}: {said}."]
    if match is not None:
        means: list[str] = [str(names[at]) for at in found.tolist() if len(rows[at]) > 1]
        notes += _found_notes(names, len(found), match, means, used)
    last = np.array([max(rows[at]) for at in found.tolist()], dtype=np.int64)
    return NamedVectors(chosen, found, last, match, tuple(notes))


def _table_reader(path: Path, kind: str) -> Callable[..., VectorTable]:
    if kind == ".parquet":
        return read_frame
    return read_word2vec_binary if is_word2vec_binary(path) else read_text_table


def _with_words(names: Sequence[str]) -> tuple[list[str], dict[int, list[int]]]:
    """The names and then the words of those with several, and for these where each word stands."""
    wanted = list(names)
    places = {name.casefold(): at for at, name in reversed([*enumerate(names)])}
    words: dict[int, list[int]] = {}
    for at, name in enumerate(names):
        parts = [part for part in re.split(r"[\s_-]+", name) if part]
        if len(parts) < 2:
            continue
        for part in parts:
            if part.casefold() not in places:
                places[part.casefold()] = len(wanted)
                wanted.append(part)
        words[at] = [places[part.casefold()] for part in parts]
    return wanted, words


def _first_found(
    names: Sequence[str], aliases: Aliases, every: Sequence[str], spelt: Mapping[int, tuple[int, ...]]
) -> tuple[dict[int, tuple[int, ...]], dict[int, str]]:
    """The rows of every name, of its first alias that has any or its own; and which aliases those are."""
    rows, used, start = {}, {}, len(names)
    for at, name in enumerate(names):
        end = start + len(aliases.get(name, ()))
        place = next((place for place in (*range(start, end), at) if place in spelt), None)
        if place is not None:
            rows[at] = spelt[place]
        if place is not None and place != at:
            used[at] = every[place]
        start = end
    return rows, used


def _found_notes(
    names: Sequence[str], found: int, match: Match[int], means: Sequence[str], used: Mapping[int, str]
) -> list[str]:
    notes = [f"{found:,} of {len(names):,} nodes found by label"]
    if match.other is not None:
        belong, are = ("belongs", "is") if match.other_count == 1 else ("belong", "are")
        rows = f"{counted(match.other_count, 'row')} {belong} to no node"
        notes[0] += f"; {rows} and {are} left out (such as {match.other[:80]!r})"
    notes[0] += "."
    respelt = {at: label for at, label in match.respelt.items() if at < len(names) and at not in used}
    if respelt:
        at, label = min(respelt.items())
        notes.append(
            f"{counted(len(respelt), 'node')} found in another spelling (such as {label[:80]!r} for "
            f"{names[at][:80]!r})."
        )
    if used:
        told = ", ".join(f"{label[:80]!r} for {names[at][:80]!r}" for at, label in used.items())
        notes.append(f"{counted(len(used), 'node')} by an alias ({told}).")
    if means:
        notes.append(f"{counted(len(means), 'node')} as the mean of the words ({listed(means)}).")
    return notes


def listed(names: Sequence[str]) -> str:
    """Names in a sentence: all of them, or the first and how many more.

    >>> listed(["a", "b"]), listed([str(number) for number in range(20)])
    ("'a', 'b'", "'0', '1', '2', '3', '4', '5', '6', '7', '8', '9' and 10 more")
    """
    shown = ", ".join(repr(name[:80]) for name in names[:LISTED])
    return shown + (f" and {len(names) - LISTED:,} more" if len(names) > LISTED else "")


def _refuse_other_files(path: Path, kind: str) -> None:
    size = check_plain_file(path, links=True).st_size
    if kind in OTHER_FILES:
        raise InputError(f"The file {str(path)!r} is {OTHER_FILES[kind]}.")
    inner = path.with_suffix("").suffix.lower() if kind == ".gz" else ""
    if inner in (*ARRAY_FILES, ".bin") or inner in OTHER_FILES:
        raise InputError(f"The file {str(path)!r} is packed, and only text is read packed; unpack it.")
    if size > LARGEST_FILE:
        raise InputError(
            f"The file {str(path)!r} has {size / 2**30:.1f} GiB and at most {LARGEST_FILE >> 30} are read; "
            "keep only the rows of the graph's nodes."
        )


def _from_arrays(
    path: Path,
    names: Sequence[str],
    labels: Sequence[str] | None,
    array: str | None,
    in_order: Callable[[int], None],
) -> tuple[np.ndarray, Match[int] | None, str]:
    """Vectors [run, row, width], still in the file where it can be mapped; whose they are; both in words."""
    stored, own = read_arrays(path, wanted=array)
    if stored.dtype.kind not in "fiu" or stored.ndim not in (2, 3):
        raise InputError(
            f"The array in {str(path)!r} is {str(stored.dtype)[:80]} of shape {list(stored.shape)}; "
            "give real numbers of shape [node, width], or [run, node, width]."
        )
    if labels is not None and own is not None:
        raise InputError(
            f"The file {str(path)!r} holds labels, and --labels gives others; leave out one of them."
        )
    labels = own if labels is None else labels
    vectors = stored[None] if stored.ndim == 2 else stored
    runs, row_count, width = vectors.shape
    said = f"{counted(row_count, 'row')} of width {width}" + (
        f" in {counted(runs, 'run')}" if runs > 1 else ""
    )
    if labels is None:
        in_order(row_count)
        match, kept = None, row_count
    else:
        if len(labels) != row_count:
            raise wrong_label_count(path, row_count, len(labels))
        match = match_rows(zip(labels, range(row_count), strict=True), names)
        said, kept = f"{said}, with labels", len(match.rows)
    if runs * kept * width > LARGEST_KEPT:
        raise InputError(
            f"The file {str(path)!r} has {runs} x {kept:,} x {width:,} numbers for this graph, and at most "
            f"{LARGEST_KEPT:,} are measured; give fewer runs or narrower vectors."
        )
    return vectors, match, said


def _found_part(
    path: Path, graph: Graph, read: NamedVectors, missing_share: float
) -> tuple[Graph, list[str]]:
    """The graph of the nodes that have a row, and what was left out."""
    missing = [graph.labels[at] for at in np.setdiff1d(np.arange(graph.node_count), read.found).tolist()]
    if not missing:
        return graph, []
    match = read.match
    if len(missing) > missing_share * graph.node_count:
        other = ""
        if match is not None and match.other is not None:
            other = f" and {match.other_count:,} rows belong to no node, such as {match.other[:80]!r}"
        raise InputError(
            f"{len(missing):,} of {graph.node_count:,} nodes have no row in {str(path)!r}, such as "
            f"{missing[0][:80]!r}{other}; label the rows as the graph does, or name them with --labels."
        )
    part = known_part(graph, read.found)
    components = int(component_labels(part).max()) + 1
    return part, [
        f"{counted(len(missing), 'node')} without a row {'is' if len(missing) == 1 else 'are'} left out "
        f"({listed(missing)}): measured is the graph of the other {part.node_count:,}, with "
        f"{part.edge_count:,} of {graph.edge_count:,} edges in {counted(components, 'component')}."
    ]


def known_part(graph: Graph, nodes: Int[np.ndarray, " found"]) -> Graph:
    """The graph of those nodes; a star that falls apart loses its root."""
    part = induced_subgraph(graph, nodes)
    return part if component_labels(part).max() == 0 else replace(part, root=None)


def _check_in_order(path: Path, names: Sequence[str], aliases: Aliases, rows: int) -> None:
    """Raise `InputError` unless so many rows without labels can stand for the names."""
    if aliases:
        raise InputError(
            f"The rows of {str(path)!r} have no labels for --aliases; name them with --labels, or leave "
            "--aliases out."
        )
    if rows != len(names):
        raise InputError(
            f"The embeddings have {counted(rows, 'row')} without labels but the graph has {len(names):,} "
            "nodes; give one row per node, in the order of the graph's nodes, or name the rows with --labels."
        )
