"""Sweeps: grids of configurations (`grid`), trained and kept (`running`), measured (`measured`)."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
