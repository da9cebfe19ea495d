"""Processes that begin together, as threads that say they are processes."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from orchestrator import meeting as meeting_module
from orchestrator.meeting import Meeting


class Comer(threading.Thread):
    """Attends with a process id of its own."""

    def __init__(self, folder: Path, slots: int, pid: int) -> None:
        super().__init__(daemon=True)
        self._meeting, self._folder, self._pid = Meeting(str(folder), slots), folder, pid
        self.start()

    def run(self) -> None:
        (self._folder / f"worker-{self._pid}").touch()
        self._meeting.attend()

    def has_begun(self, within: float = 10) -> bool:
        self.join(within)
        return not self.is_alive()


@pytest.fixture(autouse=True)
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getpid", lambda: 1)  # attend() marks the first comer again, not the tests' own process


def test_the_first_waits_for_the_second(tmp_path: Path) -> None:
    first = Comer(tmp_path, 2, 1)
    assert not first.has_begun(0.3)
    second = Comer(tmp_path, 2, 2)
    assert first.has_begun()
    assert second.has_begun()
    assert Comer(tmp_path, 2, 3).has_begun(), "who comes instead of one that died does not wait"


def test_nobody_waits_for_those_who_will_not_come(tmp_path: Path) -> None:
    driver = Meeting(str(tmp_path), 8)
    driver.handed_out(is_last=False)
    alone = Comer(tmp_path, 8, 1)
    assert not alone.has_begun(0.3)
    driver.handed_out(is_last=True)
    assert alone.has_begun()
    driver.handed_out(is_last=False)  # a cohort gave back what it had not begun
    driver.handed_out(is_last=True)
    assert Comer(tmp_path, 8, 1).has_begun()


def test_nobody_waits_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meeting_module, "LONGEST_SECONDS", 0.2)
    start = time.monotonic()
    assert Comer(tmp_path, 2, 1).has_begun()
    assert time.monotonic() - start >= 0.2
