"""Sphinx configuration: the site builds without a network and without a warning."""

import os
import re
import subprocess
import sys
from pathlib import Path

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

import geomem
from geomem.claims.places import FACTUAL_RECALL, GEOMETRIC_MEMORY, anchor, cited_sections, link_notes
from geomem.cli import VERBS

HERE = Path(__file__).parent
NOTES = re.compile(r"\bnotes ([A-G](?:\.\d)+|[A-G](?![\w.])|[A-GSL]\d+)")

project = "geomem"
author = "The geomem maintainers"
copyright = "The geomem maintainers"
release = "0.1.0"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx_gallery.gen_gallery"]
exclude_patterns = [
    "_build",
    "gallery/*.py",
    "gallery/*.ipynb",
    "gallery/*.zip",
    "gallery/*.json",
    "sg_execution_times.rst",
    "api/modules/cli.rst",
]
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

# Notebooks are executed at every build, away from the source, and one that fails ends it.
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 300

# Docstrings put names between single backticks.
default_role = "code"
autodoc_member_order = "bysource"
# It comes with torch for CUDA alone.
autodoc_mock_imports = ["triton"]
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_display_short_literal_types = True
python_maximum_signature_line_length = 90

html_theme = "furo"
html_title = "geomem"
html_show_sphinx = False
html_copy_source = False
# Formulas become MathML while the site is built: no page loads a script from anywhere.
html_math_renderer = "mathml"

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"/\d\d_",
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": False,
    "show_signature": False,
    "show_memory": False,
    "min_reported_time": 3600,
    "write_computation_times": False,
    "abort_on_example_error": True,
    "image_srcset": ["2x"],
}


def write_command_help(_application) -> None:
    """Store what `geomem VERB --help` prints, so that the page of the command line cannot go stale."""
    folder = HERE / "_build" / "help"
    folder.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}
    for verb in VERBS:
        command = [sys.executable, "-m", "geomem", verb, "--help"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        (folder / f"{verb}.txt").write_text(done.stdout)


def write_module_pages(_application, _config) -> None:
    """Store a reference page for every package, with all its modules in alphabetical order."""
    source, folder = HERE.parent / "src", HERE / "api" / "modules"
    folder.mkdir(parents=True, exist_ok=True)
    names = [getattr(geomem, name) for name in geomem.__all__]
    table = [
        f"   * - :py:obj:`~{each.__module__}.{each.__qualname__}`\n     - {summary(each)}" for each in names
    ]
    title = "``geomem``\n==========\n\n.. automodule:: geomem\n   :no-members:\n\n.. list-table::\n\n"
    (folder / "geomem.rst").write_text(title + "\n".join(table) + "\n")
    for package in sorted(path.parent for path in (source / "geomem").glob("*/__init__.py")):
        title = f"``geomem.{package.name}``"
        parts = [f"{title}\n{'=' * len(title)}\n"]
        for file in sorted(package.rglob("*.py")):
            name = ".".join(file.relative_to(source).with_suffix("").parts).removesuffix(".__init__")
            heading = f"``{name}``"
            parts.append(f"{heading}\n{'-' * len(heading)}\n\n.. automodule:: {name}\n   :members:\n")
        (folder / f"{package.name}.rst").write_text("\n".join(parts))


def summary(described: object) -> str:
    """The first line of a docstring."""
    return mark_up_prose((described.__doc__ or "").strip().split("\n")[0])


def mark_up_prose(text: str) -> str:
    """Escape what reStructuredText would take for markup outside of names in backticks."""
    parts = text.split("`")
    for index in range(0, len(parts), 2):
        parts[index] = re.sub(r"([|*\\]|_(?!\w))", r"\\\1", parts[index])
        if index and re.match(r"[^\s.,;:!?')\]}/-]", parts[index]):
            parts[index] = "\\ " + parts[index]
    return "`".join(parts)


def mark_up_docstring(_application, _what, _name, _object, _options, lines: list[str]) -> None:
    """Turn our plain-text docstrings into reStructuredText.

    Their paragraphs are prose with names in single backticks, formulas (indented), tables (lines between
    bars), lists with dashes, and doctests.
    """
    marked: list[str] = []
    formula_before = False
    for paragraph in re.split(r"\n\s*\n", "\n".join(lines).strip("\n")):
        formula = paragraph.startswith("  ")
        if paragraph.startswith(">>>"):
            marked.append(paragraph)
        elif formula:
            marked.append(paragraph if formula_before else "::\n\n" + paragraph)
        elif paragraph.startswith("|"):
            rows = [line.strip()[1:-1].split("|") for line in paragraph.split("\n") if "|---" not in line]
            cells = [[mark_up_prose(cell.strip()) for cell in row] for row in rows]
            body = "\n".join("   * - " + "\n     - ".join(row) for row in cells)
            marked.append(".. list-table::\n   :header-rows: 1\n\n" + body)
        else:
            marked.append(mark_up_prose(paragraph))
        formula_before = formula
    marked = [NOTES.sub(link_section, part) for part in marked]
    lines[:] = [*"\n\n".join(marked).split("\n"), ""]


def link_section(cited: re.Match[str]) -> str:
    """A section of our notes that a docstring cites, as a link in reStructuredText."""
    name = cited[1]
    paper = FACTUAL_RECALL if re.fullmatch(r"[A-Z]\d+", name) else GEOMETRIC_MEMORY
    section = name if len(name) == 1 else cited_sections(name, paper)[0][1]
    return f"notes :ref:`{name} <{anchor(section, paper)}>`"


def link_rows_of_claims(_application, document: str, source: list[str]) -> None:
    """Link what the tables of claims cite of our notes."""
    if document.startswith("claims/"):
        paper = FACTUAL_RECALL if document == "claims/recall" else GEOMETRIC_MEMORY
        lines = source[0].split("\n")
        source[0] = "\n".join(link_notes(line, paper) if line.startswith("|") else line for line in lines)


def visit_inline_math(translator, node) -> None:
    """Write an inline formula as MathML."""
    translator.body.append(tex2mathml(spell_for_docutils(node.astext()), as_block=False))
    raise nodes.SkipNode


def visit_block_math(translator, node) -> None:
    """Write a displayed formula as MathML."""
    formula = tex2mathml(spell_for_docutils(node.astext()), as_block=True)
    translator.body.append(f"<div>{formula}</div>")
    raise nodes.SkipNode


def spell_for_docutils(formula: str) -> str:
    """Name the commands that docutils' converter lacks by their equals."""
    return re.sub(r"\\dots\b", r"\\ldots", formula)


def skip_foreign_members(_application, _what, _name, member, _skip, _options) -> bool | None:
    """Leave out what matplotlib writes into a subclass of its own, in markup of its own."""
    return True if (getattr(member, "__module__", "") or "").startswith("matplotlib.") else None


def setup(application) -> None:
    """Register the steps above."""
    application.add_html_math_renderer("mathml", (visit_inline_math, None), (visit_block_math, None))
    application.connect("autodoc-skip-member", skip_foreign_members)
    application.connect("autodoc-process-docstring", mark_up_docstring)
    application.connect("config-inited", write_module_pages)
    application.connect("builder-inited", write_command_help)
    application.connect("source-read", link_rows_of_claims)
