"""Attempts of one trial that should be equal and are not: results are bit-equal within an execution class."""

from __future__ import annotations

import polars as pl

from orchestrator.store.schema import TRIALS

EXECUTION_CLASS = ("device", "dtype", "engine", "threads", "torch_version")
MEASURED = TRIALS.names[TRIALS.names.index("data_hash") : TRIALS.names.index("selected_epoch") + 1]


def disagreements(attempts: pl.LazyFrame) -> pl.DataFrame:
    """Completed attempts of `trials` that another of their trial and class contradicts, in a column `differs` in what.

    Which of them is wrong cannot be told from the rows.
    """
    repeats = pl.col("engine").ne_missing("fused")  # its sums depend on who is trained beside
    completed = attempts.filter((pl.col("status") == "completed") & repeats)
    ids = completed.select("trial_id").collect()["trial_id"]
    repeated = ids.filter(ids.is_duplicated()).unique()
    if repeated.is_empty():  # as in nearly every store: nothing more has to be read
        return completed.with_columns(differs=pl.lit("")).head(0).collect()
    rows = completed.filter(pl.col("trial_id").is_in(repeated.implode())).collect()
    group = ["trial_id", *EXECUTION_CLASS]
    differing = rows.group_by(group).agg(
        pl.concat_list(
            pl.when(pl.col(name).n_unique() > 1).then(pl.lit(name))
            for name in MEASURED  # NaN equals NaN here
        )
        .list.drop_nulls()
        .list.join(", ")
        .alias("differs")
    )
    found = rows.join(differing.filter(pl.col("differs") != ""), on=group, how="inner", nulls_equal=True)
    return found.sort("trial_id", "attempt_id")
