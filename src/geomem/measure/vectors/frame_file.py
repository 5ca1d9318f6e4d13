"""Vectors in data frames that are kept as Parquet: one column per number, or one column of lists.

Axis names: `row`, `width`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float

from geomem.errors import InputError
from geomem.measure.vectors.layout import COUNTER_TITLES
from geomem.measure.vectors.matching import match_rows, names_labels
from geomem.measure.vectors.text_table import LARGEST_KEPT, VectorTable, wrong_label_count
from geomem.worlds.text_file import counted

MOST_ROWS = 20_000_000
"""Rows that are read; a damaged file promises any number."""

_ROW = "row number of geomem"


def read_frame(path: Path, names: Sequence[str], *, labels: Sequence[str] | None = None) -> VectorTable:
    """Vectors of a Parquet file; rows with labels are matched to the names and all others stay in the file.

    The labels are the one column of text, else the one column of whole numbers that is called so; the vectors
    are all other numbers, but for a counter such as pandas writes, or the one column of lists. Raises
    `InputError` for a damaged file, several columns of text or of lists, and missing or ragged numbers.
    """
    with _sentences(path):
        frame = pl.scan_parquet(path, glob=False)
        schema = dict(frame.collect_schema())
        count = _row_count(path, frame)
        own = _label_column(path, schema)
        if own is not None and labels is not None:
            raise InputError(
                f"The column {own[:80]!r} of {str(path)!r} holds labels, and --labels gives others; leave "
                "out one of them."
            )
        if own is not None:
            labels = frame.select(pl.col(own).cast(pl.String).fill_null("")).collect().to_series().to_list()
        if labels is not None and len(labels) != count:
            raise wrong_label_count(path, count, len(labels))
        numbers = _number_columns(path, schema, own)
        match = None if labels is None else match_rows(zip(labels, range(count), strict=True), names)
        if match is None and count != len(names):
            kept = np.arange(0)
        else:
            kept = np.arange(count) if match is None else np.array(sorted(match.rows.values()), dtype=int)
        chosen = frame.select(numbers).with_row_index(_ROW).filter(pl.col(_ROW).is_in(kept.tolist()))
        vectors = _vectors(path, chosen.drop(_ROW).collect())
    if match is not None:
        places = {at: int(np.searchsorted(kept, row)) for at, row in match.rows.items()}
        match = match.with_rows(places)
    said = f"labels in column {own!r}" if own is not None else counted(len(schema), "column")
    return VectorTable(vectors, match, count, f"Parquet, {said}")


def read_label_frame(path: Path) -> tuple[str, ...]:
    """Labels from the one column of text of a Parquet file; raises `InputError` if there is not one."""
    with _sentences(path):
        frame = pl.scan_parquet(path, glob=False)
        _row_count(path, frame)
        own = _label_column(path, dict(frame.collect_schema()))
        if own is None:
            raise InputError(f"The file {str(path)!r} has no column of text; give one label per row.")
        return tuple(frame.select(pl.col(own).cast(pl.String).fill_null("")).collect().to_series().to_list())


@contextmanager
def _sentences(path: Path) -> Iterator[None]:
    try:
        yield
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise InputError(
            f"The file {str(path)!r} is not a complete Parquet file; write it with frame.to_parquet(path)."
        ) from error


def _row_count(path: Path, frame: pl.LazyFrame) -> int:
    count = frame.select(pl.len()).collect().item()
    if not 0 < count <= MOST_ROWS:
        raise InputError(
            f"The file {str(path)!r} has {counted(count, 'row')}, and 1 to {MOST_ROWS:,} are read; keep only "
            "the rows of the names."
        )
    return count


def _label_column(path: Path, schema: Mapping[str, Any]) -> str | None:
    texts = [name for name, kind in schema.items() if kind in (pl.String, pl.Categorical, pl.Enum)]
    if len(texts) > 1:
        raise InputError(
            f"The columns {texts[0][:80]!r} and {texts[1][:80]!r} of {str(path)!r} both hold text; keep one "
            "column of labels beside the numbers."
        )
    titled = [name for name, kind in schema.items() if kind.is_integer() and names_labels(name)]
    return (texts or (titled if len(titled) == 1 else []) or [None])[0]


def _number_columns(path: Path, schema: Mapping[str, Any], label: str | None) -> list[str]:
    lists = [name for name, kind in schema.items() if isinstance(kind, pl.List | pl.Array)]
    counters = (*COUNTER_TITLES, "__index_level_0__")
    numbers = [
        name
        for name, kind in schema.items()
        if kind.is_numeric() and name != label and not (kind.is_integer() and name.lower() in counters)
    ]
    if len(lists) > 1 or not (lists or numbers):
        raise InputError(
            f"The file {str(path)!r} has {counted(len(lists), 'column')} of lists and "
            f"{counted(len(numbers), 'column')} of numbers; keep the numbers of one vector per row."
        )
    return lists or numbers


def _vectors(path: Path, frame: pl.DataFrame) -> Float[np.ndarray, "row width"]:
    column = frame.to_series(0)
    if isinstance(column.dtype, pl.List | pl.Array):
        parts = column.cast(pl.List(pl.Float64))
        lengths = set(parts.list.len().to_list())
        if len(lengths) > 1 or None in lengths:
            raise InputError(f"The lists in {str(path)!r} are not equally long; give every row one vector.")
        width = lengths.pop() if lengths else 0
        vectors = parts.explode().to_numpy().reshape(len(frame), width)
    else:
        vectors = frame.select(pl.all().cast(pl.Float64)).to_numpy()
    if vectors.size > LARGEST_KEPT:
        raise InputError(
            f"The file {str(path)!r} has {vectors.size:,} numbers for these names, and at most "
            f"{LARGEST_KEPT:,} are measured; give narrower vectors."
        )
    return vectors
