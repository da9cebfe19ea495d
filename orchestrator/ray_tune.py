"""Schedule cohorts on Ray Tune. Of all files only this and `ray_jobs.py` import Ray.

A Tune trial is a cohort, not one of ours: Tune keeps a hundred kilobytes and more of each in the driver, and each is
steps of its loop, even where actors are reused (`python -m benchmarks.scheduling` prints both beside ours).
Actors are reused, so torch is imported once a slot. Tune restarts a cohort whose process died, a finite number of
times: an endless retry would loop on an error in our own code. `Tuner.restore` is not used: what is left to run is a
question for the store (`plan.py`), and a resumed sweep is a new Tune run.
"""

from __future__ import annotations

import io
import logging
import math
import os
import signal
import socket
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # with verbose=0, the one that is silent
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")  # results go to the store; this halves driver time
os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")
os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")  # a user's relative paths keep their meaning
os.environ.setdefault("RAY_ROTATION_MAX_BYTES", str(2**24))  # what C code of a trial prints goes to Ray's log files
os.environ.setdefault("RAY_ROTATION_BACKUP_COUNT", "1")

import ray
from ray.air.execution._internal import RayActorManager
from ray.tune import (
    Callback,
    CheckpointConfig,
    FailureConfig,
    RunConfig,
    Trainable,
    TuneConfig,
    Tuner,
    with_resources,
)
from ray.tune.execution import tune_controller
from ray.tune.search import Searcher, SearchGenerator

from orchestrator.cohort import Cohort, CohortRunner, Progress
from orchestrator.errors import UNWRITABLE, BadInput
from orchestrator.exit_codes import Exit
from orchestrator.meeting import Meeting
from training.snapshots import Wish

OUR_ROOT = Path(__file__).resolve().parents[1]
"""The folder that our packages are imported from."""

SECONDS_TO_STOP = 20.0
"""After a SIGTERM, for trials in flight to finish and commit; and for Tune to let go of a Ray that is gone."""

SECRETS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN")
"""What Tune would copy from our environment into its actors' and Ray into its logs, in plain text (Ray 2.60)."""

PENDING_ON_CLUSTER = 32
"""Cohorts that wait for a slot of a running cluster: what its autoscaler sees to start nodes for."""

SECONDS_BETWEEN_LOOKS = 2.0
SECONDS_WITHOUT_RAY = 10.0
"""After which Ray is gone: its head does not answer, or knows of no living node. With the time to stop, below the
minute after which Ray 2.60 ends every process that does not reach the head."""

MAX_COHORT_FAILURES = 20
"""Restarts of one cohort. Crashing trials use three each, lost nodes one."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Where trials run."""

    address: str = "local"
    """"local" starts a Ray of our own; "auto" or host:port joins a running one."""
    slots: int = 1
    """Trials at a time on a Ray of our own; a running cluster knows its own size."""
    gpus_per_trial: float | None = None
    """GPUs that each slot reserves; None is one where the cluster has any. Fractions share a GPU's time, not its
    memory: how many networks fit is the user's to say, or the store's (`gpu_fit.py`)."""
    cpus_per_trial: float = 1.0
    """Cores that each slot reserves."""
    use_gpus: bool = True


class Cohorts(Protocol):
    """Where cohorts come from (`orchestrator.schedule.Schedule`)."""

    def next_cohort(self, slots: int) -> Cohort | None:
        """The next cohort, where `slots` of them run at a time; None where every trial is handed out."""

    def observe(self, progress: Progress) -> None:
        """Some trials were committed."""

    def cohort_ended(self) -> None:
        """A cohort is finished, or was given up."""

    @property
    def is_finished(self) -> bool:
        """Whether no cohort is to come."""


class ProgressDisplay(Protocol):
    """What is told about a run as it happens."""

    def advance(self, progress: Progress) -> None:
        """Some trials were committed."""

    def set_running(self, num_cohorts: int) -> None:
        """This many cohorts are at work."""

    def tick(self) -> None:
        """Time has passed."""

    def worker_died(self) -> None:
        """A process running a cohort is gone; the cohort is started again."""

    def stopping(self) -> None:
        """The user asked to stop."""

    def leaving(self) -> None:
        """Ray does not answer any more, and the process ends."""


