"""Run directories: what is written is read back, and nothing that is damaged is read as if it were whole."""

import errno
import json
import os

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from geomem import files
from geomem.errors import InputError
from geomem.files import replace_file, write_json
from geomem.runs import directory
from geomem.runs.checkpoint import CHECKPOINT, Checkpoint, read_checkpoint, write_checkpoint
from geomem.runs.directory import (
    DONE,
    MANIFEST,
    canonical_json,
    configuration_hash,
    locked_run,
    require_disk,
    run_path,
    safe_name,
    write_arrays,
)
from geomem.runs.metrics import metrics_table
from geomem.runs.run import GRAPH_FILES, METRICS, SNAPSHOTS, WEIGHTS, WORLD, read_run, select_runs, write_run
from geomem.worlds.graphs.families import cycle

GRAPH = cycle(6)
RUNS, WIDTH, SNAPSHOTS_KEPT = 2, 3, 4


@pytest.fixture
def written(tmp_path):
    """A fleet as `memorize` writes it, with arrays that are all different."""
    random = np.random.default_rng(0)
    configuration = {
        "world": {"name": GRAPH.name, "digest": GRAPH.digest},
        "task": {"kind": "edge-memorization"},
        "model": {"kind": "bilinear", "width": WIDTH},
        "training": {"steps": 10},
        "seeds": [5, 7],
    }
    arrays = {
        "metrics": {"loss": random.random((3, RUNS)), "geometric_level": random.random((3, RUNS))},
        "metric_steps": np.array([0, 5, 10]),
        "weights": {
            "token_embedding": random.random((RUNS, 15, WIDTH), dtype=np.float32),
            "weight": random.random((RUNS, WIDTH, WIDTH), dtype=np.float32),
            "bias": random.random((RUNS, WIDTH), dtype=np.float32),
        },
        "snapshots": random.random((SNAPSHOTS_KEPT, RUNS, 6, WIDTH), dtype=np.float32),
        "snapshot_steps": np.array([0, 1, 3, 10]),
    }
    manifest = {
        "format": 1,
        "name": "cycle-6-bilinear",
        "hash": configuration_hash(configuration),
        "configuration": configuration,
    }
    fleet = write_run(
        run_path(tmp_path, "cycle-6-bilinear", configuration), manifest=manifest, world=GRAPH, **arrays
    )
    return fleet, arrays


def weights_with(**changed):
    """The tensors of the fixture's model, some of them others."""
    whole = {"token_embedding": (RUNS, 15, WIDTH), "weight": (RUNS, WIDTH, WIDTH), "bias": (RUNS, WIDTH)}
    return {name: np.ones(shape, dtype=np.float32) for name, shape in whole.items()} | changed


def snapshots_with(count, **changed):
    """So many snapshots, some of their arrays others."""
    return {"steps": np.arange(count), "embeddings": np.ones((count, RUNS, 6, WIDTH))} | changed


def sign_again(path):
    """Make `DONE` agree with the files, as a forger would: then only the contents can give a file away."""
    write_json(path / DONE, {name: directory.fingerprint(path / name) for name in GRAPH_FILES})


def test_what_is_written_is_read_back(written):
    fleet, arrays = written
    assert fleet.seeds == (5, 7)
    assert fleet.graph.digest == GRAPH.digest
    assert fleet.path.name == f"cycle-6-bilinear-{fleet.manifest['hash']}"
    weights = fleet.weights()
    assert weights.keys() == arrays["weights"].keys()
    for name, array in arrays["weights"].items():
        np.testing.assert_array_equal(weights[name], array)
    np.testing.assert_array_equal(fleet.embeddings(), arrays["weights"]["token_embedding"][:, :6])
    assert fleet.embeddings().dtype == np.float64
    steps, snapshots = fleet.snapshots()
    np.testing.assert_array_equal(steps, arrays["snapshot_steps"])
    np.testing.assert_array_equal(snapshots, arrays["snapshots"])
    assert fleet.steps.tolist() == [0, 5, 10]
    assert list(fleet.curves()) == ["loss", "geometric_level"]
    for name, values in fleet.curves().items():
        np.testing.assert_array_equal(values, arrays["metrics"][name])
        np.testing.assert_array_equal(fleet.final()[name], values[-1])
    tokens = json.loads((fleet.path / "vocabulary.json").read_text())["tokens"]
    assert tokens[:6] == list(GRAPH.labels)
    assert tokens[6 + 7] == "[EDGE]"


