"""A sample of trials run again on the reference path: right ones are confirmed, tampered ones are found."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from orchestrator.audit import audit, choose, sample_count
from orchestrator.cli import run_command
from orchestrator.errors import BadInput
from orchestrator.plan import make_plan
from orchestrator.saved_sweeps import save_sweep
from orchestrator.store.layout import Store
from orchestrator.store.read import scan_trials
from orchestrator.store.rows import Provenance, attempt_rows
from orchestrator.store.write import write_segment
from orchestrator.sweepfile import SweepFile, parse_sweep
from training.context import CohortContext
from training.trial import run_cohort

from .conftest import CommandLine

NOWHERE = Provenance(run_id="r", prunesweep_version="", torch_version="", git_commit=None, git_dirty=None)


def filled(file: SweepFile, folder: Path, engine: str = "compact") -> Store:
    """A store with every trial of the sweep, run here without Ray."""
    store = Store(folder)
    save_sweep(file, store)
    planned = make_plan(file, store).to_run
    records = run_cohort((trial.config for trial in planned), CohortContext("cpu", engine=engine))
    rows = [
        attempt_rows(record, trial_id=trial.trial_id, attempt_id=f"a{number}", attempt=1, provenance=NOWHERE)
        for number, (trial, record) in enumerate(zip(planned, records, strict=True))
    ]
    write_segment(store, "s", rows)
    return store


def tamper(store: Store, table: str, trial_id: str, **changed: pl.Expr) -> None:
    """Change columns of one trial's rows in place."""
    path = store.path(table, *store.files(table))
    ours = pl.col("trial_id") == trial_id
    rows = pl.read_parquet(path)
    assert rows.filter(ours).height
    rows.with_columns(**{n: pl.when(ours).then(to).otherwise(pl.col(n)) for n, to in changed.items()}).write_parquet(
        path
    )


def sparse_trial(store: Store) -> str:
    found = scan_trials(store).filter(pl.col("pruner") == "magnitude", pl.col("density") == 0.1).collect()
    return str(found["trial_id"][0])


@pytest.fixture
def store(small_sweep: SweepFile, tmp_path: Path) -> Store:
    return filled(small_sweep, tmp_path / "results")


