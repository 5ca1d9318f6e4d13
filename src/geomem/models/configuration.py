"""The architectures; importing this module makes all that have a file here known, and no torch."""

from importlib import import_module
from pkgutil import iter_modules

from geomem.errors import InputError, unknown_name
from geomem.models import networks
from geomem.models.architecture import MODELS as MODELS
from geomem.models.architecture import Model as Model
from geomem.models.architecture import check_model as check_model
from geomem.models.recall import Recall as Recall
from geomem.models.recall import check_recall as check_recall

# In the order in which they are listed, the papers' own first.
# isort: off
from geomem.models.transformer import Transformer as Transformer
from geomem.models.mamba import Mamba as Mamba
from geomem.models.bilinear import Associative as Associative
from geomem.models.bilinear import Bilinear as Bilinear
from geomem.models.node2vec import Node2Vec as Node2Vec
from geomem.models.gru import Gru as Gru
# isort: on

# A file of `networks` has one of the same name here.
for _network in iter_modules(networks.__path__):
    import_module(f"{__package__}.{_network.name}")


def find_architecture(name: str) -> type[Model]:
    """The class of that name; raises `InputError`, with the nearest names, if there is none."""
    if name not in MODELS:
        raise unknown_name(
            f"{name!r} is not a model", name, MODELS, otherwise=f"give one of {', '.join(MODELS)}"
        )
    return MODELS[name]


def path_models() -> dict[str, Model]:
    """Every architecture that finds paths, as it does so on a laptop.

    >>> path_models()["mamba"] == Mamba(layers=2, width=128, state_size=16)
    True
    """
    return {name: kind(**kind.laptop) for name, kind in MODELS.items() if kind.laptop is not None}


def check_reads_sequences(model: Model) -> None:
    """Raise `InputError` for a model that answers with one token and so cannot find paths."""
    if model.laptop is None:
        raise InputError(
            f"{type(model).__name__} reads one token at a time and cannot find paths; "
            f"give one of {', '.join(path_models())}."
        )
