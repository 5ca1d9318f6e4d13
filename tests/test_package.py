"""The package that a stranger installs: source distribution and wheel, in an environment of its own."""

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.metadata import Metadata

ROOT = Path(__file__).parents[1]
DATA = {".py", ".pyi", ".html", ".css", ".js", ".tsv", ".csv", ".toml", ".typed"}


def run(*command: str | Path, folder: Path) -> str:
    """What a command prints; fails with its output if it fails."""
    environment = os.environ | {"PYTHONPATH": "", "NO_COLOR": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> tuple[Path, Path]:
    """A source distribution of this tree, and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("package")
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", folder / "dist", folder=ROOT)
    (archive,) = (folder / "dist").glob("*.tar.gz")
    # Python before 3.11.4 knows no filter; from 3.12 on not to give one is a warning.
    safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    with tarfile.open(archive) as opened:
        opened.extractall(folder / "unpacked", **safely)
    (tree,) = (folder / "unpacked").iterdir()
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder / "dist", folder=tree)
    (wheel,) = (folder / "dist").glob("*.whl")
    return archive, wheel


def test_the_wheel_holds_the_package_and_nothing_else(built):
    source = ROOT / "src"
    wanted = {
        path.relative_to(source).as_posix()
        for path in (source / "geomem").rglob("*")
        if path.suffix in DATA and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(built[1]) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert names == wanted


def test_the_metadata_are_valid(built):
    with zipfile.ZipFile(built[1]) as wheel:
        (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = Metadata.from_email(wheel.read(name))
    assert metadata.name == "geomem"
    assert metadata.description == (ROOT / "README.md").read_text(encoding="utf-8")
    assert metadata.license_files == ["LICENSE"]


def test_the_wheel_works_in_an_environment_of_its_own(built, tmp_path):
    home = tmp_path / "environment"
    venv.create(home, with_pip=False)
    place = home / ("Scripts" if os.name == "nt" else "bin")
    python = place / Path(sys.executable).name
    run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--no-deps",
        "--no-index",
        built[1],
        folder=tmp_path,
    )
    # The dependencies are those of the running environment; the editable geomem there is not on this path.
    packages = Path(
        run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", folder=tmp_path).strip()
    )
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    where = run(python, "-c", "import geomem; print(geomem.__file__)", folder=tmp_path).strip()
    assert Path(where).is_relative_to(home)

    assert "memorize" in run(place / "geomem", "--help", folder=tmp_path)
    assert "torch" in run(place / "geomem", "doctor", folder=tmp_path)
    run(
        place / "geomem",
        "memorize",
        "cycle",
        "--nodes",
        "6",
        "--steps",
        "20",
        "--seeds",
        "1",
        folder=tmp_path,
    )
    (made,) = (tmp_path / "runs").glob("cycle-*")
    assert (made / "DONE").is_file()
    run(place / "geomem", "report", made, folder=tmp_path)
