"""Every test runs with array shapes and types checked at the package's function boundaries, on one thread."""

import gc
import os

# Before NumPy or torch are imported: test files run side by side, one thread each.
os.environ["OMP_NUM_THREADS"] = "1"

import hypothesis

from checked_calls import check_package

# Must come before the first import of geomem anywhere in the tests.
check_package()

# A shared machine may stop for a second at any time: slowness is no failure of a property.
hypothesis.settings.register_profile("geomem", deadline=None, max_examples=50)
hypothesis.settings.load_profile("geomem")


# Nobody pulls the plug of a test, and a disk takes milliseconds for each of its ten thousand files.
os.fsync = lambda descriptor: None


def pytest_collection_modifyitems(items):
    """Trained science first: left to the end, one process would be busy with it alone."""
    items.sort(key=lambda item: "science" not in item.path.parts)


def pytest_collection_finish():
    """What was imported and collected stays to the end: no collection of garbage need look at it again."""
    gc.collect()
    gc.freeze()
