"""Compaction loses nothing and doubles nothing: whenever, however often, and wherever it is killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.errors import BadInput
from orchestrator.store import compact as compact_module
from orchestrator.store.compact import compact, num_files, remove_replaced
from orchestrator.store.layout import Store
from orchestrator.store.merges import KEYS, Merge, live_files, read_records
from orchestrator.store.read import scan_children, scan_table, scan_trials
from orchestrator.store.write import write_segment

OUR_ROOT = Path(__file__).parents[3]
CHILDREN = ("epochs", "layers", "rounds", "masks")
Seen = dict[str, list[tuple[Any, ...]]]


def attempt(trial: str, attempt_id: str, status: str = "completed", number: int = 1, loss: float = 0.5) -> Any:
    key = {"trial_id": trial, "attempt_id": attempt_id}
    trials = [key | {"status": status, "attempt": number, "device": "cpu", "final_test_loss": loss}]
    if status == "failed":
        return {"trials": trials}
    return {
        "trials": trials,
        "epochs": [key | {"level": 1, "epoch": epoch, "test_loss": loss + epoch} for epoch in (1, 2, 3)],
        "layers": [key | {"position": position, "layer": f"layer {position}", "kept": 7} for position in (0, 1)],
        "rounds": [key | {"round": 1, "flow": loss}],
        "masks": [key | {"position": 0, "layer": "layer 0", "shape": [2, 4], "bits": b"\x07"}],
    }


def seen(store: Store) -> Seen:
    """All that a reader sees."""
    frames = {"trials": scan_trials(store)} | {table: scan_children(store, table) for table in CHILDREN}
    return {table: frame.collect().sort(KEYS[table]).rows() for table, frame in frames.items()}


def small_store(location: str | Path, num_segments: int = 12) -> Store:
    """Several trials a segment; every third trial was attempted twice, every fourth failed first."""
    store = Store(location)
    for segment in range(num_segments):
        rows = [attempt(f"t{segment}-{n}", f"{9 - n}{segment:03d}", loss=segment + n / 8) for n in range(4)]
        rows.append(attempt(f"t{segment // 3}-0", f"5{segment:03d}", loss=(segment // 3)))
        rows.append(attempt(f"f{segment // 4}", f"x{segment}", "failed", 1 + segment % 4))
        write_segment(store, f"run-c{segment:05d}-0123abcd-{segment:04d}", rows)
    write_segment(store, "orphan", [{"epochs": attempt("never", "n1")["epochs"]}])
    return store


def test_readers_see_the_same_before_and_after_and_in_fewer_files(tmp_path: Path) -> None:
    store = small_store(tmp_path)
    before = seen(store)
    assert len(before["trials"]) == 12 * 4 + 3
    done = compact(store)
    assert (done.files_before, done.files_after) == (5 * 12, 5 + 1)  # and the orphan, which is not touched
    assert seen(store) == before
    assert compact(store).files_after == 6
    assert len(read_records(store, "trials").merges) == 1, "nothing new, nothing written"


def test_afterwards_any_tool_reads_each_result_once(tmp_path: Path) -> None:
    store = small_store(tmp_path)
    before = seen(store)
    compact(store, grace_seconds=0)
    for table in KEYS:
        rows = pl.read_parquet(f"{tmp_path}/{table}/*.parquet").filter(pl.col("trial_id") != "never")
        assert rows.height == len(before[table]), table
    (file,) = (tmp_path / "trials").glob("*.parquet")
    ids = pq.read_table(file)["trial_id"].to_pylist()
    assert ids == sorted(set(ids))


def test_a_reader_that_opened_before_still_reads_for_an_hour(tmp_path: Path) -> None:
    store = small_store(tmp_path)
    before = seen(store)
    late = scan_children(store, "epochs")
    compact(store)
    compact(store)
    assert late.collect().sort(KEYS["epochs"]).rows() == before["epochs"]
    num_replaced = sum(len(store.files(table)) for table in KEYS) - num_files(store)
    an_hour_ago = time.time() - compact_module.GRACE_SECONDS - 1
    for record in (tmp_path / "merges").iterdir():
        os.utime(record, (an_hour_ago, an_hour_ago))
    assert num_replaced == 60
    assert remove_replaced(store) == 0
    assert sum(len(store.files(table)) for table in KEYS) == num_files(store) == 6
    assert seen(store) == before


def test_files_replaced_twice_stay_for_whoever_listed_them_last(tmp_path: Path) -> None:
    store = small_store(tmp_path)
    compact(store)
    late = scan_children(store, "epochs")
    before = seen(store)
    long_ago = time.time() - 7200
    for record in (tmp_path / "merges").iterdir():
        os.utime(record, (long_ago, long_ago))
    write_segment(store, "new", [attempt("new", "n1")])
    compact(store)
    assert late.collect().sort(KEYS["epochs"]).rows() == before["epochs"], "the first merge is what it listed"
    assert not any(name.startswith("run-") for name in store.files("epochs")), "nobody can still hold the segments"
    compact(store, grace_seconds=0)
    assert len(read_records(store, "epochs").merges) == 1


def test_a_slower_runner_with_a_smaller_attempt_id_wins_after_compaction_as_before(tmp_path: Path) -> None:
    store = Store(tmp_path)
    write_segment(store, "s1", [attempt("A", "a5"), attempt("B", "b5", "failed", 2)])
    compact(store, grace_seconds=0)
    write_segment(store, "s2", [attempt("A", "a1"), attempt("B", "b1", "failed", 1)])
    for _ in range(2):
        rows = {row[0]: row[1] for row in seen(store)["trials"]}
        assert rows == {"A": "a1", "B": "b5"}
        assert {row[:2] for row in seen(store)["epochs"]} == {("A", "a1")}
        compact(store, grace_seconds=0)
    write_segment(store, "s3", [attempt("B", "b9")])
    assert {row[0]: row[1] for row in seen(store)["trials"]} == {"A": "a1", "B": "b9"}


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from("ABC"), st.sampled_from(["completed", "failed"]), st.integers(1, 3), st.integers(0, 9)
        ),
        st.sampled_from(["compact", "compact and remove"]),
    ),
    max_size=14,
)


@settings(max_examples=25)
@given(STEPS)
def test_a_store_compacted_at_any_time_says_what_one_says_that_never_was(steps: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        compacted, plain = Store(f"{folder}/compacted"), Store(f"{folder}/plain")
        for index, step in enumerate(steps):
            if step == "compact":
                compact(compacted, bytes_per_file=20_000)
            elif step == "compact and remove":
                compact(compacted, grace_seconds=0, bytes_per_file=20_000)
            else:
                trial, status, number, identity = step
                for store in (compacted, plain):
                    write_segment(store, f"s{index}", [attempt(trial, f"{identity}{index:02d}", status, number)])
        assert seen(compacted) == seen(plain)


def test_many_ranges_are_sorted_files_that_do_not_overlap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compact_module, "BUFFER_BYTES", 2000)
    store = small_store(tmp_path)
    before = seen(store)
    compact(store, grace_seconds=0, bytes_per_file=50_000)
    assert seen(store) == before
    (merge,) = read_records(store, "trials").merges
    assert len(merge.files) > 3
    ids = [pl.read_parquet(tmp_path / "trials" / name)["trial_id"].to_list() for name in merge.files]
    assert [one for part in ids for one in part] == sorted(one for part in ids for one in part)


def test_columns_of_a_newer_version_survive(tmp_path: Path) -> None:
    store = Store(tmp_path)
    write_segment(store, "s1", [attempt("A", "a1")])
    newer = pl.DataFrame({"trial_id": ["B"], "attempt_id": ["b1"], "status": ["completed"], "from_the_future": [1.5]})
    newer.write_parquet(tmp_path / "trials" / "s0.parquet")
    compact(store, grace_seconds=0)
    (file,) = (tmp_path / "trials").glob("*.parquet")
    assert pl.read_parquet(file)["from_the_future"].to_list() == [None, 1.5]


def test_a_damaged_segment_stops_it_and_changes_nothing(tmp_path: Path) -> None:
    store = small_store(tmp_path)
    path = next((tmp_path / "layers").iterdir())
    content = bytearray(path.read_bytes())
    content[40] ^= 1  # within a page: only the digest tells
    path.write_bytes(content)
    before = {table: store.files(table) for table in KEYS}
    with pytest.raises(BadInput, match=f"{path.name} is damaged.*doctor"):
        compact(store)
    assert store.files("layers") == before["layers"]
    assert store.files("trials") == before["trials"]


def test_two_merges_of_the_same_segments_do_not_double_a_row(tmp_path: Path) -> None:
    """Both compactors listed before either published; one slept until all it had read was removed."""
    store = small_store(tmp_path)
    before = seen(store)
    slow = Store(tmp_path / "slow")  # where the slow one's files lie until it publishes
    for table in KEYS:
        for path in (tmp_path / table).glob("run-*"):
            if path.name < "run-c00008":
                slow.publish_bytes(path.read_bytes(), table, path.name)
    compact(slow, grace_seconds=0)
    compact(store, grace_seconds=0)
    for table in CHILDREN:
        (merge,) = read_records(slow, table).merges
        for name in merge.files:
            store.publish_bytes(slow.read_bytes(table, name), table, name)
        Merge(identity=merge.identity, table=table, files=merge.files, segments=merge.segments).publish(store)
        assert seen(store) == before
    for table in CHILDREN:  # the other way round: neither stands for the other
        write_segment(store, f"new {table}", [attempt(f"new {table}", "n")])
    compact(store, grace_seconds=0)
    assert len(seen(store)["epochs"]) == len(before["epochs"]) + 3 * len(CHILDREN)


def test_overlapping_merges_are_told_apart_by_key_and_united_by_the_next(tmp_path: Path) -> None:
    first, second, both = Store(tmp_path / "1"), Store(tmp_path / "2"), Store(tmp_path / "3")
    segments = {name: [attempt(name, f"{name}1")] for name in "ABC"}
    for store, names in ((first, "AB"), (second, "BC")):
        for name in names:
            write_segment(store, name, segments[name])
        compact(store, grace_seconds=0)
    for table in KEYS:
        for store in (first, second):
            (merge,) = read_records(store, table).merges
            both.publish_bytes(store.read_bytes(table, merge.files[0]), table, merge.files[0])
            merge.publish(both)
        assert live_files(both, table).may_repeat
    assert [len(rows) for rows in seen(both).values()] == [3, 9, 6, 3, 3]
    compact(both, grace_seconds=0)
    assert not live_files(both, "epochs").may_repeat
    assert [len(rows) for rows in seen(both).values()] == [3, 9, 6, 3, 3]
    assert scan_table(both, "epochs").collect().height == 9


def test_a_merge_that_lost_a_file_gives_way_to_the_segments_that_are_still_there(tmp_path: Path) -> None:
    store = small_store(tmp_path)
    before = seen(store)
    compact(store, bytes_per_file=5_000)
    (merge,) = read_records(store, "epochs").merges
    assert len(merge.files) > 1
    store.remove("epochs", merge.files[0])
    assert seen(store) == before
    remove_replaced(store, grace_seconds=0)
    assert seen(store) == before, "segments that are needed again are not removed"
    compact(store, grace_seconds=0)
    assert seen(store) == before


def test_what_a_killed_compactor_left_is_passed_over_and_goes_after_a_day(tmp_path: Path) -> None:
    store = small_store(tmp_path)
    before = seen(store)
    Merge.announced("epochs", "0123").announce(store)
    left = "merged-0123-000.parquet"
    store.publish_bytes(next((tmp_path / "epochs").glob("run-c00003-*")).read_bytes(), "epochs", left)
    assert not live_files(store, "epochs").may_repeat
    assert seen(store) == before
    compact(store, grace_seconds=0)
    assert left in store.files("epochs"), "its compactor may be at work"
    long_ago = time.time() - 2 * compact_module.ABANDONED_SECONDS
    os.utime(tmp_path / "merges" / "epochs-0123.begun", (long_ago, long_ago))
    compact(store, grace_seconds=0)
    assert left not in store.files("epochs")
    assert [name for name in store.files("merges") if name.endswith(".begun")] == []
    assert seen(store) == before


def test_a_copy_of_the_tables_alone_is_whole(tmp_path: Path) -> None:
    """Somebody takes `merges/` for rubbish, or copies the Parquet files without it."""
    store = small_store(tmp_path)
    before = seen(store)
    compact(store, grace_seconds=10_000)  # old and new files lie side by side
    shutil.rmtree(tmp_path / "merges")
    assert seen(store) == before
    compact(store, grace_seconds=0)
    assert seen(store) == before
    shutil.rmtree(tmp_path / "merges")
    assert seen(store) == before
    assert remove_replaced(store, grace_seconds=0, abandoned_seconds=0) == 0
    assert seen(store) == before


def test_a_full_disk_stops_it_and_leaves_nothing(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk: the write fails half-way, in the system, not in a stand-in."""
    store = small_store(tmp_path)
    before, files = seen(store), {table: store.files(table) for table in KEYS}
    limited = (
        "import resource, signal, sys\nfrom orchestrator.store.compact import compact\n"
        "from orchestrator.store.layout import Store\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\nresource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "compact(Store(sys.argv[1]))"
    )
    result = subprocess.run(
        [sys.executable, "-c", limited, str(tmp_path)], cwd=OUR_ROOT, capture_output=True, text=True, check=False
    )
    assert "File too large" in result.stderr
    assert {table: store.files(table) for table in KEYS} == files
    assert seen(store) == before
    assert not any(name.endswith(".begun") for name in store.files("merges"))


