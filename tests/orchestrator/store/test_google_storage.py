"""A store in Google Cloud Storage, on an emulator: a cohort, compaction and outages are as in S3."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.cohort import Cohort, CohortRunner, RunSettings, publish_run
from orchestrator.errors import BadInput
from orchestrator.plan import make_plan
from orchestrator.store import object_storage
from orchestrator.store.compact import compact, num_files
from orchestrator.store.layout import Store
from orchestrator.store.object_storage import StoreUnreachable, explained
from orchestrator.store.read import scan_children, scan_trials
from orchestrator.store.rows import Provenance
from orchestrator.store.write import write_segment
from orchestrator.sweepfile import SweepFile
from tests.orchestrator.google_server import GoogleServer
from tests.orchestrator.s3_server import Gate

WHERE = Provenance(run_id="r1", prunesweep_version="0", torch_version="0", git_commit=None, git_dirty=None)
ROW = {"attempt_id": "1", "status": "completed", "attempt": 1}


@pytest.fixture
def gate(google_server: GoogleServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate = Gate(google_server.port)
    monkeypatch.setattr(object_storage, "SECONDS_OF_A_REQUEST", 1)
    yield gate
    gate.shut()


def test_a_cohort_writes_what_it_writes_to_a_folder_and_it_is_compacted(
    google_server: GoogleServer, small_sweep: SweepFile, tmp_path: Path
) -> None:
    measured = ("trial_id", "status", "final_train_loss", "final_test_accuracy", "kept_weights")
    found = []
    for location in (google_server.address(f"{uuid.uuid4().hex}/s"), tmp_path / "s"):
        store = Store(location)
        trials = make_plan(small_sweep, store).to_run
        publish_run(store, RunSettings(provenance=WHERE, user_folder="", device="cpu"), trials)
        for number in range(2):
            cohort = Cohort(location=store.location, run_id="r1", number=number, start=5 * number, stop=5 * number + 5)
            running = CohortRunner(cohort, node_id="node", is_node_alive=lambda node_id: True)
            while not running.step().finished:
                pass
        before = num_files(store)
        found.append(scan_trials(store).select(measured).sort("trial_id").collect())
        done = compact(store, grace_seconds=0)
        assert before >= 8
        assert (done.files_before, done.files_after) == (before, 4)
        assert scan_trials(store).select(measured).sort("trial_id").collect().equals(found[-1])
        assert scan_children(store, "epochs").collect().height == 10
        assert make_plan(small_sweep, store).to_run == []
    assert found[0].height == 10
    assert found[0].equals(found[1])


def test_an_outage_is_waited_out_and_one_that_lasts_is_given_up(
    google_server: GoogleServer, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(google_server.address(f"{uuid.uuid4().hex}/s", port=gate.port))
    write_segment(store, "one", [{"trials": [ROW | {"trial_id": "a"}]}])
    gate.shut()
    again = threading.Timer(3.0, gate.open)
    again.start()
    began = time.monotonic()
    write_segment(store, "two", [{"trials": [ROW | {"trial_id": "b"}]}])
    assert time.monotonic() - began > 2.5
    again.join()
    assert sorted(scan_trials(store).collect()["trial_id"]) == ["a", "b"]
    gate.shut()
    monkeypatch.setattr(object_storage, "PATIENCE_SECONDS", 1.0)
    with pytest.raises(StoreUnreachable, match=r"does not answer: .*CURL error .*GOOGLE_APPLICATION_CREDENTIALS"):
        store.publish_text("x", "a")


def test_an_upload_that_is_cut_off_is_not_published_and_then_repeated(
    google_server: GoogleServer, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(google_server.address(f"{uuid.uuid4().hex}/s", port=gate.port))
    content = bytes(range(256)) * 80_000
    monkeypatch.setattr(object_storage, "FIRST_PATIENCE_SECONDS", 1.0)
    gate.cut_at = b"PUT /upload"
    with pytest.raises(StoreUnreachable):
        store.publish_bytes(content, "checkpoints", "k", "big")
    gate.cut_at = None
    assert store.files("checkpoints", "k") == []
    store.publish_bytes(content, "checkpoints", "k", "big")
    assert store.read_bytes("checkpoints", "k", "big") == content


def test_a_bucket_that_does_not_exist_is_named_at_once(google_server: GoogleServer) -> None:
    began = time.monotonic()
    with pytest.raises(BadInput, match="there is no bucket 'no-such-bucket'"):
        Store(google_server.address("s").replace("@bucket", "@no-such-bucket")).check()
    assert time.monotonic() - began < 5


def test_refused_credentials_are_not_waited_for() -> None:
    """In the words of Google's client library: the emulator refuses nobody."""
    error = OSError("google::cloud::Status(PERMISSION_DENIED: Permanent error, with a last message of no)")
    found = explained(error, "gs://bucket/path")
    assert found is not None
    assert "gs://bucket/path: access was refused. " in str(found)
    assert "GOOGLE_APPLICATION_CREDENTIALS" in str(found)
