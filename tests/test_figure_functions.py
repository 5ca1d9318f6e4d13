"""Every public function that draws gives a matplotlib figure, which a notebook draws by itself."""

import inspect
import pkgutil
from importlib import import_module

import pytest
from matplotlib.figure import Figure

import geomem.claims.drawing
import geomem.figures
from geomem.figures.drawing import new_figure
from geomem.figures.notebook_figure import NotebookFigure
from geomem.figures.palette import LIGHT

MODULES = [geomem.claims.drawing] + [
    import_module(f"geomem.figures.{module.name}") for module in pkgutil.iter_modules(geomem.figures.__path__)
]
DRAWN = ("draw_", "side_by_side", "map_side_by_side", "phase_diagram", "new_figure")
FUNCTIONS = {
    f"{module.__name__}.{name}": function
    for module in MODULES
    for name, function in inspect.getmembers(module, inspect.isfunction)
    if name.startswith(DRAWN) and function.__module__.startswith("geomem.")
}


def test_all_of_them_are_found():
    assert len({function.__name__ for function in FUNCTIONS.values()}) >= 25


@pytest.mark.parametrize("name", FUNCTIONS)
def test_it_gives_a_figure(name):
    assert inspect.signature(FUNCTIONS[name]).return_annotation is Figure


@pytest.mark.parametrize("name", geomem.figures.__all__)
def test_what_the_package_offers_to_draw_begins_as_such(name):
    """So that the test above sees it."""
    offered = getattr(geomem.figures, name)
    drawing = inspect.isfunction(offered) and inspect.signature(offered).return_annotation in (
        Figure,
        "Figure",
    )
    assert drawing == name.startswith(DRAWN)


def test_figures_are_those_that_notebooks_draw():
    assert isinstance(new_figure(1.0, 1.0, LIGHT), NotebookFigure)
    for module in MODULES:
        assert " Figure(" not in inspect.getsource(module)
