"""Sweeps and run directories as one table: a row per run, its settings, its seed, its last measurements."""

import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from geomem.errors import InputError
from geomem.files import check_place, check_plain_file, csv_file, make_parent, replace_file
from geomem.models.own import OwnModule
from geomem.runs.directory import (
    CURRENT,
    DONE,
    MANIFEST,
    MANIFEST_LIMIT,
    damaged,
    read_json,
    read_table,
    table_file,
)
from geomem.runs.run import Run, read_run

TABLES = (".parquet", ".csv")
"""Endings of tables."""

FLEET = re.compile(r"fleet-\d{5,}\.parquet")

PARTS = ("task", "model", "training", "treatment")
"""What a configuration has besides its world and its seeds."""

FIRST = ("directory", "world", "task", "model")
"""The columns that every table begins with."""

LEFT_OUT = ("kind", "snapshots", "sizes", "described", "digest")
"""Settings that no column shows."""


def tabulate(paths: Sequence[str | os.PathLike[str]]) -> pl.DataFrame:
    """One row per run of some sweeps and run directories.

    Columns are the directory's name, world, task and model; then every other setting; `seed`; and the
    measurements after the last step, with underscores for dots. What a run does not have is null. Of a sweep
    that is not finished, the finished fleets are there.

    Raises `InputError` for a directory that is neither, or is damaged.

    >>> import tempfile
    >>> from geomem.sweep import read_blocks, train_blocks
    >>> blocks = read_blocks([{"world": "cycle", "model": "bilinear", "width": [2, 4], "steps": 5}])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     found = train_blocks(blocks, directory=folder, processes=1)
    ...     tabulate([found.path]).select("world", "model", "width", "steps", "seed").rows()
    [('cycle-15', 'bilinear', 2, 5, 0), ('cycle-15', 'bilinear', 4, 5, 0)]
    """
    tables = [_tabulate_one(Path(path)) for path in paths]
    settings = dict.fromkeys(name for table in tables for name in settings_of(table))
    measured = dict.fromkeys(name for table in tables for name in measurements_in(table))
    kinds: dict[str, Any] = {}
    for table in tables:
        for name, kind in table.schema.items():
            kinds[name] = _common(kinds.get(name, pl.Null()), kind)
    order = [
        *dict.fromkeys([*FIRST, *settings]),
        "seed",
        *[name for name in measured if name not in settings],
    ]
    return pl.concat(
        table.select(
            (pl.col(name) if name in table.columns else pl.lit(None))
            .cast(kinds.get(name, pl.Null()))
            .alias(name)
            for name in order
        )
        for table in tables
    )


def settings_of(table: pl.DataFrame) -> list[str]:
    """The columns of a table that are settings: those before its seed.

    >>> settings_of(pl.DataFrame({"width": [4], "seed": [0], "loss": [0.5]}))
    ['width']
    """
    return table.columns[: _seed_column(table)]


def measurements_in(table: pl.DataFrame) -> list[str]:
    """The columns of a table that are measurements: those after its seed."""
    return table.columns[_seed_column(table) + 1 :]


def varied_settings(table: pl.DataFrame) -> list[str]:
    """The settings that have several values, apart from the directory.

    >>> varied_settings(pl.DataFrame({"steps": [5, 5], "width": [4, 8], "seed": [0, 0]}))
    ['width']
    """
    return [name for name in settings_of(table) if name != "directory" and table[name].n_unique() > 1]


def check_table(out: Path) -> None:
    """Raise `InputError`, before the work begins, unless a table can be written to `out`."""
    if out.suffix not in TABLES:
        raise InputError(f"out is {str(out)!r}; give a name that ends in {' or '.join(TABLES)}.")
    check_place(out)


def write_table(table: pl.DataFrame, out: Path) -> Path:
    """Write a table as .parquet or .csv; raises `InputError` for another ending."""
    check_table(out)
    make_parent(out)
    replace_file(out, table_file(table) if out.suffix == ".parquet" else csv_file(table))
    return out


def open_table(path: Path) -> pl.DataFrame:
    """Read a table as `write_table` writes it; raises `InputError` for any other file."""
    check_plain_file(path, links=True)
    try:
        if path.suffix == ".parquet":
            table = pl.read_parquet(path, glob=False)
        else:
            table = pl.read_csv(path, glob=False, infer_schema_length=None)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise InputError(f"{path} is no table; give one that `geomem table` wrote.") from error
    _seed_column(table)
    return table


def _seed_column(table: pl.DataFrame) -> int:
    if "seed" not in table.columns:
        raise InputError("The table has no column seed, which stands between settings and measurements.")
    return table.columns.index("seed")


