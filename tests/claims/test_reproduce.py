"""The machinery of claims: shared fleets, isolated failures, resuming, statuses, exit status, page, JSON."""

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from small_claims import arrays_claim, associative_claim, killer_world, request, small_claim
from small_experiments import powers, powers_claim

import geomem.claims.catalogue as catalogue
from geomem.claims.check import Judgement, check, measure_quantity
from geomem.claims.claim import Verdict, reach_verdict
from geomem.claims.experiment import Experiment
from geomem.claims.memorize_geometrically.path_settings import BASE, describe_setting, measure_paths
from geomem.claims.need import FleetRequest, Scale, computed
from geomem.claims.reproduce import Count, Plan, WorkDone, order_works, perform_task, reproduce, time_works
from geomem.cli import main
from geomem.cli.verdicts import describe_large
from geomem.errors import InputError
from geomem.models.configuration import Node2Vec
from geomem.runs.pace import Pace
from geomem.sweep.engines import Processes, Work
from geomem.sweep.engines.work import describe_loss, do_work
from geomem.training.configuration import Training, step_count

HERE = Path(__file__).parent
SCALE = Scale("quick", (0, 1))


def run(claims, directory, patterns=(), **options):
    """Verdicts by id, and the events on the way; in one process unless a test wants more."""
    events = []
    verdicts = reproduce(
        patterns,
        claims=claims,
        directory=directory,
        on_event=events.append,
        **{"processes": 1, "seeds": 2} | options,
    )
    return {verdict.claim.id: verdict for verdict in verdicts}, events


def test_claims_share_fleets_and_a_second_call_trains_nothing(tmp_path):
    claims = [
        small_claim("ring/alike"),
        small_claim("ring/alike-again", lambda scale: (request("ring", scale, Node2Vec(width=8)),)),
        associative_claim("ring/other"),
    ]
    verdicts, events = run(claims, tmp_path)
    assert next(event for event in events if isinstance(event, Plan)).missing == Count(fleets=2)
    assert len(list(tmp_path.glob("*/DONE"))) == 2
    assert [verdicts[claim.id].status for claim in claims] == ["reproduced", "reproduced", "not reproduced"]
    first = verdicts["ring/alike"].judgement.quantities[0]
    assert first.values.shape == (2,)
    assert first.low <= first.mean <= first.high
    again, events = run(claims, tmp_path)
    assert isinstance(events[0], Plan)
    assert events[0].missing == Count()
    assert not [event for event in events if isinstance(event, WorkDone)]
    np.testing.assert_array_equal(again["ring/alike"].judgement.quantities[0].values, first.values)


def test_several_processes_give_the_same_verdicts_as_one(tmp_path):
    claims = [small_claim("ring/alike"), associative_claim("ring/other")]
    alone, _ = run(claims, tmp_path / "alone")
    together, events = run(claims, tmp_path / "together", processes=2)
    assert [event.done for event in events if isinstance(event, WorkDone)] == [1, 2]
    assert events[-2].share == pytest.approx(1.0) or isinstance(events[-2], WorkDone)
    for name in alone:
        assert alone[name].status == together[name].status
        np.testing.assert_array_equal(
            alone[name].judgement.quantities[0].values, together[name].judgement.quantities[0].values
        )


def fail(*arguments):
    raise RuntimeError("the ceiling\nfell down.")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"checks": fail}, r"^It failed with RuntimeError: the ceiling fell down\.$"),
        ({"needs": (fail,)}, r"^It failed with RuntimeError"),
        ({"needs": (computed(fail),)}, r"^It failed with RuntimeError"),
        (
            {"needs": (lambda scale: (request("ring", scale, Node2Vec(width=0)),),)},
            r"^width is 0; give a whole number of at least 1\.$",
        ),
        (
            {"needs": (lambda scale: 2 * (request("ring", scale, Node2Vec(width=8)),),)},
            r"two fleets or experiments have the key ring",
        ),
    ],
)
def test_a_claim_that_breaks_is_not_run_and_the_others_are(tmp_path, changes, sentence):
    verdicts, events = run([small_claim("bad/one", **changes), small_claim("good/one")], tmp_path)
    assert verdicts["bad/one"].status == "not run"
    assert verdicts["bad/one"].judgement is None
    assert re.search(sentence, verdicts["bad/one"].sentence)
    assert "\n" not in verdicts["bad/one"].sentence
    assert verdicts["good/one"].status == "reproduced"
    assert len([event for event in events if isinstance(event, Verdict)]) == 2


