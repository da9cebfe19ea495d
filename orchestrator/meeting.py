"""Processes of a run on one machine that begin together.

Where a cohort ends while another slot's process still starts, Tune may give that slot's cohort to the first process and
kill the one that starts: with cohorts of seconds, a second slot never came to work (Ray 2.60).
"""

from __future__ import annotations

import os
import time
from pathlib import Path

LONGEST_SECONDS = 30.0
"""That processes wait for each other."""


class Meeting:
    """A place, on this machine, where processes of a run see how many are there."""

    def __init__(self, folder: str, slots: int) -> None:
        """`slots` processes are expected: fewer where there are fewer cohorts."""
        self._folder, self._slots = Path(folder), slots
        self._num_cohorts = 0

    def handed_out(self, *, is_last: bool) -> None:
        """The driver has a cohort for one process more; or, with `is_last`, for none."""
        if not is_last:
            self._num_cohorts += 1
        elif not self._no_more.exists():
            self._no_more.write_text(str(self._num_cohorts), encoding="utf-8")

    def attend(self) -> None:
        """Wait until all that are expected are there; who comes to a meeting that is over does not wait."""
        (self._folder / f"worker-{os.getpid()}").touch()
        give_up_at = time.monotonic() + LONGEST_SECONDS
        while len(list(self._folder.glob("worker-*"))) < self._num_expected() and time.monotonic() < give_up_at:
            time.sleep(0.02)

    @property
    def _no_more(self) -> Path:
        return self._folder / "no-more"

    def _num_expected(self) -> int:
        try:
            return min(self._slots, int(self._no_more.read_text(encoding="utf-8")))
        except (OSError, ValueError):  # there are more cohorts, or the number is being written
            return self._slots
