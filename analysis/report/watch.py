"""Keep the report of a running sweep up to date until nothing is missing; the open page loads itself again."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import polars as pl

from analysis import reference
from analysis.report.collected import Collected, NoResults, collect
from analysis.report.write import Kind, write


def watch_report(
    *locations: str | Path,
    every_seconds: float,
    into: str | Path | None = None,
    also: Collection[Kind] = (),
    published: str | Path | None = None,
    select: str | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[dict[str, int] | None]:
    """Write the report every so many seconds; after each time yield its counts, None where there are no results yet.

    Ends when no trial is missing. The last page, also after an interrupt, does not load itself again.
    """
    curves: pl.DataFrame | None = None if published is None else reference.read(published)
    last: Collected | None = None

    def final(collected: Collected) -> None:
        write(collected, into=into, also=also, published=published)

    try:
        while True:
            try:
                last = collect(*locations, published=curves, select=select)
            except NoResults:
                yield None
            else:
                if not last.counts["num_missing"]:
                    break
                write(last, into=into, published=published, reload_seconds=every_seconds)
                yield last.counts
            sleep(every_seconds)
    except (KeyboardInterrupt, GeneratorExit):
        if last is not None:
            final(last)
        raise
    final(last)
    yield last.counts
