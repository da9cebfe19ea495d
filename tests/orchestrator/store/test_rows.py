"""Records become rows without losing or inventing a column."""

from __future__ import annotations

from orchestrator.expand import expand
from orchestrator.sources import UserCode
from orchestrator.store.rows import Provenance, attempt_rows, config_columns
from orchestrator.store.schema import CONFIG_COLUMNS, TABLES
from orchestrator.sweepfile import SweepFile
from training.context import CohortContext
from training.record import TrialError, TrialRecord
from training.trial import run_trial

WHERE = Provenance(run_id="r", prunesweep_version="0", torch_version="0", git_commit="c", git_dirty=False)
FAILURE_COLUMNS = {"error_type", "error_message", "error_traceback"}


def test_a_completed_trial_fills_every_column_but_the_errors(small_sweep: SweepFile) -> None:
    config = list(expand(small_sweep.sweep, UserCode(small_sweep.folder)))[1]
    rows = attempt_rows(
        run_trial(config, CohortContext(save_masks=True)), trial_id="t", attempt_id="a", attempt=1, provenance=WHERE
    )
    for table, table_rows in rows.items():
        for row in table_rows:
            expected = set(TABLES[table].names) - (FAILURE_COLUMNS if table == "trials" else set())
            assert set(row) == expected, table
            assert all(value is not None for value in row.values())
    assert {table: len(of_table) for table, of_table in rows.items()} == {
        "trials": 1,
        "epochs": 1,
        "layers": 2,
        "rounds": 1,
        "masks": 2,
    }


def test_a_failed_trial_is_one_row_with_its_error(small_sweep: SweepFile) -> None:
    config = next(expand(small_sweep.sweep, UserCode(small_sweep.folder)))
    error = TrialError.of(RuntimeError("out of luck"))
    record = TrialRecord(config=config, execution=CohortContext("cpu").execution, error=error)
    rows = attempt_rows(record, trial_id="t", attempt_id="a", attempt=2, provenance=WHERE)
    assert [len(rows[table]) for table in ("trials", "epochs", "layers", "rounds")] == [1, 0, 0, 0]
    (row,) = rows["trials"]
    assert (row["status"], row["error_type"], row["error_message"]) == ("failed", "RuntimeError", "out of luck")
    assert set(row) <= set(TABLES["trials"].names)
    assert "final_test_accuracy" not in row


def test_points_and_trials_spell_a_configuration_alike(small_sweep: SweepFile) -> None:
    config = next(expand(small_sweep.sweep, UserCode(small_sweep.folder)))
    assert list(config_columns(config)) == [name for name, _ in CONFIG_COLUMNS]
