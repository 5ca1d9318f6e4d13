"""Embeddings of a graph's nodes from a file: read, matched to the nodes, and what was understood of it.

Axis names: `run`, `node`, `width`; a row belongs to the file, a node to the graph.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from geomem.errors import InputError
from geomem.files import check_plain_file, system_errors
from geomem.measure.vectors.array_file import read_arrays
from geomem.measure.vectors.label_file import read_labels
from geomem.measure.vectors.matching import Match, match_rows
from geomem.measure.vectors.order import describe_order, find_better_order
from geomem.measure.vectors.text_table import LARGEST_KEPT, read_text_table, wrong_label_count
from geomem.worlds.graphs.graph import Graph, component_labels, induced_subgraph
from geomem.worlds.text_file import counted

LARGEST_FILE = 8 << 30
"""Bytes accepted of a file; of text and mapped arrays only the rows of the graph's nodes are loaded."""

MISSING_SHARE = 0.1
"""At most this share of the nodes may lack a row: then the graph of the others is measured, else nothing."""

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
    ".parquet": "a Parquet file; write the data frame with to_csv(path)",
    ".feather": "a Feather file; write the data frame with to_csv(path)",
    ".mat": "a MATLAB file; save the vectors with numpy.savez(path, **scipy.io.loadmat(old))",
    ".json": "JSON; write the vectors as a table with labels, .csv or .tsv",
    ".zip": "a zip archive; unpack it",
    ".bz2": "packed with bzip2; unpack it, or pack it with gzip",
    ".xz": "packed with xz; unpack it, or pack it with gzip",
}
"""Endings of files that hold vectors and are not read, and the way out."""


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
) -> NodeEmbeddings:
    """Embeddings of a graph's nodes from a file, in float64, matched by label wherever the rows have labels.

    - Text, also gzipped: word2vec's and GloVe's layouts, `.csv` and `.tsv`, with labels in any order or
      without (see `geomem.measure.vectors.layout`).
    - `.npz` and `.safetensors`: the array of two or three axes, or the one called `array`; labels in an array
      called `labels`, `names`, `words`, ... or the only one of text.
    - `.npy`: [node, width] or [run, node, width].

    `labels` name the rows of a file without labels: a list, or a file (`geomem.measure.vectors.label_file`).
    Labels are matched without blanks at their ends, in Unicode's form NFC, equal numbers as one (`1`,
    `1.0`). Rows that belong to no node are left out. If at most a tenth of the nodes lack a row, the graph
    of the others is taken. Rows without labels stand in the order of the graph's nodes; the notes say which
    that is, and warn if another plausible order fits far better.

    Raises `InputError` if the file is missing, damaged, too large or of another kind, if too many nodes
    have no row or two rows belong to one node, or if a number is not finite.

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
    path = Path(path)
    kind = path.suffix.lower()
    _refuse_other_files(path, kind)
    if labels is not None:
        labels = read_labels(Path(labels)) if isinstance(labels, str | os.PathLike) else tuple(labels)
    with system_errors(path, "read"):
        if kind in ARRAY_FILES:
            vectors, match, said = _from_arrays(path, graph, labels, array)
        else:
            if array is not None:
                raise InputError(f"The file {str(path)!r} is a text without named arrays; leave out --array.")
            table = read_text_table(path, graph, labels=labels)
            vectors, match = table.vectors[None], table.match
            said = f"{counted(table.row_count, 'row')} of width {table.vectors.shape[1]} ({table.layout})"
            if match is None and table.row_count != graph.node_count:
                raise _wrong_row_count(table.row_count, graph)
    notes = [f"{path.name}: {said}."]
    if match is None:
        notes.append(f"The rows have no labels: {describe_order(graph)}; --labels FILE gives each its own.")
    else:
        graph, rows, found = _found_part(path, graph, match)
        vectors = vectors[:, rows]
        notes += found
    with np.errstate(all="ignore"):  # of a wider kind of numbers some may be infinite here
        vectors = np.array(vectors, dtype=np.float64)
    wrong = np.argwhere(~np.isfinite(vectors).all(axis=2))
    if len(wrong):
        raise InputError(
            f"The embedding of node {graph.labels[wrong[0][1]][:80]!r} holds NaN or infinity; "
            "give finite numbers only."
        )
    better = find_better_order(vectors[0], graph) if match is None else None
    return NodeEmbeddings(vectors, graph, tuple(notes), () if better is None else (better,))


def _refuse_other_files(path: Path, kind: str) -> None:
    size = check_plain_file(path, links=True).st_size
    if kind in OTHER_FILES:
        raise InputError(f"The file {str(path)!r} is {OTHER_FILES[kind]}.")
    inner = path.with_suffix("").suffix.lower() if kind == ".gz" else ""
    if inner in ARRAY_FILES or inner in OTHER_FILES:
        raise InputError(f"The file {str(path)!r} is packed, and only text is read packed; unpack it.")
    if size > LARGEST_FILE:
        raise InputError(
            f"The file {str(path)!r} has {size / 2**30:.1f} GiB and at most {LARGEST_FILE >> 30} are read; "
            "keep only the rows of the graph's nodes."
        )


def _from_arrays(
    path: Path, graph: Graph, labels: Sequence[str] | None, array: str | None
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
        if row_count != graph.node_count:
            raise _wrong_row_count(row_count, graph)
        match, kept = None, row_count
    else:
        if len(labels) != row_count:
            raise wrong_label_count(path, row_count, len(labels))
        match = match_rows(zip(labels, range(row_count), strict=True), graph)
        said, kept = f"{said}, with labels", len(match.rows)
    if runs * kept * width > LARGEST_KEPT:
        raise InputError(
            f"The file {str(path)!r} has {runs} x {kept:,} x {width:,} numbers for this graph, and at most "
            f"{LARGEST_KEPT:,} are measured; give fewer runs or narrower vectors."
        )
    return vectors, match, said


def _found_part(
    path: Path, graph: Graph, match: Match[int]
) -> tuple[Graph, Int[np.ndarray, " node"], list[str]]:
    """The graph of the nodes that have a row, the row of each, and what was left out."""
    nodes = np.array(sorted(match.rows), dtype=np.int64)
    missing = graph.node_count - len(nodes)
    lacking = next((label for node, label in enumerate(graph.labels) if node not in match.rows), "")
    notes = [f"{len(nodes):,} of {graph.node_count:,} nodes found by label"]
    if match.other is not None:
        belong, are = ("belongs", "is") if match.other_count == 1 else ("belong", "are")
        rows = f"{counted(match.other_count, 'row')} {belong} to no node"
        notes[0] += f"; {rows} and {are} left out (such as {match.other[:80]!r})"
    notes[0] += "."
    if missing > MISSING_SHARE * graph.node_count:
        near = f", though {match.near[0][:80]!r} is near {match.near[1][:80]!r}" if match.near else ""
        other = ""
        if match.other is not None:
            other = f" and {match.other_count:,} rows belong to no node, such as {match.other[:80]!r}"
        raise InputError(
            f"{missing:,} of {graph.node_count:,} nodes have no row in {str(path)!r}, such as "
            f"{lacking[:80]!r}{other}{near}; label the rows as the graph does, or name them with --labels."
        )
    if missing:
        edges = graph.edge_count
        graph = induced_subgraph(graph, nodes)
        parts = int(component_labels(graph).max()) + 1
        if parts > 1:
            graph = replace(graph, root=None)
        notes.append(
            f"{counted(missing, 'node')} without a row {'is' if missing == 1 else 'are'} left out (such as "
            f"{lacking[:80]!r}): measured is the graph of the other {len(nodes):,}, with "
            f"{graph.edge_count:,} of {edges:,} edges in {counted(parts, 'component')}."
        )
    return graph, np.array([match.rows[node] for node in nodes.tolist()]), notes


def _wrong_row_count(rows: int, graph: Graph) -> InputError:
    return InputError(
        f"The embeddings have {counted(rows, 'row')} without labels but the graph has {graph.node_count:,} "
        "nodes; give one row per node, in the order of the graph's nodes, or name the rows with --labels."
    )
