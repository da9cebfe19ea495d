"""`status NAME --address URL`, without a cluster: what it says of jobs whose results are there, and of others."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from orchestrator.cli import run_command
from orchestrator.commands import cluster
from orchestrator.commands.consoles import err, out
from orchestrator.ray_jobs import Job
from orchestrator.saved_sweeps import save_sweep
from orchestrator.store.layout import Store
from orchestrator.sweepfile import SweepFile


class Server:
    """What a job server answers."""

    address = "http://cluster:8265"

    def __init__(self, results: str) -> None:
        self.results = results

    def jobs(self) -> list[Job]:
        shards = [("small-1", "1/2", "SUCCEEDED"), ("small-2", "2/2", "RUNNING")]
        return [
            Job(job_id=name, sweep="small", content="c", results=self.results, shard=shard, status=status)
            for name, shard, status in shards
        ]


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    location = str(tmp_path / "the results")
    monkeypatch.setattr(cluster, "_server", lambda address: Server(location))
    return location


def test_jobs_and_the_store_of_a_submitted_sweep_are_shown_by_its_name(
    results: str, small_sweep: SweepFile, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_sweep(small_sweep, Store(results))
    screen = io.StringIO()
    monkeypatch.setattr(out, "file", screen)
    assert run_command(["status", "small", "--address", Server.address]) == 0
    first, second, third, *_ = screen.getvalue().splitlines()
    assert (first, second) == ("small-1: succeeded", "small-2: running")
    assert third.startswith("small: 0 of 10 trials completed")
    assert run_command(["status", "small", "--address", Server.address, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["total"]["missing"] == 10
    assert [job["status"] for job in found["jobs"]] == ["SUCCEEDED", "RUNNING"]


def test_results_that_cannot_be_seen_from_here_are_said_with_the_jobs(
    results: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(err, "file", screen)
    assert run_command(["status", "small", "--address", Server.address]) == 2
    said = screen.getvalue()
    assert "small-1 succeeded, small-2 running" in said
    assert results in said
    assert "prunesweep logs small --address http://cluster:8265" in said
