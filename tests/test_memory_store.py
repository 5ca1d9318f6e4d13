"""Memories of facts on disk: written, read back, and refused when anything in them is wrong."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from geomem.errors import InputError
from geomem.files import fingerprint
from geomem.models.configuration import Recall
from geomem.models.recall import describe_recall_parameters
from geomem.runs.configuration import FactRecall, describe_configuration
from geomem.runs.directory import DONE, FORMAT, configuration_hash
from geomem.runs.run import FACT_FILES, holds_facts, memory_size, read_run, write_run
from geomem.worlds.facts.families import random_bijections

TABLE = random_bijections(5, 2, world_seed=3)
MODEL = Recall(width=4, mlp_width=8, frozen=("subjects",))


def write(path: Path):
    described = describe_recall_parameters(MODEL, memory_size(TABLE))
    weights = {
        name: np.full((2, *part.shape), number, dtype=np.float32)
        for number, (name, part) in enumerate(described.items())
    }
    configuration = describe_configuration(TABLE, FactRecall(), MODEL, {}, [4, 7])
    manifest = {
        "format": FORMAT,
        "name": "facts",
        "hash": configuration_hash(configuration),
        "configuration": configuration,
    }
    metrics = {"recall": np.array([[0.0, 0.5], [1.0, 0.9]])}
    return write_run(
        path, manifest=manifest, world=TABLE, metrics=metrics, metric_steps=np.array([0, 10]), weights=weights
    )


@pytest.fixture
def path(tmp_path):
    write(tmp_path / "memory")
    return tmp_path / "memory"


def sign(path):
    """Make a changed directory's fingerprints fit again, as a forger would."""
    (path / DONE).write_text(json.dumps({name: fingerprint(path / name) for name in FACT_FILES}))


def rewrite(path, change):
    manifest = json.loads((path / "manifest.json").read_text())
    change(manifest["configuration"])
    manifest["hash"] = configuration_hash(manifest["configuration"])
    (path / "manifest.json").write_text(json.dumps(manifest))
    sign(path)


def test_what_is_written_is_read(path):
    memory = read_run(path)
    assert (memory.table.digest, memory.model, memory.seeds) == (TABLE.digest, MODEL, (4, 7))
    assert holds_facts(path)
    assert memory.weights()["relation_embedding"].shape == (2, 2, 4)
    assert memory.final()["recall"].tolist() == [1.0, 0.9]


def test_equal_memories_have_equal_bytes(tmp_path):
    write(tmp_path / "one")
    write(tmp_path / "two")
    assert all(
        (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
        for name in FACT_FILES
    )


@pytest.mark.parametrize("name", FACT_FILES)
def test_a_changed_truncated_linked_or_missing_file_is_named(path, name):
    whole = (path / name).read_bytes()
    for content in (whole[:-1], whole[:-1] + bytes([whole[-1] ^ 1])):
        (path / name).write_bytes(content)
        with pytest.raises(InputError, match=name.replace(".", r"\.")):
            read_run(path)
    (path / name).unlink()
    with pytest.raises(InputError, match=name.replace(".", r"\.")):
        read_run(path)
    (path / name).symlink_to("/etc/hostname")
    with pytest.raises(InputError, match="not a plain file"):
        read_run(path)


def test_weights_without_their_vocabulary(path):
    (path / "facts.json").unlink()
    assert not holds_facts(path)
    with pytest.raises(InputError, match=r"has no facts\.json, the vocabulary of its weights"):
        read_run(path)


def test_nothing_unfinished_and_nothing_else(path, tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_run(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="is not a run directory"):
        read_run(tmp_path / "empty")
    (path / DONE).unlink()
    with pytest.raises(InputError, match="unfinished"):
        read_run(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["model"].update(kind="mamba"), "no recall model"),
        (lambda c: c["model"].update(width="4"), "other settings"),
        (lambda c: c["model"].update(frozen="subjects"), "other settings"),
        (lambda c: c["model"].update(depth=3), "other settings"),
        (lambda c: c["model"].update(attention="hard"), "other settings"),
        (lambda c: c["model"].update(hops=2, attention="none"), "the order of relations"),
        (lambda c: c["model"].update(layers=10**9), "other settings"),
        (lambda c: c["model"].update(layers=10**4, hops=100), "more layers than fit in its file"),
        (lambda c: c["model"].update(width=5), "its model and facts need"),
        (lambda c: c["model"].update(layer_norm=True), "missing"),
        (lambda c: c["world"].update(digest="0"), "other facts than the manifest says"),
        (lambda c: c.update(seeds=[1]), "its runs are not 0 to 0"),
    ],
)
def test_a_manifest_that_does_not_fit(path, change, message):
    rewrite(path, change)
    with pytest.raises(InputError, match=message):
        read_run(path)


def test_weights_of_another_shape(path):
    weights = load_file(path / "weights.safetensors")
    save_file(weights | {"relation_embedding": np.zeros((2, 3, 4), np.float32)}, path / "weights.safetensors")
    sign(path)
    with pytest.raises(InputError, match=r"relation_embedding has shape \(2, 3, 4\)"):
        read_run(path)
