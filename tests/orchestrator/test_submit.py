"""Sweeps handed to a real Ray cluster by a client in another process, which may be killed at any time."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.plan import make_plan
from orchestrator.store.layout import Store
from orchestrator.store.read import scan_table, scan_trials
from orchestrator.sweepfile import read_sweep_file
from tests.orchestrator.conftest import SMALL_SWEEP, CommandLine

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("default"),  # Ray's subprocess and socket warnings at exit are not ours
]
ROOT = Path(__file__).parents[2]

SLOW = """
name: slow sweep
dataset: digits
model: {name: mlp, widths: [20]}
pruner: [random, "own_pruners:Slow"]
sparsity: 0.9
seed: {count: 16}
training: {epochs: 1}
"""

OWN_PRUNERS = """
import time
from pathlib import Path

import training
from own_settings import FOLDER

class Slow:
    def score(self, model, data, generator):
        time.sleep(float(Path(FOLDER, "seconds").read_text()))
        Path(FOLDER, "imported").write_text(training.__file__)
        return {name: parameter.detach().abs() for name, parameter in model.named_parameters() if parameter.dim() > 1}
"""


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.fixture(scope="module")
def token() -> str:
    return secrets.token_hex(24)


@pytest.fixture(scope="module")
def cluster(token: str) -> Iterator[tuple[str, Path]]:
    """The address of the job server of a cluster that asks for a token, and the folder of its files."""
    pytest.importorskip("aiohttp_cors", reason="Ray's job server needs more than ray[tune]: pip install 'ray[default]'")
    folder = Path(tempfile.mkdtemp(prefix="ps", dir="/tmp"))  # short: Ray's sockets lie there
    ports = dict(zip(("", "dashboard-", "dashboard-agent-listen-", "ray-client-server-"), free_ports(4), strict=True))
    flags = [f"--{kind}port={port}" for kind, port in ports.items()]
    environment = os.environ | {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": token,
        "PYTHONPATH": str(ROOT),  # what is installed there
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    start = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--num-cpus=2"]
    with (folder / "ray.log").open("wb") as log:
        process = subprocess.Popen(
            [*start, *flags, "--include-dashboard=true", "--disable-usage-stats", f"--temp-dir={folder}"],
            env=environment, stdout=log, stderr=log, cwd=folder,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 180
        while not answers(ports["dashboard-"]):
            assert process.poll() is None, (folder / "ray.log").read_text()
            assert time.monotonic() < deadline, (folder / "ray.log").read_text()
            time.sleep(0.2)
        yield f"http://127.0.0.1:{ports['dashboard-']}", folder
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(180)
        shutil.rmtree(folder, ignore_errors=True)


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.fixture
def client(cluster: tuple[str, Path], token: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of the cluster, with an environment that may use it."""
    for name, value in {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token, "RAY_ADDRESS": "192.0.2.1:1"}.items():
        monkeypatch.setenv(name, value)
    return cluster[0]


