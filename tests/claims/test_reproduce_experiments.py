"""Claims that need experiments: shared, counted in the plan, failing alone, interrupted, told to people."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import small_experiments
from small_claims import request, small_claim
from small_experiments import calls, powers, powers_claim

from geomem.claims.claim import RECALL_PAPER, reach_verdict
from geomem.claims.counterexamples import imagine_arrays
from geomem.claims.experiment import Experiment, experiment_path
from geomem.claims.need import computed
from geomem.claims.reproduce import Count, Plan, WorkDone, reproduce
from geomem.models.configuration import Node2Vec
from geomem.runs.directory import locked_run

HERE = Path(__file__).parent


def check(claims, directory, **options):
    """Verdicts by id, and the events on the way."""
    events = []
    verdicts = reproduce(
        claims=claims, directory=directory, on_event=events.append, **{"processes": 1, "seeds": 2} | options
    )
    return {verdict.claim.id: verdict for verdict in verdicts}, events


def claim_of(measure, name="bad/one", key="powers", settings=None, **changes):
    wanted = Experiment(key, measure, settings or {}, seconds=1.0)
    return powers_claim(name, lambda scale: (wanted,), **changes)


def test_claims_share_experiments_and_a_second_call_measures_nothing(tmp_path):
    claims = [
        powers_claim("powers/one"),
        powers_claim("powers/again"),
        powers_claim("powers/others", lambda scale: (powers(base=2.0, seeds=scale.seeds),)),
        small_claim("ring/alike"),
    ]
    verdicts, events = check(claims, tmp_path)
    assert events[0].needed == events[0].missing == Count(fleets=1, experiments=2)
    assert events[0].seconds > 2.0
    assert calls(tmp_path) == 2
    assert [verdict.status for verdict in verdicts.values()] == [
        "reproduced",
        "reproduced",
        "not reproduced",
        "reproduced",
    ]
    assert verdicts["powers/others"].judgement.quantities[0].values.tolist() == [1.0, 2.0]
    done = [event for event in events if isinstance(event, WorkDone)]
    assert [event.done for event in done] == [1, 2, 3]
    assert done[0].total == 3
    assert done[-1].share == pytest.approx(1.0)
    assert done[-1].waiting == {}
    assert max(count.total for count in done[0].waiting.values()) == 1
    again, events = check(claims, tmp_path)
    assert isinstance(events[0], Plan)
    assert events[0].missing == Count()
    assert events[0].needed.experiments == 2
    assert calls(tmp_path) == 2
    assert [verdict.status for verdict in again.values()] == [verdict.status for verdict in verdicts.values()]


def test_a_claim_may_need_fleets_experiments_and_arrays(tmp_path):
    def checks(evidence):
        assert set(evidence.fleets) == {"ring"}
        assert set(evidence.arrays) == {"powers.power", "powers.draws", "bound"}
        return small_experiments.check_powers(evidence)

    claim = powers_claim(
        "all/of-it",
        lambda scale: (request("ring", scale, Node2Vec(width=8)), powers(seeds=scale.seeds)),
        computed(lambda scale: {"bound": np.ones(1)}),
        checks=checks,
    )
    assert check([claim], tmp_path)[0]["all/of-it"].status == "reproduced"


def test_an_experiment_that_fails_stops_only_the_claims_that_need_it(tmp_path):
    claims = [claim_of(small_experiments.fail), powers_claim("good/one"), small_claim("good/two")]
    verdicts, events = check(claims, tmp_path)
    assert verdicts["bad/one"].status == "not run"
    assert verdicts["bad/one"].sentence == "It failed with RuntimeError: the training went up in smoke."
    assert {verdicts[name].status for name in ("good/one", "good/two")} == {"reproduced"}
    assert [bool(event.error) for event in events if isinstance(event, WorkDone)].count(True) == 1


def test_whoever_finds_an_experiment_locked_waits(tmp_path):
    with locked_run(experiment_path(powers(), tmp_path)):
        answers = []
        waiting = threading.Thread(target=lambda: answers.append(check([powers_claim("a/b")], tmp_path)))
        waiting.start()
        time.sleep(0.3)
        assert not answers
        assert not calls(tmp_path)
    waiting.join(timeout=60)
    assert answers[0][0]["a/b"].status == "reproduced"
    assert calls(tmp_path) == 1


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        (lambda scale: 2 * (powers(),), "two fleets or experiments have the key powers"),
        (lambda scale: (powers(measure=small_experiments.no_version),), "lacks @experiment"),
        (lambda scale: (powers(seconds=0.0),), r"says that it takes 0\.0 s"),
        (lambda scale: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_an_experiment_that_cannot_be_meant_is_said_in_a_sentence(tmp_path, wanted, sentence):
    verdicts, events = check([powers_claim("bad/one", wanted), powers_claim("good/one")], tmp_path)
    assert verdicts["bad/one"].status == "not run"
    assert sentence.replace("\\", "") in verdicts["bad/one"].sentence
    assert verdicts["good/one"].status == "reproduced"
    assert events[0].needed == Count(experiments=1)


def test_processes_have_one_thread_each_and_wait_for_a_run_in_common(tmp_path):
    common = small_experiments.keep_a_run
    claims = [
        claim_of(small_experiments.count_threads, "a/threads", key="threads", checks=check_threads),
        claim_of(common, "a/run", key="run", checks=check_kept, settings={"seconds": 0.6, "number": 1}),
        claim_of(common, "a/run-again", key="run", checks=check_kept, settings={"seconds": 0.6, "number": 2}),
        claim_of(small_experiments.fail),
    ]
    verdicts, _ = check(claims, tmp_path, processes=2)
    bad = verdicts.pop("bad/one")
    assert bad.sentence == "It failed with RuntimeError: the training went up in smoke."
    assert {verdict.status for verdict in verdicts.values()} == {"reproduced"}


def check_threads(evidence):
    return judged(evidence.arrays["threads.threads"])


def check_kept(evidence):
    return judged(evidence.arrays["run.kept"])


def judged(values):
    return small_experiments.check_powers(imagine_arrays({"powers": {"power": values.astype(float)}}))


def test_the_estimate_counts_experiments_and_the_longest_comes_first(tmp_path):
    claims = [
        powers_claim("a/short", lambda scale: (powers(base=1.0, seconds=1.0),)),
        powers_claim("a/long", lambda scale: (powers(base=2.0, seconds=100.0),)),
    ]
    _, events = check(claims, tmp_path)
    assert events[0].seconds == pytest.approx(101.0)
    paths = [event.path for event in events if isinstance(event, WorkDone)]
    assert paths[0] == experiment_path(powers(base=2.0), tmp_path)
    assert [round(event.share, 2) for event in events if isinstance(event, WorkDone)] == [0.99, 1.0]
    _, events = check(claims, tmp_path / "again", processes=2)
    assert events[0].seconds == pytest.approx(100.0)


def test_wrong_arrays_change_the_verdict():
    claim = powers_claim("powers/one")
    evidence = claim.counterexample(())
    assert set(evidence.arrays) == {"powers.power"}
    assert not reach_verdict(claim, claim.judge(evidence)).as_expected


# What a person sees.


def test_lines_say_fleets_and_experiments(tmp_path, capsys, monkeypatch):
    import geomem.claims.catalogue as catalogue
    from geomem.cli import main

    monkeypatch.chdir(tmp_path)
    claims = [small_claim("ring/alike"), powers_claim("recall/one", paper=RECALL_PAPER)]
    monkeypatch.setattr(catalogue, "CLAIMS", {claim.id: claim for claim in claims})
    command = ["reproduce", "--processes", "1", "--seeds", "2"]
    assert main(command) == 0
    printed = capsys.readouterr()
    assert "2 claims; 2 runs to train in 1 fleet and 1 experiment; about" in printed.err
    assert "2 of 2 fleets and experiments done" in printed.err
    lines = printed.out.splitlines()
    heads = [
        number for number, line in enumerate(lines) if line.rstrip() in ("arXiv 2510.26745", RECALL_PAPER)
    ]
    assert lines[heads[0] + 1].strip() == "ring"
    assert lines[heads[1] + 1].strip() == "recall"
    assert lines[-4:-1] == [
        "arXiv 2510.26745: 1 reproduced",
        "arXiv 2605.12426: 1 reproduced",
        "2 reproduced",
    ]
    page = Path("reproduce.html").read_text()
    assert page.count("Geometric Factual Recall in Transformers") == 2
    assert page.index("Neighbours") < page.rindex("Geometric Factual Recall in Transformers")
    assert main([*command, "recall*"]) == 0
    printed = capsys.readouterr()
    assert "1 claim; 1 experiment is kept already" in printed.err
    assert RECALL_PAPER not in printed.out  # a single paper needs no heading
    assert "Deep sequence models" not in Path("reproduce.html").read_text()


@pytest.mark.skipif(os.name != "posix", reason="signals of terminals")
def test_ctrl_c_ends_with_130_and_the_same_command_goes_on(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent(
            f"""
            import sys
            sys.path.insert(0, {str(HERE)!r})
            from small_experiments import powers, powers_claim, sleep
            import geomem.claims.catalogue as catalogue
            from geomem.cli import main

            def claim(name, number):
                long = powers(measure=sleep, settings={{"seconds": 60, "number": number}}, seconds=60.0)
                return powers_claim(name, lambda scale: (long,))

            if __name__ == "__main__":
                claims = [claim("long/one", 1), claim("long/two", 2)]
                catalogue.CLAIMS = {{claim.id: claim for claim in claims}}
                sys.exit(main(["reproduce", "--processes", "2"]))
            """
        )
    )
    process = subprocess.Popen(
        [sys.executable, str(program)],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while calls(tmp_path / "runs") < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    last = error.strip().splitlines()[-1]
    assert last == "geomem: interrupted; 0 of 2 experiments are kept, and the same command goes on", error
    assert "Traceback" not in error
    assert not list(tmp_path.glob("runs/sleep-*/*"))
