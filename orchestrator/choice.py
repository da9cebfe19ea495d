"""Which trials of a sweep a command runs: what is missing and, for `resume`, what failed, or a part of both."""

from __future__ import annotations

from dataclasses import dataclass, replace

import polars as pl

from orchestrator.errors import BadInput

TO_RUN = "to run"
"""Stands for the status of a failed trial that is to be tried again."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A trial that is completed is never chosen."""

    missing: bool = True
    """Trials that were never committed."""
    failed: bool = False
    """Failed trials, all of them unless narrowed below."""
    error: str | None = None
    """A regular expression that is looked for in "type: message" of the error, as `status` prints it."""
    attempts: int | None = None
    """Failed trials that were attempted less often than this."""

    def __post_init__(self) -> None:
        """Raise BadInput for an expression that is none."""
        if self.error is not None:
            try:
                pl.Series([""]).str.contains(self.error)
            except pl.exceptions.PolarsError as error:
                raise BadInput(f"--error {self.error}: no regular expression: {error}") from None

    @classmethod
    def of_resume(cls, only: str | None, error: str | None, attempts: int | None) -> Choice:
        """What `resume` is asked for. Raises BadInput for what contradicts itself."""
        if only == "missing" and (error is not None or attempts is not None):
            given = "--error" if error is not None else "--attempts"
            raise BadInput(f"{given} chooses among failed trials, and --only missing leaves them all out")
        return cls(missing=only != "failed", failed=only != "missing", error=error, attempts=attempts)

    @property
    def once(self) -> Choice:
        """The same without failed trials: those that it chose have had their turn."""
        return replace(self, failed=False)

    def known(self, trials: pl.LazyFrame) -> pl.DataFrame:
        """trial_id, status and attempt of a store's trials; the status of those to try again is `TO_RUN`."""
        status, is_again = pl.col("status"), pl.lit(self.failed)
        if self.error is not None:
            text = pl.format("{}: {}", pl.col("error_type").fill_null(""), pl.col("error_message").fill_null(""))
            is_again &= text.str.contains(self.error)
        if self.attempts is not None:
            is_again &= pl.col("attempt") < self.attempts
        marked = pl.when((status == "failed") & is_again).then(pl.lit(TO_RUN)).otherwise(status)
        return trials.select("trial_id", marked.alias("status"), "attempt").collect()

    @property
    def run_statuses(self) -> list[str]:
        """Statuses of the trials that are run; "missing" stands for none."""
        return [TO_RUN, "missing"] if self.missing else [TO_RUN]


MISSING = Choice()
MISSING_AND_FAILED = Choice(failed=True)
