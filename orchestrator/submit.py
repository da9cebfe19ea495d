"""Hand a sweep to a cluster and go home: what is submitted, under which name, and what came of it.

A job's id is made of the sweep's name and of the content of all that the user wrote, so submitting the same twice finds
the first: while that runs, nothing happens; once it ended, the next job of the name runs what is missing and what
failed. What is done and what is not is known by the store alone.
"""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console

from orchestrator.errors import BadInput, did_you_mean
from orchestrator.exit_codes import Exit
from orchestrator.ray_jobs import ClusterUnreachable, Job, JobServer
from orchestrator.shipment import SUBMITTED, Shipment

FOLLOW_SECONDS = 2.0
PATIENCE_SECONDS = 120.0
"""For which `--follow` waits for a server that has stopped answering."""
LONGEST_SLUG = 40


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A sweep to be run on a cluster."""

    sweep: str
    sweep_file: str
    """The file's name in the shipment."""
    shipment: Shipment
    results: str
    num_shards: int = 1
    run_options: Sequence[str] = ()
    """What `prunesweep run` is given beside."""

    @property
    def content(self) -> str:
        """Stands for what is run and where its results go."""
        return self.shipment.content_hash(self.sweep, self.results)

    @property
    def shards(self) -> list[str]:
        """Of each job; one empty text for the whole."""
        return [f"{number + 1}/{self.num_shards}" for number in range(self.num_shards)] if self.num_shards > 1 else [""]

    def job_name(self, shard: str) -> str:
        """A job's id, but for the number that counts how often it was taken up again."""
        part = f"-{shard.replace('/', 'of')}" if shard else ""
        return f"prunesweep-{slug(self.sweep)}-{self.content}{part}"

    def command(self, shard: str, *, retry_failed: bool) -> str:
        """What the cluster's shell runs, in the archive's folder.

        -P keeps the folder one stands in off the import path: a user's module must not replace ours or Python's.
        """
        words = ["run", self.sweep_file, "--address", "auto", "--results", self.results, *self.run_options]
        words += ["--shard", shard] if shard else []
        words += ["--retry-failed"] if retry_failed else []
        return (
            f'cd {SUBMITTED} && exec env PYTHONPATH="$OLDPWD${{PYTHONPATH:+:$PYTHONPATH}}" '
            f"python -P -m orchestrator {shlex.join(words)}"
        )


def slug(name: str) -> str:
    """A sweep's name in letters that ids, file names and job names take.

    >>> slug("Größe 1 / 2")
    'gr-e-1-2'
    """
    return re.sub(r"[^a-z0-9]+", "-", name.lower())[:LONGEST_SLUG].strip("-") or "sweep"


def submit(submission: Submission, server: JobServer, console: Console) -> list[Job]:
    """Start what does not run yet; return the submission's jobs, one a shard."""
    known = [job for job in server.jobs() if job.sweep == submission.sweep]
    same = [job for job in known if (job.content, job.results) == (submission.content, submission.results)]
    _refuse_another_split(submission, [job for job in same if job.is_live])
    for other in known:
        if other.is_live and other not in same:
            console.print(
                f"{other.job_id} still runs another version of {other.sweep}; prunesweep cancel {other.job_id} ends it",
                style="yellow", markup=False, highlight=False, soft_wrap=True,
            )  # fmt: skip
    archive = submission.shipment.to_zip()
    return [_submit_shard(submission, shard, same, server, archive, console) for shard in submission.shards]


