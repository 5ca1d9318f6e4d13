"""Every example in a docstring of the package runs and prints what it says."""

import doctest
import importlib
import importlib.util
import pkgutil

import pytest

import geomem

EXTRAS = ("transformers", "umap", "ray", "wandb", "tensorboard", "triton")
"""Packages of the optional extras, and one of torch's: a module is tested where what it needs is there."""

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(geomem.__path__, "geomem.")
    if not module.name.endswith("__main__")
)


@pytest.mark.parametrize("name", ["geomem", *MODULES])
def test_docstring_examples(name):
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        pytest.skip(f"needs the optional package {package}")
    assert doctest.testmod(module).failed == 0
