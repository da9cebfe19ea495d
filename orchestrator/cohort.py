"""Run one cohort: a range of a plan file, trial by trial, committed every few seconds. No Ray here.

Failure model. A trial that raises is a failed row. A process that dies loses at most the trials since its last
segment; whoever restarts the cohort finds its start marker and goes careful: committed trials are skipped, every
trial starts with a marker of its own and is committed alone. A marker without a row, left on a node that is still
alive, is one crash of that trial; after `max_attempts` of them it gets a failed row, `crashed`, and the rest goes on.
Starts on a node that died say nothing about the trial and are not counted.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from orchestrator.deadline import Deadline
from orchestrator.plan import PlannedTrial
from orchestrator.sources import UserCode
from orchestrator.store.layout import Store
from orchestrator.store.rows import Provenance, Row, attempt_rows
from orchestrator.store.write import write_segment
from training.config import CHECKPOINT_SECONDS, Named, TrialConfig
from training.context import CohortContext
from training.record import TrialError, TrialRecord
from training.snapshots import Interrupted, Wish
from training.trial import run_cohort

FLUSH_SECONDS = 5.0
FLUSH_TRIALS = 50

PLAN_SCHEMA = pa.schema([("trial_id", pa.string()), ("attempt", pa.int64()), ("config", pa.string())])


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """What every cohort of a run needs to know; kept as runs/<run id>/run.json."""

    provenance: Provenance
    user_folder: str
    device: str = "auto"
    max_attempts: int = 3
    """Crashes of its process after which a trial is given up."""
    engine: str = "compact"
    save_masks: bool = False
    checkpoint_seconds: float = CHECKPOINT_SECONDS
    """Between checkpoints of a long trial."""
    data_root: str | None = None
    """The folder of data sets, absolute; None lets each node use its own default."""
    deadline: Deadline | None = None
    """When the run has to be over."""

    def to_json(self) -> str:
        """The settings as JSON."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> RunSettings:
        """The settings that `to_json` wrote."""
        fields = json.loads(text)
        deadline = Deadline(**fields["deadline"]) if fields["deadline"] else None
        return cls(**fields | {"provenance": Provenance(**fields["provenance"]), "deadline": deadline})


@dataclass(frozen=True, kw_only=True)
class Cohort:
    """Rows [start, stop) of a run's plan file."""

    location: str
    """The store."""
    run_id: str
    number: int
    start: int
    stop: int

    @property
    def label(self) -> str:
        """The cohort's name in segment and marker names."""
        return f"{self.run_id}-c{self.number:05d}"


@dataclass(kw_only=True)
class Progress:
    """What one step of a cohort committed."""

    completed: int = 0
    failed: int = 0
    collapsed: int = 0
    gpu_seconds: float = 0.0
    """Of its trials that ran on a GPU, whatever share of it they reserve."""
    cpu_seconds: float = 0.0
    finished: bool = False
    """Whether the cohort has nothing left."""


def publish_run(store: Store, settings: RunSettings, trials: list[PlannedTrial]) -> None:
    """Write a run's plan and settings where its workers read them."""
    run = settings.provenance.run_id
    table = pa.table(
        {
            "trial_id": [trial.trial_id for trial in trials],
            "attempt": [trial.attempt for trial in trials],
            "config": [trial.config.to_json() for trial in trials],
        },
        schema=PLAN_SCHEMA,
    )
    store.publish_table(table, "runs", run, "plan.parquet")
    store.publish_text(settings.to_json(), "runs", run, "run.json")


