"""Show a run as it happens: a live line on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

from orchestrator.cohort import Progress as CohortProgress

PLAIN_LINE_SECONDS = 10.0


class RunDisplay:
    """Counts of trials done, failed, collapsed and cohorts running, trials per second, and time left."""

    def __init__(self, total: int, console: Console) -> None:
        self._total = total
        self._console = console
        self._started = time.monotonic()
        self._last_line = self._started
        self._completed = self._failed = self._collapsed = self._running = 0
        self.was_stopped = False
        self._bar: Progress | None = None
        if console.is_terminal:
            self._bar = Progress(
                SpinnerColumn(),
                TextColumn("[bold]{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[counts]}"),
                console=console,
            )
            self._task = self._bar.add_task("trials", total=total, counts="starting Ray")

    def __enter__(self) -> RunDisplay:
        if self._bar:
            self._bar.start()
        else:
            self._console.print(f"{self._total:,} trials to run; starting Ray", highlight=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def advance(self, progress: CohortProgress) -> None:
        """Some trials were committed."""
        self._completed += progress.completed
        self._failed += progress.failed
        self._collapsed += progress.collapsed
        self._show()

    def set_running(self, num_cohorts: int) -> None:
        """This many cohorts are at work."""
        self._running = num_cohorts
        self._show()

    def worker_died(self) -> None:
        """A process running a cohort is gone; the cohort is started again."""
        self._console.print("A worker process died. Its cohort goes on, one trial at a time.", style="yellow")

    def stopping(self) -> None:
        """The user asked to stop."""
        self.was_stopped = True
        self._console.print("Stopping: trials in flight are finished and committed. Ctrl-C again stops at once.")

    def leaving(self) -> None:
        """Ray does not answer any more, and the process ends."""
        self.was_stopped = True
        self._console.print("Ray is gone. Interrupted: the same command goes on from what is committed.")

    def _show(self) -> None:
        counts = self._counts()
        if self._bar:
            self._bar.update(self._task, completed=self._completed + self._failed, counts=counts)
        elif time.monotonic() - self._last_line > PLAIN_LINE_SECONDS:
            self._last_line = time.monotonic()
            self._console.print(f"{self._completed + self._failed}/{self._total} trials, {counts}", highlight=False)

    def _counts(self) -> str:
        done = self._completed + self._failed
        rate = done / (time.monotonic() - self._started)
        parts = [f"{self._failed} failed", f"{self._collapsed} collapsed", f"{self._running} running"]
        if done:
            parts += [f"{rate:.1f} trials/s", f"{format_seconds((self._total - done) / rate)} left"]
        return ", ".join(parts)


def format_seconds(seconds: float) -> str:
    """A duration as people say it.

    >>> format_seconds(75), format_seconds(7300)
    ('1 min 15 s', '2 h 1 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
