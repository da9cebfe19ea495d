"""Show a run as it happens: a live view on a terminal, a plain line now and then elsewhere, or lines of JSON."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from analysis.sparsity import sparsity_texts
from orchestrator.cohort import Progress
from orchestrator.run_state import AxisCounts, RunState

PLAIN_LINE_SECONDS = 10.0
VIEW_SECONDS = 2.0
"""Between views of a terminal: what is left is estimated anew for each."""
VALUES_SHOWN = 8
"""Values of an axis; the least complete ones where there are more."""
ERRORS_SHOWN = 5


class RunDisplay:
    """Passes on to a `RunState` what happens, and shows it."""

    def __init__(
        self, state: RunState, console: Console, *, print_json: Callable[[dict[str, Any]], None] | None = None
    ) -> None:
        """With `print_json`, it gets JSON-ready values instead of the console sentences."""
        self._state, self._console, self._print_json = state, console, print_json
        self._shown_at = -math.inf
        self.was_stopped = False
        self._live: Live | None = None
        if console.is_terminal and print_json is None:
            self._live = Live(self._view(), console=console, auto_refresh=False)

    def __enter__(self) -> RunDisplay:
        if self._live:
            self._live.start(refresh=True)
        else:
            self._say(f"{self._state.total:,} trials to run; starting Ray", event="starting")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.update(self._view(), refresh=True)
            self._live.stop()
        elif self._print_json:
            self._print_json(self._state.to_json())

    def advance(self, progress: Progress) -> None:
        """Some trials were committed."""
        self._state.advance(progress)
        self._show()

    def set_running(self, num_cohorts: int) -> None:
        """This many cohorts are at work."""
        self._state.set_running(num_cohorts)
        self._show()

    def tick(self) -> None:
        """Time has passed: trials at work are under way, and what is left is less."""
        if self._state.running:
            self._show()

    def worker_died(self) -> None:
        """A process running a cohort is gone; the cohort is started again."""
        self._say("A worker process died. Its cohort goes on, one trial at a time.", event="worker died")

    def stopping(self) -> None:
        """The user asked to stop."""
        self.was_stopped = True
        self._say(
            "Stopping: trials in flight are finished and committed. Ctrl-C again stops at once.", event="stopping"
        )

    def leaving(self) -> None:
        """Ray does not answer any more, and the process ends."""
        self.was_stopped = True
        self._say("Ray is gone. Interrupted: the same command goes on from what is committed.", event="Ray is gone")

    def _show(self) -> None:
        waited = time.monotonic() - self._shown_at
        if waited < (VIEW_SECONDS if self._live else PLAIN_LINE_SECONDS):
            return
        self._shown_at = time.monotonic()
        if self._live:
            self._live.update(self._view(), refresh=True)
        else:
            self._show_plain()

    def _show_plain(self) -> None:
        if self._print_json:
            self._print_json(self._state.to_json())
        else:
            line = f"{self._state.done}/{self._state.total} trials, {self._counts()}"
            self._console.print(line, highlight=False, soft_wrap=True)

    def _say(self, sentence: str, *, event: str) -> None:
        if self._print_json:
            self._print_json({"event": event})
        else:
            style = "yellow" if event == "worker died" else None
            self._console.print(sentence, highlight=False, soft_wrap=True, style=style)

    def _counts(self) -> str:
        state = self._state
        parts = [f"{state.failed} failed", f"{state.collapsed} collapsed", f"{state.running} running"]
        if state.done:
            left = state.time_left()
            parts.append(f"{state.trials_per_second:.1f} trials/s")
            parts.append(f"slots {min(1.0, state.utilisation):.0%} busy")
            if state.done < state.total:
                between = f"{format_seconds(left.low)} to {format_seconds(left.high)}"
                parts.append(f"{format_seconds(left.seconds)} left ({between})")
        return ", ".join(parts)

    def _view(self) -> RenderableType:
        state = self._state
        first = Table.grid(padding=(0, 1))
        first.add_row(
            Text("trials", style="bold"),
            ProgressBar(total=max(1, state.total), completed=state.done, width=30),
            f"{state.done:,}/{state.total:,}",
            self._counts() if state.running or state.done else "starting Ray",
        )
        by_axis = Table.grid(padding=(0, 1))
        for name, axis in state.axes.items():
            for index, (label, done, total) in enumerate(_least_complete(name, axis)):
                heading = Text("" if index else {"density": "sparsity"}.get(name, name), style="dim")
                by_axis.add_row(
                    heading, Text(label), ProgressBar(total=total, completed=done, width=20), f"{done:,}/{total:,}"
                )
        errors = [
            Text(f"{count:,} x {error}", style="red", no_wrap=True, overflow="ellipsis")
            for error, count in state.errors.most_common(ERRORS_SHOWN)
        ]
        return Group(first, by_axis, *errors)


def _least_complete(name: str, axis: AxisCounts) -> list[tuple[str, int, int]]:
    """Label, trials done and trials of an axis's values, in their order; nothing of an axis with a single value."""
    if len(axis.labels) == 1:
        return []
    texts = sparsity_texts(float(label) for label in axis.labels) if name == "density" else {}
    rows = [
        (texts[float(label)] if texts else label, int(done), int(total))
        for label, done, total in zip(axis.labels, axis.done, axis.totals, strict=True)
    ]
    shown = sorted(range(len(rows)), key=lambda place: rows[place][1] / rows[place][2])[:VALUES_SHOWN]
    return [rows[place] for place in sorted(shown)]


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
