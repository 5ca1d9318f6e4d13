"""Run directories as a forger would alter them: every file that was changed is signed again in `DONE`."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from safetensors.numpy import load_file, save_file

from geomem.files import fingerprint
from geomem.runs.directory import DONE, MANIFEST, METRICS, configuration_hash

WRONG: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    10**30,
    1e300,
    "",
    "x" * 300,
    "\x1b]0;owned\x07",
    [],
    [1],
    {},
    {"a": 1},
)
"""What stands where something else is expected."""


def sign(path: Path) -> None:
    """Make the fingerprints fit again."""
    names = json.loads((path / DONE).read_text())
    (path / DONE).write_text(
        json.dumps({name: fingerprint(path / name) for name in names if (path / name).is_file()})
    )


def rewrite(path: Path, change: Callable[[Any], Any], name: str = MANIFEST) -> None:
    """Change a JSON file, and the manifest's hash with it."""
    content = json.loads((path / name).read_text())
    change(content)
    if name == MANIFEST and isinstance(content.get("configuration"), dict):
        content["hash"] = configuration_hash(content["configuration"])
    (path / name).write_text(json.dumps(content))
    sign(path)


def places(content: Any, above: tuple = ()) -> Iterator[tuple]:
    """Where every value of a JSON object stands: the keys that lead there; of lists the first entry only."""
    items = content.items() if isinstance(content, dict) else enumerate(content[:1])
    for key, value in items:
        yield (*above, key)
        if isinstance(value, dict | list):
            yield from places(value, (*above, key))


def put(content: Any, keys: tuple, value: Any) -> None:
    """Put another value in a place."""
    for key in keys[:-1]:
        content = content[key]
    content[keys[-1]] = value


def with_metrics(path: Path, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    """Change the table of metrics."""
    change(pl.read_parquet(path / METRICS)).write_parquet(path / METRICS)
    sign(path)


def with_arrays(path: Path, name: str, change: Callable[[dict[str, np.ndarray]], Any]) -> None:
    """Change the arrays of a file."""
    arrays = load_file(path / name)
    change(arrays)
    save_file(arrays, path / name, metadata={"format": "1"})
    sign(path)


METRIC_CHANGES: dict[str, Callable[[pl.DataFrame], pl.DataFrame]] = {
    "no loss": lambda t: t.filter(~pl.col("metric").is_in(["loss", "recall"])),
    "null step": lambda t: t.with_columns(pl.lit(None, dtype=pl.Int64).alias("step")),
    "null value": lambda t: t.with_columns(pl.lit(None, dtype=pl.Float64).alias("value")),
    "negative step": lambda t: t.with_columns(-1 - pl.col("step")),
    "twice": lambda t: pl.concat([t, t]),
    "no row": lambda t: t.head(0),
    "missing row": lambda t: t.head(len(t) - 1),
    "float step": lambda t: t.with_columns(pl.col("step").cast(pl.Float64)),
    "text value": lambda t: t.with_columns(pl.col("value").cast(pl.String)),
    "another column": lambda t: t.with_columns(more=1),
    "many columns": lambda t: pl.DataFrame({str(n): [0] for n in range(5000)}),
    "equal steps": lambda t: t.with_columns(pl.lit(0, dtype=pl.Int64).alias("step")),
    "run beyond": lambda t: t.with_columns(pl.col("run") + 1),
    "many metrics": lambda t: pl.concat([t.with_columns(metric=pl.lit(f"m{n}")) for n in range(1100)]),
}


def first(arrays: dict[str, np.ndarray]) -> str:
    """The first name."""
    return sorted(arrays)[0]


ARRAY_CHANGES: dict[str, Callable[[dict[str, np.ndarray]], Any]] = {
    "one missing": lambda a: a.pop(first(a)),
    "one more": lambda a: a.update(more=np.ones(3)),
    "flat": lambda a: a.update({first(a): a[first(a)][..., :0]}),
    "one dimension": lambda a: a.update({first(a): a[first(a)].ravel()}),
    "whole numbers": lambda a: a.update({first(a): a[first(a)].astype(np.int32)}),
    "half precision": lambda a: a.update({first(a): a[first(a)].astype(np.float16)}),
    "truths": lambda a: a.update({first(a): a[first(a)].astype(bool)}),
    "all missing": lambda a: a.clear(),
    "fewer runs": lambda a: a.update({name: array[:0] for name, array in a.items()}),
}


def raw_tensors(path: Path, name: str, kind: str) -> None:
    """Give every tensor another type, of one byte, which NumPy may not know."""
    header = {"a": {"dtype": kind, "shape": [8], "data_offsets": [0, 8]}}
    text = json.dumps(header).encode()
    (path / name).write_bytes(len(text).to_bytes(8, "little") + text + bytes(8))
    sign(path)


def bomb(path: Path, rows: int = 6_000_000) -> None:
    """Metrics of some kilobytes that unpack to as many rows."""
    last = pl.read_parquet(path / METRICS)["run"].max()
    table = pl.select(
        run=pl.repeat(last, rows, dtype=pl.Int32),
        step=pl.repeat(0, rows, dtype=pl.Int64),
        metric=pl.lit("loss"),
        value=pl.lit(1.0),
    )
    table.write_parquet(path / METRICS)
    sign(path)


def special_file(path: Path, kind: str) -> None:
    """Put a directory, a pipe, or a link to a device or to nothing in the place of a file."""
    path.unlink()
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero" if kind == "device" else path.with_name("nothing"))


def copy_of(run: Path, to: Path) -> Path:
    """A copy that may be altered."""
    shutil.copytree(run, to)
    return to