def test_only_the_files_of_a_run_are_left_and_all_can_read_them(written):
    fleet, _ = written
    assert {entry.name for entry in fleet.path.iterdir()} == {*GRAPH_FILES, DONE}
    modes = {(fleet.path / name).stat().st_mode & 0o777 for name in GRAPH_FILES}
    assert modes == {fleet.path.stat().st_mode & 0o666}


@pytest.mark.parametrize("name", GRAPH_FILES)
def test_a_truncated_file_is_refused(written, name):
    path = written[0].path / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(
        InputError, match=rf"{name} is damaged .*delete the directory .* run the same command again\.$"
    ):
        read_run(path.parent)


@pytest.mark.parametrize("name", GRAPH_FILES)
def test_a_changed_bit_is_refused(written, name):
    path = written[0].path / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"{name} is damaged \(its content changed"):
        read_run(path.parent)


@pytest.mark.parametrize("name", GRAPH_FILES)
def test_a_missing_file_is_refused(written, name):
    (written[0].path / name).unlink()
    with pytest.raises(InputError, match=rf"{name} is damaged \(it is missing\)"):
        read_run(written[0].path)


@pytest.mark.parametrize("name", [*GRAPH_FILES, DONE])
def test_a_link_out_of_the_directory_is_refused(written, tmp_path, name):
    path = written[0].path / name
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=rf"{name} is damaged \(it is not a plain file\)"):
        read_run(path.parent)


@pytest.mark.parametrize("name", GRAPH_FILES)
@pytest.mark.parametrize(
    "content", [b"", b"PAR1", b"\xff\xfe{}", b"[" * 100_000, b'{"format": NaN}', b"null"]
)
def test_a_forged_file_is_refused_in_one_sentence(written, name, content):
    path = written[0].path
    (path / name).write_bytes(content)
    sign_again(path)
    with pytest.raises(InputError, match=rf"{name} is damaged") as caught:
        read_run(path)
    assert "\n" not in str(caught.value)


def test_an_unfinished_run_says_how_to_finish(written):
    (written[0].path / DONE).unlink()
    with pytest.raises(InputError, match=r"is unfinished .*run the same command again"):
        read_run(written[0].path)


def test_what_is_no_run_directory_is_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist; give a run directory"):
        read_run(tmp_path / "nothing")
    with pytest.raises(InputError, match=r"is not a run directory \(no manifest.json in it\)"):
        read_run(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="is a file; give a run directory"):
        read_run(tmp_path / "file")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda manifest: manifest.update(hash="0" * 12), "its configuration and its hash differ"),
        (
            lambda manifest: manifest["configuration"].update(seeds=[5, 8]),
            "its configuration and its hash differ",
        ),
        (lambda manifest: manifest.update(format=2), "this geomem reads format 1"),
        (lambda manifest: manifest.update(name="../../etc"), "its name is not a plain one"),
        (lambda manifest: manifest.pop("configuration"), "it has no configuration"),
        (lambda manifest: manifest["configuration"].pop("model"), "its configuration has no model"),
    ],
)
def test_a_manifest_that_cannot_be_is_refused(written, change, complaint):
    path = written[0].path
    manifest = json.loads((path / MANIFEST).read_text())
    change(manifest)
    write_json(path / MANIFEST, manifest)
    sign_again(path)
    with pytest.raises(InputError, match=complaint):
        read_run(path)


def test_seeds_that_are_no_numbers_are_refused(written):
    path = written[0].path
    manifest = json.loads((path / MANIFEST).read_text())
    manifest["configuration"]["seeds"] = ["five", True]
    manifest["hash"] = configuration_hash(manifest["configuration"])
    write_json(path / MANIFEST, manifest)
    sign_again(path)
    with pytest.raises(InputError, match="its seeds are not a list of whole numbers"):
        read_run(path)


def test_another_world_is_refused(written):
    path = written[0].path
    world = json.loads((path / WORLD).read_text())
    world["labels"][0] = "moved"
    write_json(path / WORLD, world)
    sign_again(path)
    with pytest.raises(InputError, match="it holds another world than the manifest says"):
        read_run(path)