class CohortTrainable(Trainable):
    """One cohort as Ray Tune sees it: a few seconds of trials a step."""

    def setup(self, config: dict[str, Any]) -> None:
        """Begin in a new process.

        A SIGTERM (Ray's at its shutdown) ends it at once and leaves the trial at work for later: as the SystemExit that
        Ray makes of it, it would pass for an error of that trial.
        """
        signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))
        self._runner: CohortRunner | None = None
        if config["meeting"] is not None:
            Meeting(config["meeting"], config["slots"]).attend()
        self._take(config)

    def _take(self, config: dict[str, Any]) -> None:
        """Take a cohort; it is opened by the first step. A user's relative paths mean what they mean to the user."""
        self._stop_file = Path(config["stop_file"])
        with suppress(OSError):  # on another machine the folder need not exist
            os.chdir(config["folder"])
        self._cohort = Cohort(**config["cohort"])
        self._is_open = False

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next cohort of the run in this process."""
        self._take(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Commit a few seconds of trials.

        Trials' errors are rows; an error that arrives here is the harness's (a full disk, a bug of ours). It ends the
        cohort and is reported: raised, it would look to Tune like a dead process and be repeated 20 times.
        """
        try:
            if self._runner is None or not self._is_open:
                self._runner = CohortRunner(
                    self._cohort,
                    node_id=ray.get_runtime_context().get_node_id(),
                    is_node_alive=_is_node_alive,
                    wish=self._wish,
                    context=self._runner.context if self._runner else None,
                )
                self._is_open = True
            progress = self._runner.step()
        except Exception as error:
            unwritable = error.errno if isinstance(error, OSError) and error.errno in UNWRITABLE else None
            text = str(error) if unwritable else traceback.format_exc()
            return {"done": True, "progress": asdict(Progress()), "error": text, "unwritable": unwritable}
        return {"done": progress.finished, "progress": asdict(progress), "error": "", "unwritable": None}

    def _wish(self) -> Wish:
        """What the driver wants, where it runs on this machine: Ray passes nothing on to an actor at work."""
        try:
            return Wish(self._stop_file.read_text(encoding="utf-8"))
        except OSError:
            return Wish.NONE


def run_cohorts(cohorts: Cohorts, cluster: Cluster, display: ProgressDisplay, *, run_id: str) -> list[str]:
    """Run every cohort, each made when a slot is free; return the errors of those that did not get to their end.

    What is committed is in the store, whatever happens here. Returns early, without error, when interrupted. Raises
    OSError where a worker could not write its results: the disk is full, say.
    """
    with (
        _way_out(display) as way_out,
        _connected(cluster),
        _Watch(way_out) as watch,
        tempfile.TemporaryDirectory(prefix="prunesweep-") as scratch,
    ):
        _require_known_gpus(cluster)
        report = _Report(cohorts, display, watch)
        stop_file = Path(scratch) / "stop"
        cluster = _fitted(cluster)
        meeting = Meeting(scratch, cluster.slots)
        tuner = Tuner(
            with_resources(CohortTrainable, {"cpu": cluster.cpus_per_trial, "gpu": _gpus_per_trial(cluster)}),
            param_space={
                "folder": str(Path.cwd()),
                "meeting": scratch if cluster.address == "local" else None,
                "slots": cluster.slots,
                "stop_file": str(stop_file),
            },
            tune_config=TuneConfig(reuse_actors=True, search_alg=_OnDemand(cohorts, cluster, meeting), num_samples=-1),
            run_config=RunConfig(
                name=run_id,
                storage_path=scratch,
                failure_config=FailureConfig(max_failures=MAX_COHORT_FAILURES),
                checkpoint_config=CheckpointConfig(checkpoint_at_end=False),
                callbacks=[report],
                verbose=0,
            ),
        )
        with _stopping_gently(display, stop_file, way_out), _without_secrets():
            try:
                results = tuner.fit()
            except RayIsGone:
                display.leaving()
                return report.errors
        if report.refused is not None:
            raise report.refused
        return report.errors + [str(error) for error in results.errors]


class _ActorManager(RayActorManager):
    """Tune's, for which a worker that Ray killed to save the node's memory is a dead worker like any other.

    Tune 2.60 takes that error for a fault of its own, and the run ends.
    """

    def _actor_task_failed(self, tracked_actor_task: Any, exception: Exception) -> None:
        if isinstance(exception, ray.exceptions.OutOfMemoryError):
            exception = ray.exceptions.RayActorError(error_msg=str(exception))
        super()._actor_task_failed(tracked_actor_task, exception)


vars(tune_controller)["RayActorManager"] = _ActorManager


