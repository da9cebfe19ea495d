"""Run one cohort: a range of a plan file, trial by trial, committed every few seconds. No Ray here.

Failure model. A trial that raises is a failed row. A process that dies loses at most the trials since its last
segment; whoever restarts the cohort finds its start marker and goes careful: committed trials are skipped, every
trial starts with a marker of its own and is committed alone. A marker without a row, left on a node that is still
alive, is one crash of that trial; after `max_attempts` of them it gets a failed row, `crashed`, and the rest goes on.
Starts on a node that died say nothing about the trial and are not counted. A trial that takes too long leaves a marker
that says so and ends the process (`time_limit.py`): it has its failed row as soon as the cohort goes on.
"""

from __future__ import annotations

import json
import math
import pkgutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

import polars as pl
import pyarrow as pa

from orchestrator.cost import Estimate
from orchestrator.deadline import Deadline
from orchestrator.output import Mirror, OutputTail, captured
from orchestrator.parts import PARTS
from orchestrator.sources import UserCode
from orchestrator.store.layout import Store
from orchestrator.store.merges import live_files
from orchestrator.store.rows import Provenance, Row, attempt_rows
from orchestrator.store.write import write_segment
from orchestrator.time_limit import time_limit
from orchestrator.trials import PlannedTrial, Trials
from training.config import CHECKPOINT_SECONDS, Named, TrialConfig, part_text
from training.context import CohortContext
from training.record import TrialError, TrialRecord
from training.snapshots import Interrupted, Wish

FLUSH_SECONDS = 5.0
FLUSH_TRIALS = 500
"""A bound on memory alone: what a crash costs is bounded by the seconds, and each segment is a file in every table."""
RUNNER = "training.trial:run_cohort"
ERROR_CHARACTERS = 200
"""Of a trial's error, what is reported while the sweep runs."""

PLAN_SCHEMA = pa.schema(
    [("trial_id", pa.string()), ("attempt", pa.int64())]
    + [(name, pa.dictionary(pa.int32(), pa.string())) for name in PARTS]
)
"""A trial to run: each part of its configuration as JSON, which repeats and so takes next to no room."""
PLAN_ROWS_AT_A_TIME = 5_000
"""A row group: what a worker reads of the plan to find its few hundred trials."""


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """What every cohort of a run needs to know; kept as runs/<run id>/run.json."""

    provenance: Provenance
    user_folder: str
    device: str = "auto"
    max_attempts: int = 3
    """Crashes of its process after which a trial is given up."""
    time_limit_seconds: float | None = None
    """For one trial; None is no limit."""
    engine: str = "compact"
    save_masks: bool = False
    save_unit_scores: bool = False
    checkpoint_seconds: float = CHECKPOINT_SECONDS
    """Between checkpoints of a long trial."""
    data_root: str | None = None
    """The folder of data sets, absolute; None lets each node use its own default."""
    deadline: Deadline | None = None
    """When the run has to be over."""
    runner: str = RUNNER
    """What runs the trials of a cohort, "module:function" with the arguments of `training.trial.run_cohort`. Benchmarks
    of scheduling put one in its place that does nothing; no sweep file or command can."""

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
    patience_seconds: float | None = None
    """After so long, trials that have not begun are given back; None: never."""
    needed_seconds: float = 0.0
    """Time that has to be left before the run's deadline for a trial to be begun."""

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
    seconds: dict[int, float] = field(default_factory=dict)
    """What each trial took of its slot, by row of the plan."""
    gpu_seconds: float = 0.0
    """Of its trials that ran on a GPU, as their rows say, whatever share of it they reserve."""
    cpu_seconds: float = 0.0
    errors: dict[int, str] = field(default_factory=dict)
    """Type and message of each failed trial, by row of the plan."""
    finished: bool = False
    """Whether the cohort has nothing left."""
    given_back: tuple[int, int] | None = None
    """Rows of a finished cohort that it has not begun: for others to run."""

    def add(self, row: int, record: TrialRecord, seconds: float) -> None:
        """Count a trial, which took so many seconds."""
        self.seconds[row] = seconds
        in_its_row = sum(record.seconds.values())
        if record.execution.device == "cpu":
            self.cpu_seconds += in_its_row
        else:
            self.gpu_seconds += in_its_row
        self.collapsed += record.num_collapsed_layers > 0
        if record.error is None:
            self.completed += 1
        else:
            self.failed += 1
            self.errors[row] = f"{record.error.type}: {record.error.message[:ERROR_CHARACTERS]}"


def publish_run(store: Store, settings: RunSettings, trials: Trials) -> None:
    """Write a run's plan and settings where its workers read them."""
    run = settings.provenance.run_id
    store.publish_tables(PLAN_SCHEMA, _plan_rows(trials), "runs", run, "plan.parquet")
    store.publish_text(settings.to_json(), "runs", run, "run.json")