@pytest.mark.parametrize(
    ("name", "arrays", "complaint"),
    [
        (WEIGHTS, {"token_embedding": np.ones((3, 15, 3))}, "bias is missing"),
        (WEIGHTS, weights_with(token_embedding=np.ones((2, 5, 3))), r"its model and graph need \(2, 15, 3\)"),
        (WEIGHTS, weights_with(token_embedding=np.ones((3, 15, 3))), r"need \(2, 15, 3\)"),
        (WEIGHTS, weights_with(bias=np.ones((2, 3), dtype=np.int64)), "bias holds numbers of type I64"),
        (WEIGHTS, weights_with(bias=np.ones((2, 3), dtype=np.float16)), "bias holds numbers of type F16"),
        (WEIGHTS, weights_with(more=np.ones(2)), "more is no tensor of its model"),
        (WEIGHTS, {"weight": np.ones((2, 3, 3))}, "bias is missing"),
        (
            SNAPSHOTS,
            {"steps": np.arange(2), "embeddings": np.ones((3, 2, 6, 3))},
            "expected 2 runs and 6 nodes",
        ),
        (SNAPSHOTS, {"embeddings": np.ones((3, 2, 6, 3))}, "expected one whole number per snapshot"),
        (SNAPSHOTS, snapshots_with(0), "expected one whole number per snapshot"),
        (SNAPSHOTS, snapshots_with(3, steps=np.array([0, 5, 5])), "its steps do not rise"),
        (SNAPSHOTS, snapshots_with(3, steps=np.array([-1, 5, 6])), "its steps do not rise"),
        (SNAPSHOTS, snapshots_with(3, steps=np.array([0.0, 5, 6])), "expected one whole number"),
        (SNAPSHOTS, snapshots_with(3, embeddings=np.ones((3, 2, 6, 9))), "expected 2 runs and 6 nodes"),
        (SNAPSHOTS, snapshots_with(3, embeddings=np.ones((3, 2, 6, 3), dtype=np.int8)), "expected 2 runs"),
        (SNAPSHOTS, snapshots_with(3, recalled=np.ones((1, 9), dtype=np.uint8)), "recalled has shape"),
    ],
)
def test_wrong_shapes_are_refused(written, name, arrays, complaint):
    path = written[0].path
    save_file(arrays, path / name)
    sign_again(path)
    with pytest.raises(InputError, match=complaint):
        read_run(path)


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        (pl.DataFrame({"run": [0], "step": [1]}), "it is not a table of run, step, metric, value"),
        (metrics_table({"loss": np.ones((1, 3))}, np.arange(1)), "its runs are not 0 to 1"),
        (metrics_table({}, np.arange(0)), "it is not a table of run, step, metric, value"),
    ],
)
def test_wrong_metrics_are_refused(written, table, complaint):
    path = written[0].path
    table.write_parquet(path / METRICS)
    sign_again(path)
    with pytest.raises(InputError, match=complaint):
        read_run(path)


def test_equal_configurations_have_equal_hashes_whatever_the_order():
    assert configuration_hash({"a": 1, "b": [2]}) == configuration_hash({"b": [2], "a": 1})
    assert configuration_hash({"a": 1}) != configuration_hash({"a": 2})
    assert canonical_json({"label": "Ö"}) == '{"label":"Ö"}'
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"a": float("nan")})


@given(st.text())
def test_a_safe_name_is_always_one_plain_file_name(text):
    name = safe_name(text)
    assert name == safe_name(name)
    assert name
    assert not name.startswith((".", "-"))
    assert not set(name) & set("/\\:\0\n")
    assert len(name.encode()) <= 80


def test_a_failed_write_leaves_the_former_file(tmp_path):
    path = tmp_path / "file.json"
    write_json(path, {"a": 1})

    def fail(partial):
        partial.write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(InputError, match=r"disk became full while .*file.json was written; free some space"):
        replace_file(path, fail)
    assert json.loads(path.read_text()) == {"a": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.json"]


def test_a_full_disk_is_one_sentence_for_every_kind_of_file(tmp_path, monkeypatch):
    """safetensors and polars say it in their own words, seen on a full file system."""
    from safetensors import SafetensorError

    def full(*_, **__):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(directory, "save_file", full)
    with pytest.raises(InputError, match="The disk became full"):
        write_arrays(tmp_path / "a.safetensors", {"a": np.ones(2)}, {})

    def full_parquet(*_, **__):
        raise pl.exceptions.ComputeError("underlying IO error: No space left on device (os error 28)")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", full_parquet)
    with pytest.raises(InputError, match="The disk became full"):
        replace_file(tmp_path / "a.parquet", directory.table_file(pl.DataFrame()))
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_cannot_be_written_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match=r"could not be written .*No such file"):
        write_json(tmp_path / "missing" / "a.json", {})


