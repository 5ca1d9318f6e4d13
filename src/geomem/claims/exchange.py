"""The papers' claims asked of another model, which stands where they have a plain Transformer."""

from collections.abc import Iterable
from dataclasses import fields, replace

from geomem.claims.claim import Claim
from geomem.claims.factual_recall.settings import exchange_memories
from geomem.claims.need import FleetRequest, Need, Needs, Scale
from geomem.errors import InputError
from geomem.models.architecture import Model
from geomem.models.configuration import Transformer
from geomem.models.own import OwnModule
from geomem.runs.edges import fit_to_edges
from geomem.worlds.tasks import edge_examples

SIZE = ("width", "layers", "heads")
"""Fields in which a plain Transformer may differ from the default."""


def exchange_model(claims: Iterable[Claim], model: Model) -> tuple[Claim, ...]:
    """The claims that can be asked of another model, with that model in the Transformer's place.

    Those are claims with a fleet of plain Transformers and none of altered ones (frozen, untied), and without
    experiments. Whatever they compare it with, as Node2Vec, stays; so does the training. A person's module
    is also asked those on facts that look at recall and vectors alone.

    Raises `InputError` if there is none, or if the model has no embedding that is known.

    >>> from geomem.claims.catalogue import find_claims
    >>> from geomem.models.configuration import Gru
    >>> claim, = exchange_model(find_claims(["geometry/*"])[:2], Gru())
    >>> claim.id, claim.conditions[:22]
    ('geometry/transformer-from-edges', 'Gru: adamw, lr 0.01, c')
    """
    given = tuple(claims)
    asked = tuple(made for claim in given if (made := _exchange(claim, model)))
    if not asked:
        own = isinstance(model, OwnModule)
        more = ", or about vectors of facts, 'recall-structure/superposition'" if own else ""
        raise InputError(
            f"{' and '.join(claim.id for claim in given[:3])} cannot be asked of another model; give claims "
            f"about a plain Transformer on edges, such as 'geometry/*' or 'memorization/*'{more}."
        )
    asked[0].requests(Scale(asked[0].cost, (0,)))
    return asked


def _exchange(claim: Claim, model: Model) -> Claim | None:
    if claim.of_vectors and isinstance(model, OwnModule):
        return exchange_memories(claim, model)
    if not _can_be_asked(claim):
        return None
    return replace(claim, needs=tuple(_with_model(need, model) for need in claim.needs), stated_conditions="")


def is_plain(model: Model) -> bool:
    """Whether a model is the default Transformer, of any size.

    >>> is_plain(Transformer(width=48)), is_plain(Transformer(tied=False))
    (True, False)
    """
    default = Transformer()
    return isinstance(model, Transformer) and all(
        getattr(model, field.name) == getattr(default, field.name)
        for field in fields(model)
        if field.name not in SIZE
    )


def _can_be_asked(claim: Claim) -> bool:
    needs = claim.requests(Scale(claim.cost, (0,)))
    models = [need.model for need in needs if isinstance(need, FleetRequest)]
    plain = [is_plain(model) for model in models if isinstance(model, Transformer)]
    return len(models) == len(needs) and bool(plain) and all(plain)


def _with_model(needs: Needs, model: Model) -> Needs:
    def exchange(need: Need) -> Need:
        if not isinstance(need, FleetRequest) or not is_plain(need.model):
            return need
        fitted = fit_to_edges(model, need.world, edge_examples(need.world, need.task))
        if not fitted.width:
            raise InputError("The embedding of the module is not known; name it with --embedding.")
        return replace(need, model=fitted)

    return lambda scale: tuple(exchange(need) for need in needs(scale))
