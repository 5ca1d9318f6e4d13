"""`geomem table`: sweeps and run directories as one table, a row per run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from geomem.cli.options import parse_options
from geomem.errors import InputError

DESCRIPTION = """Write one table of sweeps and run directories: a row per run.

Columns are the directory, the world, the task, the model and every other setting, then the seed, then what
was measured after the last step. pandas, polars, DuckDB, R and spreadsheets read it."""


@dataclass(frozen=True)
class TableOptions:
    """What is tabulated, and where it goes."""

    sources: tyro.conf.Positional[tuple[Path, ...]]
    """Directories of sweeps, as `geomem sweep` prints them, and of runs."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("table.parquet")
    """The table: a name that ends in .parquet or .csv."""


def run(arguments: Sequence[str]) -> int:
    """Write the table and print its path."""
    options = parse_options(TableOptions, arguments, verb="table", description=DESCRIPTION)
    if not options.sources:
        raise InputError("Give a sweep or a run directory, as in `geomem table sweeps/* -o table.parquet`.")

    from geomem.sweep.table import check_table, tabulate, write_table

    check_table(options.out)
    print(write_table(tabulate(options.sources), options.out))
    return 0