# Unfinished runs.


def test_a_checkpoint_is_read_back_and_belongs_to_its_configuration(tmp_path):
    assert read_checkpoint(tmp_path, configuration_hash="abc") is None
    arrays = {"parameters": np.arange(6.0).reshape(2, 3)}
    write_checkpoint(tmp_path, Checkpoint(40, arrays), configuration_hash="abc")
    found = read_checkpoint(tmp_path, configuration_hash="abc")
    assert found is not None
    assert found.step == 40
    np.testing.assert_array_equal(found.arrays["parameters"], arrays["parameters"])
    with pytest.raises(InputError, match="it belongs to another configuration"):
        read_checkpoint(tmp_path, configuration_hash="other")


def test_a_checkpoint_survives_the_next_one_failing(tmp_path, monkeypatch):
    write_checkpoint(tmp_path, Checkpoint(40, {"a": np.ones(3)}), configuration_hash="abc")

    def die(source, target):
        raise KeyboardInterrupt  # between the two phases: written beside, not yet renamed

    monkeypatch.setattr(files.os, "replace", die)
    with pytest.raises(KeyboardInterrupt):
        write_checkpoint(tmp_path, Checkpoint(50, {"a": np.zeros(3)}), configuration_hash="abc")
    found = read_checkpoint(tmp_path, configuration_hash="abc")
    assert found is not None
    assert found.step == 40


@pytest.mark.parametrize("keep", [0, 4, 60, -1])
def test_a_truncated_checkpoint_is_refused(tmp_path, keep):
    write_checkpoint(tmp_path, Checkpoint(40, {"a": np.ones(3)}), configuration_hash="abc")
    path = tmp_path / CHECKPOINT
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"checkpoint.safetensors is damaged .*delete the directory"):
        read_checkpoint(tmp_path, configuration_hash="abc")


def test_one_process_at_a_time(tmp_path):
    path = tmp_path / "run"
    with (
        locked_run(path),
        pytest.raises(InputError, match=r"Another process is training .*run now; wait"),
        locked_run(path),
    ):
        pass
    with locked_run(path):
        pass
    assert list(path.iterdir()) == []
    with pytest.raises(ZeroDivisionError), locked_run(path):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []  # nothing was written, so nothing stays


def test_a_directory_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(InputError, match=r"cannot be opened .*--directory"),
        locked_run(tmp_path / "file" / "run"),
    ):
        pass


def test_too_little_disk_is_said_before_anything_is_made(tmp_path):
    path = tmp_path / "a" / "b"
    require_disk(path, 1)
    with pytest.raises(InputError, match=r"needs 1000000.0 TB of disk but .* are free.*--snapshots"):
        require_disk(path, 10**18)
    assert list(tmp_path.iterdir()) == []


def test_chosen_runs_are_read_alone_and_in_their_order(written):
    fleet = written[0]
    last = select_runs(fleet, [1])
    assert last.seeds == fleet.seeds[1:]
    assert select_runs(select_runs(fleet, [1, 0]), [1]).seeds == fleet.seeds[:1]
    np.testing.assert_array_equal(last.embeddings(), fleet.embeddings()[1:])
    np.testing.assert_array_equal(last.snapshots()[1], fleet.snapshots()[1][:, 1:])
    for name, array in fleet.weights().items():
        np.testing.assert_array_equal(last.weights()[name], array[1:])
    for name, values in fleet.curves().items():
        np.testing.assert_array_equal(last.curves()[name], values[:, 1:])


def test_recalled_facts_are_kept_if_given(written):
    fleet = written[0]
    assert fleet.recalled() is None
    recalled = np.array([[True, False, True], [False, False, True]])
    steps, snapshots = fleet.snapshots()
    again = write_run(
        fleet.path,
        manifest=fleet.manifest,
        world=fleet.graph,
        metrics={"loss": np.zeros((1, 2))},
        metric_steps=np.array([0]),
        weights=fleet.weights(),
        snapshots=snapshots,
        snapshot_steps=steps,
        recalled=recalled,
    )
    found = again.recalled()
    assert found.dtype == bool
    np.testing.assert_array_equal(found, recalled)
    np.testing.assert_array_equal(select_runs(again, [1]).recalled(), recalled[1:])
