"""The study of language: its measurement on a short training, and its tables on made-up models."""

import numpy as np
import pytest

from geomem.claims.experiment import Experiment
from geomem.claims.need import Scale
from geomem.figures.palette import LIGHT
from geomem.studies.language import STUDY, imagine
from geomem.studies.language_measured import ARMS, LAYERS, RECALLED, WITH_WAYS, measure_telling, tellings
from geomem.studies.language_tables import conclude, layers_of, tabulate, tabulate_arms


@pytest.mark.parametrize(("world", "arm"), [("grid", "symbols"), ("grid", WITH_WAYS)])
def test_a_telling_is_measured_at_every_layer(world, arm):
    shares = []
    settings = {"world": world, "arm": arm, "seeds": [100], "steps": 4}
    found = measure_telling(settings, directory=None, device="cpu", on_progress=shares.append)
    assert shares == [0.8]
    assert np.isnan(found["steps"]).all()
    for prefix in ("last", "mean"):
        assert found[f"{prefix}_word"].shape == (1,)
        assert found[f"{prefix}_fall"].shape == (1, len(LAYERS))
        assert found[f"{prefix}_twin_alignment"].shape == (3, len(LAYERS))
    tokens = found["numbers"][2]
    assert tokens == (1 if arm == "symbols" else 2)
    assert ("often" in found) == (arm == WITH_WAYS)
    if arm == WITH_WAYS:
        # What needs no training: of a subject the next nodes most often told.
        assert 0.6 < found["often"][0] < 0.8
        assert found["held_out_paths"][0] <= found["held_out_ways"][0] < 0.3


def test_every_way_is_told_within_a_quarter_of_an_hour():
    quick, full = (tellings()(Scale(name, (0, 1, 2))) for name in ("quick", "full"))
    assert len(quick) == sum(len(arm.worlds) for arm in ARMS.values())
    assert len(full) > len(quick)
    assert sum(need.seconds for need in quick if isinstance(need, Experiment)) < 900


def test_tables_follow_from_what_was_measured():
    table = tabulate(imagine(recall=0.9, paraphrases=0.25))
    assert len(layers_of(table)) == 2 * len(LAYERS) * len(tellings()(Scale("quick", (0, 1, 2))))
    arms = tabulate_arms(table)
    assert set(arms["recall"]) == {0.9}
    assert set(arms["mean: geometry"]) == {"0 of 3"}
    assert "0 of 10 ways" in conclude(table)[0]
    assert RECALLED > 0.9
    for draw in STUDY.figures.values():
        assert draw(table, LIGHT).axes