class RayIsGone(Exception):
    """Ray does not answer, or no node of the cluster is alive: Tune would wait for ever."""


class _Watch:
    """Looks whether Ray is there, from a thread of its own: the main thread may be inside a call that Ray never ends.

    Where Ray is gone, Tune hears of it at its next step, and the way out is open in case there is none.
    """

    def __init__(self, way_out: threading.Timer) -> None:
        self._way_out = way_out
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.is_ray_gone = False

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        self._thread.join(SECONDS_BETWEEN_LOOKS)  # asked after its shutdown, Ray would start anew

    def _look(self) -> None:
        head = ray.get_runtime_context().gcs_address
        alive_at = time.monotonic()
        while not self._over.wait(SECONDS_BETWEEN_LOOKS):
            if _is_ray_alive(head):
                alive_at = time.monotonic()
            elif time.monotonic() - alive_at > SECONDS_WITHOUT_RAY:
                self.is_ray_gone = True
                _open(self._way_out)
                return


class _Source(Searcher):
    """Tune's "next configuration to try" is the next cohort."""

    def __init__(self, cohorts: Cohorts, cluster: Cluster, meeting: Meeting) -> None:
        super().__init__()
        self._cohorts, self._cluster, self._meeting = cohorts, cluster, meeting

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        cohort = self._cohorts.next_cohort(_num_slots(self._cluster))
        self._meeting.handed_out(is_last=cohort is None)
        return None if cohort is None else {"cohort": asdict(cohort)}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        self._cohorts.cohort_ended()

    def save(self, checkpoint_path: str) -> None:
        """Nothing is restored."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing is restored."""


class _OnDemand(SearchGenerator):
    """Asks for a cohort whenever there is room for one, until no more can come."""

    def __init__(self, cohorts: Cohorts, cluster: Cluster, meeting: Meeting) -> None:
        super().__init__(_Source(cohorts, cluster, meeting))
        self._cohorts = cohorts

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any) -> bool:
        """There is no space to search."""
        return True

    def is_finished(self) -> bool:
        return self._cohorts.is_finished

    def save_to_dir(self, dirpath: str, session_str: str = "", **kwargs: Any) -> None:
        """Nothing is restored."""


class _Report(Callback):
    """Passes on what Tune hears from the cohorts."""

    def __init__(self, cohorts: Cohorts, display: ProgressDisplay, watch: _Watch) -> None:
        self._cohorts, self._display, self._watch = cohorts, display, watch
        self._running: set[str] = set()
        self.errors: list[str] = []
        self.refused: OSError | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles its callbacks into a state it would restore from; ours is a screen, and nothing is restored."""
        return {}

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Raise RayIsGone where it is; else let the display see the time."""
        if self._watch.is_ray_gone:
            raise RayIsGone
        self._display.tick()

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._running.add(trial.trial_id)
        self._display.set_running(len(self._running))

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        progress = Progress(**result.pop("progress"))  # or Tune would keep it for as long as the run takes
        self._cohorts.observe(progress)
        self._display.advance(progress)
        if result["error"]:
            self.errors.append(result["error"])
        if result["unwritable"]:
            self.refused = OSError(result["unwritable"], result["error"])

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._running.discard(trial.trial_id)
        self._display.set_running(len(self._running))

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._display.worker_died()
        self.on_trial_complete(iteration, trials, trial)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.on_trial_complete(iteration, trials, trial)


@contextmanager
def _connected(cluster: Cluster) -> Iterator[None]:
    """A connection to Ray, silenced: a private one that ends with us, or a running cluster that stays.

    Ray prints pages about a dead worker, and deprecations of its own; what a user needs of it our display says.
    Ray puts the driver's folder first on the workers' import path, where a user's models/ or random.py would replace
    ours and Python's: during `init` that folder is our own.
    """
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        is_ours = cluster.address == "local"
        size = math.ceil(cluster.slots * cluster.cpus_per_trial) if is_ours else None
        os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(cluster.slots if is_ours else PENDING_ON_CLUSTER)
        try:
            with chdir(OUR_ROOT):
                ray.init(
                    address=cluster.address,
                    log_to_driver=False,
                    logging_level=logging.CRITICAL,
                    num_cpus=size,
                    include_dashboard=False,
                )
        except (ConnectionError, ValueError) as error:
            if cluster.address == "local":
                raise
            raise BadInput(
                f"--address {cluster.address}: no Ray is running there, or it asks for a token (RAY_AUTH_MODE): {error}"
            ) from None
        try:
            yield
        finally:
            ray.shutdown()


