"""What the architectures compute, one module each, imported when first needed.

A network is a module with these functions, all along the run axis:

| function | of |
|---|---|
| `apply_block(model, parameters, name, inputs, cache=None, *, first=0)` | a model that reads sequences, |
| or `apply_pieces(model, parameters, name, rows, pieces)` | whose blocks may take several pieces at once |
| `normalize_states(model, parameters, states)` | a model that reads sequences |
| or instead `read_whole(model, parameters, tokens, *, first_read)` | one of logits, without blocks |
| `compute_logits(model, parameters, prefixes, *, shared=None)` | any other |
| `draw_parameters(model, sizes, seeds)` | one whose tensors start as `own` |
| `compute_noisy_logits(model, parameters, prefixes, *, seeds, step)` | one whose training adds noise |
| `make_objective(model, parameters, gradient, examples, *, seeds)` | one with a loss of its own |
"""

from functools import cache
from importlib import import_module
from types import ModuleType

from geomem.models.architecture import Model


def network_of(model: Model) -> ModuleType:
    """The module that computes a model.

    >>> from geomem.models.configuration import Node2Vec
    >>> network_of(Node2Vec()).__name__
    'geomem.models.networks.node2vec'
    """
    return _import(model.network)


# Asked at every pass; a look into the table of modules takes as long as some of its operations.
_import = cache(import_module)
