"""The papers' claims asked of another model, a module of a person's own among them."""

import pickle
from dataclasses import replace
from pathlib import Path

import pytest
from small_claims import associative_claim, check_level, request, small_claim

from geomem.claims.catalogue import find_claims
from geomem.claims.check import check
from geomem.claims.exchange import exchange_model
from geomem.claims.factual_recall.settings import measured_widths, memory_settings, request_memories
from geomem.claims.need import Scale
from geomem.claims.reproduce import reproduce
from geomem.cli import main
from geomem.cli.own import execute
from geomem.errors import InputError
from geomem.models.configuration import Gru, Node2Vec, Transformer
from geomem.models.own import _LOADED, OwnModule, load_module

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


def vector_claim(name):
    """One about the vectors of a memory of facts."""
    small = memory_settings(16, subjects=64, relations=2, steps=30)

    def check_fit(runs):
        width = measured_widths(runs)[0]
        yield check("R^2", runs.arrays[f"d{width}.superposition"], at_least=-9)
        yield check("recall", runs.arrays[f"d{width}.recall"], above=0)

    return small_claim(
        name, request_memories(lambda scale: {"d16": small}), checks=check_fit, of_vectors=True
    )


def test_claims_on_facts_that_look_at_vectors_are_asked_of_a_module(tmp_path):
    """In another process too, which learns of the factory from the experiment."""
    model = load_module(f"{MODULES}:lstm")
    asked = exchange_model(find_claims(["recall-structure/*", "recall/*"]), model)
    assert [claim.id for claim in asked] == ["recall-structure/superposition", "recall-structure/precisely"]
    (need,) = asked[0].experiments(QUICK)
    assert (need.key, need.settings["subjects"], need.settings["model"]["source"]) == (
        *("d8", 1024),
        "own_factories.py:lstm",
    )
    assert "module own_factories.py:lstm, d = 8" in asked[0].conditions
    sent = pickle.dumps(need)
    _LOADED.pop(model.key)
    assert pickle.loads(sent).module.key == model.key
    assert model.key in _LOADED
    (verdict,) = reproduce(
        seeds=1, directory=tmp_path, claims=[vector_claim("a/one")], model=model, processes=1
    )
    assert verdict.judgement is not None, verdict.sentence
    assert [quantity.name for quantity in verdict.judgement.quantities] == ["R^2", "recall"]


def test_which_claims_on_facts_are_refused():
    lstm = load_module(f"{MODULES}:lstm")
    with pytest.raises(
        InputError, match=r"^recall/block .* or about vectors of facts, 'recall-structure/sup"
    ):
        exchange_model(find_claims(["recall/*"]), lstm)
    with pytest.raises(InputError, match=r"'memorization/\*'\.$"):
        exchange_model(find_claims(["recall-structure/*"]), Gru())
    for factory, said in (("last", "embedding"), ("lstm", "width is 8, and 32 subjects with 2 relations")):
        claim = vector_claim("a/one")
        small = memory_settings(16, subjects=32, relations=2, steps=30)
        claim = replace(claim, needs=(request_memories(lambda scale, own=small: {"d16": own}),))
        with pytest.raises(InputError, match=said):
            exchange_model([claim], load_module(f"{MODULES}:{factory}"))


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
