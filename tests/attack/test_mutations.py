"""A few hundred spoilt files of every kind: a result or one sentence, no warning, and little memory."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutations import READERS, ROWS, attack, corpus, mutate, read_or_refuse

FILES = [(kind, name) for kind, files in corpus().items() for name in files]


@pytest.mark.parametrize(("kind", "name"), FILES, ids=[f"{kind}-{name}" for kind, name in FILES])
def test_a_whole_file_is_read(tmp_path, kind, name):
    np.save(tmp_path / "rows.npy", ROWS)
    (tmp_path / name).write_bytes(corpus()[kind][name])
    READERS[kind](tmp_path / name)


@pytest.mark.parametrize("seed", range(6))
def test_a_spoilt_file_is_read_or_refused(tmp_path, seed):
    resource = pytest.importorskip("resource")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ends = attack(100, seed, tmp_path)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 400_000  # kilobytes on Linux; a header promises gigabytes at once
    assert ends.total() == 100
    assert sum(ends[end] for end in ends if end.endswith("refused")) > 40


def test_a_spoilt_file_on_the_command_line_ends_with_0_or_2(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert attack(60, 7, tmp_path, by_command=True).total() == 60


@given(kind=st.sampled_from(sorted(READERS)), data=st.data())
def test_any_bytes_behind_any_name(kind, data):
    name = data.draw(st.sampled_from([name for _, name in FILES]))
    start = corpus()[kind].get(name, b"") if data.draw(st.booleans()) else b""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    content = mutate(start, rng) + data.draw(st.binary(max_size=50))
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "rows.npy", ROWS)
        place = Path(folder) / name
        place.write_bytes(content)
        read_or_refuse(kind, place)