def read_planned(store: Store, run_id: str, start: int, stop: int) -> list[PlannedTrial]:
    """Rows [start, stop) of a run's plan."""
    return [
        PlannedTrial(
            trial_id=row["trial_id"],
            attempt=row["attempt"],
            config=TrialConfig.from_parts({name: row[name] for name in PARTS}),
        )
        for row in store.read_rows(start, stop, "runs", run_id, "plan.parquet").to_pylist()
    ]


def _plan_rows(trials: Trials) -> Iterator[pa.Table]:
    texts = {name: pa.array(map(part_text, trials.parts.of[name]), pa.string()) for name in PARTS}
    for rows in trials.frame.iter_slices(PLAN_ROWS_AT_A_TIME):
        columns: dict[str, pa.Array] = {name: rows[name].to_arrow() for name in ("trial_id", "attempt")}
        columns["trial_id"] = columns["trial_id"].cast(pa.string())
        for name in PARTS:
            numbers = rows[name].cast(pl.Int32).to_arrow()
            columns[name] = pa.DictionaryArray.from_arrays(numbers, texts[name])
        yield pa.table(columns, schema=PLAN_SCHEMA)


class CohortRunner:
    """Works through one cohort, a few seconds a step."""

    def __init__(
        self,
        cohort: Cohort,
        *,
        node_id: str,
        is_node_alive: Callable[[str], bool],
        wish: Callable[[], Wish] = lambda: Wish.NONE,
        context: CohortContext | None = None,
    ) -> None:
        """`wish` says whether the run is being stopped.

        `context` is that of the cohort which the process ran before, of the same run: what it holds is shared further.
        """
        self._cohort = cohort
        self._node_id = node_id
        self._is_node_alive = is_node_alive
        self._store = Store(cohort.location)
        self._store.expect_answers()  # the plan was written there: an outage is waited out
        self._settings = RunSettings.from_json(self._store.read_text("runs", cohort.run_id, "run.json"))
        self._user_code = UserCode(Path(self._settings.user_folder))
        self._user_code.make_importable()
        self.context = context or CohortContext(
            self._settings.device,
            engine=self._settings.engine,
            save_masks=self._settings.save_masks,
            save_unit_scores=self._settings.save_unit_scores,
            shelf=self._store,
            checkpoint_seconds=self._settings.checkpoint_seconds,
            data_root=self._settings.data_root,
            wish=wish,
        )
        self.context.snapshots.start_cohort()
        self._nonce = uuid.uuid4().hex[:8]
        self._num_segments = 0
        self._careful = bool(self._markers())
        self._mark({"node_id": self._node_id})
        self._needed_seconds = cohort.needed_seconds
        self._give_back_at = time.monotonic() + (cohort.patience_seconds or math.inf)
        planned = read_planned(self._store, cohort.run_id, cohort.start, cohort.stop)
        self._rows = {trial.trial_id: row for row, trial in enumerate(planned, start=cohort.start)}
        self._attempts = self._careful_attempts(planned) if self._careful else self._attempts_at(planned)

    def step(self) -> Progress:
        """Run trials until a few seconds or a segment's worth are done, and commit them."""
        started = time.monotonic()
        deadline = started + FLUSH_SECONDS
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
            now = time.monotonic()
            is_shared = self.context.looks_ahead > 1  # the first of a window was waited for while all of them trained
            progress.add(
                self._rows[trial.trial_id], record, sum(record.seconds.values()) if is_shared else now - started
            )
            started = now
            if now > self._give_back_at and not self._careful and not self.context.num_trained_ahead:
                progress.finished = True
                if (next_row := self._rows[trial.trial_id] + 1) < self._cohort.stop:
                    progress.given_back = (next_row, self._cohort.stop)
                break
            is_due = len(rows) >= FLUSH_TRIALS or now > deadline
            if self._careful or (is_due and not self.context.num_trained_ahead):  # a run may be stopped between steps
                break
        else:
            progress.finished = True
        if rows:
            write_segment(self._store, f"{self._cohort.label}-{self._nonce}-{self._num_segments:04d}", rows)
            self._num_segments += 1
        for config in done:  # committed: nobody goes on from their checkpoints
            self.context.snapshots.forget(config)
        for row in progress.seconds:  # writing is part of what each of them costs
            progress.seconds[row] += (time.monotonic() - started) / len(rows)
        return progress

    def _in_time(self) -> Iterator[tuple[PlannedTrial, int, TrialRecord]]:
        """What is attempted until the run has to be over; a trial that left a checkpoint and went is no attempt."""
        deadline = self._settings.deadline
        while (
            deadline is None or self.context.num_trained_ahead or deadline.has_time(time.time(), self._needed_seconds)
        ):
            try:
                attempt = next(self._attempts)
            except (StopIteration, Interrupted):
                return
            if deadline:
                took = sum(attempt[2].seconds.values())
                needed = deadline.needed_seconds(Estimate(seconds=took, low=took, high=took))
                self._needed_seconds = max(self._needed_seconds, needed)
            yield attempt

    def _attempts_at(self, trials: list[PlannedTrial]) -> Iterator[tuple[PlannedTrial, int, TrialRecord]]:
        """The normal way: one pass, sharing everything."""
        run_cohort = pkgutil.resolve_name(self._settings.runner)
        records = run_cohort((trial.config for trial in trials), self.context, check=self._check_source)
        limit, ahead = self._settings.time_limit_seconds, self.context.looks_ahead
        for number, trial in enumerate(trials):
            num_at_once = min(ahead, len(trials) - number) if number % ahead == 0 else 1
            with (
                captured(self._mirror_of(trial) if self._careful else None) as output,
                time_limit(limit and num_at_once * limit, partial(self._mark_too_long, trial, output, num_at_once)),
            ):
                record = next(records)
            yield trial, trial.attempt, replace(record, output=output.text)

    def _careful_attempts(self, planned: list[PlannedTrial]) -> Iterator[tuple[PlannedTrial, int, TrialRecord]]:
        """After a crash: what is not committed, each trial marked before it starts."""
        committed = self._committed()
        for trial in planned:
            if trial.trial_id in committed:
                continue
            if marker := self._too_long(trial.trial_id):
                message = self._too_long_message()
                record = self._given_up(trial, "time limit", message, marker["stack"], marker["output"])
                yield trial, trial.attempt, record
                continue
            crashes = self._crashes(trial.trial_id)
            if crashes >= self._settings.max_attempts:
                printed = Mirror.read(self._mirror_of(trial))
                record = self._given_up(trial, "crashed", _crashed_message(crashes), output=printed)
                self._mirror_of(trial).unlink(missing_ok=True)
                yield trial, trial.attempt + crashes - 1, record
                continue
            self._mark({"trial_id": trial.trial_id, "node_id": self._node_id})
            for _, attempt, record in self._attempts_at([trial]):
                yield trial, attempt + crashes, record

    def _mirror_of(self, trial: PlannedTrial) -> Path:
        """Where what it prints is kept should its process die: on this node, for whoever goes on here."""
        return Path(tempfile.gettempdir()) / f"prunesweep-{self._cohort.run_id}-{trial.trial_id}"

    def _given_up(self, trial: PlannedTrial, kind: str, message: str, stack: str = "", output: str = "") -> TrialRecord:
        error = TrialError(type=kind, message=message, traceback=stack)
        execution = self.context.execution_of(trial.config)
        return TrialRecord(config=trial.config, execution=execution, error=error, output=output)

    def _too_long_message(self) -> str:
        seconds = self._settings.time_limit_seconds
        return (
            f"took longer than {seconds:g} s and was ended (--time-limit); `prunesweep trial DIR ID` shows where it was"
        )

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

    def _mark_too_long(self, trial: PlannedTrial, output: OutputTail, num_at_once: int, stack: str) -> None:
        """Whose time is up. Of several trained at once nobody knows: each is then run alone, under its own limit."""
        if num_at_once == 1:
            self._mark({"too_long": trial.trial_id, "stack": stack, "output": output.text})

    def _too_long(self, trial_id: str) -> dict[str, str] | None:
        """Where a trial was when its time was up, in an earlier process of this run, and what it had printed."""
        return next((marker for marker in self._read_markers() if marker.get("too_long") == trial_id), None)

    def _crashes(self, trial_id: str) -> int:
        """Earlier starts of an uncommitted trial on nodes that outlived them."""
        starts = [marker for marker in self._read_markers() if marker.get("trial_id") == trial_id]
        return sum(self._is_node_alive(start["node_id"]) for start in starts)

    def _read_markers(self) -> Iterator[dict[str, str]]:
        for name in self._markers():
            yield json.loads(self._store.read_text("runs", self._cohort.run_id, "started", name))

    def _committed(self) -> set[str]:
        """Trials that an earlier process of this run committed, among others: their segments may have been merged."""
        live = live_files(self._store, "trials")
        names = [name for name in live.segments if name.startswith(f"{self._cohort.label}-")] + live.merged
        done = (pl.col("run_id") == self._cohort.run_id) | (pl.col("status") == "completed")
        committed: set[str] = set()
        for name in names:
            content = self._store.read_bytes("trials", name)
            rows = pl.read_parquet(content, columns=["trial_id", "run_id", "status"])
            committed |= set(rows.filter(done)["trial_id"])
        return committed


def _crashed_message(crashes: int) -> str:
    return (
        f"the process running this trial died {crashes} times without an error: it was killed, ran out of memory "
        "or exited; `prunesweep trial DIR ID --debug` runs it in front of you"
    )
