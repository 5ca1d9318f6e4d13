"""Experiments: measured once, shared, refused when damaged, and nothing half-written."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import small_experiments
from hypothesis import given
from hypothesis import strategies as st
from small_experiments import calls, powers, powers_claim

from geomem.claims.experiment import (
    ARRAYS,
    Experiment,
    experiment,
    experiment_path,
    identify,
    read_experiment,
    run_experiment,
)
from geomem.claims.reproduce import reproduce
from geomem.errors import InputError
from geomem.files import fingerprint, write_json
from geomem.runs.directory import DONE, MANIFEST

HERE = Path(__file__).parent


def check(claims, directory, **options):
    """Verdicts by id, and the events on the way."""
    events = []
    verdicts = reproduce(
        claims=claims, directory=directory, on_event=events.append, **{"processes": 1, "seeds": 2} | options
    )
    return {verdict.claim.id: verdict for verdict in verdicts}, events


def test_an_experiment_is_measured_once(tmp_path):
    shares = []
    first = run_experiment(powers(), directory=tmp_path, on_progress=shares.append)
    again = run_experiment(powers(key="another"), directory=tmp_path)
    assert calls(tmp_path) == 1
    assert shares == [1.0]
    for name in ("power", "draws"):
        np.testing.assert_array_equal(first[name], again[name])
        assert first[name].dtype == again[name].dtype
    path = experiment_path(powers(), tmp_path)
    assert path.name.startswith("measure_powers-")
    assert sorted(file.name for file in path.iterdir()) == sorted([ARRAYS, DONE, MANIFEST])
    manifest = json.loads((path / MANIFEST).read_text())
    assert manifest["configuration"] == {
        "experiment": "small_experiments.measure_powers",
        "version": 1,
        "settings": {"base": 1.0, "seeds": [0, 1]},
    }
    assert manifest["arrays"] == {"power": [2], "draws": [2, 3]}
    assert manifest["seconds"] >= 0
    assert {"numpy", "torch", "geomem"} <= manifest["versions"].keys()


@given(
    st.dictionaries(st.text(), st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()),
    st.randoms(),
)
def test_the_order_of_settings_is_irrelevant(settings, random):
    shuffled = list(settings.items())
    random.shuffle(shuffled)
    one, other = powers(settings=settings), powers(settings=dict(shuffled))
    assert experiment_path(one, "runs") == experiment_path(other, "runs")
    assert identify(one)["settings"] == settings


@pytest.mark.parametrize("settings", [{"base": 1, "seeds": [0]}, {"base": 1.0}, {"base": 1.0, "seeds": [1]}])
def test_other_settings_are_another_experiment(settings):
    same = powers(settings={"seeds": [0], "base": 1.0})
    assert experiment_path(same, "runs") == experiment_path(powers(seeds=(0,)), "runs")
    assert experiment_path(powers(settings=settings), "runs") != experiment_path(same, "runs")


def test_another_version_is_measured_again(tmp_path, monkeypatch):
    run_experiment(powers(), directory=tmp_path)
    monkeypatch.setattr(small_experiments.measure_powers, "version", 2)
    run_experiment(powers(), directory=tmp_path)
    assert calls(tmp_path) == 2
    run_experiment(powers(), directory=tmp_path)
    assert calls(tmp_path) == 2


def test_the_function_sees_its_settings_as_they_are_kept(tmp_path):
    seen = []

    @experiment(version=1)
    def look(settings, *, directory, device, on_progress):
        seen.append((settings, directory, device))
        on_progress(0.5)
        return {"x": np.zeros(1)}

    look.__qualname__ = "look"
    wanted = Experiment("x", look, {"pair": (1, 2), "nested": {"b": None}}, seconds=1.0)
    run_experiment(wanted, directory=str(tmp_path))
    assert seen == [({"pair": [1, 2], "nested": {"b": None}}, tmp_path, "cpu")]


def nested_function():
    def inner(settings, *, directory, device, on_progress):
        return {"x": np.zeros(1)}

    return experiment(version=1)(inner)


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        (powers(settings={"rate": float("nan")}), "JSON cannot hold its settings"),
        (powers(settings={"path": Path("x")}), "JSON cannot hold its settings"),
        (powers(measure=small_experiments.no_version), r"no_version lacks @experiment\(version=\.\.\.\)"),
        (powers(measure=nested_function()), "is not a function at the top of a module"),
        (powers(measure=small_experiments.give_texts), "arrays of numbers, but words is of <U1"),
        (powers(measure=small_experiments.give_nothing), "arrays of numbers, but there are none"),
    ],
)
def test_what_is_no_experiment_is_refused(tmp_path, wanted, sentence):
    with pytest.raises(ValueError, match=f"experiment powers: .*{sentence}"):
        run_experiment(wanted, directory=tmp_path)
    assert not list(tmp_path.glob("*/*"))


@pytest.mark.parametrize("measure", [small_experiments.fail, small_experiments.give_up])
def test_an_experiment_that_stops_midway_leaves_nothing_and_runs_anew(tmp_path, measure):
    wanted = powers(measure=measure)
    for attempt in (1, 2):
        with pytest.raises((RuntimeError, KeyboardInterrupt)):
            run_experiment(wanted, directory=tmp_path)
        assert calls(tmp_path) == attempt
        assert not experiment_path(wanted, tmp_path).exists()
    with pytest.raises(InputError, match=r"^The experiment .* is unfinished \(no DONE in it\)"):
        read_experiment(wanted, tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="kills")
def test_a_killed_experiment_leaves_nothing_half_written(tmp_path):
    code = (
        f"import sys; sys.path.insert(0, {str(HERE)!r})\n"
        "from small_experiments import powers, sleep\n"
        "from geomem.claims.experiment import run_experiment\n"
        "run_experiment(powers(measure=sleep, settings={'seconds': 60}), directory=sys.argv[1])"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    deadline = time.monotonic() + 60
    while not calls(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.wait()
    wanted = powers(measure=small_experiments.sleep, settings={"seconds": 60})
    path = experiment_path(wanted, tmp_path)
    assert path.is_dir()
    assert not list(path.iterdir())
    # A process that dies while it writes leaves a directory beside; it is no obstacle, and goes.
    (path / ".geomem-0123456789abcdef.partial").mkdir()
    quick = Experiment("powers", measure_at_once, {"seconds": 60}, seconds=1.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure_at_once, "__module__", "small_experiments")
        patch.setattr(measure_at_once, "__qualname__", "sleep")
        assert experiment_path(quick, tmp_path) == path
        assert run_experiment(quick, directory=tmp_path)["slept"].tolist() == [60.0]
    assert sorted(file.name for file in path.iterdir()) == sorted([ARRAYS, DONE, MANIFEST])


@experiment(version=1)
def measure_at_once(settings, *, directory, device, on_progress):
    return {"slept": np.array([float(settings["seconds"])])}


def rewrite(path: Path, name: str, content: bytes) -> None:
    """As whoever wants us to read it would: with the right size and hash."""
    (path / name).write_bytes(content)
    write_json(path / DONE, {file: fingerprint(path / file) for file in (MANIFEST, ARRAYS)})


def truncate(path: Path, name: str) -> None:
    (path / name).write_bytes((path / name).read_bytes()[:-5])


def other_settings(path: Path) -> bytes:
    manifest = json.loads((path / MANIFEST).read_text())
    manifest["configuration"]["settings"]["base"] = 2.0
    return json.dumps(manifest).encode()


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda path: truncate(path, ARRAYS), r"arrays\.safetensors is damaged \(\d+ bytes"),
        (lambda path: truncate(path, MANIFEST), r"manifest\.json is damaged \(\d+ bytes"),
        (lambda path: truncate(path, DONE), r"DONE is damaged \(it is not JSON\)"),
        (lambda path: (path / ARRAYS).unlink(), r"arrays\.safetensors is damaged \(it is missing\)"),
        (lambda path: (path / DONE).write_text("{}"), "does not list the run's files"),
        (lambda path: rewrite(path, ARRAYS, b"\xff" * 64), "not a complete safetensors file"),
        (lambda path: rewrite(path, MANIFEST, b"[]"), "not a manifest of format 1"),
        (lambda path: rewrite(path, MANIFEST, b'{"format": 9}'), "not a manifest of format 1"),
        (lambda path: rewrite(path, MANIFEST, other_settings(path)), "that of another experiment"),
    ],
)
def test_a_damaged_store_is_refused_in_one_sentence(tmp_path, damage, sentence):
    run_experiment(powers(), directory=tmp_path)
    path = experiment_path(powers(), tmp_path)
    damage(path)
    with pytest.raises(InputError, match=sentence) as refused:
        run_experiment(powers(), directory=tmp_path)
    text = str(refused.value)
    assert "\n" not in text
    assert text.endswith(f"delete the directory {path} and run the same command again.")
    claims = [
        powers_claim("bad/one"),
        powers_claim("good/one", lambda scale: (powers(base=1.0, seeds=(5,)),)),
    ]
    verdicts, _ = check(claims, tmp_path)
    assert (verdicts["bad/one"].status, verdicts["bad/one"].sentence) == ("not run", text)
    assert verdicts["good/one"].status == "reproduced"


def test_links_are_not_followed(tmp_path):
    run_experiment(powers(), directory=tmp_path)
    path = experiment_path(powers(), tmp_path)
    (path / ARRAYS).rename(tmp_path / "elsewhere")
    (path / ARRAYS).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="not a plain file"):
        read_experiment(powers(), tmp_path)