def _tabulate_one(path: Path) -> pl.DataFrame:
    if any(os.path.lexists(path / name) for name in (DONE, CURRENT)) or not os.path.lexists(path / MANIFEST):
        return _tabulate_run(read_run(path))  # which says what is wrong with any other directory
    manifest = read_json(path / MANIFEST, limit=MANIFEST_LIMIT)
    configuration = manifest.get("configuration") if isinstance(manifest, dict) else None
    if not isinstance(configuration, dict):
        raise damaged(path / MANIFEST, "it has no configuration")
    parts = sorted(entry.name for entry in os.scandir(path) if FLEET.fullmatch(entry.name))
    if not parts:
        raise InputError(f"{path} has no finished run; give a sweep or a run directory that has one.")
    first = _read_fleet(path / parts[0], None)
    rows = pl.concat([first, *[_read_fleet(path / part, dict(first.schema)) for part in parts[1:]]])
    count = manifest.get("fleets")
    if isinstance(count, int) and len(parts) < count:
        text = "%s has %s of %s fleets; the command that began it trains the others."
        logging.getLogger(__name__).warning(text, path, len(parts), count)
    return _with_constants(path, rows, configuration)


def _tabulate_run(run: Run) -> pl.DataFrame:
    described = _flatten(run.configuration)
    count = len(run.seeds)
    columns = {"directory": run.path.name, "world": run.world.name} | described
    last = {name.replace(".", "_"): values for name, values in run.final().items()}
    return pl.DataFrame(
        {name: [value] * count for name, value in columns.items() if value is not None}
        | {"seed": list(run.seeds)}
        | last
    )


def _read_fleet(part: Path, schema: Mapping[str, Any] | None) -> pl.DataFrame:
    if schema is None:
        try:
            schema = dict(pl.read_parquet_schema(part)) if check_plain_file(part) else {}
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
            raise _damaged(part, "it is not a complete parquet file") from error
        if "seed" not in schema:
            raise _damaged(part, "it has no column seed")
    return read_table(part, schema, damaged=_damaged)


def _damaged(part: Path, why: str) -> InputError:
    return InputError(f"{part} is damaged ({why}); delete this file alone and train the sweep again.")


def _with_constants(path: Path, rows: pl.DataFrame, configuration: Mapping[str, Any]) -> pl.DataFrame:
    """The rows of a sweep with the settings in which all its runs of one task and model agree."""
    blocks = configuration.get("blocks", [configuration])
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        raise damaged(path / MANIFEST, "its blocks are no blocks")
    constants = {}
    for block in blocks:
        described = {name: value for name, value in _flatten(block).items() if value is not None}
        constants[described.get("task"), described.get("model")] = described
    only = next(iter(constants))
    keys = ("task", "model")
    rows = rows.with_columns(
        pl.lit(value, dtype=pl.String).alias(name)
        for name, value in zip(keys, only, strict=True)
        if name not in rows.columns
    )
    known = pl.from_dicts(
        [dict(zip(keys, pair, strict=True)) | described for pair, described in constants.items()],
        schema_overrides=dict.fromkeys(keys, pl.String),
        infer_schema_length=None,
        strict=False,
    )
    added = [name for name in known.columns if name not in rows.columns]
    full = rows.join(
        known.select(*keys, *added), on=keys, how="left", nulls_equal=True, maintain_order="left"
    ).with_columns(pl.lit(path.name).alias("directory"))
    place = rows.columns.index("seed")
    before = [name for name in (*rows.columns[:place], *added) if name not in FIRST]
    after = [name for name in rows.columns[place + 1 :] if name not in FIRST]
    first = [name for name in FIRST if name in full.columns]
    return full.select(*first, *before, "seed", *after)


def _flatten(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Every setting of a configuration by the name of its column."""
    found: dict[str, Any] = {}
    for part in PARTS:
        values = configuration.get(part)
        if not isinstance(values, dict):
            continue
        kind = values.get("kind")
        if part in FIRST and isinstance(kind, str):
            found[part] = str(values.get("source")) if kind == OwnModule.name else kind
        found |= {name: value for name, value in _plain(values) if name not in found}
    return found


def _plain(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if name in LEFT_OUT:
            continue
        if isinstance(value, list) and all(isinstance(word, str) for word in value):
            yield name, " ".join(value)
        elif isinstance(value, bool | int | float | str):
            yield name, value


def _common(one: Any, other: Any) -> Any:
    """A type that holds the values of two columns of one name."""
    if one == pl.Null() or one == other:
        return other
    if other == pl.Null():
        return one
    return pl.Float64() if one.is_numeric() and other.is_numeric() else pl.String()
