"""A budget ends a run when it is spent, counts what the store holds, and lets a larger one go on."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from orchestrator.budget import BudgetSpec
from orchestrator.cli import run_command
from orchestrator.cohort import Progress
from orchestrator.commands.consoles import out
from orchestrator.errors import BadInput
from orchestrator.plan import make_plan, publish_points
from orchestrator.saved_sweeps import save_sweep
from orchestrator.spending import Purse, Spending, read_spending
from orchestrator.store.layout import Store
from orchestrator.store.read import scan_table
from orchestrator.store.rows import config_columns
from orchestrator.store.schema import TRIALS
from orchestrator.sweepfile import SweepFile, parse_sweep
from tests.orchestrator.conftest import SMALL_SWEEP, CommandLine

SLOW = """
import time

class Slow:
    def score(self, model, data, generator):
        time.sleep(0.5)
        return {name: parameter.detach().abs() for name, parameter in model.named_parameters() if parameter.dim() > 1}
"""


def parsed(budget: str, folder: Path) -> SweepFile:
    return parse_sweep(f"{SMALL_SWEEP}budget: {budget}\n", name="small.yaml", folder=folder)


@pytest.mark.parametrize(
    ("budget", "complaint"),
    [
        ("{}", "expected gpu_hours, cpu_hours or money"),
        ("{money: 3}", "money needs a price"),
        ("{cpu_hours: 1, price_per_gpu_hour: 2}", "a price limits nothing by itself"),
        ("{gpu_hours: 0}", "greater than 0"),
        ("{gpu_hour: 3}", "gpu_hour"),
    ],
)
def test_a_budget_that_limits_nothing_is_refused(budget: str, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=complaint) as refused:
        parsed(budget, tmp_path)
    assert "small.yaml:9: budget" in str(refused.value)


def test_a_budget_is_no_part_of_a_trial(small_sweep: SweepFile, tmp_path: Path) -> None:
    store = Store(tmp_path / "s")
    with_budget = make_plan(parsed("{gpu_hours: 10}", tmp_path), store).to_run
    assert with_budget == make_plan(small_sweep, store).to_run


@pytest.mark.parametrize(
    ("budget", "reached"),
    [
        ({"gpu_hours": 2.0}, "2 of 2 GPU hours"),
        ({"gpu_hours": 2.01}, ""),
        ({"cpu_hours": 3.0}, "4 of 3 CPU hours"),
        ({"money": 5.0, "price_per_gpu_hour": 2.5}, "5 of 5 money"),
        ({"money": 5.5, "price_per_gpu_hour": 2.5}, ""),
        ({"money": 5.5, "price_per_gpu_hour": 2.5, "price_per_cpu_hour": 0.25}, "6 of 5.5 money"),
        ({"gpu_hours": 1.0, "cpu_hours": 4.0}, "2 of 1 GPU hours and 4 of 4 CPU hours"),
    ],
)
def test_the_limits_that_are_reached_are_named(budget: dict[str, float], reached: str) -> None:
    assert Spending(gpu_hours=2.0, cpu_hours=4.0).reached(BudgetSpec(**budget)) == reached


def test_every_attempt_at_a_trial_of_the_sweep_is_paid_for(small_sweep: SweepFile, tmp_path: Path) -> None:
    store = Store(tmp_path / "s")
    publish_points(small_sweep, store)
    ids = [trial.trial_id for trial in make_plan(small_sweep, store).to_run]
    cost = {"load_seconds": 100.0, "build_seconds": 200.0, "prune_seconds": 300.0, "train_seconds": 3000.0}
    rows = [
        {"trial_id": ids[0], "device": "cuda", "status": "completed"} | cost,
        {"trial_id": ids[0], "device": "cuda", "status": "failed"} | cost | {"train_seconds": None},
        {"trial_id": ids[1], "device": "cpu", "status": "completed"} | cost,
        {"trial_id": "of another sweep", "device": "cpu", "status": "completed"} | cost,
    ]
    store.publish_table(pa.Table.from_pylist(rows, schema=TRIALS), "trials", "one.parquet")
    spent = read_spending(store, "small", gpus_per_trial=0.5, cpus_per_trial=2.0)
    assert spent.gpu_hours == pytest.approx(0.5 * (3600 + 600) / 3600)
    assert spent.cpu_hours == pytest.approx(2.0)
    purse = Purse(BudgetSpec(cpu_hours=1.5), store, "small", gpus_per_trial=0.5, cpus_per_trial=1.0)
    purse.add(Progress(cpu_seconds=1700.0, gpu_seconds=9999.0))
    assert purse.spent == ""
    purse.add(Progress(cpu_seconds=100.0))
    assert purse.spent == "1.5 of 1.5 CPU hours"


def test_plan_and_status_show_what_is_spent_of_what(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """At what the last run reserved, or what the file says now before there was any."""
    monkeypatch.chdir(tmp_path)
    budget = "budget: {gpu_hours: 10, money: 4, price_per_gpu_hour: 2}\nresources: {gpu: 0.5}\n"
    Path("small.yaml").write_text(SMALL_SWEEP + budget)
    file = parse_sweep(SMALL_SWEEP + budget, name="small.yaml", folder=tmp_path)
    store = Store(tmp_path / "results" / "small")

    def shown(*words: str) -> tuple[Any, str]:
        assert run_command([*words, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        screen = io.StringIO()
        monkeypatch.setattr(out, "file", screen)
        assert run_command([*words]) == 0
        return found, screen.getvalue()

    found, text = shown("plan", "small.yaml")
    assert found["budget"] == {"gpu_hours": {"spent": 0.0, "limit": 10.0}, "money": {"spent": 0.0, "limit": 4.0}}
    assert "budget of small: 0 of 10 GPU hours, 0 of 4 money spent\n" in text

    save_sweep(file, store, {"gpus_per_trial": 0.25})
    done = {"device": "cuda", "status": "completed", "train_seconds": 14400.0}
    rows = [
        config_columns(one.config) | done | {"trial_id": one.trial_id, "attempt_id": one.trial_id}
        for one in make_plan(file, store).to_run[:2]
    ]
    store.publish_table(pa.Table.from_pylist(rows, schema=TRIALS), "trials", "one.parquet")
    spent = {"gpu_hours": {"spent": 2.0, "limit": 10.0}, "money": {"spent": 4.0, "limit": 4.0}}
    line = "budget of small: 2 of 10 GPU hours, 4 of 4 money spent: nothing further is begun\n"
    found, text = shown("plan", "small.yaml")
    assert found["budget"] == spent
    assert line in text
    found, text = shown("status", "results/small")
    assert found["budgets"] == {"small": spent}
    assert line in text


@pytest.mark.filterwarnings("default")  # Ray's at exit are not ours
def test_a_run_ends_when_its_budget_is_spent_and_goes_on_with_a_larger_one(
    prunesweep: CommandLine, tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text(SLOW)
    text = SMALL_SWEEP.replace("[random, magnitude]", '"own:Slow"').replace("count: 2", "count: 14")
    file = tmp_path / "small.yaml"
    file.write_text(text + "budget: {cpu_hours: 0.001}\n")  # 3.6 s, of at least 7 s
    run = ("run", "small.yaml", "--slots", "1", "--device", "cpu")
    first = prunesweep(*run, check=3)
    store = Store(tmp_path / "results" / "small")
    spent = read_spending(store, "small", gpus_per_trial=1.0, cpus_per_trial=1.0).cpu_hours
    done = scan_table(store, "trials").collect().height
    assert spent >= 0.001
    assert 0 < done < 42
    assert f"small: {done} of 42 trials completed, 0 failed. Spent: {spent:.4g} of 0.001 CPU hours." in first.stdout
    assert "Nothing further is begun" in first.stdout
    again = prunesweep(*run, check=3)
    assert "starting Ray" not in again.stdout
    assert scan_table(store, "trials").collect().height == done
    file.write_text(text + "budget: {cpu_hours: 10}\n")
    assert "42 of 42 trials completed, 0 failed. All done" in prunesweep(*run).stdout
    rows = scan_table(store, "trials").collect()
    assert rows.height == rows["trial_id"].n_unique() == 42
