"""Trainings of path finding as experiments: small ones are trained, and curves judged by hand."""

from dataclasses import replace

import numpy as np
import pytest

from geomem.claims import in_context, paths, paths_controls, paths_scale
from geomem.claims.claim import Scale
from geomem.claims.evidence import Evidence, name_arrays
from geomem.claims.experiment import Experiment, identify, run_experiment
from geomem.claims.path_runs import (
    PathSetting,
    area,
    curve,
    describe_setting,
    epochs_to,
    imagine_paths,
    last,
    measure_paths,
    peak,
    rank_correlation,
    request_paths,
)
from geomem.models.configuration import Mamba, Transformer
from geomem.runs.presets import PATH_PRESETS
from geomem.training.configuration import PathTraining
from geomem.worlds.in_context import InContextPathFinding
from geomem.worlds.path_finding import PathFinding

TINY = PathSetting(
    Transformer(width=8),
    PathTraining(epochs=4, batches=2, warmup_steps=1, stop_at=0.0, metric_every=2, snapshots=2),
    PathFinding(pauses=1),
    arms=8,
    length=3,
)
SEEDS = (0, 3)


def measured(setting: PathSetting, directory) -> Evidence:
    experiment = Experiment("tiny", measure_paths, describe_setting(setting, SEEDS), seconds=1.0)
    return Evidence(arrays=name_arrays({"tiny": run_experiment(experiment, directory=directory)}))


@pytest.mark.parametrize(
    "setting",
    [
        TINY,
        replace(TINY, model=Mamba(width=8, state_size=2)),
        replace(TINY, family="tree-star", task=replace(TINY.task, split="first-hop", target="reverse")),
        replace(TINY, task=replace(TINY.task, path_weight=0.0)),
        replace(TINY, task=InContextPathFinding(arms=2, length=3, node_tokens=5, target="teacherless")),
    ],
    ids=["transformer", "mamba", "tree", "edges", "in-context"],
)
def test_an_experiment_is_the_curves_of_its_fleet(setting, tmp_path):
    evidence = measured(setting, tmp_path)
    assert evidence.arrays["tiny.epochs"].tolist() == [0.0, 2.0, 4.0]
    for name, values in evidence.arrays.items():
        assert name == "tiny.epochs" or values.shape == (len(SEEDS), 3), name
    losses = curve(evidence, "tiny", "loss")
    assert (losses[:, -1] < losses[:, 0]).all()
    assert ((curve(evidence, "tiny", "held_out.exact_match") >= 0) & (losses < np.inf)).all()


def test_runs_of_an_experiment_are_those_of_find_paths(tmp_path):
    from geomem.runs.paths import find_paths
    from geomem.runs.store import fleet_metrics
    from geomem.worlds.graphs.families import path_star

    evidence = measured(TINY, tmp_path / "experiments")
    assert isinstance(TINY.task, PathFinding)
    fleet = find_paths(
        path_star(arms=8, length=3),
        model=TINY.model,
        task=TINY.task,
        training=TINY.training,
        seeds=SEEDS,
        directory=tmp_path / "runs",
    )
    table = fleet_metrics(fleet)
    for run, place in ((0, 0), (1, 2)):
        rows = table.filter((table["metric"] == "loss") & (table["run"] == run)).sort("step")
        assert curve(evidence, "tiny", "loss")[run, place] == rows["value"][place]


def test_a_staged_training_starts_where_the_first_one_ended(tmp_path):
    edges = replace(TINY, task=replace(TINY.task, path_weight=0.0))
    paths_only = replace(TINY, task=replace(TINY.task, edge_weight=0.0), start=edges)
    before, after = measured(edges, tmp_path), measured(paths_only, tmp_path)
    # The same questions about the same weights.
    np.testing.assert_allclose(
        curve(after, "tiny", "edge_loss")[:, 0], last(before, "tiny", "edge_loss"), rtol=1e-5
    )
    assert len(list(tmp_path.glob("*-paths-*"))) == 2, "the first stage is a run of its own, trained once"
    assert not np.allclose(last(after, "tiny", "edge_loss"), last(before, "tiny", "edge_loss"))


def test_what_differs_is_another_experiment():
    def identity(setting: PathSetting):
        return identify(Experiment("tiny", measure_paths, describe_setting(setting, SEEDS), seconds=1.0))

    one = identity(TINY)
    assert one == identity(replace(TINY, seconds=99.0))
    changes = [
        replace(TINY, arms=9),
        replace(TINY, family="tree-star"),
        replace(TINY, model=Transformer(width=16)),
        replace(TINY, model=Mamba(width=8)),
        replace(TINY, task=PathFinding(pauses=2)),
        replace(TINY, training=replace(TINY.training, epochs=5)),
        replace(TINY, start=TINY),
    ]
    for change in changes:
        assert identity(change) != one


def test_every_setting_of_the_groups_can_be_trained(tmp_path):
    from geomem.runs.path_plan import plan_paths
    from geomem.worlds.graphs.families import path_star, tree_star

    groups = (paths.SETTINGS, paths_controls.SETTINGS, in_context.SETTINGS, in_context.FULL)
    for setting in (setting for group in groups for setting in group.values()):
        task, family = setting.task, {"path-star": path_star, "tree-star": tree_star}[setting.family]
        world = family(arms=setting.arms, length=setting.length) if isinstance(task, PathFinding) else task
        plan_paths(
            world,
            model=setting.model,
            task=task if isinstance(task, PathFinding) else None,
            training=setting.training,
            directory=tmp_path,
        )
        assert setting.seconds > 0


def test_the_full_claims_take_the_presets():
    for key, setting in paths_scale.SETTINGS.items():
        preset = PATH_PRESETS[key.rpartition("-")[0]]
        assert (setting.arms, setting.length, setting.task, setting.training) == (
            preset.arms,
            preset.length,
            preset.task,
            preset.training,
        )
        assert setting.model in preset.models.values()


def test_claims_of_one_setting_share_its_training():
    scale = Scale("quick", (0, 1, 2))
    first = request_paths(paths.SETTINGS, "base")(scale)[0]
    second = request_paths(paths_controls.SETTINGS, "base")(scale)[0]
    assert identify(first) == identify(second)


def test_numbers_of_a_curve():
    evidence = imagine_paths({"x": {"shares": [0.0, 0.5, 1.0, 0.25]}}, epochs=6, runs=2)
    assert last(evidence, "x", "shares").tolist() == [0.25, 0.25]
    assert peak(evidence, "x", "shares").tolist() == [1.0, 1.0]
    assert epochs_to(evidence, "x", "shares", 0.5).tolist() == [2.0, 2.0]
    # Never: the last epoch, so that a mean is a lower bound and no infinity.
    assert epochs_to(evidence, "x", "shares", 1.5).tolist() == [6.0, 6.0]
    # 0.25, 0.75 and 0.625 on three equal pieces.
    np.testing.assert_allclose(area(evidence, "x", "shares"), [0.541667, 0.541667], rtol=1e-5)


def test_rank_correlation_agrees_with_scipy():
    from scipy.stats import spearmanr

    values = np.random.default_rng(0).integers(0, 4, size=(20, 5)).astype(float)
    for run, found in zip(values, rank_correlation(values), strict=True):
        if np.ptp(run):
            assert found == pytest.approx(spearmanr(np.arange(5), run)[0])
    assert rank_correlation(np.ones((1, 4))).tolist() == [0.0]
