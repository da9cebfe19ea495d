"""Sweeps small enough to run in tests, and the command line as a user calls it."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.sweepfile import SweepFile, parse_sweep
from tests.orchestrator.google_server import GoogleServer
from tests.orchestrator.s3_server import S3Server

SMALL_SWEEP = """
name: small
dataset: digits
model: {name: mlp, widths: [20]}
pruner: [random, magnitude]
sparsity: [0, 0.9, 0.99]
seed: {count: 2}
training: {epochs: 1}
"""

CommandLine = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def small_sweep(tmp_path: Path) -> SweepFile:
    return parse_sweep(SMALL_SWEEP, name="small.yaml", folder=tmp_path)


@pytest.fixture
def prunesweep(tmp_path: Path) -> CommandLine:
    """Run the command line in an empty folder; `check` is the exit code expected."""

    def run(*arguments: str, check: int = 0, cwd: Path = tmp_path) -> subprocess.CompletedProcess[str]:
        result = subprocess.run(
            [sys.executable, "-m", "orchestrator", *arguments],
            capture_output=True,
            text=True,
            cwd=cwd,
            timeout=250,
            check=False,
        )
        assert result.returncode == check, f"exit {result.returncode}\n{result.stdout}\n{result.stderr}"
        return result

    return run


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """One S3 server for the session."""
    pytest.importorskip("moto", reason="the S3 server of the tests is moto's: pip install 'moto[s3]' flask flask-cors")
    server = S3Server()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def google_server() -> Iterator[GoogleServer]:
    """One emulator of Google Cloud Storage for the session."""
    pytest.importorskip(
        "gcp_storage_emulator", reason="gs:// is tested against an emulator: pip install gcp-storage-emulator"
    )
    server = GoogleServer()
    yield server
    server.stop()


@pytest.fixture
def bucket(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an empty bucket; the environment leads to it."""
    for name, value in s3_server.variables.items():
        monkeypatch.setenv(name, value)
    name = f"bucket-{uuid.uuid4().hex[:8]}"
    s3_server.make_bucket(name)
    return f"s3://{name}"
