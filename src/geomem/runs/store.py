"""Finished fleets on disk: one directory per configuration, in which `DONE` means that all is there.

A run directory `<directory>/<name>-<hash12>/` holds

| file | what |
|---|---|
| `manifest.json` | configuration, seeds, versions, device, dtype, platform, git state |
| `world.json` | the graph |
| `vocabulary.json` | text of every token |
| `metrics.parquet` | long table: run, step, metric, value |
| `weights.safetensors` | every parameter after the last step, [run, ...] |
| `snapshots.safetensors` | `steps`, `embeddings` [snapshot, run, node, width], `recalled` [run, fact] |
| `DONE` | size and SHA-256 of each file above; written last |

Every file is written beside its place, flushed to the disk and renamed into place. No pickle anywhere.
"""

import errno
import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Int
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from geomem.errors import InputError
from geomem.worlds.graphs.file import graph_from_json, graph_to_json
from geomem.worlds.graphs.graph import Graph
from geomem.worlds.vocabulary import SPECIAL_TOKENS, Vocabulary

FORMAT = 1
"""Version of the directory's layout; a reader refuses any other."""

MANIFEST, WORLD, VOCABULARY = "manifest.json", "world.json", "vocabulary.json"
METRICS, WEIGHTS, SNAPSHOTS, DONE = "metrics.parquet", "weights.safetensors", "snapshots.safetensors", "DONE"
FILES = (MANIFEST, WORLD, VOCABULARY, METRICS, WEIGHTS, SNAPSHOTS)

METRIC_SCHEMA = pl.Schema({"run": pl.Int32, "step": pl.Int64, "metric": pl.String, "value": pl.Float64})

JSON_LIMIT = 1 << 28
"""Bytes of JSON a reader takes in: a graph of some ten million edges; more is not one of our files."""
METRIC_ROW_LIMIT = 100_000_000
"""Rows of metrics a reader takes in; a small file of parquet can claim to unpack to any number."""


@dataclass(frozen=True)
class StoredFleet:
    """A finished fleet: where it is, what its manifest says, its world and its seeds; arrays stay on disk."""

    path: Path
    manifest: dict[str, Any]
    graph: Graph
    seeds: tuple[int, ...]
    runs: tuple[int, ...] | None = None
    """Which of the runs on disk are meant; None if all. `select_runs` sets it."""