def _submit_shard(
    submission: Submission, shard: str, same: Sequence[Job], server: JobServer, archive: bytes, console: Console
) -> Job:
    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    earlier = [job for job in same if job.shard == shard]
    live = next((job for job in earlier if job.is_live), None)
    if live:
        say(f"{live.job_id} is {live.status.lower()} already: nothing was submitted")
        return live
    name = submission.job_name(shard)
    taken = {job.job_id for job in same}
    number = next(number for number in range(1, len(taken) + 2) if f"{name}-{number}" not in taken)
    job = Job(
        job_id=f"{name}-{number}", sweep=submission.sweep, content=submission.content, results=submission.results,
        shard=shard, status="PENDING",
    )  # fmt: skip
    started = server.submit(job, command=submission.command(shard, retry_failed=bool(earlier)), archive=archive)
    if not started:
        say(f"{job.job_id} was submitted by somebody else just now: nothing was submitted")
    elif earlier:
        ended = earlier[-1]
        say(f"{job.job_id} submitted: {ended.job_id} ended ({ended.status.lower()}), and this goes on from there")
    else:
        say(f"{job.job_id} submitted")
    return job


def _refuse_another_split(submission: Submission, live: Iterable[Job]) -> None:
    other = next((job for job in live if job.shard not in submission.shards), None)
    if other is None:
        return
    parts = other.shard.partition("/")[2] or "1"
    raise BadInput(
        f"{submission.sweep} is running in {parts} part(s) as {other.job_id}: submit it with --shards {parts}, or end "
        f"that first: prunesweep cancel {shlex.quote(submission.sweep)}"
    )


def find_jobs(server: JobServer, name: str) -> list[Job]:
    """The latest job of each shard of the latest version of a sweep, or the job of that id. Raises BadInput."""
    known = server.jobs()
    if exact := [job for job in known if job.job_id == name]:
        return exact
    of_sweep = [job for job in known if job.sweep == name]
    if not of_sweep:
        names = dict.fromkeys(job.sweep for job in known)
        hint = did_you_mean(name, names) if names else "no sweep was submitted there"
        raise BadInput(f"{server.address} knows no sweep {name!r}: {hint}")
    latest = of_sweep[-1]
    version = [job for job in of_sweep if (job.content, job.results) == (latest.content, latest.results)]
    num_shards = latest.shard.partition("/")[2]
    by_shard = {job.shard: job for job in version if job.shard.partition("/")[2] == num_shards}
    return sorted(by_shard.values(), key=lambda job: int(job.shard.partition("/")[0] or 0))


def jobs_to_end(server: JobServer, name: str) -> list[Job]:
    """What `find_jobs` finds, and what still runs of other versions of that sweep. Raises BadInput as it does."""
    found = find_jobs(server, name)
    return found + [job for job in server.jobs() if job.sweep == name and job.is_live and job not in found]


def follow(server: JobServer, jobs: Sequence[Job], show: Callable[[str], None]) -> Exit:
    """Show what jobs print until all have ended. Returns the worst of their outcomes."""
    printed = {job.job_id: 0 for job in jobs}
    last_answer = time.monotonic()
    while True:
        try:
            states = {job.job_id: job for job in server.jobs()}  # before the logs: then those are whole
            logs = {job.job_id: server.log(job.job_id) for job in jobs}
        except ClusterUnreachable:
            if time.monotonic() - last_answer > PATIENCE_SECONDS:
                raise
            time.sleep(FOLLOW_SECONDS)
            continue
        last_answer = time.monotonic()
        now = [states.get(job.job_id, job) for job in jobs]
        for job in now:
            lines, rest = _whole_lines(logs[job.job_id], printed[job.job_id], is_over=not job.is_live)
            printed[job.job_id] = rest
            for line in lines:
                show(f"[{job.shard}] {line}" if job.shard else line)
        if not any(job.is_live for job in now):
            return max(outcome(job) for job in now)
        time.sleep(FOLLOW_SECONDS)


def outcome(job: Job) -> Exit:
    """What a job that ended came to, as the exit code of its command says."""
    if job.status == "SUCCEEDED":
        return Exit.DONE
    if job.status == "STOPPED":
        return Exit.INTERRUPTED
    return Exit(job.exit_code) if job.exit_code in set(Exit) else Exit.OUR_FAULT


def _whole_lines(log: str, start: int, *, is_over: bool) -> tuple[list[str], int]:
    """Lines of a growing text from `start` on, and where the next ones will start."""
    end = len(log) if is_over else log.rfind("\n") + 1
    return log[start:end].splitlines(), max(start, end)
