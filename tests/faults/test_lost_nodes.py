"""A cluster of several nodes, each a `ray start` of its own: nodes that go and come, and a head that is lost."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from orchestrator.store.layout import Store
from tests.faults.conftest import Disturbed, wait_until
from tests.faults.test_killed_processes import processes_below
from tests.orchestrator.test_submit import answers

HERE = "--node-ip-address=127.0.0.1"
RAY = str(Path(sys.executable).with_name("ray"))


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("", 0))
        return int(one.getsockname()[1])


class RayCluster:
    """Nodes as processes; killing one leaves it no time for anything."""

    def __init__(self) -> None:
        self.temporary = tempfile.mkdtemp(prefix="r", dir="/tmp")  # sockets' paths must be short
        self.nodes: list[subprocess.Popen[bytes]] = []
        self.port = 0
        self.job_server = ""
        # Any: to mypy, ** might fill `check` of Disturbed.run too
        self.token: dict[str, Any] = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": uuid.uuid4().hex}

    def start_head(self, cpus: int, *, takes_jobs: bool = False) -> None:
        self.port = free_port()
        head = ["--head", f"--port={self.port}", f"--temp-dir={self.temporary}"]
        if not takes_jobs:
            self._start([*head, "--include-dashboard=false"], cpus)
            return
        self.job_server = f"http://127.0.0.1:{(port := free_port())}"
        others = [f"--{kind}-port={free_port()}" for kind in ("dashboard-agent-listen", "ray-client-server")]
        self._start([*head, "--include-dashboard=true", f"--dashboard-port={port}", *others], cpus)
        wait_until(lambda: answers(port))

    def add_node(self, cpus: int) -> None:
        self._start([f"--address=127.0.0.1:{self.port}"], cpus)

    def _start(self, options: list[str], cpus: int) -> None:
        command = [RAY, "start", "--block", f"--num-cpus={cpus}", "--disable-usage-stats", HERE, *options]
        said = Path(self.temporary, f"node {len(self.nodes)}")
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # of jobs' python
        with said.open("w") as output:
            node = subprocess.Popen(
                command, env={**os.environ, "PATH": path, **self.token}, stdout=output, stderr=output,
                start_new_session=True,
            )  # fmt: skip
        self.nodes.append(node)
        wait_until(lambda: "Ray runtime started" in said.read_text() or node.poll() is not None)
        assert node.poll() is None, said.read_text()

    def kill(self, number: int) -> None:
        node = self.nodes[number]
        for pid in [node.pid, *processes_below(node.pid)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        node.wait()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"


@pytest.fixture
def cluster() -> Iterator[RayCluster]:
    one = RayCluster()
    yield one
    for number in range(len(one.nodes)):
        one.kill(number)


def test_a_node_goes_without_a_word_and_another_comes(
    cluster: RayCluster, disturbed: Disturbed, undisturbed: pl.DataFrame
) -> None:
    cluster.start_head(cpus=0)
    cluster.add_node(cpus=1)
    cluster.add_node(cpus=1)
    process = disturbed.start("run", "sweep.yaml", "--address", cluster.address, **cluster.token)
    disturbed.wait_for(5, process)
    cluster.kill(1)
    cluster.add_node(cpus=1)
    output, _ = process.communicate(timeout=280)
    assert process.returncode == 0, output
    disturbed.assert_like(undisturbed)


def test_the_head_of_a_submitted_sweep_is_lost(
    cluster: RayCluster, disturbed: Disturbed, undisturbed: pl.DataFrame
) -> None:
    submit = ("submit", "sweep.yaml", "--results", disturbed.store.location, "--address")
    cluster.start_head(cpus=2, takes_jobs=True)
    assert "Next: prunesweep logs" in disturbed.run(*submit, cluster.job_server, **cluster.token)
    wait_until(lambda: disturbed.num_committed >= 5)
    cluster.kill(0)
    assert disturbed.num_committed < undisturbed.height
    assert "no job server answers there" in disturbed.run(*submit, cluster.job_server, check=2, **cluster.token)
    cluster.start_head(cpus=2, takes_jobs=True)
    followed = disturbed.run(*submit, cluster.job_server, "--follow", **cluster.token)
    assert "240 of 240 trials completed, 0 failed" in followed
    disturbed.assert_like(undisturbed)


def nodes_at_work(store: Store) -> set[str]:
    """Nodes on which a trial of a run that goes on was begun, by Ray's ids."""
    found = set()
    for run in store.folders("runs"):
        for name in store.files("runs", run, "started"):
            with suppress(FileNotFoundError):  # the trial is done meanwhile
                found.add(json.loads(store.read_text("runs", run, "started", name)).get("node_id"))
    return found - {None}


def test_nodes_of_unlike_size_all_work(cluster: RayCluster, disturbed: Disturbed, undisturbed: pl.DataFrame) -> None:
    cluster.start_head(cpus=0)
    command = ("run", "sweep.yaml", "--address", cluster.address, "--cpus-per-trial", "2")
    assert "say it by --gpus-per-trial" in disturbed.run(*command, check=2, **cluster.token)
    for cpus in (1, 2, 3):  # on the first there is no room for a trial
        cluster.add_node(cpus=cpus)
    process = disturbed.start(*command, **cluster.token)
    nodes: set[str] = set()
    while process.poll() is None:
        nodes |= nodes_at_work(disturbed.store)
        time.sleep(0.05)
    assert process.returncode == 0, process.communicate()[0]
    assert len(nodes) == 2
    disturbed.assert_like(undisturbed)


def test_the_head_is_lost_and_the_sweep_submitted_again(
    cluster: RayCluster, disturbed: Disturbed, undisturbed: pl.DataFrame
) -> None:
    cluster.start_head(cpus=2)
    process = disturbed.start("run", "sweep.yaml", "--address", cluster.address, **cluster.token)
    disturbed.wait_for(5, process)
    cluster.kill(0)
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 3, output
    assert "Ray is gone" in output
    assert disturbed.num_committed >= 5
    cluster.start_head(cpus=2)
    disturbed.run("run", "sweep.yaml", "--address", cluster.address, **cluster.token)
    disturbed.assert_like(undisturbed)
