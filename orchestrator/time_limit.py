"""Give up a trial that takes too long: say so where the restarted cohort finds it, and end the process.

Nothing less stops a loop in somebody's C++ or a deadlock. What the process had not committed is run again. A loop that
does not let go of Python's lock keeps us from saying anything: its process ends a little later, without a word, like
any that died.
"""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

EXIT_TOO_LONG = 75
"""Of the worker process; nobody but Ray sees it."""
SECONDS_TO_SAY_SO = 30.0
"""After the limit, until a process that does not get to say so is ended by a thread that needs no lock."""


@contextmanager
def time_limit(seconds: float | None, give_up: Callable[[str], None]) -> Iterator[None]:
    """Call `give_up` with the stack of this thread, and end the process, if the block takes longer than `seconds`."""
    if seconds is None:
        yield
        return
    watched = threading.get_ident()

    def end() -> None:
        frame = sys._current_frames().get(watched)
        try:
            give_up("".join(traceback.format_stack(frame)))
        finally:
            os._exit(EXIT_TOO_LONG)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    faulthandler.dump_traceback_later(seconds + SECONDS_TO_SAY_SO, exit=True, file=sys.__stderr__ or 2)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        timer.cancel()