class CohortRunner:
    """Works through one cohort, a few seconds a step."""

    def __init__(
        self,
        cohort: Cohort,
        *,
        node_id: str,
        is_node_alive: Callable[[str], bool],
        wish: Callable[[], Wish] = lambda: Wish.NONE,
    ) -> None:
        """`wish` says whether the run is being stopped."""
        self._cohort = cohort
        self._node_id = node_id
        self._is_node_alive = is_node_alive
        self._store = Store(cohort.location)
        self._store.expect_answers()  # the plan was written there: an outage is waited out
        self._settings = RunSettings.from_json(self._store.read_text("runs", cohort.run_id, "run.json"))
        self._user_code = UserCode(Path(self._settings.user_folder))
        self._user_code.make_importable()
        self._context = CohortContext(
            self._settings.device,
            engine=self._settings.engine,
            save_masks=self._settings.save_masks,
            shelf=self._store,
            checkpoint_seconds=self._settings.checkpoint_seconds,
            data_root=self._settings.data_root,
            wish=wish,
        )
        self._nonce = uuid.uuid4().hex[:8]
        self._num_segments = 0
        self._careful = bool(self._markers())
        self._mark({})
        self._attempts = self._careful_attempts() if self._careful else self._attempts_at(self._planned())

    def step(self) -> Progress:
        """Run trials until a few seconds or a segment's worth are done, and commit them."""
        deadline = time.monotonic() + FLUSH_SECONDS
        progress = Progress()
        rows: list[Mapping[str, list[Row]]] = []
        done: list[TrialConfig] = []
        for trial, attempt, record in self._in_time():
            if record.error is None:
                done.append(trial.config)
            rows.append(
                attempt_rows(
                    record,
                    trial_id=trial.trial_id,
                    attempt_id=uuid.uuid4().hex,
                    attempt=attempt,
                    provenance=self._settings.provenance,
                )
            )
            progress.completed += record.error is None
            progress.failed += record.error is not None
            seconds = sum(record.seconds.values())
            if self._settings.deadline:
                self._settings.deadline.saw(seconds)
            if record.execution.device == "cpu":
                progress.cpu_seconds += seconds
            else:
                progress.gpu_seconds += seconds
            progress.collapsed += record.num_collapsed_layers > 0
            if self._careful or len(rows) == FLUSH_TRIALS or time.monotonic() > deadline:
                break
        else:
            progress.finished = True
        if rows:
            write_segment(self._store, f"{self._cohort.label}-{self._nonce}-{self._num_segments:04d}", rows)
            self._num_segments += 1
        for config in done:  # committed: nobody goes on from their checkpoints
            self._context.snapshots.forget(config)
        return progress

    def _in_time(self) -> Iterator[tuple[PlannedTrial, int, TrialRecord]]:
        """What is attempted until the run has to be over; a trial that left a checkpoint and went is no attempt."""
        deadline = self._settings.deadline
        try:
            while deadline is None or deadline.has_time(time.time()):
                yield next(self._attempts)
        except (StopIteration, Interrupted):
            return

    def _planned(self) -> list[PlannedTrial]:
        content = pa.BufferReader(self._store.read_bytes("runs", self._cohort.run_id, "plan.parquet"))
        table = pq.read_table(content).slice(self._cohort.start, self._cohort.stop - self._cohort.start)
        return [
            PlannedTrial(trial_id=row["trial_id"], attempt=row["attempt"], config=TrialConfig.from_json(row["config"]))
            for row in table.to_pylist()
        ]

    def _attempts_at(self, trials: list[PlannedTrial]) -> Iterator[tuple[PlannedTrial, int, TrialRecord]]:
        """The normal way: one pass, sharing everything."""
        records = run_cohort((trial.config for trial in trials), self._context, check=self._check_source)
        for trial, record in zip(trials, records, strict=True):
            yield trial, trial.attempt, record

    def _careful_attempts(self) -> Iterator[tuple[PlannedTrial, int, TrialRecord]]:
        """After a crash: what is not committed, each trial marked before it starts."""
        committed = self._committed()
        for trial in self._planned():
            if trial.trial_id in committed:
                continue
            crashes = self._crashes(trial.trial_id)
            if crashes >= self._settings.max_attempts:
                yield trial, trial.attempt + crashes - 1, self._crashed(trial, crashes)
                continue
            self._mark({"trial_id": trial.trial_id, "node_id": self._node_id})
            for _, attempt, record in self._attempts_at([trial]):
                yield trial, attempt + crashes, record

    def _crashed(self, trial: PlannedTrial, crashes: int) -> TrialRecord:
        message = (
            f"the process running this trial died {crashes} times without an error: it was killed, ran out of memory "
            "or exited; `prunesweep trial DIR ID --debug` runs it in front of you"
        )
        error = TrialError(type="crashed", message=message, traceback="")
        return TrialRecord(config=trial.config, execution=self._context.execution_of(trial.config), error=error)

    def _check_source(self, config: TrialConfig) -> None:
        """Refuse to record new code's result under the id of the code that was planned."""
        parts: tuple[Named, ...] = (config.dataset, config.model, config.pruner)
        for part in parts:
            if not part.source_hash:
                continue
            if UserCode(self._user_code.folder).content_hash(part.name, part.kwargs) != part.source_hash:
                raise RuntimeError(f"what {part.name} reads changed after this run was planned: run the sweep again")

    def _markers(self) -> list[str]:
        prefix = f"{self._cohort.label}-"
        names = self._store.files("runs", self._cohort.run_id, "started")
        return [name for name in names if name.startswith(prefix)]

    def _mark(self, content: dict[str, str]) -> None:
        name = f"{self._cohort.label}-{uuid.uuid4().hex}.json"
        self._store.publish_text(json.dumps(content), "runs", self._cohort.run_id, "started", name)

    def _crashes(self, trial_id: str) -> int:
        """Earlier starts of an uncommitted trial on nodes that outlived them."""
        crashes = 0
        for name in self._markers():
            content = json.loads(self._store.read_text("runs", self._cohort.run_id, "started", name))
            crashes += content.get("trial_id") == trial_id and self._is_node_alive(content["node_id"])
        return crashes

    def _committed(self) -> set[str]:
        """Trials of this cohort that an earlier process of this run committed."""
        prefix = f"{self._cohort.label}-"
        names = [name for name in self._store.files("trials") if name.startswith(prefix)]
        committed: set[str] = set()
        for name in names:
            content = self._store.read_bytes("trials", name)
            committed |= set(pl.read_parquet(content, columns=["trial_id"])["trial_id"])
        return committed
