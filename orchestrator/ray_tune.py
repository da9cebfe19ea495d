"""Schedule cohorts on Ray Tune. The only file that imports Ray.

A Tune trial is a cohort, not one of ours: measured on 2 cores, Tune starts 36 to 56 of its trials a second, slower the
more there are, and keeps 70 kB of each in the driver; as cohorts of 50, the same driver passes 500 of ours a second.
Actors are reused, so torch is imported once a slot. Tune restarts a cohort whose process died, a finite number of
times: an endless retry would loop on an error in our own code. `Tuner.restore` is not used: what is left to run is a
question for the store (`plan.py`), and a resumed sweep is a new Tune run.
"""

from __future__ import annotations

import io
import logging
import os
import signal
import tempfile
import threading
import traceback
import warnings
from collections.abc import Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # with verbose=0, the one that is silent
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")  # results go to the store; this halves driver time
os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")
os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")  # a user's relative paths keep their meaning

import ray
from ray.tune import (
    Callback,
    CheckpointConfig,
    FailureConfig,
    RunConfig,
    Trainable,
    TuneConfig,
    Tuner,
    grid_search,
    with_resources,
)

from orchestrator.cohort import Cohort, CohortRunner, Progress
from orchestrator.errors import BadInput
from training.snapshots import Wish

OUR_ROOT = Path(__file__).resolve().parents[1]
"""The folder that our packages are imported from."""

SECONDS_TO_STOP = 20.0
"""After a SIGTERM, for trials in flight to finish and commit."""
EXIT_INTERRUPTED = 3

SECRETS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN")
"""What Tune would copy from our environment into its actors' and Ray into its logs, in plain text (Ray 2.60)."""

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
    memory: how many networks fit is the user's to say."""
    use_gpus: bool = True


class ProgressDisplay(Protocol):
    """What is told about a run as it happens."""

    def advance(self, progress: Progress) -> None:
        """Some trials were committed."""

    def set_running(self, num_cohorts: int) -> None:
        """This many cohorts are at work."""

    def worker_died(self) -> None:
        """A process running a cohort is gone; the cohort is started again."""

    def stopping(self) -> None:
        """The user asked to stop."""

    def leaving(self) -> None:
        """Ray does not answer any more, and the process ends."""


class CohortTrainable(Trainable):
    """One cohort as Ray Tune sees it: a few seconds of trials a step."""

    def setup(self, config: dict[str, Any]) -> None:
        """Take a cohort; it is opened by the first step. A user's relative paths mean what they mean to the user."""
        self._stop_file = Path(config["stop_file"])
        with suppress(OSError):  # on another machine the folder need not exist
            os.chdir(config["folder"])
        self._cohort = Cohort(**config["cohort"])
        self._runner: CohortRunner | None = None

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next cohort in this process."""
        self.setup(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Commit a few seconds of trials.

        Trials' errors are rows; an error that arrives here is the harness's (a full disk, a bug of ours). It ends the
        cohort and is reported: raised, it would look to Tune like a dead process and be repeated 20 times.
        """
        try:
            if self._runner is None:
                node_id = ray.get_runtime_context().get_node_id()
                self._runner = CohortRunner(
                    self._cohort, node_id=node_id, is_node_alive=_is_node_alive, wish=self._wish
                )
            progress = self._runner.step()
        except Exception:
            return {"done": True, "progress": asdict(Progress()), "error": traceback.format_exc()}
        return {"done": progress.finished, "progress": asdict(progress), "error": ""}

    def _wish(self) -> Wish:
        """What the driver wants, where it runs on this machine: Ray passes nothing on to an actor at work."""
        try:
            return Wish(self._stop_file.read_text(encoding="utf-8"))
        except OSError:
            return Wish.NONE


def run_cohorts(cohorts: list[Cohort], cluster: Cluster, display: ProgressDisplay) -> list[str]:
    """Run every cohort; return the errors of those that did not get to their end.

    What is committed is in the store, whatever happens here. Returns early, without error, when interrupted.
    """
    report = _Report(display)
    with _connected(cluster), tempfile.TemporaryDirectory(prefix="prunesweep-") as scratch:
        stop_file = Path(scratch) / "stop"
        tuner = Tuner(
            with_resources(CohortTrainable, {"cpu": 1, "gpu": _gpus_per_trial(cluster)}),
            param_space={
                "cohort": grid_search([asdict(cohort) for cohort in cohorts]),
                "folder": str(Path.cwd()),
                "stop_file": str(stop_file),
            },
            tune_config=TuneConfig(reuse_actors=True),
            run_config=RunConfig(
                name=cohorts[0].run_id,
                storage_path=scratch,
                failure_config=FailureConfig(max_failures=MAX_COHORT_FAILURES),
                checkpoint_config=CheckpointConfig(checkpoint_at_end=False),
                callbacks=[report],
                verbose=0,
            ),
        )
        with _stopping_gently(display, stop_file), _without_secrets():
            results = tuner.fit()
        return report.errors + [str(error) for error in results.errors]


class _Report(Callback):
    """Passes on what Tune hears from the cohorts."""

    def __init__(self, display: ProgressDisplay) -> None:
        self._display = display
        self._running: set[str] = set()
        self.errors: list[str] = []

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles its callbacks into a state it would restore from; ours is a screen, and nothing is restored."""
        return {}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._running.add(trial.trial_id)
        self._display.set_running(len(self._running))

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        self._display.advance(Progress(**result["progress"]))
        if result["error"]:
            self.errors.append(result["error"])

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
        if cluster.address == "local":
            os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(cluster.slots)
            size = cluster.slots
        else:
            size = None
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
def _stopping_gently(display: ProgressDisplay, stop_file: Path) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM lets trials in flight finish and commit; the second stops at once.

    Long trials on this machine write a checkpoint first, and after a SIGTERM leave it at that: whoever sent it (Slurm,
    a container's end) kills soon.

    Tune's own handler would log advice on `Tuner.restore`, so it is off and ours asks Tune to stop by SIGUSR1.
    A SIGTERM to the whole process group (Slurm, a container's end) stops Ray's processes too, and then Ray waits a
    minute for them and exits with 1, "some trials failed": a timer leaves before that, with the right code.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    asked = False

    def leave() -> None:
        display.leaving()
        os._exit(EXIT_INTERRUPTED)

    give_up = threading.Timer(SECONDS_TO_STOP, leave)
    give_up.daemon = True

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
        (stop_file.parent / "wish").write_text(wish.value, encoding="utf-8")
        (stop_file.parent / "wish").rename(stop_file)
        if number == signal.SIGTERM:
            give_up.start()
        signal.raise_signal(signal.SIGUSR1)

    for number in previous:
        signal.signal(number, stop)
    try:
        yield
    finally:
        give_up.cancel()
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


def _gpus_per_trial(cluster: Cluster) -> float:
    if not cluster.use_gpus:
        return 0.0
    if cluster.gpus_per_trial is not None:
        return cluster.gpus_per_trial
    return 1.0 if ray.cluster_resources().get("GPU", 0) else 0.0


def _is_node_alive(node_id: str) -> bool:
    return any(node["NodeID"] == node_id and node["Alive"] for node in ray.nodes())
