"""Files written whole or not at all, by many at once, through no link, and left by no killed process."""

import errno
import os
import subprocess
import sys
from contextlib import nullcontext

import polars as pl
import pytest

from geomem import files
from geomem.errors import InputError
from geomem.files import (
    check_place,
    check_plain_file,
    csv_file,
    read_bytes,
    replace_file,
    system_errors,
    text_file,
    write_whole,
)

pytestmark = pytest.mark.skipif(os.name != "posix", reason="links, pipes and signals")


def test_a_planted_link_is_never_written_through(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    for name in ("a.txt.partial", ".a.txt.partial", ".a.txt.tmp"):
        (tmp_path / name).symlink_to(victim)
    replace_file(tmp_path / "a.txt", text_file("new"))
    assert victim.read_text() == "precious"
    assert (tmp_path / "a.txt").read_text() == "new"


@pytest.mark.parametrize("what", ["link", "directory", "pipe", "dangling"])
def test_only_a_plain_file_is_replaced(tmp_path, what):
    (tmp_path / "victim").write_text("precious")
    path = tmp_path / "out"
    if what == "directory":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(tmp_path / ("victim" if what == "link" else "nothing"))
    before = path.lstat()
    with pytest.raises(InputError, match=r"out is a (link|directory|device or a pipe); give"):
        replace_file(path, text_file("new"))
    assert path.lstat() == before
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["out", "victim"]
    assert (tmp_path / "victim").read_text() == "precious"


def test_what_a_living_process_writes_stays_and_what_a_killed_one_left_goes(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from geomem.files import partial_directory\n"
        "with partial_directory(Path(sys.argv[1])) as folder:\n"
        "    (folder / 'half').write_text('x'); print('ready', flush=True); time.sleep(600)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        files.remove_leftovers.cache_clear()
        replace_file(tmp_path / "a.txt", text_file("1"))
        assert len(list(tmp_path.glob(".geomem-*.partial/half"))) == 1
    finally:
        process.kill()
        process.communicate()
    files.remove_leftovers.cache_clear()
    replace_file(tmp_path / "a.txt", text_file("2"))
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_leftovers_are_directories_of_our_name_and_nothing_else(tmp_path):
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "a").write_text("precious")
    (tmp_path / ".geomem-0123456789abcdef.partial").symlink_to(victim)
    (tmp_path / ".geomem-0123456789abcdee.partial").write_text("mine")
    (tmp_path / ".geomem-mine.partial").mkdir()
    before = sorted(tmp_path.rglob("*"))
    files.remove_leftovers.cache_clear()
    replace_file(tmp_path / "b.txt", text_file(""))
    assert sorted(tmp_path.rglob("*")) == sorted([*before, tmp_path / "b.txt"])


def test_of_a_directory_that_is_read_the_file_is_named(tmp_path):
    for place, named in ((tmp_path / "facts.json", tmp_path / "facts.json"), ("/elsewhere", tmp_path)):
        with pytest.raises(InputError, match=f"^{named} could not be read"), system_errors(tmp_path, "read"):
            raise PermissionError(errno.EACCES, "Permission denied", str(place))


def test_two_writers_of_one_file_never_tear_it(tmp_path):
    code = (
        "import sys; from pathlib import Path; from geomem.files import replace_file, text_file\n"
        "path = Path(sys.argv[1])\n"
        "for number in range(100):\n"
        "    replace_file(path, text_file(sys.argv[2] * 50_000))\n"
        "    text = path.read_text(); assert len(set(text)) == 1 and len(text) == 50_000, text[:9]\n"
    )
    path = tmp_path / "same.txt"
    writers = [subprocess.Popen([sys.executable, "-c", code, str(path), letter]) for letter in "ab"]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert [entry.name for entry in tmp_path.iterdir()] == ["same.txt"]


def test_a_directory_appears_whole_or_not_at_all(tmp_path):
    def fail(path):
        (path / "half").write_text("x")
        assert not (tmp_path / "new").exists()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "new", fail)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    with pytest.raises(InputError, match="full could not be written"):
        write_whole(tmp_path / "full", lambda path: (path / "a").write_text("x"))
    assert [entry.name for entry in tmp_path.rglob("*")] == ["full", "mine"]


def test_what_is_no_plain_file_is_refused_before_it_is_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")  # to open it would wait for ever
    (tmp_path / "file").write_text("x" * 10)
    (tmp_path / "link").symlink_to(tmp_path / "file")
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "nothing", "/dev/zero", tmp_path / ("a" * 300)):
        with pytest.raises(InputError, match=r"is a (directory|device)|no file|could not be read"):
            check_plain_file(tmp_path / path, links=True)
    with pytest.raises(InputError, match="is a link"):
        check_plain_file(tmp_path / "link")
    assert read_bytes(tmp_path / "link", 10, links=True) == b"x" * 10
    with pytest.raises(InputError, match="is larger than 9 bytes"):
        read_bytes(tmp_path / "file", 9)


@pytest.mark.parametrize(
    "name", ["a", "new/deep/a", "x" * 300, "file/a", "folder", "link", "/dev/null", "/dev/stdout", "/proc/a"]
)
def test_a_place_is_tried_before_the_work_and_nothing_stays(tmp_path, name):
    (tmp_path / "file").write_text("stays")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("file")
    before = sorted(tmp_path.rglob("*"))
    with nullcontext() if name in ("a", "new/deep/a") else pytest.raises(InputError):
        check_place(tmp_path / name)
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "file").read_text() == "stays"


def test_a_table_for_spreadsheets_holds_no_formula(tmp_path):
    labels = [
        "=1+1",
        "+cmd|' /C calc'!A0",
        "-2+3",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "-5",
        "+1.5e3",
        "Ada",
        "a=b",
        None,
    ]
    replace_file(tmp_path / "a.csv", csv_file(pl.DataFrame({"node": labels, "value": range(len(labels))})))
    read = pl.read_csv(tmp_path / "a.csv", infer_schema=False)["node"].to_list()
    assert [after == before for before, after in zip(labels, read, strict=True)] == [False] * 6 + [True] * 5
    assert all(cell is None or cell[0] == "'" or not cell.startswith(("=", "@", "\t", "\r")) for cell in read)
    replace_file(tmp_path / "b.csv", csv_file(pl.DataFrame({"value": [-0.5]})))
    assert (tmp_path / "b.csv").read_text() == "value\n-0.5\n"


def test_a_full_disk_names_the_place_and_not_where_it_was_written_first(tmp_path):
    def fill(path):
        with system_errors(path / "a.txt", "written"):
            raise OSError(28, "No space left on device")

    with pytest.raises(InputError) as caught:
        write_whole(tmp_path / "new", fill)
    assert f"while {tmp_path / 'new' / 'a.txt'} was written" in str(caught.value)
    assert list(tmp_path.iterdir()) == []
