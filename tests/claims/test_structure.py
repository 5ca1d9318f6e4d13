"""What embeddings know beyond chance, on memories that are made up and on random ones."""

import numpy as np
import pytest

from geomem.claims.counterexamples import imagine_fleet
from geomem.claims.memorize_geometrically.structure import (
    alignment_curve,
    check_share,
    contrast,
    first_step_structured,
    structured,
)
from geomem.claims.memorize_geometrically.tiny_graphs import FULL, GRAPHS, SETTINGS
from geomem.claims.need import FleetRequest
from geomem.geometry.alignment import bottom_energy, low_energy
from geomem.geometry.structure import find_structure
from geomem.models.configuration import Bilinear, check_model
from geomem.training.configuration import Training, check_training


def request(graph: str, width: int = 64) -> FleetRequest:
    return FleetRequest("x", GRAPHS[graph], Bilinear(width=width), Training(steps=200), (0, 1, 2))


@pytest.mark.parametrize("graph", GRAPHS)
def test_structure_is_found_in_geometry_and_zigzag_alone(graph):
    found = {
        memory: structured(imagine_fleet(request(graph), memory))
        for memory in ("geometric", "zig-zag", "associative", "untrained")
    }
    assert found["geometric"].all()
    assert found["zig-zag"].all()
    assert not found["associative"].any()
    assert not found["untrained"].any()


@pytest.mark.parametrize("graph", GRAPHS)
def test_random_embeddings_are_structured_no_more_often_than_the_level_says(graph):
    noise = np.random.default_rng(1).normal(size=(200, GRAPHS[graph].node_count, 32))
    assert find_structure(noise, GRAPHS[graph]).mean() <= 0.08


def test_the_first_structured_step_is_a_snapshot_or_never():
    learned = imagine_fleet(request("cycle"), "geometric")
    first = first_step_structured(learned)
    assert np.isin(first, learned.snapshot_steps).all()
    assert ((first > 0) & (first <= 25)).all()
    assert np.isinf(first_step_structured(imagine_fleet(request("cycle"), "associative"))).all()


def test_contrast_and_energies_tell_the_ends_of_the_spectrum_apart():
    geometric, zigzag = (imagine_fleet(request("grid"), memory) for memory in ("geometric", "zig-zag"))
    assert check_share("share", geometric, low_energy).quantity.held_share == 1
    assert check_share("share", geometric, bottom_energy).quantity.held_share == 0
    assert check_share("share", zigzag, bottom_energy).quantity.held_share == 1
    assert check_share("share", zigzag, low_energy).quantity.held_share == 0
    assert contrast(geometric).shape == (3,)
    assert (alignment_curve(geometric)[-1] > 0.9).all()


def test_settings_can_be_trained_and_full_ones_replace_quick_ones():
    assert FULL.keys() <= SETTINGS.keys()
    for setting in (*SETTINGS.values(), *FULL.values()):
        check_model(setting.model)
        check_training(setting.training)
    for key, full in FULL.items():
        assert full.training.steps >= SETTINGS[key].training.steps
        assert full.model.width >= SETTINGS[key].model.width
