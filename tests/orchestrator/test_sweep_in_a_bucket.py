"""A sweep whose results go to an S3 bucket: run, interrupted, resumed and read, and no secret left anywhere."""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow.fs as pafs
import pytest

from orchestrator.cohort import Cohort, CohortRunner, RunSettings, publish_run
from orchestrator.plan import make_plan
from orchestrator.store import object_storage
from orchestrator.store.layout import Store
from orchestrator.store.object_storage import StoreUnreachable
from orchestrator.store.read import scan_children, scan_table, scan_trials
from orchestrator.store.rows import Provenance
from orchestrator.sweepfile import SweepFile, parse_sweep
from tests.orchestrator.conftest import SMALL_SWEEP, CommandLine
from tests.orchestrator.s3_server import KEY, SECRET, Gate, S3Server
from training.config import TrialConfig
from training.snapshots import Snapshot

WHERE = Provenance(run_id="r1", prunesweep_version="0", torch_version="0", git_commit=None, git_dirty=None)
MEASURED = ["trial_id", "status", "kept_weights", "final_train_loss", "final_test_accuracy"]


@pytest.fixture
def gate(s3_server: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """A door that everything in the test reaches the bucket through."""
    gate = Gate(s3_server.port)
    monkeypatch.setenv("AWS_ENDPOINT_URL", gate.endpoint)
    monkeypatch.setattr(object_storage, "TRIES_OF_A_REQUEST", 1)
    yield gate
    gate.shut()


def planned(file: SweepFile, location: str | Path) -> tuple[Store, Cohort]:
    """A sweep's only cohort, ready to run."""
    store = Store(location)
    trials = make_plan(file, store).to_run
    publish_run(store, RunSettings(provenance=WHERE, user_folder=str(file.folder), device="cpu"), trials)
    return store, Cohort(location=store.location, run_id="r1", number=0, start=0, stop=len(trials))


def runner(cohort: Cohort) -> CohortRunner:
    return CohortRunner(cohort, node_id="node", is_node_alive=lambda node_id: True)


def finish(running: CohortRunner) -> None:
    while not running.step().finished:
        pass


def test_a_cohort_writes_to_a_bucket_what_it_writes_to_a_folder(
    bucket: str, small_sweep: SweepFile, tmp_path: Path
) -> None:
    in_bucket, cohort = planned(small_sweep, f"{bucket}/s")
    finish(runner(cohort))
    in_folder, cohort = planned(small_sweep, tmp_path / "s")
    finish(runner(cohort))
    rows = [scan_trials(store).select(MEASURED).sort("trial_id").collect() for store in (in_bucket, in_folder)]
    assert rows[0].height == 10
    assert rows[0].equals(rows[1])
    layers = [scan_children(store, "layers").collect().height for store in (in_bucket, in_folder)]
    assert layers[0] == layers[1] > 0
    assert make_plan(small_sweep, in_bucket).to_run == []


def test_an_outage_while_a_cohort_runs_costs_nothing(
    gate: Gate, bucket: str, small_sweep: SweepFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.cohort.FLUSH_TRIALS", 3)
    store, cohort = planned(small_sweep, f"{bucket}/s")
    running = runner(cohort)
    running.step()
    gate.shut()
    threading.Timer(3.0, gate.open).start()
    finish(running)
    assert scan_table(store, "trials").collect().height == 10
    assert make_plan(small_sweep, store).to_run == []


def test_an_outage_that_outlasts_the_patience_loses_no_committed_trial(
    gate: Gate, bucket: str, small_sweep: SweepFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.cohort.FLUSH_TRIALS", 3)
    monkeypatch.setattr(object_storage, "PATIENCE_SECONDS", 1.0)
    store, cohort = planned(small_sweep, f"{bucket}/s")
    running = runner(cohort)
    running.step()
    committed = set(scan_trials(store).collect()["attempt_id"])
    assert len(committed) == 3
    gate.shut()
    began = time.monotonic()
    with pytest.raises(StoreUnreachable):
        running.step()
    assert time.monotonic() - began < 20
    gate.open()
    assert len(make_plan(small_sweep, store).to_run) == 7
    finish(runner(cohort))  # as another process that takes the cohort
    rows = scan_table(store, "trials").collect()
    assert rows.height == 10
    assert committed <= set(rows["attempt_id"])


def test_a_long_trial_goes_on_from_a_checkpoint_in_a_bucket(bucket: str, tmp_path: Path) -> None:
    text = SMALL_SWEEP.replace("sparsity: [0, 0.9, 0.99]", "sparsity: [0.5]").replace("[random, magnitude]", "imp")
    text = text.replace("seed: {count: 2}", "seed: 0").replace("epochs: 1", "epochs: 2")
    file = parse_sweep(text, name="imp.yaml", folder=tmp_path)
    store = Store(f"{bucket}/s")
    trials = make_plan(file, store).to_run
    settings = RunSettings(provenance=WHERE, user_folder=str(tmp_path), device="cpu", checkpoint_seconds=0.0)
    publish_run(store, settings, trials)
    cohort = Cohort(location=store.location, run_id="r1", number=0, start=0, stop=len(trials))
    interrupted = runner(cohort)
    seen: list[int] = []
    save = interrupted.context.snapshots.save

    def save_and_die(config: TrialConfig, snapshot: Snapshot) -> None:
        save(config, snapshot)
        seen.append(len(store.folders("checkpoints")))
        raise KeyboardInterrupt

    interrupted.context.snapshots.save = save_and_die  # type: ignore[method-assign]  # of this runner alone
    with pytest.raises(KeyboardInterrupt):
        interrupted.step()
    assert seen == [1]
    finish(runner(cohort))
    assert store.folders("checkpoints") == []
    assert scan_trials(store).collect()["status"].to_list() == ["completed"] * len(trials)


def test_the_commands_work_on_a_bucket_and_leave_no_secret(
    bucket: str, prunesweep: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = f"{bucket}/team/small"
    (tmp_path / "small.yaml").write_text(SMALL_SWEEP)
    ray_folder = Path(tempfile.mkdtemp(prefix="ps", dir="/tmp"))  # short: Ray's sockets lie there
    monkeypatch.setenv("RAY_TMPDIR", str(ray_folder))
    try:
        outputs = [
            prunesweep("run", "small.yaml", "--results", where, "--slots", "2", "--device", "cpu"),
            prunesweep("status", where, "--json"),
            prunesweep("resume", where, "--slots", "1", "--device", "cpu"),
            prunesweep("report", where, "--png"),
            prunesweep("plan", "small.yaml", "--results", where),
            prunesweep("run", "small.yaml", "--results", "s3://no-such-bucket/x", check=2),
        ]
        assert "10 of 10 trials completed, 0 failed" in outputs[0].stdout
        assert json.loads(outputs[1].stdout)["total"]["completed"] == 10
        assert "10 of 10 trials completed" in outputs[2].stdout
        store = Store(where)
        assert f"{where}/report.html" in outputs[3].stdout.split()
        assert "<html" in store.read_text("report.html")
        assert store.files("figures")
        assert scan_table(store, "trials").collect().height == 10  # resume ran nothing again
        identity = scan_trials(store).collect()["trial_id"][0]
        outputs.append(prunesweep("trial", where, identity[:8]))
        assert identity in outputs[-1].stdout.replace("\n", "")
        assert "no-such-bucket" in outputs[5].stderr
        assert "Traceback" not in outputs[5].stderr

        infos = store.filesystem.get_file_info(pafs.FileSelector(bucket.removeprefix("s3://"), recursive=True))
        objects = [info.path for info in infos if info.type == pafs.FileType.File]
        contents = {path: store.filesystem.open_input_stream(path).read() for path in objects}
        assert len(contents) > 10
        local = [*ray_folder.rglob("*"), *tmp_path.rglob("*")]
        contents |= {str(path): path.read_bytes() for path in local if path.is_file()}
        assert any("logs" in path for path in contents)  # Ray's
        contents |= {str(one.args): (one.stdout + one.stderr).encode() for one in outputs}
        for rows in (scan_table(store, table).collect() for table in ("trials", "points")):
            contents[f"rows of {rows.columns}"] = rows.write_json().encode()  # Parquet is compressed
        for path, content in contents.items():
            for secret in (SECRET, KEY):
                assert secret.encode() not in content, f"{secret} in {path}"
    finally:
        shutil.rmtree(ray_folder, ignore_errors=True)