def wait_for(condition: Callable[[], bool], seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_a_sweep_outlives_its_client_and_is_one_run_however_often_it_is_submitted(
    client: str, cluster: tuple[str, Path], token: str, prunesweep: CommandLine, tmp_path: Path
) -> None:
    sweep, store = tmp_path / "slow sweep.yaml", Store(tmp_path / "the results")
    sweep.write_text(SLOW)
    (tmp_path / "own_pruners.py").write_text(OWN_PRUNERS)
    (tmp_path / "own_settings.py").write_text(f"FOLDER = {str(tmp_path)!r}\n")
    (tmp_path / "seconds").write_text("3")
    at = ("--address", client)
    submit = ("submit", sweep.name, *at, "--results", store.location)

    command = [sys.executable, "-m", "orchestrator", *submit, "--follow", "--", "--device", "cpu"]
    following = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    wait_for(lambda: scan_trials(store).collect().height > 0)
    following.kill()
    printed = following.communicate()[0]
    assert "own_settings.py" in printed
    (job_id,) = [line.split()[0] for line in printed.splitlines() if line.endswith(" submitted")]
    assert job_id.startswith("prunesweep-slow-sweep-")
    seen = scan_trials(store).collect().height
    wait_for(lambda: scan_trials(store).collect().height > seen)  # it goes on without its client

    again = prunesweep(*submit, "--", "--device", "cpu")
    assert f"{job_id} is running already: nothing was submitted" in again.stdout
    assert "is running in 1 part(s)" in prunesweep(*submit, "--shards", "2", check=2).stderr

    assert f"{job_id} was asked to stop" in prunesweep("cancel", "slow sweep", *at).stdout
    wait_for(lambda: states(prunesweep, client)[job_id] == "STOPPED")
    committed = set(scan_trials(store).collect()["attempt_id"])
    assert 0 < len(committed) < 32

    (tmp_path / "seconds").write_text("0")
    resumed = prunesweep(*submit, "--follow", "--", "--device", "cpu")
    assert f"{job_id[:-2]}-2 submitted: {job_id} ended (stopped), and this goes on from there" in resumed.stdout
    assert "slow sweep: 32 of 32 trials completed, 0 failed" in resumed.stdout
    rows = scan_table(store, "trials").collect()
    assert rows.height == rows["trial_id"].n_unique() == 32
    assert committed <= set(rows["attempt_id"])
    assert make_plan(read_sweep_file(sweep), store).to_run == []  # its ids are the laptop's
    assert "32 of 32 trials completed" in prunesweep("logs", "slow sweep", *at).stdout
    assert "_ray_pkg_" in (tmp_path / "imported").read_text()  # the code that ran is what was shipped
    status = prunesweep("resume", store.location)  # from the laptop: the modules are found where they were written
    assert "32 of 32 trials completed" in status.stdout

    local = [*cluster[1].rglob("*"), *tmp_path.rglob("*")]
    contents = {str(path): path.read_bytes() for path in local if path.is_file()}
    assert len(contents) > 20
    contents |= {"output": (printed + resumed.stdout + resumed.stderr + again.stdout).encode()}
    assert [name for name, content in contents.items() if token.encode() in content] == []


def states(prunesweep: CommandLine, address: str) -> dict[str, str]:
    return {
        job["job_id"]: job["status"] for job in json.loads(prunesweep("jobs", "--address", address, "--json").stdout)
    }


def test_shards_are_jobs_of_their_own_on_one_store(client: str, prunesweep: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL_SWEEP)
    store = Store(tmp_path / "shared")
    done = prunesweep(
        "submit", "small.yaml", "--address", client, "--results", store.location, "--installed", "--shards", "2",
        "--follow", "--", "--device", "cpu",
    )  # fmt: skip
    assert "[1/2] small, shard 1/2:" in done.stdout
    assert "[2/2] small, shard 2/2:" in done.stdout
    assert "orchestrator/" not in done.stdout
    rows = scan_table(store, "trials").collect()
    assert rows.height == rows["trial_id"].n_unique() == 10
    assert len(set(rows["run_id"])) == 2
    assert prunesweep("logs", "small", "--address", client).stdout.count("trials completed") == 2
    status = prunesweep("status", "small", "--address", client)
    assert [line.rpartition(": ")[2] for line in status.stdout.splitlines()[:2]] == ["succeeded", "succeeded"]
    assert "small: 10 of 10 trials completed" in status.stdout
    found = json.loads(prunesweep("status", "small", "--address", client, "--json").stdout)
    assert (found["total"]["completed"], [job["shard"] for job in found["jobs"]]) == (10, ["1/2", "2/2"])
    assert (
        "knows no sweep 'smal': did you mean 'small'?"
        in prunesweep("logs", "smal", "--address", client, check=2).stderr
    )


def test_without_the_token_nothing_is_submitted(
    cluster: tuple[str, Path], prunesweep: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # a token may lie there
    (tmp_path / "small.yaml").write_text(SMALL_SWEEP)
    arguments = ("submit", "small.yaml", "--address", cluster[0], "--results", str(tmp_path / "s"))
    assert "asks for a token: set RAY_AUTH_MODE=token" in prunesweep(*arguments, check=2).stderr


def test_a_server_that_is_not_there_is_named(prunesweep: CommandLine, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    refused = prunesweep("jobs", "--address", f"http://127.0.0.1:{port}", check=2)
    assert f"--address http://127.0.0.1:{port}: no job server answers there" in refused.stderr