@pytest.mark.parametrize("processes", [1, 2])
def test_a_fleet_that_fails_stops_only_the_claims_that_need_it(tmp_path, processes):
    ring = request("ring", SCALE, Node2Vec(width=8))
    blocked = tmp_path / plan_of(ring, tmp_path).path(tmp_path).name
    blocked.write_text("a file where the run directory should be")
    claims = [small_claim("bad/one"), associative_claim("good/one")]
    verdicts, events = run(claims, tmp_path, processes=processes)
    assert verdicts["bad/one"].status == "not run"
    assert str(blocked) in verdicts["bad/one"].sentence
    assert verdicts["good/one"].status != "not run"
    assert [bool(event.error) for event in events if isinstance(event, WorkDone)].count(True) == 1


def test_a_process_that_is_killed_takes_no_other_claim_with_it(tmp_path):
    world = killer_world()
    deadly = small_claim(
        "bad/one",
        lambda scale: (FleetRequest("ring", world, Node2Vec(width=8), Training(steps=5), scale.seeds),),
    )
    verdicts, _ = run([deadly, small_claim("good/one"), associative_claim("good/two")], tmp_path, processes=2)
    assert verdicts["bad/one"].status == "not run"
    assert "was killed" in verdicts["bad/one"].sentence
    assert verdicts["good/one"].status == "reproduced"
    assert verdicts["good/two"].status == "not reproduced"


@dataclass(frozen=True)
class HalfDeadly:
    """An engine that loses the first work and does the others."""

    @contextmanager
    def connected(self, device):
        yield 3

    def run(self, works):
        yield describe_loss(works[0])
        yield from map(do_work, works[1:])


def test_any_engine_does_the_work_of_claims(tmp_path):
    claims = [small_claim("ring/alike"), associative_claim("ring/other")]
    verdicts, events = run(claims, tmp_path, processes=None, engine=HalfDeadly())
    assert events[0].processes == 2
    assert sorted(verdict.status for verdict in verdicts.values()) == ["not reproduced", "not run"]
    again, _ = run(claims, tmp_path, processes=None, engine=Processes(1))
    assert "not run" not in {verdict.status for verdict in again.values()}
    with pytest.raises(InputError, match=r"^processes is 1, and an engine is given as well; give one"):
        run(claims, tmp_path, engine=HalfDeadly())


