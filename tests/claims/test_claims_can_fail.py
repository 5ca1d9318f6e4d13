"""Every claim can fail: fed the measurements of a wrong model its judge comes to another outcome.

Nothing is trained here. And every expected value says who says so, and where.
"""

import re
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from geomem.claims.catalogue import CLAIMS, collect_claims
from geomem.claims.check import judge_checks
from geomem.claims.claim import OURS, PAPER, RECALL_PAPER, Claim, Source, reach_verdict
from geomem.claims.counterexamples import Memory, imagine_fleet
from geomem.claims.evidence import alignment, excess_loss, final, first_step_memorized, memorized, shells
from geomem.claims.experiment import experiment_path
from geomem.claims.need import Computed, FleetRequest, Scale
from geomem.models.configuration import Associative, Bilinear, Node2Vec, Transformer
from geomem.training.configuration import Training, default_training
from geomem.worlds.graphs.families import cycle, grid, irregular, path_star

ROOT = Path(__file__).parents[2]
QUICK, FULL = Scale("quick", (0, 1, 2)), Scale("full", (0, 1, 2))

FILE = re.compile(r"\b(?:docs|tests)/[\w./-]+")


@dataclass(frozen=True)
class Places:
    """The places of a paper and of its paper file that there are."""

    highest: dict[str, int]
    """The highest number of every kind of numbered place."""
    sections: re.Pattern[str]
    tagged: bool = False
    """Whether the paper file tags all it says, so that a place says whose it is."""

    def name(self, text: str) -> bool:
        """Whether a text names a section, or something numbered whose number exists."""
        found = [(kind, int(number)) for kind, number in NUMBERED.findall(text) if kind in self.highest]
        return bool(self.sections.search(text) or found) and all(
            1 <= number <= self.highest[kind] for kind, number in found
        )

    def back(self, source: Source, text: str) -> bool:
        """Whether the tags of a place allow its source."""
        if not self.tagged:
            return True
        tags = tags_of(text)
        return bool(tags) and {
            "paper": tags <= {"P", "T"},
            "derived": "D" in tags,
            "own measurement": "M" in tags,
        }.get(source, False)


NUMBERED = re.compile(r"\b([A-Z][a-z]*)\.? ?(\d+)[a-d]?\b")
TAGS = re.compile(r"\[([A-Z](?:/[A-Z])*)\]")
FIRST = {"Fig": 35, "Figs": 35, "T": 12, "L": 19, "N": 9, "Lemma": 6, "Fact": 2, "Assumption": 2}
FIRST |= {"Remark": 5, "Prop": 10, "Props": 10, "Proposition": 10, "Eq": 17, "Table": 4, "Hyp": 4}
FIRST |= {"Obs": 8, "Refutation": 3}
SECOND = {"A": 5, "B": 8, "C": 7, "D": 12, "E": 16, "S": 5, "L": 2}
PLACES = {
    # v1 and v2 of the paper.
    PAPER: Places(
        FIRST,
        re.compile(
            r"\b(?:A\.[1-6]|B\.[0-3](?:\.\d+)*|C(?:\.\d)?|D|E\.[1-4](?:\.\d)?|F(?:\.\d)?|G\.[1-4])(?!\w)"
        ),
    ),
    # Its text is not at hand: only what is tagged [P] or [T] is the paper's.
    RECALL_PAPER: Places(SECOND, re.compile(r"\bTheorem 4\.[1-4](?!\w)"), tagged=True),
    OURS: Places({}, re.compile(r"^docs/studies/")),
}


def tags_of(text: str) -> set[str]:
    """The tags of a place: P, T, D, M or U.

    A tag that does not exist is no tag.
    """
    tags = {tag for group in TAGS.findall(text) for tag in group.split("/")}
    return tags if tags <= set("PTDMU") else set()


def scale_of(claim: Claim) -> Scale:
    return QUICK if claim.cost == "quick" else FULL


def claims():
    return [pytest.param(claim, id=claim.id) for claim in CLAIMS.values()]


