"""Every test runs with array shapes and types checked at the package's function boundaries."""

from jaxtyping import install_import_hook

# Must come before the first import of geomem anywhere in the tests.
install_import_hook("geomem", "beartype.beartype")
