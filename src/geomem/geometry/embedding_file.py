"""Embeddings from a file: a NumPy array, or a table with one line per node.

Whatever the file holds is treated as written by a stranger: no pickle, bounded size, every number checked.
"""

import csv
import os
from pathlib import Path

import numpy as np
from jaxtyping import Float

from geomem.errors import InputError
from geomem.worlds.graph import Graph

LARGEST_FILE = 2 << 30
"""Bytes accepted of an embedding file: a million nodes of width 256 in float64."""

LABEL_HEADERS = ("", "label", "labels", "node", "nodes", "name", "id", "token", "word")
"""First words of a header line, in lower case, that say that the first column holds the nodes' labels."""


def read_embeddings(path: str | os.PathLike[str], graph: Graph) -> Float[np.ndarray, "run node width"]:
    """Node embeddings from `.npy`, `.csv` or `.tsv`, in the order of the graph's nodes, in float64.

    A `.npy` file holds [node, width] or [run, node, width] in the order of node ids. A table holds one line
    per node, with or without a header line, with or without a first column of labels: its header says so, or
    its entries are the graph's labels, or they are no numbers. Lines with labels may come in any order.

    Raises `InputError` if the file is missing, too large, of another kind or no such array, if its rows do
    not match the graph's nodes, or if a number in it is not finite.

    >>> import tempfile
    >>> from geomem.worlds.families import path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "vectors.tsv")
    ...     _ = file.write_text("node\\tx\\ty\\n1\\t0.5\\t2\\n0\\t1\\t3\\n")
    ...     read_embeddings(file, path(2)).tolist()
    [[[1.0, 3.0], [0.5, 2.0]]]
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"There is no file {str(path)!r}; give the embeddings as .npy, .csv or .tsv.")
    size = path.stat().st_size
    if size > LARGEST_FILE:
        raise InputError(
            f"The file {str(path)!r} has {size / 2**30:.1f} GiB and at most {LARGEST_FILE >> 30} are "
            "read; keep only the rows of the graph's nodes."
        )
    suffix = path.suffix.lower()
    if suffix == ".npy":
        embeddings = _read_array(path)
    elif suffix in (".csv", ".tsv"):
        embeddings = _read_table(path, graph, "," if suffix == ".csv" else "\t")[None]
    else:
        raise InputError(
            f"The file {str(path)!r} ends in {suffix!r}; give the embeddings as .npy, .csv or .tsv."
        )
    runs, rows, width = embeddings.shape
    if runs == 0 or width == 0:
        raise InputError(
            f"The embeddings in {str(path)!r} have shape {embeddings.shape}; give at least one column."
        )
    if rows != graph.node_count:
        raise InputError(
            f"The embeddings have {rows} rows but the graph has {graph.node_count} nodes; "
            "give one row per node, in the order of the graph's nodes or with labels."
        )
    wrong = np.argwhere(~np.isfinite(embeddings).all(axis=2))
    if len(wrong):
        node = int(wrong[0][1])
        raise InputError(
            f"Row {node + 1} of the embeddings (node {graph.labels[node]!r}) holds NaN or infinity; "
            "give finite numbers only."
        )
    return embeddings


def _read_array(path: Path) -> np.ndarray:
    try:
        # Mapped, so that a header that promises more than the file holds fails before any memory is taken.
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError, SyntaxError, OverflowError, MemoryError) as error:
        raise InputError(
            f"The file {str(path)!r} is not a NumPy array of numbers; write it with numpy.save(path, array)."
        ) from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        raise InputError(f"The file {str(path)!r} does not hold real numbers; save an array of floats.")
    if array.ndim not in (2, 3):
        raise InputError(
            f"The array in {str(path)!r} has {array.ndim} axes; give [node, width] or [run, node, width]."
        )
    embeddings = np.array(array, dtype=np.float64)
    return embeddings[None] if array.ndim == 2 else embeddings


def _read_table(path: Path, graph: Graph, delimiter: str) -> np.ndarray:
    """[node, width], rows matched by label if there is a column of labels."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.reader(file, delimiter=delimiter) if any(cell.strip() for cell in row)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"The file {str(path)!r} is not a text table; give one line of numbers per node, in UTF-8."
        ) from error
    if not rows:
        raise InputError(f"The file {str(path)!r} is empty; give one line of numbers per node.")
    has_header = len(rows) > 1 and not any(_is_number(cell) for cell in rows[0][1:] or rows[0])
    header, body = (rows[0], rows[1:]) if has_header else (None, rows)
    lengths = {len(row) for row in body}
    if len(lengths) > 1:
        odd = next(number for number, row in enumerate(body, 1) if len(row) != len(body[0]))
        raise InputError(
            f"Row {odd} of {str(path)!r} has {len(body[odd - 1])} columns and the first has {len(body[0])}; "
            "give every node as many numbers as the first."
        )
    firsts = [row[0].strip() for row in body]
    labelled = len(body[0]) > 1 and (
        (header is not None and header[0].strip().lower() in LABEL_HEADERS)
        or set(firsts) == set(graph.labels)
        or not all(_is_number(first) for first in firsts)
    )
    numbers = [row[1:] if labelled else row for row in body]
    try:
        table = np.array(numbers, dtype=np.float64)
    except ValueError:
        row, cell = next(
            (number, cell)
            for number, cells in enumerate(numbers, 1)
            for cell in cells
            if not _is_number(cell)
        )
        raise InputError(
            f"Row {row} of {str(path)!r} holds {cell[:40]!r} where a number is expected; give numbers only."
        ) from None
    if not labelled or len(table) != graph.node_count:
        return table
    order = {label: row for row, label in enumerate(firsts)}
    missing = next((label for label in graph.labels if label not in order), None)
    if missing is not None:
        raise InputError(
            f"The embeddings in {str(path)!r} have no row for the node {missing!r}; "
            "label the rows as the graph does."
        )
    return table[[order[label] for label in graph.labels]]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
