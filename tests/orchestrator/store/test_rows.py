"""Records become rows without losing or inventing a column."""

from __future__ import annotations

from orchestrator.expand import expand
from orchestrator.sources import UserCode
from orchestrator.store.rows import Provenance, attempt_rows, config_columns
from orchestrator.store.schema import CONFIG_COLUMNS, TABLES
from orchestrator.sweepfile import SweepFile
from pruning.prune import Round
from training.context import CohortContext
from training.record import LayerRecord, TrialError, TrialRecord
from training.trial import run_trial

WHERE = Provenance(run_id="r", prunesweep_version="0", torch_version="0", git_commit="c", git_dirty=False)
FAILURE_COLUMNS = {"error_type", "error_message", "error_traceback"}


def test_a_completed_trial_fills_every_column_but_the_errors(small_sweep: SweepFile) -> None:
    config = list(expand(small_sweep.sweep, UserCode(small_sweep.folder)))[1]
    context = CohortContext("cpu", save_masks=True, save_unit_scores=True)
    rows = attempt_rows(run_trial(config, context), trial_id="t", attempt_id="a", attempt=1, provenance=WHERE)
    for table, table_rows in rows.items():
        for row in table_rows:
            expected = set(TABLES[table].names) - (FAILURE_COLUMNS if table == "trials" else set())
            assert set(row) == expected, table
            is_last = table == "layers" and row["layer"] == "classifier"
            undefined = (
                {"unit_conservation_error", "unit_scores_in", "unit_scores_out"}
                if is_last
                else {"engine_fallback", "fused_with", "output", "peak_gpu_bytes", "gpu_bytes"}
                if table == "trials"
                else set()
            )
            assert {column for column, value in row.items() if value is None} == undefined
    assert [row["layer"] for row in rows["layers"]] == ["hidden.0", "classifier"]
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


def test_a_rounds_diagnostics_are_written_and_its_layers_scores_stand_in_layers(small_sweep: SweepFile) -> None:
    config = next(expand(small_sweep.sweep, UserCode(small_sweep.folder)))
    record = TrialRecord(
        config=config,
        execution=CohortContext("cpu").execution,
        rounds=[Round.of(1, num_weights=8, num_kept=2, layer_kept=[2, 0], layer_scores=[1.0, 3.0], score_cut=0.5)],
        layers=[
            LayerRecord(
                layer="a", position=0, num_weights=8, kept=2, live=1, score_sum=1.0, initial_score_sum=4.0,
                unit_conservation_error=0.25, unit_scores_in=[1.0], unit_scores_out=[1.25], positions=9,
            )
        ],
    )  # fmt: skip
    rows = attempt_rows(record, trial_id="t", attempt_id="a", attempt=1, provenance=WHERE)
    key = {"trial_id": "t", "attempt_id": "a"}
    assert rows["rounds"] == [
        key
        | {"round": 1, "density": 0.25, "kept": 2, "score_cut": 0.5, "flow": 2.0}
        | {"layer_deviation": 0.5, "collapsed_layers": 1}
    ]
    assert rows["layers"] == [
        key
        | {"layer": "a", "position": 0, "is_layer": True, "num_weights": 8, "kept": 2, "live": 1}
        | {"score_sum": 1.0, "initial_score_sum": 4.0, "unit_conservation_error": 0.25, "positions": 9}
        | {"unit_scores_in": [1.0], "unit_scores_out": [1.25]}
    ]


def test_points_and_trials_spell_a_configuration_alike(small_sweep: SweepFile) -> None:
    config = next(expand(small_sweep.sweep, UserCode(small_sweep.folder)))
    assert list(config_columns(config)) == [name for name, _ in CONFIG_COLUMNS]
