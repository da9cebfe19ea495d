"""What a trial reserves decides how many run where: on a real Ray of two unlike nodes, one with a (logical) GPU."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.resources import paid_resources, trial_resources
from orchestrator.sweepfile import parse_sweep
from tests.orchestrator.conftest import SMALL_SWEEP

OWN_PRUNERS = """
import json
import os
import time
from pathlib import Path

import ray


class Meets:
    '''Waits until trials of `count` processes, on `nodes` nodes, are there at one time, and says where it was.'''

    def __init__(self, folder, count, nodes):
        self.folder, self.count, self.nodes = Path(folder), count, nodes

    def score(self, model, data, generator):
        mine = ray.get_runtime_context().get_node_id()
        (total,) = (node["Resources"] for node in ray.nodes() if node["NodeID"] == mine)
        self.folder.mkdir(exist_ok=True)
        (self.folder / f"{os.getpid()}.json").write_text(
            json.dumps({"node": mine, "gpus": total.get("GPU", 0), "cpus": total["CPU"]})
        )
        give_up_at = time.monotonic() + 150
        while time.monotonic() < give_up_at:
            try:
                there = [json.loads(path.read_text()) for path in self.folder.glob("*.json")]
            except ValueError:
                continue
            if len(there) >= self.count and len({one["node"] for one in there}) >= self.nodes:
                break
            time.sleep(0.1)
        return {name: parameter.detach().abs() for name, parameter in model.named_parameters() if parameter.dim() > 1}
"""


@pytest.mark.parametrize(
    ("in_file", "typed", "reserved", "paid"),
    [
        ("", (None, None), (None, 1.0), (1.0, 1.0)),  # auto: one GPU where there are any
        ("resources: {gpu: auto, cpu: 2}\n", (None, None), (None, 2.0), (1.0, 2.0)),
        ("resources: {gpu: 0.25, cpu: 2}\n", (None, None), (0.25, 2.0), (0.25, 2.0)),
        ("resources: {gpu: 0.25, cpu: 2}\n", (0.5, None), (0.5, 2.0), (0.5, 2.0)),
        ("resources: {gpu: 0.25, cpu: 2}\n", (0.0, 3.0), (0.0, 3.0), (0.0, 3.0)),
    ],
)
def test_what_is_typed_goes_before_the_sweep_file(
    in_file: str, typed: tuple[Any, Any], reserved: tuple[Any, Any], paid: tuple[float, float], tmp_path: Path
) -> None:
    sweep = parse_sweep(SMALL_SWEEP + in_file, name="small.yaml", folder=tmp_path).sweep
    names = ("gpus_per_trial", "cpus_per_trial")
    assert trial_resources(sweep, *typed) == dict(zip(names, reserved, strict=True))
    assert paid_resources(sweep, *typed) == dict(zip(names, paid, strict=True))


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a cluster: a head that runs nothing, a node of 2 cores and a GPU, and one of 4 cores."""
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "0")  # what else runs on this machine is not the trials' fault
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(24))
    folder = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))  # short: Ray's sockets lie there
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    start = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"]
    start += ["--node-ip-address=127.0.0.1"]
    head = ["--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={folder}", "--num-cpus=0"]
    others = [["--num-cpus=2", "--num-gpus=1"], ["--num-cpus=4", "--num-gpus=0"]]
    nodes: list[subprocess.Popen[bytes]] = []
    try:
        for options in ([*head, "--num-gpus=0"], *([f"--address=127.0.0.1:{port}", *one] for one in others)):
            with (folder / "log").open("ab") as log:
                nodes.append(subprocess.Popen([*start, *options], stdout=log, stderr=log, env=os.environ.copy()))
            time.sleep(8)
            assert nodes[-1].poll() is None, (folder / "log").read_text()
        yield f"127.0.0.1:{port}"
    finally:
        for node in reversed(nodes):
            node.terminate()
        for node in nodes:
            node.wait(120)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.timeout(1200)
@pytest.mark.filterwarnings("default")  # Ray's at exit are not ours
def test_fractions_share_a_gpu_and_trials_go_wherever_there_is_room(cluster: str, tmp_path: Path) -> None:
    """Half a GPU each: two at a time, both on the node that has one. Two cores each and none: one there, two beside."""
    (tmp_path / "own_pruners.py").write_text(OWN_PRUNERS)

    def met(name: str, count: int, nodes: int, *options: str) -> list[dict[str, Any]]:
        pruner = f'{{name: "own_pruners:Meets", folder: {tmp_path / name}, count: {count}, nodes: {nodes}}}'
        text = SMALL_SWEEP.replace("[random, magnitude]", pruner).replace("[0, 0.9, 0.99]", "0.9")
        text = text.replace("count: 2", "count: 9").replace("name: small", f"name: {name}")  # cohorts of 4, 4 and 1
        (tmp_path / f"{name}.yaml").write_text(text + "resources: {gpu: 0.5, cpu: 1}\n")
        command = [sys.executable, "-m", "orchestrator", "run", f"{name}.yaml", "--address", cluster, *options]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=540, check=False)
        assert "9 of 9 trials completed" in done.stdout, done.stdout + done.stderr
        return [json.loads(path.read_text()) for path in (tmp_path / name).glob("*.json")]

    halves = met("halves", 2, 1)
    assert len(halves) == 2
    assert {one["gpus"] for one in halves} == {1}

    anywhere = met("anywhere", 3, 2, "--gpus-per-trial", "0", "--cpus-per-trial", "2")
    assert sorted(one["cpus"] for one in anywhere) == [2, 4, 4]
