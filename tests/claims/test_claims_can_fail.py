"""Every claim can fail: fed the measurements of a wrong model its judge comes to another outcome.

Nothing is trained here. And every expected value says who says so, and where.
"""

import re
from math import isfinite
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from geomem.claims.catalogue import CLAIMS, collect_claims
from geomem.claims.claim import Claim, FleetRequest, Scale, Source, reach_verdict
from geomem.claims.evidence import (
    Memory,
    alignment,
    excess_loss,
    final,
    first_step_memorized,
    imagine_fleet,
    memorized,
    shells,
)
from geomem.models.configuration import Associative, Bilinear, Node2Vec, Transformer
from geomem.training.configuration import Training, default_training
from geomem.worlds.families import cycle, grid, irregular, path_star

ROOT = Path(__file__).parents[2]
QUICK, FULL = Scale("quick", (0, 1, 2)), Scale("full", (0, 1, 2))

# The highest number of every kind of place in the paper (arXiv 2510.26745, v1 and v2) and the paper file.
HIGHEST = {"Fig": 35, "Figs": 35, "T": 12, "N": 9, "Lemma": 6, "Fact": 2, "Assumption": 2, "Remark": 5}
HIGHEST |= {
    "Prop": 10,
    "Props": 10,
    "Proposition": 10,
    "Eq": 17,
    "Table": 4,
    "Hyp": 4,
    "Obs": 8,
    "Refutation": 3,
}
SECTION = re.compile(
    r"\b(?:A\.[1-6]|B\.[0-3](?:\.\d+)*|C(?:\.\d)?|D|E\.[1-4](?:\.\d)?|F(?:\.\d)?|G\.[1-4])(?!\w)"
)
NUMBERED = re.compile(r"\b([A-Z][a-z]*)\.? ?(\d+)[a-d]?\b")
FILE = re.compile(r"\b(?:docs|tests)/[\w./-]+")


def claims():
    return [pytest.param(claim, id=claim.id) for claim in CLAIMS.values()]


def names_a_place(place: str) -> bool:
    """Whether a text names a section of the paper file, or something of the paper whose number exists."""
    numbered = [(kind, int(number)) for kind, number in NUMBERED.findall(place) if kind in HIGHEST]
    return bool(SECTION.search(place) or numbered) and all(
        1 <= number <= HIGHEST[kind] for kind, number in numbered
    )


@pytest.mark.parametrize("claim", claims())
def test_the_wrong_model_changes_the_verdict(claim: Claim):
    requests = claim.fleets(QUICK if claim.cost == "quick" else FULL)
    evidence = claim.wrong(requests)
    assert set(evidence.fleets) == {request.key for request in requests}
    judgement = claim.judge(evidence)
    assert judgement.outcome != ("deviates" if claim.deviation else "holds")
    assert not reach_verdict(claim, judgement).as_expected
    assert judgement.sentence.strip().endswith((".", "!", "?"))
    assert judgement.quantities


@pytest.mark.parametrize("claim", claims())
def test_every_expected_value_has_a_source_and_a_place(claim: Claim):
    assert claim.expected
    for expected in claim.expected:
        assert expected.source in get_args(Source)
        assert (isinstance(expected.value, str) and expected.value) or isfinite(float(expected.value))
        files = FILE.findall(expected.place)
        assert all((ROOT / name).exists() for name in files), f"{expected.place} is not there"
        assert files or names_a_place(expected.place), f"{expected.place!r} is no place we know"


@pytest.mark.parametrize("claim", claims())
def test_every_claim_says_what_it_is(claim: Claim):
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*/[a-z0-9]+(-[a-z0-9]+)*", claim.id)
    for text in (claim.statement, claim.rule):
        assert text.strip().endswith((".", "!", "?")), text
    assert claim.title
    assert not claim.title.endswith(".")
    assert names_a_place(claim.place), claim.place
    assert claim.conditions
    assert claim.fleets(QUICK if claim.cost == "quick" else FULL) or claim.compute


@pytest.mark.parametrize("claim", [entry for entry in claims() if entry.values[0].cost == "quick"])
def test_every_quick_claim_has_the_seeds_it_was_given(claim: Claim):
    for request in claim.fleets(QUICK):
        assert len(request.seeds) >= 3, f"{request.key} has {len(request.seeds)} seeds"


def test_there_are_as_many_claims_as_promised():
    assert len([claim for claim in CLAIMS.values() if claim.cost == "quick"]) >= 40
    assert collect_claims([list(CLAIMS.values())]) == CLAIMS


def test_places_that_do_not_exist_are_seen():
    assert names_a_place("E.2, T6")
    assert names_a_place("v2 Fig 22")
    assert names_a_place("Obs 3a")
    assert not names_a_place("T13")
    assert not names_a_place("v1 Fig 99")
    assert not names_a_place("somewhere")


# What the counter-evidence is made of must look like what it is called.


@pytest.mark.parametrize("world", [path_star(arms=4, length=5), grid(4, 4), cycle(15), irregular()])
@pytest.mark.parametrize("model", [Transformer(), Bilinear(width=16), Associative(), Node2Vec()])
def test_imagined_memories_are_what_they_are_called(world, model):
    request = FleetRequest("x", world, model, default_training(model), (0, 1, 2))
    seen = {memory: imagine_fleet(request, memory) for memory in get_args(Memory)}
    levels = {memory: final(fleet, "geometric_level") for memory, fleet in seen.items()}
    assert (levels["geometric"] > 0.4).all()
    assert (alignment(seen["geometric"]) > 0.7).all()
    assert (np.diff(shells(seen["geometric"])[:, :2], axis=1) < 0).all()
    assert (levels["zig-zag"] < -0.5).all()
    assert (np.diff(shells(seen["zig-zag"])[:, :2], axis=1) > 0).all()
    assert (np.abs(levels["associative"]) < 0.3).all()
    assert (levels["collapsed"] > 0.99).all()
    for memory, fleet in seen.items():
        assert memorized(fleet).all() == (memory != "untrained")
        np.testing.assert_allclose(excess_loss(fleet) > 1e-6, memory == "untrained")


def test_imagined_fleets_have_the_shapes_of_trained_ones(tmp_path):
    from geomem.claims.evidence import read_evidence
    from geomem.memorize import memorize

    for model in (Transformer(width=8), Bilinear(width=8), Node2Vec(width=8, tied=False)):
        request = FleetRequest("x", cycle(6), model, Training(steps=12, snapshots=4), (3, 4))
        stored = memorize(
            request.world, model=model, training=request.training, seeds=request.seeds, directory=tmp_path
        )
        trained, imagined = read_evidence(request, stored), imagine_fleet(request, "geometric")
        np.testing.assert_array_equal(trained.steps, imagined.steps)
        np.testing.assert_array_equal(trained.snapshot_steps, imagined.snapshot_steps)
        assert trained.snapshots.shape == imagined.snapshots.shape
        assert trained.embeddings.shape == imagined.embeddings.shape
        assert {name: curve.shape for name, curve in trained.metrics.items()} == {
            name: curve.shape for name, curve in imagined.metrics.items()
        }
        assert {name: weight.shape for name, weight in trained.weights.items()} == {
            name: weight.shape for name, weight in imagined.weights.items()
        }


def test_facts_are_recalled_from_the_step_asked_for():
    request = FleetRequest("x", cycle(6), Transformer(), Training(steps=50), (0, 1))
    assert first_step_memorized(imagine_fleet(request, "associative", memorized_at=20)).tolist() == [20, 20]
    assert np.isinf(first_step_memorized(imagine_fleet(request, "associative", memorized_at=None))).all()