@pytest.mark.parametrize("name", ["metrics.parquet", "weights.safetensors", "manifest.json", "DONE"])
def test_a_damaged_run_directory_is_said_in_a_sentence(tmp_path, name):
    claims = [small_claim("bad/one"), associative_claim("good/one")]
    run(claims, tmp_path)
    path = plan_of(request("ring", SCALE, Node2Vec(width=8)), tmp_path).path(tmp_path)
    content = (path / name).read_bytes()
    (path / name).write_bytes(content[: len(content) // 2])
    verdicts, _ = run(claims, tmp_path)
    assert verdicts["bad/one"].status == "not run"
    assert re.search(rf"{name} is damaged .*; delete the directory", verdicts["bad/one"].sentence)
    assert verdicts["good/one"].status == "not reproduced"


def test_an_interrupted_call_goes_on(tmp_path):
    claims = [small_claim("ring/alike"), associative_claim("ring/other")]

    def interrupt(event):
        if isinstance(event, WorkDone):
            raise KeyboardInterrupt

    with pytest.raises(
        KeyboardInterrupt, match=r"^interrupted; 1 of 2 fleets are kept, and the same command"
    ):
        reproduce(claims=claims, directory=tmp_path, seeds=2, processes=1, on_event=interrupt)
    verdicts, events = run(claims, tmp_path)
    assert isinstance(events[0], Plan)
    assert (events[0].needed.fleets, events[0].missing.fleets) == (2, 1)
    assert "not run" not in {verdict.status for verdict in verdicts.values()}


def test_unknown_patterns_name_the_nearest(tmp_path):
    claims = [small_claim("geometry/early-peak", aliases=("T6",)), small_claim("zigzag/bilinear")]
    with pytest.raises(InputError, match=r"^No claim matches 'zig-zag'; did you mean zigzag\?$"):
        run(claims, tmp_path, ["zig-zag"])
    with pytest.raises(InputError, match=r"--list` lists them\.$"):
        run(claims, tmp_path, ["qqqq"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("t6", ["geometry/early-peak"]),
        ("geometry", ["geometry/early-peak", "geometry/decay"]),
        ("geometry/*", ["geometry/early-peak", "geometry/decay"]),
        ("zig*", ["zigzag/bilinear"]),
        ("early-peak", ["geometry/early-peak"]),
        ("T*", ["geometry/early-peak", "zigzag/bilinear"]),
        ("small-graphs", ["geometry/early-peak", "geometry/decay", "zigzag/bilinear"]),
    ],
)
def test_patterns_are_ids_groups_aliases_and_globs(pattern, found):
    claims = [
        small_claim("geometry/early-peak", aliases=("T6",)),
        small_claim("geometry/decay"),
        small_claim("zigzag/bilinear", aliases=("T9",)),
        small_claim("paths/headline"),
    ]
    assert [claim.id for claim in catalogue.find_claims([pattern], claims)] == found


def test_small_graphs_are_every_claim_but_path_finding_and_the_second_paper():
    found = {claim.group for claim in catalogue.find_claims([catalogue.SMALL_GRAPHS])}
    others = {claim.group for claim in catalogue.find_claims([])} - found
    assert len(catalogue.find_claims([catalogue.SMALL_GRAPHS])) == 81
    assert all(group.startswith(("paths", "in-context", "recall")) for group in others)


def test_two_claims_of_one_name_are_refused():
    with pytest.raises(ValueError, match="two claims are called T6"):
        catalogue.collect_claims(
            [[small_claim("a/b", aliases=("T6",))], [small_claim("c/d", aliases=("T6",))]]
        )


def test_full_claims_are_left_out_of_quick(tmp_path):
    claims = [arrays_claim("small/one"), arrays_claim("large/one", cost="full")]
    assert list(run(claims, tmp_path)[0]) == ["small/one"]
    assert list(run(claims, tmp_path, scale="full")[0]) == ["small/one", "large/one"]
    with pytest.raises(InputError, match=r"^large/one cannot run with --quick; give --full"):
        run(claims, tmp_path, ["large*"])


@pytest.mark.parametrize(
    ("outcome", "deviation", "status"),
    [
        ("holds", "", "reproduced"),
        ("fails", "", "not reproduced"),
        ("deviates", "", "not reproduced"),
        ("deviates", "it stays above zero", "deviates as documented"),
        ("holds", "it stays above zero", "not reproduced"),
        ("fails", "it stays above zero", "not reproduced"),
    ],
)
def test_only_what_was_expected_counts(outcome, deviation, status):
    quantity = measure_quantity("level", np.array([0.5, 0.6]))
    verdict = reach_verdict(arrays_claim("a/b", deviation=deviation), Judgement(outcome, "So.", (quantity,)))
    assert verdict.status == status
    assert verdict.as_expected == (status in ("reproduced", "deviates as documented"))


def test_a_value_that_is_no_number_reproduces_nothing():
    quantity = measure_quantity("level", np.array([0.5, np.nan]))
    verdict = reach_verdict(arrays_claim("a/b"), Judgement("holds", "So.", (quantity,)))
    assert verdict.status == "not reproduced"
    assert "NaN or infinite" in verdict.sentence


# The command line.


def test_verdicts_are_a_table_in_markdown(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert geomem(monkeypatch, [arrays_claim("theory/error", aliases=("E|1",))], "--markdown") == 0
    head, rule, row, page = capsys.readouterr().out.splitlines()
    assert head == "| claim | rule | what came out | verdict |"
    assert rule == "| --- | --- | --- | --- |"
    assert row == (
        "| `theory/error` (E&#124;1) | Error below 1e-06 everywhere. | Error: 1e-09; below 1e-06: yes. "
        "| reproduced |"
    )
    assert page == "reproduce.html"


def geomem(monkeypatch, claims, *arguments):
    monkeypatch.setattr(catalogue, "CLAIMS", {claim.id: claim for claim in claims})
    return main(["reproduce", "--processes", "1", "--seeds", "2", *map(str, arguments)])


class Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.elements, self.text = [], []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text.append(data)


def test_command_writes_table_page_and_json(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    claims = [
        small_claim("ring/alike", aliases=("T1",)),
        arrays_claim("theory/error"),
        arrays_claim("theory/broken", needs=(computed(fail),)),
    ]
    assert geomem(monkeypatch, claims, "ring", "theory/error", "--json", "out/all.json") == 0
    printed = capsys.readouterr()
    assert "2 claims; 2 runs to train in 1 fleet; about" in printed.err
    assert "ring/alike: reproduced. Final level, ring: 0." in printed.err
    assert printed.out.splitlines()[-2:] == ["2 reproduced", "reproduce.html"]
    assert re.search(r"alike +reproduced +\d\.\d{3} \[\d\.\d{3}, \d\.\d{3}\], 2", printed.out)
    assert "measurement)" in printed.out
    content = json.loads(Path("out/all.json").read_text())
    first = content["claims"][0]
    assert (first["id"], first["status"], first["quantities"][0]["seeds"]) == ("ring/alike", "reproduced", 2)
    assert first["expected"][0]["source"] == "own measurement"
    assert content["claims"][1]["quantities"][0]["low"] is None
    page = Path("reproduce.html").read_text()
    reader = Reader()
    reader.feed(page)
    text = " ".join(" ".join(reader.text).split())
    assert "2 claims, all as expected" in text
    assert "Neighbours <b>become</b> alike & stay so." in text  # escaped, so it is text
    tags = [tag for tag, _ in reader.elements]
    assert "blockquote" in tags
    assert "mathdefault" not in page  # ticks are plain numbers
    assert tags.count("svg") >= 4
    for tag, attributes in reader.elements:
        for name in ("src", "href", "xlink:href", "action", "data"):
            value = attributes.get(name) or "#"
            assert value.startswith(("#", "data:")), (tag, value)
    identifiers = [attributes["id"] for _, attributes in reader.elements if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    assert geomem(monkeypatch, claims, "ring") == 0
    assert "1 claim; 1 fleet is kept already" in capsys.readouterr().err
    assert geomem(monkeypatch, claims) == 1
    assert "It failed with RuntimeError" in capsys.readouterr().out


def test_exit_status_is_1_if_a_claim_does_not_come_out_as_expected(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    wrong = arrays_claim("a/wrong", error=1.0)
    assert geomem(monkeypatch, [wrong, arrays_claim("a/right")]) == 1
    out = capsys.readouterr().out
    assert "a/wrong, not reproduced:" in out
    assert "1 reproduced, 1 not reproduced" in out
    documented = arrays_claim(
        "a/over-claimed",
        deviation="the error is seven",
        checks=lambda runs: iter([check("error", 7.0, at_least=7)]),
    )
    assert geomem(monkeypatch, [documented]) == 0
    assert "deviates as documented" in capsys.readouterr().out


def test_list_prints_a_line_per_claim_and_trains_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    claims = [small_claim("ring/alike", aliases=("T1",)), small_claim("ring/large", cost="full")]
    assert geomem(monkeypatch, claims, "--list") == 0
    assert capsys.readouterr().out.splitlines() == [
        "ring/alike T1  Title of ring/alike",
        "ring/large  Title of ring/large (--full)",
    ]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["zig"], "geomem: No claim matches 'zig'; `geomem reproduce --list` lists them."),
        (["--quick", "--full"], "geomem: Give --quick or --full, not both."),
        (["--seeds", "0"], "geomem: seeds is 0; give a count of at least 1"),
        (["--processes", "0"], "geomem: processes is 0; give a whole number of at least 1."),
        (["--out", "."], "geomem: . is a directory; give the name of a file."),
        (["--directory", "file"], "geomem: file is a file; give --directory a place"),
        (["--stepz"], "geomem: unrecognized"),
    ],
)
def test_mistakes_are_one_sentence_and_status_2(tmp_path, monkeypatch, capsys, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    assert geomem(monkeypatch, [arrays_claim("a/b")], *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith(sentence)
    assert error.count("\n") == 1


@pytest.mark.skipif(os.name != "posix", reason="signals of terminals")
@pytest.mark.parametrize("processes", [1, 2])
def test_ctrl_c_ends_with_130_and_the_same_command_goes_on(tmp_path, processes):
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent(
            f"""
            import sys
            sys.path.insert(0, {str(HERE)!r})
            from small_claims import Associative, Node2Vec, request, small_claim
            import geomem.claims.catalogue as catalogue
            from geomem.cli import main

            def claim(name, model, steps):
                return small_claim(name, lambda scale: (request("ring", scale, model, steps=steps),))

            if __name__ == "__main__":
                claims = [
                    claim("long/one", Node2Vec(width=8), int(sys.argv[1])),
                    claim("long/two", Node2Vec(width=9), int(sys.argv[1])),
                    claim("short/one", Associative(width=9), 5),
                ]
                catalogue.CLAIMS = {{claim.id: claim for claim in claims}}
                sys.exit(main(["reproduce", "--processes", "{processes}", "--seeds", "1", "--hours", "1000"]))
            """
        )
    )
    command = [sys.executable, str(program), "10000000"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("runs/*/manifest.json")) and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(1)  # into the training
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process of the group
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    last = error.strip().splitlines()[-1]
    assert re.fullmatch(
        r"geomem: interrupted; \d of 3 fleets are kept, and the same command goes on", last
    ), error
    assert "Traceback" not in error


def plan_of(fleet, directory):
    from geomem.runs.edges import edge_job

    return edge_job(
        fleet.world, model=fleet.model, task=fleet.task, training=fleet.training, seeds=fleet.seeds
    )


# What is done in how many hours.


def dear_claim(name, *worlds, **changes):
    """A claim of cost `full` that waits for experiments which say that they take so many seconds."""
    needs = (lambda scale: tuple(powers(f"of-{took:g}", base=took, seconds=took) for took in worlds),)
    return powers_claim(name, *needs, checks=check_ones, cost="full", **changes)


def check_ones(runs):
    yield check("draws", [array.all() for name, array in runs.arrays.items() if "draws" in name], at_least=1)


def test_full_claims_come_in_order_of_cost_and_say_it_before(tmp_path):
    claims = [dear_claim("a/dear", 5000.0), dear_claim("b/cheap", 60.0), dear_claim("c/both", 60.0, 900.0)]
    verdicts, events = run(claims, tmp_path, scale="full", hours=2.0)
    plan = events[0]
    assert plan.claim_seconds == {"a/dear": 5000.0, "b/cheap": 60.0, "c/both": 960.0}
    assert describe_large(plan) == ["b/cheap: about 1:00", "c/both: about 16:00", "a/dear: about 1:23:20"]
    settled = [event.claim.id for event in events if isinstance(event, Verdict)]
    assert settled == ["b/cheap", "c/both", "a/dear"]
    assert {verdict.status for verdict in verdicts.values()} == {"reproduced"}


def test_what_does_not_fit_into_the_hours_is_not_run_and_goes_on_later(tmp_path):
    claims = [dear_claim("a/dear", 90_000.0), dear_claim("b/second", 3000.0), dear_claim("c/first", 2900.0)]
    verdicts, events = run(claims, tmp_path, scale="full", hours=1.0)
    assert (events[0].missing, events[0].needed) == (Count(experiments=1), Count(experiments=1))
    assert events[0].seconds == 2900.0
    assert verdicts["c/first"].status == "reproduced"
    assert verdicts["a/dear"].sentence == (
        "Its work would take about 25.0 hours, and 1 are allowed in all; give --hours 32."
    )
    assert verdicts["b/second"].sentence == (
        "Its work would take about 0.8 hours, and 1 are allowed in all; cheaper claims come first, and the "
        "same command again goes on."
    )
    again, _ = run(claims, tmp_path, scale="full", hours=1.0)
    assert [verdict.status for verdict in again.values()] == ["not run", "reproduced", "reproduced"]


def test_hours_in_which_no_claim_can_be_settled_are_refused(tmp_path):
    claims = [dear_claim("a/dear", 90_000.0), dear_claim("b/dearer", 99_000.0)]
    with pytest.raises(InputError, match=r"^This would take about 25 hours and 2 are allowed; give --hours"):
        run(claims, tmp_path, scale="full", hours=2.0)
    assert not list(tmp_path.iterdir())


def test_several_processes_share_the_hours_but_not_the_longest_work():
    works = {"together": {Path("a"): 3000.0, Path("b"): 3000.0}, "long": {Path("c"): 4000.0}}
    assert order_works(works, 2, hours=1.0) == ([Path("a"), Path("b")], {"long"})
    assert order_works(works, 1, hours=1.0) == ([], {"together", "long"})
    assert order_works(works, 1, hours=1.2) == ([Path("c")], {"together"})


def test_on_a_card_long_experiments_are_timed_by_their_first_steps(monkeypatch, tmp_path):
    timed = []

    def measure_pace(train, training, *, device):
        timed.append((training, device))
        return Pace(once=1.0, step=0.5, row=0.0)

    monkeypatch.setattr("geomem.runs.pace.measure_pace", measure_pace)
    setting = replace(BASE, arms=20, seconds=5e5)
    settings = describe_setting(setting, (0,))
    wanted = Experiment("long", measure_paths, settings, seconds=5e5)
    staged = Experiment("staged", measure_paths, settings | {"start": settings}, seconds=5e5)
    short = Experiment("short", measure_paths, settings, seconds=30.0)
    works = {
        Path(each.key): Work(Path(each.key), each, perform_task, each.seconds)
        for each in (wanted, staged, short)
    }
    found = time_works(works, "cuda")
    assert timed == [(setting.training, "cuda")]
    assert found[Path("long")].seconds == pytest.approx(1 + 0.5 * step_count(setting.training))
    assert [found[Path(key)].seconds for key in ("staged", "short")] == [5e5, 30.0]
    assert time_works(works, "cpu")[Path("long")].seconds == 5e5
