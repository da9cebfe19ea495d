"""A store in a bucket, on real servers: the same promises as in a folder, and what mistakes lead to."""

from __future__ import annotations

import http.server
import signal
import threading
import time
import uuid
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest

from orchestrator.errors import BadInput
from orchestrator.store import object_storage
from orchestrator.store.layout import Store
from orchestrator.store.object_storage import StoreUnreachable
from orchestrator.store.read import damaged_files, scan_table, scan_trials
from orchestrator.store.write import write_segment
from tests.orchestrator.google_server import GoogleServer
from tests.orchestrator.s3_server import SECRET, Gate, S3Server
from training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint

TRIAL = {"trials": [{"trial_id": "a", "attempt_id": "1", "status": "completed", "attempt": 1}]}


@pytest.fixture(params=["s3", "gs"])
def store(request: pytest.FixtureRequest) -> Store:
    name = "some sweeps/größe 2"
    if request.param == "s3":
        return Store(f"{request.getfixturevalue('bucket')}/{name}")
    server: GoogleServer = request.getfixturevalue("google_server")
    return Store(server.address(f"{uuid.uuid4().hex}/{name}"))


@pytest.fixture
def gate(s3_server: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """A door that the store of the test is reached through."""
    gate = Gate(s3_server.port)
    monkeypatch.setenv("AWS_ENDPOINT_URL", gate.endpoint)
    monkeypatch.setattr(object_storage, "TRIES_OF_A_REQUEST", 1)
    yield gate
    gate.shut()


def test_what_is_published_is_listed_read_replaced_and_removed(store: Store) -> None:
    table = pa.table({"a": [1, 2]})
    assert (store.files("trials"), store.folders("runs"), store.exists("trials")) == ([], [], False)
    store.publish_table(table, "trials", "one.parquet")
    store.publish_text("first", "runs", "r1", "run.json")
    store.publish_text("second", "runs", "r1", "run.json")
    assert store.files("trials") == ["one.parquet"]
    assert store.folders("runs") == ["r1"]
    assert store.exists("runs", "r1", "run.json")
    assert pq.read_table(pa.BufferReader(store.read_bytes("trials", "one.parquet"))).equals(table)
    assert store.read_text("runs", "r1", "run.json") == "second"
    store.remove("trials", "one.parquet")
    store.remove("trials", "one.parquet")
    store.remove_folder("runs", "r1")
    store.remove_folder("runs", "r1")
    assert (store.files("trials"), store.folders("runs"), store.exists("runs", "r1")) == ([], [], False)
    with pytest.raises(FileNotFoundError):
        store.read_bytes("trials", "one.parquet")
    store.publish_text("damaged", "trials", "two")
    store.move(("trials", "two"), ("quarantine", "two"))
    store.move(("trials", "two"), ("quarantine", "three"))
    assert (store.files("trials"), store.files("quarantine")) == ([], ["two"])
    assert "quarantine" in store.folders()  # S3 keeps names of folders that were emptied as well


def test_one_store_is_not_another_that_its_name_begins(bucket: str) -> None:
    Store(f"{bucket}/sweep-2").publish_text("x", "runs", "r1", "run.json")
    one = Store(f"{bucket}/sweep")
    assert not one.exists("runs")
    one.remove_folder("runs")
    assert Store(f"{bucket}/sweep-2").files("runs", "r1") == ["run.json"]


def test_a_folder_of_more_files_than_one_answer_holds_is_listed_whole_and_removed(bucket: str) -> None:
    store = Store(f"{bucket}/s")
    names = [f"{number:04d}.json" for number in range(1005)]  # S3 lists a thousand at a time
    for name in names:
        store.publish_bytes(b"{}", "runs", "r1", name)
    assert store.files("runs", "r1") == names
    store.remove_folder("runs", "r1")
    assert store.files("runs", "r1") == []


def test_a_writer_that_fails_leaves_what_was_there(store: Store) -> None:
    store.publish_text("whole", "sweeps", "a.yaml")

    def half(stream: pa.NativeFile) -> None:
        stream.write(b"ha")
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError):
        store._publish(half, "sweeps", "a.yaml")
    assert store.read_text("sweeps", "a.yaml") == "whole"


