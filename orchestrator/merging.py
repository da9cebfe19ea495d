"""Merge a store's files while a run goes on, so that reading it stays quick however long its trials are.

A trial of seconds or more is a segment of its own, several files: a hundred thousand of them would be listed, and
opened, by every `status`. Merging is safe at any time, twice at once and killed at any moment (`store/compact.py`).
"""

from __future__ import annotations

import threading

from orchestrator.errors import BadInput
from orchestrator.store.compact import compact, num_files
from orchestrator.store.layout import Store

FILE_BUDGET = 2000
"""Files of results above which a run merges them while it goes on; far more than it leaves at its end."""
SECONDS_BETWEEN_LOOKS = 300.0


class MergesMeanwhile:
    """Looks after a store from a thread of the driver, while in its context."""

    def __init__(
        self, store: Store, *, file_budget: int = FILE_BUDGET, seconds_between_looks: float = SECONDS_BETWEEN_LOOKS
    ) -> None:
        self._store, self._file_budget, self._seconds = store, file_budget, seconds_between_looks
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        """A daemon: whoever presses Ctrl-C does not wait for a merge, which may be cut off."""

    def __enter__(self) -> MergesMeanwhile:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._is_over.set()

    def _look(self) -> None:
        while not self._is_over.wait(self._seconds):
            try:
                if num_files(self._store) > self._file_budget:
                    compact(self._store)
            except (BadInput, OSError):  # the end of the run says what is amiss; nothing is lost
                continue