@contextmanager
def _way_out(display: ProgressDisplay) -> Iterator[threading.Timer]:
    """Once it is open, the process ends before long, as interrupted, whatever Ray waits for.

    Ray waits a minute for its own processes to answer and then ends ours with 1, "some trials failed".
    """

    def leave() -> None:
        display.leaving()
        os._exit(int(Exit.INTERRUPTED))

    timer = threading.Timer(SECONDS_TO_STOP, leave)
    timer.daemon = True
    try:
        yield timer
    finally:
        timer.cancel()


def _open(way_out: threading.Timer) -> None:
    """Start to leave; who leaves already goes on."""
    if not way_out.is_alive():
        way_out.start()


@contextmanager
def _stopping_gently(display: ProgressDisplay, stop_file: Path, way_out: threading.Timer) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM lets trials in flight finish and commit; the second stops at once.

    Long trials on this machine write a checkpoint first, and after a SIGTERM leave it at that: whoever sent it (Slurm,
    a container's end) kills soon.

    Tune's own handler would log advice on `Tuner.restore`, so it is off and ours asks Tune to stop by SIGUSR1.
    A SIGTERM to the whole process group (Slurm, a container's end) stops Ray's processes too: hence the way out.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    asked = False

    def stop(number: int, frame: object) -> None:
        nonlocal asked
        for one, handler in previous.items():
            signal.signal(one, handler)
        if asked:  # Tune put this handler back when it heard the first
            signal.raise_signal(number)
            return
        asked = True
        display.stopping()
        wish = Wish.LEAVE if number == signal.SIGTERM else Wish.SAVE
        unpublished = stop_file.with_name("wish")
        unpublished.write_text(wish.value, encoding="utf-8")
        unpublished.rename(stop_file)
        if number == signal.SIGTERM:
            _open(way_out)
        signal.raise_signal(signal.SIGUSR1)

    for number in previous:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def _without_secrets() -> Iterator[None]:
    """Hide credentials while Tune makes actors. Workers of our own Ray have inherited them; other nodes have theirs."""
    hidden = {name: os.environ.pop(name) for name in SECRETS if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(hidden)


def _fitted(cluster: Cluster) -> Cluster:
    """The same; a Ray of our own with no more slots than its GPUs have room for."""
    if cluster.address != "local":
        return cluster
    return replace(cluster, slots=max(1, min(cluster.slots, _room(cluster))))


def _num_slots(cluster: Cluster) -> int:
    """Cohorts that run at a time; on a cluster that may grow, those that wait for it to grow are counted."""
    return cluster.slots if cluster.address == "local" else max(PENDING_ON_CLUSTER, _room(cluster))


def _room(cluster: Cluster) -> int:
    """Cohorts that the nodes which are there have room for."""
    there = ray.cluster_resources()
    needs = {"CPU": cluster.cpus_per_trial, "GPU": _gpus_per_trial(cluster)}
    return min(int(there.get(kind, 0) / need) for kind, need in needs.items() if need)


def _gpus_per_trial(cluster: Cluster) -> float:
    if not cluster.use_gpus:
        return 0.0
    if cluster.gpus_per_trial is not None:
        return cluster.gpus_per_trial
    return 1.0 if ray.cluster_resources().get("GPU", 0) else 0.0


def _require_known_gpus(cluster: Cluster) -> None:
    """Raise BadInput where nobody said how many GPUs a trial takes, and no worker is there yet to tell."""
    is_open = cluster.use_gpus and cluster.gpus_per_trial is None and cluster.address != "local"
    if is_open and not ray.cluster_resources().get("CPU", 0):
        raise BadInput(
            "the cluster has no worker yet, so whether trials take a GPU cannot be seen: say it by --gpus-per-trial 1 "
            "(0.25 for four on one, 0 for none), or by `resources: {gpu: 1}` in the sweep file"
        )


def _is_ray_alive(head: str) -> bool:
    """Whether the head answers and knows of a living node. Asked while the head does not answer, Ray would block."""
    host, _, port = head.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=SECONDS_BETWEEN_LOOKS).close()
        return any(node["Alive"] for node in ray.nodes())
    except (OSError, ray.exceptions.RayError):
        return False


def _is_node_alive(node_id: str) -> bool:
    return any(node["NodeID"] == node_id and node["Alive"] for node in ray.nodes())
