"""The study of real graphs: its measurement on a short training, and its words on made-up memories."""

from dataclasses import replace

import numpy as np
import pytest

from geomem.claims.experiment import Experiment
from geomem.claims.need import Scale
from geomem.studies.real_graphs import ARMS, GRAPHS, Memory, ask_for, measure_memory, memories

HELD = Memory("node2vec", "europe", 1.0, "geometric", 0.5, 0.9, True, 1.0, 0.0, 0.1, 0.2)


@pytest.mark.parametrize(
    ("changed", "verdict"),
    [
        ({}, "geometric, beyond degrees"),
        ({"steeper": False}, "geometric, no more than degrees"),
        ({"rewired_recall": 0.9}, "geometric, no null"),
        ({"shared": 0.95}, "geometric, no null"),
        ({"word": "zig-zag"}, "zig-zag"),
        ({"recall": 0.94}, "not judged"),
        ({"recall": 0.94, "word": "zig-zag"}, "not judged"),
    ],
)
def test_recall_comes_first_then_the_word_then_the_null(changed, verdict):
    assert replace(HELD, **changed).verdict == verdict


def test_a_memory_is_measured_beside_rewired_graphs():
    asked = ask_for("gru", "florentine-families", Scale("quick", (0, 1)))
    shares = []
    found = measure_memory(
        {**asked.settings, "steps": 3, "rewired": 2}, directory=None, device="cpu", on_progress=shares.append
    )
    assert {name: array.shape for name, array in found.items()} == {
        **dict.fromkeys(("recall", "fall", "alignment", "word"), (2,)),
        **dict.fromkeys(("rewired_recall", "rewired_fall", "rewired_alignment", "rewired_word"), (2,)),
        "shared": (1,),
        "size": (2,),
    }
    assert found["size"].tolist() == [15, 20]
    assert shares == pytest.approx([1 / 3, 2 / 3, 1])
    assert np.isfinite(found["fall"]).all()


def test_every_arm_is_asked_on_every_graph_of_the_scale():
    quick, full = (memories(tuple(ARMS))(Scale(name, (0, 1, 2))) for name in ("quick", "full"))
    assert len(full) == len(ARMS) * len(GRAPHS)
    assert len(quick) == len(ARMS) * sum(not graph.full for graph in GRAPHS.values())
    assert sum(need.seconds for need in quick if isinstance(need, Experiment)) < 1800
    assert len({graph.field for graph in GRAPHS.values() if not graph.full}) >= 6
