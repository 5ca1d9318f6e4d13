"""Imports point down DESIGN.md's list, and only the parts that may import torch do, inside functions too."""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import geomem
from layers import IMPORT_TORCH, LAYERS, PACKAGE, PAGE, page

RANK = {name: -rank for rank, names in enumerate(LAYERS) for name in names}
NEVER_TORCH = {
    "models/__init__.py",
    "models/configuration.py",
    "models/parameters.py",
    "models/architecture.py",
    # Every architecture has two files of one name, one of them without torch.
    *(f"models/{path.name}" for path in (PACKAGE / "models" / "networks").glob("*.py")),
    "models/networks/__init__.py",
    "training/__init__.py",
    "training/configuration.py",
    "training/metric.py",
    "training/metrics.py",
    "training/treatment.py",
    "memories/__init__.py",
    "memories/ask.py",
    "memories/opened.py",
    "memories/construct.py",
    "memories/writing.py",
    *(
        f"audit/{path.name}"
        for path in (PACKAGE / "audit").glob("*.py")
        if path.stem not in ("opening", "looking", "answering")
    ),
    "checkpoints/__init__.py",
    "checkpoints/architectures.py",
    "checkpoints/export.py",
    "checkpoints/folder.py",
    "checkpoints/import_.py",
    "checkpoints/weight_files.py",
    "checkpoints/recall_words.py",
    "checkpoints/tokenizer.py",
    "checkpoints/words.py",
}
SOURCES = sorted(PACKAGE.rglob("*.py"))


def layer_of(module: str) -> str:
    """The part of the house a module `geomem.a.b` or `geomem` belongs to."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def module_of(path: Path) -> str:
    parts = list(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_modules(path: Path) -> list[tuple[str, int]]:
    """Every module a file imports, at any depth, with its line."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write imports in full, not relative"
            found.append((node.module or "", node.lineno))
            if node.module == "geomem":
                found += [(f"geomem.{alias.name}", node.lineno) for alias in node.names]
    return found


def test_the_page_of_layers_is_current():
    assert PAGE.read_text(encoding="utf-8") == page(), "run `python tests/layers.py`"


def test_no_import_runs_in_a_loop():
    """At the top of modules and inside functions alike: every module can be read after those it imports."""
    graph = {module_of(path): set() for path in SOURCES}
    for path in SOURCES:
        for module, _ in imported_modules(path):
            if module in graph and module != "geomem" and module_of(path) not in ("geomem", module):
                graph[module_of(path)].add(module)
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_the_checker_sees_imports_inside_functions(tmp_path):
    source = tmp_path / "example.py"
    source.write_text("def f():\n    import torch.nn\n    from geomem import cli\n")
    assert imported_modules(source) == [("torch.nn", 2), ("geomem", 3), ("geomem.cli", 3)]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_point_down_the_list(path):
    own = layer_of(module_of(path))
    assert own in RANK, f"{own} has no place in the list of layers"
    for module, line in imported_modules(path):
        if module.split(".")[0] != "geomem":
            continue
        other = layer_of(module)
        # `import geomem` alone resolves names lazily, so only the parts above every layer may use it.
        allowed = other in RANK and RANK[other] <= RANK[own]
        assert allowed, f"{path.name}:{line}: {own} imports {other}, which stands above it"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_only_some_parts_import_torch(path):
    relative = path.relative_to(PACKAGE).as_posix()
    if layer_of(module_of(path)) in IMPORT_TORCH and relative not in NEVER_TORCH:
        return
    for module, line in imported_modules(path):
        assert module.split(".")[0] not in {"torch", "transformers"}, f"{relative}:{line} imports {module}"


def test_packages_with_torch_open_without_it():
    """What people use on their own embeddings, and the command line's help, must not wait for torch."""
    modules = [
        "geomem",
        "geomem.audit.model",
        "geomem.cli",
        "geomem.cli.audit",
        "geomem.claims.catalogue",
        "geomem.checkpoints.export",
        "geomem.checkpoints.import_",
        "geomem.measure.edges",
        "geomem.runs.facts",
        "geomem.runs.paths",
        "geomem.figures",
        "geomem.report",
        "geomem.geometry",
        "geomem.models",
        "geomem.training",
        "geomem.training.metrics",
        "geomem.worlds",
    ]
    code = f"import sys\nfor name in {modules!r}: __import__(name)\nsys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_public_name_resolves():
    assert 20 <= len(geomem.__all__) <= 48
    for name in geomem.__all__:
        assert getattr(geomem, name) is not None
    with pytest.raises(AttributeError, match="memorise"):
        geomem.memorise  # noqa: B018
    assert set(geomem.__all__) <= set(dir(geomem))