def test_attempts_that_contradict_each_other_are_put_aside(tmp_path: Path) -> None:
    store = Store(tmp_path)
    write_segment(store, "s1", [attempt("A", "a1", loss=0.5), attempt("B", "b1", loss=float("nan"))])
    write_segment(store, "s2", [attempt("A", "a2", loss=0.5 + 1e-12), attempt("B", "b2", loss=float("nan"))])
    assert compact(store, grace_seconds=0).disagreeing == 2
    (name,) = store.files("quarantine")
    rows = pl.read_parquet(tmp_path / "quarantine" / name)
    assert rows["attempt_id"].to_list() == ["a1", "a2"]
    assert rows["differs"].to_list() == ["final_test_loss"] * 2
    assert compact(store, grace_seconds=0).disagreeing == 0


KILLED = """
import os, signal, sys
from orchestrator.store import compact
from orchestrator.store.layout import Store

left = int(sys.argv[2])

def counted(operation):
    def call(*arguments, **options):
        global left
        for moment in ("before", "after"):
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
            if moment == "before":
                result = operation(*arguments, **options)
        return result
    return call

for name in ("publish_table", "publish_text", "remove"):
    setattr(Store, name, counted(getattr(Store, name)))
compact.BUFFER_BYTES = 2000
compact.compact(Store(sys.argv[1]), grace_seconds=0, bytes_per_file=60_000)
"""


