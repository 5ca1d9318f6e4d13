"""Engines of clusters, without a cluster: what is refused, by whom, and how works are dealt to jobs.

Real clusters are made and hurt in tests/cluster.
"""

import socket
from pathlib import Path

import pytest

from geomem.cli import main
from geomem.errors import InputError
from geomem.sweep.engines import Dask, Ray, Slurm, Work, remote, slurm
from geomem.sweep.engines.remote import do_sent, sent
from geomem.version import find_version


def work(path, seconds=1.0):
    return Work(path, path, Path.touch, seconds=seconds)


def test_a_worker_refuses_another_version_and_a_directory_that_it_does_not_see(tmp_path):
    here = work(tmp_path / "a")
    assert do_sent(*sent(here)).status == "done"
    assert (tmp_path / "a").exists()
    other = do_sent(here, "0.0.9", str(tmp_path))
    assert other.status == "refused"
    assert f"has geomem {find_version()}, this command 0.0.9; install the same version" in other.error
    unseen = do_sent(work(tmp_path / "no" / "a"), find_version(), str(tmp_path / "no"))
    assert unseen.status == "refused"
    assert f"sees no directory {tmp_path / 'no'}; give --directory a place on a disk" in unseen.error


@pytest.mark.parametrize("engine", [Ray, Dask])
def test_an_address_that_does_not_answer_is_refused_at_once(engine, monkeypatch):
    monkeypatch.setattr(remote, "CONNECT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(InputError, match=rf"^No (Ray|Dask) .* answers at {address} \(timed out\);"):
            engine(address).connected("cpu").__enter__()
    with pytest.raises(InputError, match=r"\(Connection refused\); start one, or correct the address\.$"):
        engine(address).connected("cpu").__enter__()
    with pytest.raises(InputError, match=r"^The address '10\.0\.0\.1' is not HOST:PORT; write "):
        engine("10.0.0.1").connected("cpu").__enter__()


def test_what_speaks_something_else_than_ray_is_refused(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setattr(socket.socket, "recv", lambda *_: b"HTTP/1.1 400 Bad Request")
        with pytest.raises(InputError, match="what listens there speaks something else"):
            Ray(address).connected("cpu").__enter__()


def test_what_is_not_installed_is_said():
    with pytest.raises(InputError, match=r"^The engine ray needs what is not .*geomem\[ray\]\.$"):
        remote.import_engine("no_such_module", "ray")


@pytest.mark.parametrize("name", ["job_minutes", "jobs"])
def test_slurm_is_looked_for_and_its_numbers_are_checked(name, monkeypatch):
    monkeypatch.setattr(slurm, "import_engine", lambda *_: None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match=rf"^{name} is 0; give a whole number of at least 1"):
        Slurm(**{name: 0}).connected("cpu").__enter__()
    with pytest.raises(InputError, match=r"^There is no sbatch here; run this on a login node"):
        Slurm().connected("cpu").__enter__()


def test_works_are_dealt_to_jobs_that_end_together_and_in_time():
    works = [work(Path(str(number)), seconds=60.0) for number in range(100)]
    assert [len(job) for job in slurm.deal_works(works, 4, 3600.0)] == [25] * 4
    assert [len(job) for job in slurm.deal_works(works, 4, 300.0)] == [5] * 20
    assert len(slurm.deal_works(works, 500, 3600.0)) == 100
    many = [work(Path(str(number)), seconds=1.0) for number in range(slurm.ARRAY_JOBS + 1)]
    assert len(slurm.deal_works(many, 5000, 1.0)) == slurm.ARRAY_JOBS


class Job:
    """A job of an array that does so many works and then is ended, or refuses the first."""

    def __init__(self, chunk, ends_after, refuses):
        self.said = []
        for number, each in enumerate(chunk):
            if refuses:
                self.said.append(do_sent(each[0], "0.0.9", each[2]))
                return
            if number == ends_after or each[0].path.name == "deadly":
                self.said = None
                return
            self.said.append(do_sent(*each))

    def done(self):
        return True

    def cancel(self, check):
        pytest.fail("a job that ended was cancelled")


def hand_out(monkeypatch, *, refuses=False):
    """Let jobs be done here; the first one is ended after its first work."""
    chunks = []

    def submit(engine, works, folder):
        jobs = {}
        for chunk in filter(None, works):
            chunks.append([each.path.name for each in chunk])
            ends_after = 1 if len(chunks) == 1 else len(chunk)
            jobs[Job([sent(each) for each in chunk], ends_after, refuses)] = chunk
        return jobs

    monkeypatch.setattr(slurm.Slurm, "_submit", submit)
    monkeypatch.setattr(slurm, "_outcomes", lambda job, chunk: job.said or [])
    monkeypatch.setattr(slurm, "POLL_SECONDS", 0.0)
    return chunks


def test_what_a_job_had_in_hand_when_it_ended_gets_a_job_of_its_own(tmp_path, monkeypatch):
    chunks = hand_out(monkeypatch)
    works = [work(tmp_path / name) for name in ("a", "b", "deadly", "c")]
    outcomes = {each.path.name: each.status for each in Slurm(jobs=1).run(works)}
    assert outcomes == {"a": "done", "b": "done", "c": "done", "deadly": "lost"}
    assert chunks[:3] == [["a", "b", "deadly", "c"], ["b"], ["deadly", "c"]]
    assert chunks[3:] == [["deadly"], ["c"], ["deadly"], ["deadly"]]


def test_a_job_that_refuses_does_no_more(tmp_path, monkeypatch):
    chunks = hand_out(monkeypatch, refuses=True)
    outcomes = Slurm(jobs=1).run([work(tmp_path / name) for name in "ab"])
    assert next(outcomes).status == "refused"
    outcomes.close()
    assert chunks == [["a", "b"]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--engine", "ray"], "The engine ray needs the cluster's --address."),
        (["--engine", "rey"], "invalid"),
        (["--address", "a:1"], "--address is about --engine ray or dask, not processes; leave it out."),
        (["--engine", "dask", "--address", "a:1", "--jobs", "3"], "--jobs is about --engine slurm, not dask"),
        (["--engine", "ray", "--address", "a"], "The address 'a' is not HOST:PORT; write 10.0.0.1:6379"),
        (["--engine", "slurm", "--processes", "2"], "processes is 2, and an engine is given as well"),
    ],
)
@pytest.mark.parametrize(
    "command",
    [
        ["sweep", "cycle", "--over", "width=4,5"],
        ["capacity", "--subjects", "4", "--relations", "2"],
        ["reproduce", "zigzag"],
    ],
    ids=lambda command: command[0],
)
def test_engines_are_chosen_by_every_command_alike(command, options, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([*command, *options]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