def canonical_json(configuration: Mapping[str, Any]) -> str:
    """The one text of a configuration: keys sorted, no spaces, no NaN.

    >>> canonical_json({"b": 1.0, "a": [True, None]})
    '{"a":[true,null],"b":1.0}'
    """
    return json.dumps(
        configuration, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def configuration_hash(configuration: Mapping[str, Any]) -> str:
    """First twelve hexadecimal digits of the SHA-256 of the canonical configuration.

    >>> configuration_hash({"a": 1}) == configuration_hash({"a": 1}), len(configuration_hash({"a": 1}))
    (True, 12)
    """
    return hashlib.sha256(canonical_json(configuration).encode()).hexdigest()[:12]


def safe_name(text: str) -> str:
    """A text as part of a file's name: letters of any script, digits, dots, dashes; never hidden or a path.

    >>> safe_name("../../etc/passwd"), safe_name("Länder, 2024"), safe_name("..")
    ('etc-passwd', 'Länder-2024', 'world')
    """
    name = re.sub(r"[^\w.]+", "-", text).strip("-._")
    while len(name.encode()) > 80:  # file systems count bytes, 255 of them at most
        name = name[:-1]
    return name.rstrip("-._") or "world"


def run_path(directory: str | os.PathLike[str], name: str, configuration: Mapping[str, Any]) -> Path:
    """Place of a configuration's run directory.

    >>> run_path("runs", "a b", {"a": 1}).as_posix()
    'runs/a-b-015abd7f5cc5'
    """
    return Path(directory) / f"{safe_name(name)}-{configuration_hash(configuration)}"


def replace_file(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a file beside `path`, flush it to the disk, then rename it into place.

    Whoever reads `path`, after a crash or a power cut too, finds the former file or the whole new one.
    Raises `InputError` when the disk is full or refuses; what had been written beside is removed.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        write(partial)
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
        sync_directory(path.parent)
    except (OSError, SafetensorError, pl.exceptions.PolarsError) as error:
        partial.unlink(missing_ok=True)
        # safetensors and polars hand on the system's error as text only.
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "os error 28" in str(error)
        if full:
            raise InputError(
                f"The disk became full while writing {path}; free some space and run the same command again."
            ) from error
        raise InputError(
            f"Could not write {path} ({error}); see to it and run the same command again."
        ) from error
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def sync_directory(path: Path) -> None:
    """Flush a directory, so that renames in it outlive a power cut."""
    if os.name == "posix":
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_json(path: Path, content: Any) -> None:
    """Write JSON for people: indented, in any script, no NaN; renamed into place."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    replace_file(path, lambda partial: _write_text(partial, text))


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """Write named arrays as safetensors; renamed into place."""
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}

    def write(partial: Path) -> None:
        save_file(contiguous, partial, metadata=dict(metadata))
        # safetensors makes files for the owner alone; a run should be as readable as its directory.
        partial.chmod(path.parent.stat().st_mode & 0o666)

    replace_file(path, write)


def write_fleet(
    path: Path,
    *,
    manifest: Mapping[str, Any],
    graph: Graph,
    metrics: Mapping[str, np.ndarray],
    metric_steps: Int[np.ndarray, " row"],
    weights: Mapping[str, np.ndarray],
    snapshots: Float[np.ndarray, "snapshot run node width"],
    snapshot_steps: Int[np.ndarray, " snapshot"],
    recalled: Bool[np.ndarray, "run fact"] | None = None,
) -> StoredFleet:
    """Write a finished fleet into its run directory, `DONE` last, and read it back.

    `metrics` maps a name to values [row, run]; `weights` a parameter's name to an array [run, ...].

    Raises `InputError` when the disk is full or refuses.
    """
    path.mkdir(parents=True, exist_ok=True)
    vocabulary = Vocabulary(graph.labels)
    tokens = [vocabulary.text(token) for token in range(vocabulary.size)]
    table = metrics_table(metrics, metric_steps)
    described = {"format": str(FORMAT)}
    write_json(path / MANIFEST, dict(manifest))
    write_json(path / WORLD, graph_to_json(graph))
    write_json(path / VOCABULARY, {"node_count": graph.node_count, "tokens": tokens})
    replace_file(path / METRICS, lambda partial: table.write_parquet(partial))
    write_arrays(path / WEIGHTS, weights, described)
    arrays = {"steps": np.asarray(snapshot_steps, dtype=np.int64), "embeddings": snapshots}
    arrays |= {} if recalled is None else {"recalled": recalled.astype(np.uint8)}
    write_arrays(path / SNAPSHOTS, arrays, described)
    write_json(path / DONE, {name: fingerprint(path / name) for name in FILES})
    return read_fleet(path)


def metrics_table(metrics: Mapping[str, np.ndarray], steps: Int[np.ndarray, " row"]) -> pl.DataFrame:
    """Curves [row, run] by name as one long table: run, step, metric, value.

    >>> metrics_table({"loss": np.array([[2.0, 3.0]])}, np.array([5])).rows()
    [(0, 5, 'loss', 2.0), (1, 5, 'loss', 3.0)]
    """
    parts = []
    for name, values in metrics.items():
        rows, runs = values.shape
        parts.append(
            pl.DataFrame(
                {
                    "run": np.repeat(np.arange(runs), rows),
                    "step": np.tile(steps, runs),
                    "metric": [name] * (rows * runs),
                    "value": np.asarray(values, dtype=np.float64).T.ravel(),
                },
                schema=METRIC_SCHEMA,
            )
        )
    return pl.concat(parts) if parts else pl.DataFrame(schema=METRIC_SCHEMA)


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def fingerprint(path: Path) -> dict[str, Any]:
    """Size and SHA-256 of a file, as `DONE` lists them."""
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


# Everything below treats the directory as written by a stranger.


def is_finished(path: Path) -> bool:
    """Whether a run directory has its `DONE`."""
    return (path / DONE).is_file()


def read_fleet(path: str | os.PathLike[str]) -> StoredFleet:
    """Check a run directory through and through and open it; arrays are read when asked for.

    Raises `InputError`, one sentence that names the file, if the directory is missing, unfinished, truncated,
    changed since it was written, or not what its manifest says.
    """
    path = Path(path)
    if not path.is_dir():
        what = "is a file" if path.is_file() else "does not exist"
        raise InputError(f"{path} {what}; give a run directory, as `geomem memorize` prints it.")
    if not (path / MANIFEST).is_file() and not (path / DONE).is_file():
        raise InputError(
            f"{path} is not a run directory (no {MANIFEST} in it); give one that `geomem memorize` wrote."
        )
    if not is_finished(path):
        raise InputError(
            f"The run {path} is unfinished (no {DONE} in it); run the same command again to finish it."
        )
    check_fingerprints(path, FILES)
    manifest = read_json(path / MANIFEST)
    configuration, seeds = check_manifest(path / MANIFEST, manifest)
    try:
        graph = graph_from_json(read_json(path / WORLD))
    except InputError as error:
        raise damaged(path / WORLD, str(error).rstrip(".")) from error
    if graph.digest != configuration["world"].get("digest"):
        raise damaged(path / WORLD, "it holds another world than the manifest says")
    tokens = read_json(path / VOCABULARY)
    if not isinstance(tokens, dict) or tokens.get("tokens") != [*graph.labels, *SPECIAL_TOKENS]:
        raise damaged(path / VOCABULARY, "its tokens are not those of the world")
    check_metrics(path / METRICS, len(seeds))
    _check_weights(path / WEIGHTS, len(seeds), graph.node_count)
    _check_snapshots(path / SNAPSHOTS, len(seeds), graph.node_count)
    return StoredFleet(path=path, manifest=manifest, graph=graph, seeds=seeds)


def select_runs(fleet: StoredFleet, runs: Sequence[int]) -> StoredFleet:
    """The same fleet with some of its runs only: whatever is read from it then has these, in this order."""
    stored = fleet.runs or range(len(fleet.seeds))
    return replace(
        fleet, seeds=tuple(fleet.seeds[run] for run in runs), runs=tuple(stored[run] for run in runs)
    )


def fleet_metrics(fleet: StoredFleet) -> pl.DataFrame:
    """The fleet's curves as one long table: run (0 to R - 1), step, metric, value."""
    table = pl.read_parquet(fleet.path / METRICS, glob=False)
    if fleet.runs is None:
        return table
    numbers = {run: number for number, run in enumerate(fleet.runs)}
    kept = table.filter(pl.col("run").is_in(fleet.runs))
    return kept.with_columns(pl.col("run").replace_strict(numbers, return_dtype=pl.Int32))


def fleet_weights(fleet: StoredFleet) -> dict[str, np.ndarray]:
    """Every parameter after the last step, [run, ...], by name."""
    return {name: array[_chosen(fleet)] for name, array in read_arrays(fleet.path / WEIGHTS).items()}


def fleet_embeddings(fleet: StoredFleet) -> Float[np.ndarray, "run node width"]:
    """Node embeddings after the last step, in float64: the node rows of the token table."""
    with safe_open(fleet.path / WEIGHTS, "numpy") as file:
        stored = file.get_slice("token_embedding")[:, : fleet.graph.node_count]
    return stored[_chosen(fleet)].astype(np.float64)


def fleet_snapshots(
    fleet: StoredFleet,
) -> tuple[Int[np.ndarray, " snapshot"], Float[np.ndarray, "snapshot run node width"]]:
    """Steps at which embeddings were kept, and the embeddings (float32)."""
    arrays = read_arrays(fleet.path / SNAPSHOTS)
    return arrays["steps"], arrays["embeddings"][:, _chosen(fleet)]


def fleet_recalled(fleet: StoredFleet) -> Bool[np.ndarray, "run fact"] | None:
    """Which facts of its task each run knows after the last step; None for fleets that did not keep it."""
    recalled = read_arrays(fleet.path / SNAPSHOTS).get("recalled")
    return None if recalled is None else recalled[_chosen(fleet)].astype(bool)


def _chosen(fleet: StoredFleet) -> slice | list[int]:
    return slice(None) if fleet.runs is None else list(fleet.runs)


def damaged(path: Path, why: str) -> InputError:
    """The one sentence about a file that is not what it should be."""
    return InputError(
        f"{path} is damaged ({why}); delete the directory {path.parent} and run the same command again."
    )


def read_json(path: Path) -> Any:
    """Read one of our JSON files; raises `InputError` if it is missing, a link, too large or not JSON."""
    check_file(path)
    if path.stat().st_size > JSON_LIMIT:
        raise damaged(path, f"it is larger than {JSON_LIMIT >> 20} MiB")
    try:
        return json.loads(path.read_bytes(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:  # ValueError covers bad UTF-8 and bad JSON
        raise damaged(path, "it is not JSON") from error


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read a safetensors file; raises `InputError` if it is missing, a link, truncated or not safetensors."""
    check_file(path)
    try:
        with safe_open(path, "numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, TypeError, ValueError) as error:
        raise damaged(path, "it is not a complete safetensors file") from error


def check_file(path: Path) -> None:
    """Raise `InputError` unless `path` is a plain file; links would lead out of the run directory."""
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise damaged(path, "it is not a plain file")
    if not path.exists():
        raise damaged(path, "it is missing")


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


def check_fingerprints(path: Path, files: Sequence[str]) -> None:
    """Raise `InputError` unless a finished directory's files are those its `DONE` lists."""
    fingerprints = read_json(path / DONE)
    if not isinstance(fingerprints, dict) or not fingerprints.keys() >= set(files):
        raise damaged(path / DONE, "it does not list the run's files")
    for name in files:
        check_file(path / name)
        expected = fingerprints[name] if isinstance(fingerprints[name], dict) else {}
        size = (path / name).stat().st_size
        if size != expected.get("bytes"):
            raise damaged(path / name, f"{size} bytes, written were {expected.get('bytes')}")
        if fingerprint(path / name) != expected:
            raise damaged(path / name, "its content changed after it was written")


def check_manifest(path: Path, manifest: Any) -> tuple[dict[str, Any], tuple[int, ...]]:
    """The configuration and the seeds of a manifest; raises `InputError` unless all of it is one of ours."""
    if not isinstance(manifest, dict) or "format" not in manifest:
        raise damaged(path, "it is not a manifest of geomem")
    if manifest["format"] != FORMAT:
        raise InputError(
            f"{path} has format {manifest['format']!r}, but this geomem reads format {FORMAT}; "
            "read it with the version that wrote it."
        )
    configuration = manifest.get("configuration")
    if not isinstance(configuration, dict):
        raise damaged(path, "it has no configuration")
    for part in ("world", "task", "model", "training"):
        if not isinstance(configuration.get(part), dict):
            raise damaged(path, f"its configuration has no {part}")
    if manifest.get("hash") != configuration_hash(configuration):
        raise damaged(path, "its configuration and its hash differ")
    name = manifest.get("name")
    if not isinstance(name, str) or name != safe_name(name):
        raise damaged(path, "its name is not a plain one")
    seeds = configuration.get("seeds")
    if not isinstance(seeds, list) or not seeds or not all(type(seed) is int for seed in seeds):
        raise damaged(path, "its seeds are not a list of whole numbers")
    return configuration, tuple(seeds)


def check_metrics(path: Path, run_count: int) -> None:
    """Raise `InputError` unless a file is a long table of metrics of so many runs."""
    try:
        lazy = pl.scan_parquet(path, glob=False)
        schema = lazy.collect_schema()
        rows = lazy.select(pl.len()).collect().item()
        if schema != METRIC_SCHEMA or not 0 < rows <= METRIC_ROW_LIMIT:
            raise damaged(path, f"it is not a table of {', '.join(METRIC_SCHEMA.names())}")
        run = pl.col("run")
        runs = lazy.select(run.min().alias("low"), run.max().alias("high")).collect().row(0)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise damaged(path, "it is not a complete parquet file") from error
    if runs != (0, run_count - 1):
        raise damaged(path, f"its runs are not 0 to {run_count - 1}")


def _check_weights(path: Path, run_count: int, node_count: int) -> None:
    shapes = array_shapes(path)
    for name, shape in shapes.items():
        if shape[:1] != (run_count,):
            raise damaged(path, f"{name} has shape {shape}, expected {run_count} runs first")
    table = shapes.get("token_embedding", ())
    if len(table) != 3 or table[1] < node_count:
        expected = f"{run_count} runs by {node_count} nodes or more"
        raise damaged(path, f"token_embedding has shape {table}, expected {expected}")


def _check_snapshots(path: Path, run_count: int, node_count: int) -> None:
    shapes = array_shapes(path)
    steps, embeddings = shapes.get("steps", ()), shapes.get("embeddings", ())
    if len(steps) != 1 or len(embeddings) != 4 or embeddings[:3] != (steps[0], run_count, node_count):
        expected = f"{run_count} runs and {node_count} nodes"
        raise damaged(path, f"embeddings have shape {embeddings}, expected {expected}")
    recalled = shapes.get("recalled", (run_count, 0))
    if (len(recalled), *recalled[:1]) != (2, run_count):
        raise damaged(path, f"recalled has shape {recalled}, expected {run_count} runs")


def array_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shape of every array of a safetensors file, without reading them; raises `InputError` if it is none."""
    try:
        with safe_open(path, "numpy") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise damaged(path, "it is not a complete safetensors file") from error