def test_what_the_compact_engine_gave_is_confirmed(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    engines = scan_trials(store).collect()["engine"]
    assert set(engines) == {"compact"}
    before = sorted(path.name for path in Path(store.location).rglob("*"))
    assert run_command(["audit", store.location, "--sample", "100%", "--device", "cpu", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["confirmed"] is True
    assert len(found["trials"]) == 10
    assert {"train_loss", "test_loss", "test_accuracy"} <= set(found["trials"][0]["differences"])
    assert sorted(path.name for path in Path(store.location).rglob("*")) == before


@pytest.mark.parametrize(
    ("table", "changed", "expected"),
    [
        ("epochs", {"test_accuracy": pl.lit(0.99), "test_top5": pl.lit(0.995)}, "test_accuracy is 0."),
        (
            "epochs",
            {"train_loss": pl.col("train_loss") * 1.3},
            "train_loss is 0.3 apart in epoch 1, the rule allows 0.0",
        ),
        ("epochs", {"lr": pl.col("lr") * 2}, "learning rates of its epochs are not those of its configuration"),
        ("trials", {"final_test_accuracy": pl.lit(0.99)}, "final_test_accuracy 0.99 is stored, but its last epoch"),
        ("trials", {"data_hash": pl.lit("other")}, "data_hash other is stored, the data set here has"),
        ("layers", {"kept": pl.col("kept") + 1}, "weights in the store,"),
    ],
)
def test_a_row_that_was_tampered_with_is_found(
    store: Store, capsys: pytest.CaptureFixture[str], table: str, changed: dict[str, pl.Expr], expected: str
) -> None:
    identity = sparse_trial(store)
    tamper(store, table, identity, **changed)
    assert run_command(["audit", store.location, "--sample", "100%", "--device", "cpu", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["confirmed"] is False
    (wrong,) = (one for one in found["trials"] if one["problems"])
    assert wrong["trial_id"] == identity
    assert any(expected in problem for problem in wrong["problems"]), wrong


def test_a_tampered_trial_and_its_epochs_together_are_found_too(store: Store, small_sweep: SweepFile) -> None:
    identity = sparse_trial(store)
    tamper(store, "epochs", identity, test_accuracy=pl.lit(0.99))
    tamper(store, "trials", identity, final_test_accuracy=pl.lit(0.99))
    chosen, _ = choose(small_sweep, store, "100%", 0)
    (wrong,) = (one for one in audit(small_sweep, store, chosen, device="cpu") if one.problems)
    assert wrong.trial_id == identity
    assert wrong.nudged
    assert wrong.allowed["test_accuracy"] < wrong.differences["test_accuracy"]


CHAOTIC = """
name: chaotic
dataset: digits
model: {name: convnet, widths: [16, 16]}
pruner: synflow
sparsity: 0.9
seed: 0
training: {epochs: 12, lr: 0.2}
"""


def test_a_long_training_is_allowed_what_rounding_does_to_it(tmp_path: Path) -> None:
    """Large steps amplify rounding beyond the small tolerance; the nudged reference shows as much."""
    file = parse_sweep(CHAOTIC, name="chaotic", folder=tmp_path)
    store = filled(file, tmp_path / "results")
    chosen, _ = choose(file, store, "1", 0)
    (finding,) = audit(file, store, chosen, device="cpu")
    assert finding.engine == "compact"
    assert finding.differences["train_loss"] > 1e-4
    assert finding.nudged
    assert not finding.problems


def test_training_with_another_recipe_is_found_also_where_the_end_is_chaos(tmp_path: Path) -> None:
    """A store whose numbers come from other code: here from momentum 0.88 in place of 0.9. Its first epochs tell."""
    file = parse_sweep(CHAOTIC, name="chaotic", folder=tmp_path)
    store = Store(tmp_path / "results")
    save_sweep(file, store)
    (trial,) = make_plan(file, store).to_run
    other = replace(trial.config, training=replace(trial.config.training, momentum=0.88))
    (record,) = run_cohort([other], CohortContext("cpu"))
    rows = attempt_rows(record, trial_id=trial.trial_id, attempt_id="a", attempt=1, provenance=NOWHERE)
    write_segment(store, "s", [rows])
    (finding,) = audit(file, store, choose(file, store, "1%", 0)[0], device="cpu")
    assert finding.nudged
    assert any(problem.startswith("train_loss") and "apart in epoch 1," in problem for problem in finding.problems)


def test_the_sample_depends_on_its_seed_alone(store: Store, small_sweep: SweepFile) -> None:
    samples = [tuple(one for one, _ in choose(small_sweep, store, "3", seed)[0]) for seed in (0, 0, 1, 2, 3)]
    assert samples[0] == samples[1]
    assert len(set(samples)) > 2
    assert {len(sample) for sample in samples} == {3}


@pytest.mark.parametrize("sample", ["0", "-2", "0%", "101%", "nan%", "1.5", "some", ""])
def test_a_sample_that_means_nothing_is_refused(sample: str) -> None:
    with pytest.raises(BadInput, match="expected a count such as 5, or a percentage"):
        sample_count(sample, 10)


def test_bad_input_has_exit_code_2(small_sweep: SweepFile, store: Store, tmp_path: Path) -> None:
    empty = Store(tmp_path / "empty")
    save_sweep(small_sweep, empty)
    with pytest.raises(BadInput, match="no completed trial of sweep 'small': nothing to audit yet"):
        choose(small_sweep, empty, "1%", 0)
    assert run_command(["audit", empty.location]) == 2
    assert run_command(["audit", store.location, "--sample", "all"]) == 2
    assert run_command(["audit", str(tmp_path / "nowhere")]) == 2


def test_the_verdict_is_a_sentence_a_trial(store: Store, prunesweep: CommandLine) -> None:
    identity = sparse_trial(store)
    tamper(store, "epochs", identity, test_accuracy=pl.lit(0.99))
    lines = prunesweep("audit", store.location, "--sample", "100%", "--device", "cpu", check=1).stdout.splitlines()
    assert [line[:12] for line in lines if " differs; " in line] == [identity[:12]]
    assert "9 confirmed, 1 beyond the rule. Nothing was written to the store." in lines[-1]
