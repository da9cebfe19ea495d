"""What a sweep will take is said before, with its basis and price, and compared with what it took."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from orchestrator.calibrate import calibrate
from orchestrator.cost import FLOPS, CostModel, Sizes
from orchestrator.estimate import Price, forecast, keep_forecast, outcomes
from orchestrator.plan import make_plan
from orchestrator.sizes import sizes_of
from orchestrator.store.layout import Store
from orchestrator.store.rows import config_columns
from orchestrator.store.write import write_segment
from orchestrator.sweepfile import SweepFile

from .conftest import CommandLine


def test_a_price_is_of_all_that_a_slot_reserves() -> None:
    assert Price(per_gpu_hour=2.0, gpus_per_trial=0.25, per_cpu_hour=0.1, cpus_per_trial=4).per_slot_hour == 0.9


def test_a_forecast_says_what_it_is_made_from(small_sweep: SweepFile, tmp_path: Path) -> None:
    trials, costs = make_plan(small_sweep, Store(tmp_path)).to_run, CostModel()
    guess = forecast(costs, trials)
    assert "a guess" in guess.lines()[0]
    assert guess.price is None
    for trial in trials:
        for _ in range(20):
            costs.observe(trial.config, 1800.0)
    found = forecast(costs, trials, Price(per_cpu_hour=3.0, gpus_per_trial=0.0))
    assert found.lines()[0].startswith("about 5 slot-hours (")
    assert "from 200 trials measured on cpu" in found.lines()[0]
    assert found.lines()[1].startswith("at 3 a slot and hour about 15 (")
    assert found.to_json()["money"]["expected"] == pytest.approx(15.0, rel=0.02)


def test_a_step_that_was_timed_says_how_fast_the_machine_is(small_sweep: SweepFile, tmp_path: Path) -> None:
    trials, sizes = make_plan(small_sweep, Store(tmp_path)).to_run, Sizes(macs=50_000_000, num_train=10_000)
    network = trials[0].config
    key = (network.dataset.name, network.dataset.options, network.model.name, network.model.options)
    costs = CostModel(sizes={key: sizes})
    guess = costs.estimate(trials).seconds
    flops_of_a_step = 6 * sizes.macs * network.training.batch_size
    costs.calibrate(network, flops_of_a_step / (FLOPS["cpu"] / 8))  # an eighth of what was taken for usual
    found = forecast(costs, trials)
    assert found.seconds.seconds == pytest.approx(8 * guess)
    assert (found.num_measured, found.num_calibrated) == (0, 1)
    assert "from a step of 1 network, unpruned, timed on cpu" in found.lines()[0]


def test_networks_are_timed_on_this_machine(small_sweep: SweepFile, tmp_path: Path, prunesweep: CommandLine) -> None:
    plan = make_plan(small_sweep, Store(tmp_path))
    costs = CostModel(sizes=sizes_of(small_sweep, plan))
    calibrate(small_sweep, plan, costs)
    assert costs.num_calibrated == len(plan.networks)
    assert costs.knows(plan.to_run[0].config)
    (tmp_path / "small.yaml").write_text(small_sweep.text)
    shown = prunesweep("plan", "small.yaml", "--calibrate", "--device", "cpu").stdout
    assert "unpruned, timed on cpu" in shown
    if not torch.cuda.is_available():
        refused = prunesweep("plan", "small.yaml", "--calibrate", "--device", "cuda", check=2).stderr
        assert "torch sees no GPU here" in refused


def test_an_estimate_is_compared_with_what_the_run_took(small_sweep: SweepFile, tmp_path: Path) -> None:
    store = Store(tmp_path)
    trials, costs = make_plan(small_sweep, store).to_run, CostModel()
    for trial in trials:
        for _ in range(100):
            costs.observe(trial.config, 100.0)
    assert outcomes(store) == []
    keep_forecast(store, "r1", forecast(costs, trials))
    row = {"status": "completed", "attempt": 1, "run_id": "r1", "load_seconds": 10.0, "train_seconds": 110.0}
    rows = [config_columns(one.config) | row | {"trial_id": one.trial_id, "attempt_id": one.trial_id} for one in trials]
    write_segment(store, "s1", [{"trials": rows[:4]}])
    (half,) = outcomes(store)
    assert (half.done, half.trials, half.error) == (4, 10, None)
    assert "by 4 of 10 trials" in half.line()
    write_segment(store, "s2", [{"trials": rows[4:]}])
    (whole,) = outcomes(store)
    assert whole.error == pytest.approx(0.2, abs=0.01)
    assert whole.line().endswith("taken: +20%")
    assert whole.expected.low < 1000 < whole.expected.high


def test_plan_prints_hours_and_money_and_status_the_error(prunesweep: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(
        "name: s\ndataset: digits\nmodel: [mlp, {name: mlp, widths: [8]}]\npruner: random\nsparsity: [0.5, 0.9]\n"
        "training: {epochs: 1}\nresources: {cpu: 1.5}\n"
    )
    planned = json.loads(prunesweep("plan", "s.yaml", "--json", "--price-per-cpu-hour", "2").stdout)["estimate"]
    assert (planned["trials"], planned["from_trials"]) == (4, 0)
    assert planned["money"]["expected"] == pytest.approx(3.0 * planned["slot_hours"]["expected"])
    assert "slot-hours" in prunesweep("plan", "s.yaml").stdout
    prunesweep("run", "s.yaml", "--slots", "1", "--device", "cpu")
    (run,) = json.loads(prunesweep("status", "results/s", "--json").stdout)["estimates"]
    assert (run["trials"], run["done"]) == (4, 4)
    assert run["error"] == pytest.approx(run["slot_hours"] / run["expected_slot_hours"]["expected"] - 1)
    (tmp_path / "s.yaml").write_text((tmp_path / "s.yaml").read_text().replace("[0.5, 0.9]", "[0.5, 0.9, 0.99]"))
    again = json.loads(prunesweep("plan", "s.yaml", "--json").stdout)["estimate"]
    assert (again["trials"], again["from_trials"]) == (2, 4)
    assert "money" not in again
