"""geomem: a laboratory for geometric memory in sequence models.

This is the table of contents; `__init__.pyi` lists the names. They are looked up when first used, so
`import geomem` is quick and imports no torch; measuring embeddings never does. The packages `geomem.worlds`,
`geomem.runs`, `geomem.measure` and so on hold everything else.

>>> import geomem
>>> geomem.path_star(arms=4, length=5).node_count
17
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
