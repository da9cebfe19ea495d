"""Talk to the job server of a Ray cluster. With `ray_tune.py`, the only file that imports Ray.

A job is a shell command on the cluster's head with an archive as its working directory; Ray runs it once, in a process
of its own, whoever submitted it and whether they are still there. The server needs `ray[default]`, this client does
not. The token of a cluster that asks for one (RAY_AUTH_MODE=token) is Ray's affair: it is read from the environment or
~/.ray/auth_token and goes into the requests' headers, never into a job.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import requests
from ray.exceptions import AuthenticationError
from ray.job_submission import JobSubmissionClient

from orchestrator.errors import BadInput

TIMEOUTS_SECONDS = (5.0, 60.0)
"""To connect, and to wait for an answer."""
SECONDS_TO_STOP = 30
"""After a job was asked to stop, until it is killed: longer than a run takes to commit what is in flight."""
ADDRESS_VARIABLES = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")
"""Ray lets these overrule an address that was typed."""
LIVE = ("PENDING", "RUNNING")

NAME, CONTENT, RESULTS, SHARD = "prunesweep", "prunesweep_content", "prunesweep_results", "prunesweep_shard"
"""Keys of a job's metadata."""


class ClusterUnreachable(BadInput):
    """The job server did not answer. What it runs goes on without us."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A sweep, or a shard of it, as the job server knows it."""

    job_id: str
    sweep: str
    content: str
    results: str
    shard: str
    """`2/8`, or empty for the whole sweep."""
    status: str
    """PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED."""
    exit_code: int | None = None
    """Of the command, once it ended."""
    started_at: float | None = None
    """Unix time of the submission."""

    @property
    def is_live(self) -> bool:
        """Whether it waits or runs."""
        return self.status in LIVE


class JobServer:
    """The job server of a running cluster, at the address of its dashboard (`http://host:8265`)."""

    def __init__(self, address: str) -> None:
        self.address = address if "://" in address or address == "auto" else f"http://{address}"
        logging.getLogger("ray.dashboard.modules.dashboard_sdk").setLevel(logging.WARNING)  # it tells of every upload
        hidden = {name: os.environ.pop(name) for name in ADDRESS_VARIABLES if name in os.environ}
        try:
            with self._answering():
                self._client = _Client(self.address)
        finally:
            os.environ.update(hidden)

    def submit(self, job: Job, *, command: str, archive: bytes) -> bool:
        """Start a job; False where its id is taken, because somebody submitted the same at the same time.

        Nothing of our environment goes with it: credentials of the store are the cluster's own.
        """
        with tempfile.TemporaryDirectory() as scratch, self._answering():
            path = Path(scratch) / "submitted.zip"
            path.write_bytes(archive)
            try:
                self._client.submit_job(
                    entrypoint=command,
                    submission_id=job.job_id,
                    runtime_env={
                        "working_dir": str(path),
                        "env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(SECONDS_TO_STOP)},
                    },
                    metadata={NAME: job.sweep, CONTENT: job.content, RESULTS: job.results, SHARD: job.shard},
                )
            except RuntimeError as error:
                if "already exists" in str(error):
                    return False
                raise
        return True

    def jobs(self) -> list[Job]:
        """Every job of prunesweep's, the oldest first."""
        with self._answering():
            details = self._client.list_jobs()
        ours = [_job(one, one.metadata) for one in details if one.metadata and NAME in one.metadata]
        return sorted(ours, key=lambda job: job.started_at or 0.0)

    def log(self, job_id: str) -> str:
        """What a job has printed so far."""
        with self._answering():
            return str(self._client.get_job_logs(job_id))

    def stop(self, job_id: str) -> bool:
        """Ask a job to stop: trials in flight are committed. False where it had ended."""
        with self._answering():
            return bool(self._client.stop_job(job_id))

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Turn the ways in which a server can be out of reach into sentences."""
        try:
            yield
        except AuthenticationError:
            raise BadInput(
                f"--address {self.address} asks for a token: set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN to what "
                "`ray get-auth-token` prints on the cluster's head (or copy its ~/.ray/auth_token)"
            ) from None
        except RuntimeError as error:  # Ray's own, with the server's words
            raise BadInput(f"--address {self.address} refused: {error}") from None
        except (ConnectionError, requests.RequestException) as error:
            raise ClusterUnreachable(
                f"--address {self.address}: no job server answers there ({type(error).__name__}). Expected the "
                "dashboard's address, http://host:8265: `ray dashboard cluster.yaml` tunnels it to localhost; the head "
                "needs ray[default]"
            ) from None


def _job(details: Any, metadata: Mapping[str, str]) -> Job:
    return Job(
        job_id=details.submission_id,
        sweep=metadata[NAME],
        content=metadata.get(CONTENT, ""),
        results=metadata.get(RESULTS, ""),
        shard=metadata.get(SHARD, ""),
        status=details.status.value,
        exit_code=details.driver_exit_code,
        started_at=details.start_time / 1000 if details.start_time else None,
    )


class _Client(JobSubmissionClient):
    """Ray's client, which would wait for ever for a server that does not answer."""

    def _do_request(self, *arguments: Any, **options: Any) -> Any:
        return super()._do_request(*arguments, **{"timeout": TIMEOUTS_SECONDS} | options)