def kill_everywhere(location: str, moments: range, environment: dict[str, str] | None = None) -> int:
    """Compact in processes that are killed at one operation each; return how many were."""
    killed = 0
    for moment in moments:
        command = [sys.executable, "-c", KILLED, location, str(moment)]
        status = subprocess.run(command, cwd=OUR_ROOT, env=environment, check=False, timeout=120).returncode
        assert status in (0, -signal.SIGKILL)
        killed += status != 0
    return killed


def test_a_compactor_killed_at_any_operation_loses_nothing(tmp_path: Path) -> None:
    store = small_store(tmp_path, num_segments=5)
    before = seen(store)
    for moment in (*range(0, 14), *range(14, 100, 9)):  # each goes on from what the one before left
        killed = kill_everywhere(str(tmp_path), range(moment, moment + 1))
        assert seen(store) == before, f"killed at operation {moment}"
        if not killed:
            break
        write_segment(store, f"more {moment}", [attempt(f"more {moment}", "m")])
        before = seen(store)
    assert moment > 14
    compact(store, grace_seconds=0)
    assert seen(store) == before


def test_killed_at_random_while_a_runner_writes_and_another_compacts(tmp_path: Path) -> None:
    store = Store(tmp_path)
    others = [
        subprocess.Popen(
            [sys.executable, "-c", "import sys\nfrom orchestrator.store.compact import compact\n"
             "from orchestrator.store.layout import Store\n"
             "while True: compact(Store(sys.argv[1]), grace_seconds=float(sys.argv[2]))", str(tmp_path), "60"],
            cwd=OUR_ROOT,
        )
        for _ in range(2)
    ]  # fmt: skip
    try:
        for number in range(60):
            write_segment(store, f"s{number}", [attempt(f"t{number % 50}", f"{number:02d}", loss=1.0)])
            assert len(seen(store)["trials"]) == min(number + 1, 50)
            assert len(seen(store)["epochs"]) == 3 * min(number + 1, 50)
            if number % 15 == 14:
                others[0].kill()
                others[0].wait()
                others[0] = subprocess.Popen(others[0].args, cwd=OUR_ROOT)
            time.sleep(0.05)
        assert read_records(store, "trials").merges, "nobody compacted meanwhile"
    finally:
        for process in others:
            process.kill()
            process.wait()
    compact(store, grace_seconds=0)
    rows = seen(store)
    assert {row[:2] for row in rows["trials"]} == {(f"t{number}", f"{number:02d}") for number in range(50)}
    assert scan_table(store, "epochs").collect().height == 150


def test_a_store_in_a_bucket_is_compacted_and_survives_kills(bucket: str) -> None:
    store = small_store(f"{bucket}/s", num_segments=4)
    before = seen(store)
    killed = kill_everywhere(store.location, range(1, 26, 6), dict(os.environ))
    assert killed >= 4
    assert seen(store) == before
    done = compact(store, grace_seconds=0)
    assert done.files_after < 10
    assert seen(store) == before
    assert sum(len(store.files(table)) for table in KEYS) < 20
