"""Real clusters on this machine: workers, a node and the command are killed, and the table is the same.

`make test-cluster` runs this, under a minute, with what the extras ray, dask and slurm install.
"""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from driver import read_log, train_fleets

from geomem.errors import InputError
from geomem.sweep.engines import Dask, Processes, Ray, Slurm, remote

HERE = Path(__file__).parent
RAY_FLEETS, FLEETS = 40, 10
PATIENCE = 120.0

pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="session", autouse=True)
def environment():
    """Workers find geomem where this process does, and what they do here; one thread each."""
    paths = [str(HERE), *sys.path]
    os.environ |= {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """The fleets as one process keeps them, by their names."""
    found = train_fleets(Processes(1), tmp_path_factory.mktemp("whole") / "sweep", RAY_FLEETS, pace=0.0)
    return fleets_in(found.path.parent)


def fleets_in(directory):
    return {path.name: path.read_bytes() for path in directory.glob("*/fleet-*.parquet")}


@contextmanager
def started(address, directory):
    """The sweep by Ray as a command of its own."""
    command = [sys.executable, str(HERE / "driver.py"), address, str(directory), str(RAY_FLEETS)]
    process = subprocess.Popen(command, start_new_session=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for(directory, count, process):
    """Until so many fleets are finished."""
    deadline = time.monotonic() + PATIENCE
    while len(fleets_in(directory)) < count:
        assert process.poll() is None, "the command ended too early"
        assert time.monotonic() < deadline, f"{len(fleets_in(directory))} of {count} fleets after two minutes"
        time.sleep(0.02)


def kill_a_worker(directory):
    """End a process that has a fleet in hand."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        last = {process: (word, width) for word, width, process in read_log(directory)}
        for process, (word, width) in last.items():
            if word == "begin":
                try:
                    os.kill(process, signal.SIGKILL)
                except ProcessLookupError:
                    continue
                if ("end", width, process) not in read_log(directory):
                    return
        time.sleep(0.01)
    pytest.fail("no worker had a fleet in hand for two minutes")


def check_nothing_done_twice(directory, fleets, *, ended):
    """Every fleet was begun once, or again where its worker was ended, and never after its end."""
    log = read_log(directory)
    begun = Counter(width for word, width, _ in log if word == "begin")
    assert len(begun) == fleets
    assert begun.total() - fleets <= ended, begun
    done = set()
    for word, width, _ in log:
        assert width not in done, f"the fleet of width {width} was begun after it had ended"
        if word == "end":
            done.add(width)
    assert len(done) == fleets


def test_ray_with_a_worker_a_node_and_the_command_killed(tmp_path, whole):
    from ray.cluster_utils import Cluster

    directory = tmp_path / "sweep"
    small = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args=small | {"include_dashboard": False})
    try:
        node = cluster.add_node(**small)
        with started(cluster.address, directory) as process:
            wait_for(directory, 6, process)
            kill_a_worker(directory)
            wait_for(directory, 14, process)
            cluster.remove_node(node, allow_graceful=False)
            wait_for(directory, 20, process)
        kept = fleets_in(directory)
        assert len(kept) < RAY_FLEETS
        found = train_fleets(Ray(cluster.address), directory, RAY_FLEETS)
    finally:
        cluster.shutdown()
    assert fleets_in(directory) == whole
    assert len(found.table) == 4 * RAY_FLEETS
    # A worker, two on the node or waiting for it, two of the command.
    check_nothing_done_twice(directory, RAY_FLEETS, ended=5)


def test_dask_with_a_worker_killed_and_one_of_another_version(tmp_path, whole, monkeypatch):
    from distributed import LocalCluster

    directory = tmp_path / "sweep"
    settings = {"threads_per_worker": 1, "dashboard_address": None, "silence_logs": 50}
    with LocalCluster(n_workers=2, **settings) as cluster:
        engine = Dask(cluster.scheduler_address)
        with ThreadPoolExecutor(1) as pool:
            found = pool.submit(train_fleets, engine, directory, FLEETS)
            kill_a_worker(directory)
            assert len(found.result(PATIENCE).table) == 4 * FLEETS
        monkeypatch.setattr(remote, "find_version", lambda: "0.0.9")
        with pytest.raises(InputError, match=r"^The worker .* has geomem .*, this command 0\.0\.9; install"):
            train_fleets(engine, tmp_path / "other", 2)
    assert fleets_in(directory).items() <= whole.items()
    check_nothing_done_twice(directory, FLEETS, ended=1)


def test_slurm_with_a_job_killed(tmp_path, whole):
    directory = tmp_path / "sweep"
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(train_fleets, Slurm(jobs=2, cluster="local"), directory, FLEETS)
        kill_a_worker(directory)
        assert len(found.result(PATIENCE).table) == 4 * FLEETS
    assert fleets_in(directory).items() <= whole.items()
    check_nothing_done_twice(directory, FLEETS, ended=1)
    assert {path.suffix for path in found.result().path.iterdir()} == {".parquet", ".json"}