def test_an_upload_that_is_cut_off_is_not_published_and_then_repeated(
    gate: Gate, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """20 MB go up in parts. Closing a stream after a part that failed must not publish the others."""
    store = Store(f"{bucket}/s")
    content = bytes(range(256)) * 80_000
    monkeypatch.setattr(object_storage, "FIRST_PATIENCE_SECONDS", 1.0)
    gate.cut_at = b"partNumber=2"
    with pytest.raises(StoreUnreachable):
        store.publish_bytes(content, "checkpoints", "k", "big")
    assert store.files("checkpoints", "k") == []
    gate.cut_at = None
    store.publish_bytes(content, "checkpoints", "k", "big")
    assert store.read_bytes("checkpoints", "k", "big") == content


def test_an_outage_is_waited_out(gate: Gate, bucket: str) -> None:
    store = Store(f"{bucket}/s")
    write_segment(store, "one", [TRIAL])
    gate.shut()
    again = threading.Timer(2.0, gate.open)
    again.start()
    began = time.monotonic()
    write_segment(store, "two", [{"trials": [TRIAL["trials"][0] | {"trial_id": "b"}]}])
    assert time.monotonic() - began > 1.5
    again.join()
    assert sorted(scan_trials(store).collect()["trial_id"]) == ["a", "b"]


def test_a_server_that_hangs_for_a_while_is_waited_for(
    s3_server: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_storage, "STALL_SECONDS", 1.0)
    store = Store(f"{bucket}/s")
    store.publish_text("x", "a")
    s3_server.process.send_signal(signal.SIGSTOP)
    threading.Timer(3.0, s3_server.process.send_signal, [signal.SIGCONT]).start()
    store.publish_text("y", "b")
    assert store.files() == ["a", "b"]


def test_an_endpoint_that_never_answers_is_given_up_soon(
    gate: Gate, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_storage, "FIRST_PATIENCE_SECONDS", 1.0)
    gate.shut()
    began = time.monotonic()
    with pytest.raises(StoreUnreachable, match=r"does not answer: NETWORK_CONNECTION .* AWS_ENDPOINT_URL"):
        Store(f"{bucket}/s").check()
    assert time.monotonic() - began < 5


def test_a_store_that_goes_away_is_given_up_after_its_patience_and_is_not_called_damaged(
    gate: Gate, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_storage, "PATIENCE_SECONDS", 1.0)
    store = Store(f"{bucket}/s")
    write_segment(store, "one", [TRIAL])
    assert damaged_files(store) == []
    gate.shut()
    with pytest.raises(StoreUnreachable):
        damaged_files(store)


def test_a_bucket_that_does_not_exist_is_named_at_once(bucket: str) -> None:
    store = Store("s3://no-such-bucket/sweep")
    for attempt in (store.check, lambda: store.publish_text("x", "a")):
        began = time.monotonic()
        with pytest.raises(BadInput, match="s3://no-such-bucket/sweep: there is no .*bucket"):
            attempt()
        assert time.monotonic() - began < 5


def test_wrong_credentials_are_said_at_once(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    server = S3Server({"INITIAL_NO_AUTH_ACTION_COUNT": "1"})  # the bucket is made without; then it looks at signatures
    try:
        server.make_bucket("closed")
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
        store = Store("s3://closed/sweep")
        for attempt in (store.check, lambda: store.publish_text("x", "a"), lambda: store.files("trials")):
            with pytest.raises(BadInput, match=r"access was refused.*AWS_ACCESS_KEY_ID") as refused:
                attempt()
            assert SECRET not in str(refused.value)
    finally:
        server.stop()


class UnsignedRefused(http.server.BaseHTTPRequestHandler):
    """What S3 answers a request that carries no signature. (moto's server has no answer to one.)"""

    def do_HEAD(self) -> None:
        assert "Authorization" not in self.headers
        self.send_response(403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


def test_missing_credentials_are_said_at_once(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), UnsignedRefused) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
        with pytest.raises(BadInput, match="access was refused"):
            Store("s3://bucket/sweep").check()
        server.shutdown()


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (f"s3://AKIA:{SECRET}@bucket/a", "s3://...@bucket/a: an address may not hold credentials"),
        ("s3://bucket/a?endpoint=x", "no such option, did you mean 'endpoint_override'"),
        (f"s3://bucket/a?secret_key={SECRET}", "no such option"),
        ("s3:///a", "names no bucket"),
        ("gs:///a", "names no bucket"),
        ("s3://anonymous@bucket/a", "an address may not hold credentials"),
        (f"gs://someone:{SECRET}@bucket/a", "gs://...@bucket/a: an address may not hold credentials"),
        (f"gs://bucket/a?access_token={SECRET}", "no such option"),
        ("ftp://host/a", "is no address of a store"),
    ],
)
def test_a_wrong_address_is_refused_without_repeating_a_secret(address: str, message: str) -> None:
    with pytest.raises(BadInput) as refused:
        Store(address)
    assert message in str(refused.value)
    assert SECRET not in str(refused.value)


def test_the_endpoint_may_stand_in_the_address(
    s3_server: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    where = f"127.0.0.1:{s3_server.port}"
    Store(f"{bucket}/s?endpoint_override={where}&scheme=http&region=us-east-1").publish_text("x", "a")
    assert Store(f"{bucket}/s?endpoint_override=http://{where}&region=us-east-1").read_text("a") == "x"


def test_checkpoints_go_on_from_a_bucket(store: Store) -> None:
    import torch

    for step in (1, 2, 3):
        save_checkpoint(store, Checkpoint(tensors={"w": torch.full((3,), step)}, facts={"s": step}), "checkpoints", "k")
    assert len(store.files("checkpoints", "k")) == 2
    name = store.files("checkpoints", "k")[-1]
    store.publish_bytes(store.read_bytes("checkpoints", "k", name)[:-1], "checkpoints", "k", name)
    found = load_checkpoint(store, "checkpoints", "k")
    assert found is not None
    assert (found.facts, found.tensors["w"].tolist()) == ({"s": 2}, [2, 2, 2])
    store.remove_folder("checkpoints")
    assert load_checkpoint(store, "checkpoints", "k") is None


def test_a_table_reads_alike_whatever_columns_its_files_have(store: Store) -> None:
    write_segment(store, "one", [TRIAL])
    old = pa.table({"trial_id": ["b"], "attempt_id": ["1"], "status": ["completed"], "attempt": [1]})
    store.publish_table(old, "trials", "old.parquet")
    assert scan_table(store, "trials").select("trial_id", "lr").collect().sort("trial_id").rows() == [
        ("a", None),
        ("b", None),
    ]
    assert store.filesystem.get_file_info(store.path("trials")).type == pafs.FileType.Directory
