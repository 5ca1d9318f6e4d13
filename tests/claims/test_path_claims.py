"""Trainings of path finding as experiments: small ones are trained, and curves read by hand."""

from dataclasses import replace

import numpy as np
import pytest

from geomem.claims.curves import (
    Curves,
    area,
    check_end,
    curves,
    draw_curves,
    first_step,
    imagine_curves,
    peak,
    rank_correlation,
)
from geomem.claims.evidence import Evidence, final, name_arrays
from geomem.claims.experiment import Experiment, identify, run_experiment
from geomem.claims.memorize_geometrically.path_settings import (
    FAMILIES,
    PAPER_PROMPTS,
    PAPER_STARS,
    PROMPTS,
    STARS,
    PathSetting,
    describe_setting,
    measure_paths,
)
from geomem.claims.memorize_geometrically.paths import plans, reverse
from geomem.claims.need import Scale
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
EDGE_LOSS, EXACT = "edge_loss", "held_out.exact_match"


def measured(setting: PathSetting, directory) -> Curves:
    experiment = Experiment("tiny", measure_paths, describe_setting(setting, SEEDS), seconds=1.0)
    arrays = name_arrays({"tiny": run_experiment(experiment, directory=directory)})
    return curves(Evidence(arrays=arrays), "tiny")


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
    run = measured(setting, tmp_path)
    assert run.steps.tolist() == [0.0, 2.0, 4.0]
    for name, values in run.metrics.items():
        assert values.shape == (3, len(SEEDS)), name
    losses = run.metrics["loss"]
    assert (losses[-1] < losses[0]).all()
    assert ((run.metrics[EXACT] >= 0) & (losses < np.inf)).all()


def test_runs_of_an_experiment_are_those_of_find_paths(tmp_path):
    from geomem.runs.paths import find_paths
    from geomem.worlds.graphs.families import path_star

    run = measured(TINY, tmp_path / "experiments")
    assert isinstance(TINY.task, PathFinding)
    fleet = find_paths(
        path_star(arms=8, length=3),
        model=TINY.model,
        task=TINY.task,
        training=TINY.training,
        seeds=SEEDS,
        directory=tmp_path / "runs",
    )
    for seed, row in ((0, 0), (1, 2)):
        assert run.metrics["loss"][row, seed] == fleet.curves()["loss"][row, seed]


def test_a_staged_training_starts_where_the_first_one_ended(tmp_path):
    edges = replace(TINY, task=replace(TINY.task, path_weight=0.0))
    paths_only = replace(TINY, task=replace(TINY.task, edge_weight=0.0), start=edges)
    before, after = measured(edges, tmp_path), measured(paths_only, tmp_path)
    # The same questions about the same weights.
    np.testing.assert_allclose(after.metrics[EDGE_LOSS][0], final(before, EDGE_LOSS), rtol=1e-5)
    assert len(list(tmp_path.glob("*-paths-*"))) == 2, "the first stage is a run of its own, trained once"
    assert not np.allclose(final(after, EDGE_LOSS), final(before, EDGE_LOSS))


def identity(setting: PathSetting):
    return identify(Experiment("tiny", measure_paths, describe_setting(setting, SEEDS), seconds=1.0))


def test_what_differs_is_another_experiment():
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


def test_experiments_keep_the_name_they_had_before_they_moved():
    assert identity(TINY)["experiment"] == "geomem.claims.path_runs.measure_paths"


def test_every_setting_of_the_groups_can_be_trained(tmp_path):
    from geomem.runs.paths import path_job

    for setting in (setting for group in (STARS, PROMPTS, PAPER_PROMPTS) for setting in group.values()):
        task = setting.task
        in_weights = isinstance(task, PathFinding)
        path_job(
            FAMILIES[setting.family](arms=setting.arms, length=setting.length) if in_weights else task,
            model=setting.model,
            task=task if in_weights else None,
            training=setting.training,
        )
        assert setting.seconds > 0


def test_the_full_claims_take_the_presets():
    for key, setting in PAPER_STARS.items():
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
    first, second = plans.experiments(scale)[0], reverse.experiments(scale)[0]
    assert first.key == second.key == "base"
    assert identify(first) == identify(second)


def test_numbers_of_a_curve():
    run = curves(imagine_curves({"x": {"shares": [0.0, 0.5, 1.0, 0.25]}}, epochs=6, runs=2), "x")
    assert final(run, "shares").tolist() == [0.25, 0.25]
    assert peak(run, "shares").tolist() == [1.0, 1.0]
    assert first_step(run, "shares", at_least=0.5).tolist() == [2.0, 2.0]
    # Never: the last epoch, so that a mean is a lower bound and no infinity.
    assert first_step(run, "shares", at_least=1.5).tolist() == [6.0, 6.0]
    # 0.25, 0.75 and 0.625 on three equal pieces.
    np.testing.assert_allclose(area(run, "shares"), [0.541667, 0.541667], rtol=1e-5)


def test_the_first_training_is_judged_and_the_others_stand_beside_it():
    evidence = imagine_curves({"x": {"shares": [0.0, 1.0]}, "y": {"shares": [0.0, 0.5]}}, epochs=6)
    runs = {key: curves(evidence, key) for key in ("x", "y")}
    judged, beside, picture = check_end(runs, "shares", "share", at_least=0.9)
    assert (judged.quantity.name, judged.quantity.mean, judged.passed) == ("share", 1.0, True)
    assert (beside.quantity.name, beside.quantity.mean, beside.passed) == ("share, y", 0.5, None)
    assert picture.table["training"].unique().sort().to_list() == ["x", "y"]
    named = draw_curves(runs, "shares", "share", {"y": "the other"})
    assert named.table.columns == ["epoch", "share", "low", "high", "training"]
    assert named.table["training"].unique().to_list() == ["the other"]


def test_rank_correlation_agrees_with_ranks():
    from scipy.stats import rankdata

    values = np.random.default_rng(0).integers(0, 4, size=(5, 20)).astype(float)
    for run, found in zip(values.T, rank_correlation(values), strict=True):
        expected = np.corrcoef(np.arange(5), rankdata(run))[0, 1] if np.ptp(run) else 0.0
        assert found == pytest.approx(expected)
    assert rank_correlation(np.ones((4, 1))).tolist() == [0.0]