@pytest.mark.parametrize("claim", claims())
def test_the_wrong_model_changes_the_verdict(claim: Claim):
    requests = claim.fleets(scale_of(claim))
    evidence = claim.counterexample(requests)
    assert set(evidence.fleets) == {request.key for request in requests}
    wanted = {experiment.key for experiment in claim.experiments(scale_of(claim))}
    made_up = {name.partition(".")[0] for name in evidence.arrays}
    assert wanted <= made_up, "arrays of some experiment are not made up"
    computes = any(isinstance(need, Computed) for need in claim.requests(scale_of(claim)))
    assert computes or made_up == wanted
    judgement = judge_checks(claim.refuted, deviates=bool(claim.deviation))
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
        assert files or PLACES[claim.paper].name(expected.place), f"{expected.place!r} is no place we know"
        assert PLACES[claim.paper].back(expected.source, expected.place), expected


@pytest.mark.parametrize("claim", claims())
def test_every_claim_says_what_it_is(claim: Claim):
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*/[a-z0-9]+(-[a-z0-9]+)*", claim.id)
    for text in (claim.statement, claim.rule):
        assert text.strip().endswith((".", "!", "?")), text
    assert claim.title
    assert not claim.title.endswith(".")
    assert PLACES[claim.paper].name(claim.place), claim.place
    assert tags_of(claim.place) or not PLACES[claim.paper].tagged, "whose statement is it?"
    assert claim.conditions
    assert claim.requests(scale_of(claim))


@pytest.mark.parametrize("claim", [entry for entry in claims() if entry.values[0].cost == "quick"])
def test_every_quick_claim_has_the_seeds_it_was_given(claim: Claim):
    for request in claim.fleets(QUICK):
        assert len(request.seeds) >= 3, f"{request.key} has {len(request.seeds)} seeds"
    for experiment in claim.experiments(QUICK):
        # Small sizes may do with two seeds; without any, the experiment is not a matter of chance.
        assert len(experiment.settings.get("seeds", (0, 1))) >= 2, experiment.key


@pytest.mark.parametrize("claim", claims())
def test_every_experiment_can_be_kept(claim: Claim):
    wanted = claim.experiments(scale_of(claim))
    assert len({experiment.key for experiment in wanted}) == len(wanted)
    for experiment in wanted:
        assert experiment_path(experiment, "runs").name
        assert experiment.seconds > 0


def test_there_are_as_many_claims_as_promised():
    assert len([claim for claim in CLAIMS.values() if claim.cost == "quick"]) >= 40
    assert collect_claims([list(CLAIMS.values())]) == CLAIMS


@pytest.mark.parametrize(
    ("paper", "there", "not_there"),
    [
        (
            PAPER,
            ("E.2, T6", "v2 Fig 22", "Obs 3a", "E.1, L16", "L19"),
            ("T13", "v1 Fig 99", "somewhere", "L20", "A5 [P]"),
        ),
        (
            RECALL_PAPER,
            ("A2, S3 [D/M]", "A5 [P]", "Theorem 4.1 [T]", "E16 [M]", "B8 [D]", "L2 [D]"),
            ("A6 [P]", "E17 [M]", "S6 [D]", "Theorem 4.5 [T]", "Fig 2 [P]", "somewhere [D]", "L3 [D]"),
        ),
    ],
)
def test_places_that_do_not_exist_are_seen(paper, there, not_there):
    for place in there:
        assert PLACES[paper].name(place), place
    for place in not_there:
        assert not PLACES[paper].name(place), place


@pytest.mark.parametrize(
    ("source", "place", "allowed"),
    [
        ("paper", "A5 [P]", True),
        ("paper", "A5 [P/T]", True),
        ("paper", "A2, S3 [D/M]", False),
        ("paper", "A5 [P], E9 [M]", False),
        ("paper", "A5", False),
        ("derived", "A2, S3 [D/M]", True),
        ("derived", "C1 [M]", False),
        ("own measurement", "C1 [M]", True),
        ("own measurement", "A5 [T]", False),
        ("own measurement", "C1 [X]", False),
        ("release", "C1 [M]", False),
    ],
)
def test_a_source_is_what_the_tags_allow(source, place, allowed):
    assert PLACES[RECALL_PAPER].back(source, place) == allowed
    assert PLACES[PAPER].back(source, place)


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
    from geomem.runs.edges import memorize

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
