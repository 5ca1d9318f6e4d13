"""The papers' claims asked of another model, a module of a person's own among them."""

from pathlib import Path

import pytest
from small_claims import associative_claim, check_level, request, small_claim

from geomem.claims.catalogue import find_claims
from geomem.claims.exchange import exchange_model
from geomem.claims.need import Scale
from geomem.claims.reproduce import reproduce
from geomem.cli import main
from geomem.cli.own import execute
from geomem.errors import InputError
from geomem.models.configuration import Gru, Node2Vec, Transformer
from geomem.models.own import OwnModule, load_module

MODULES = Path(__file__).parents[1] / "models" / "own_factories.py"
QUICK = Scale("quick", (0, 1))


def transformer_claim(name):
    """One that compares a plain Transformer with Node2Vec."""
    return small_claim(
        name,
        lambda scale: (
            request("ring", scale, Transformer(width=8), steps=20),
            request("other", scale, Node2Vec(width=8), steps=20),
        ),
        checks=check_level,
    )


def test_claims_about_a_plain_transformer_are_asked():
    geometry = exchange_model(find_claims(["geometry/*"]), Gru())
    asked = [claim.id.partition("/")[2] for claim in geometry]
    assert "transformer-from-edges" in asked
    assert not {"bilinear-from-edges", "could-be-associative", "associative-level"} & set(asked)
    compared = next(claim for claim in geometry if claim.id == "geometry/node2vec-strongest")
    kinds = {type(need.model).__name__ for need in compared.fleets(QUICK)}
    assert kinds == {"Gru", "Node2Vec", "Bilinear", "Mamba"}


def test_a_module_is_judged_in_the_transformers_place(tmp_path):
    model = load_module(f"{MODULES}:lstm")
    claims = [transformer_claim("a/one"), associative_claim("a/two")]
    (verdict,) = reproduce(seeds=2, directory=tmp_path, claims=claims, model=model, processes=1)
    assert verdict.judgement is not None
    assert verdict.judgement.outcome in ("holds", "fails")
    assert "OwnModule" in verdict.claim.conditions
    assert "source own_factories.py:lstm" in verdict.claim.conditions
    first, second = verdict.claim.fleets(QUICK)
    assert isinstance(first.model, OwnModule)
    assert isinstance(second.model, Node2Vec)
    assert verdict.claim.rule == transformer_claim("a/one").rule


def test_what_cannot_be_asked_is_said():
    with pytest.raises(InputError, match=r"^a/two cannot be asked of another model; give claims about"):
        exchange_model([associative_claim("a/two")], Gru())
    with pytest.raises(InputError, match=r"embedding of the module is not known; name it with --emb"):
        exchange_model([transformer_claim("a/one")], load_module(f"{MODULES}:last"))


def test_the_command_lists_what_it_asks_and_says_what_it_executes(capsys):
    execute.cache_clear()
    assert main(["reproduce", "--model", f"{MODULES}:lstm", "geometry/*", "--list"]) == 0
    shown = capsys.readouterr()
    assert "geometry/early-peak" in shown.out
    assert "bilinear" not in shown.out
    assert "Executing" in shown.err
    assert "own_factories.py" in shown.err
