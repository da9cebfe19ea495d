"""The cost model predicts from sizes, then from what was measured, finer where more is known."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from orchestrator.cost import CostModel, Sizes
from orchestrator.plan import make_plan
from orchestrator.store.layout import Store
from orchestrator.store.rows import config_columns
from orchestrator.store.write import write_segment
from orchestrator.sweepfile import parse_sweep
from orchestrator.trials import Trials
from training.config import DatasetConfig, ModelConfig, PrunerConfig, Seeds, TrainingConfig, TrialConfig

CONFIG = TrialConfig(
    dataset=DatasetConfig(name="digits"),
    model=ModelConfig(name="mlp"),
    pruner=PrunerConfig(name="snip"),
    density=Decimal("0.1"),
    seeds=Seeds(init=0, data=0, prune=0),
    training=TrainingConfig(epochs=15),
)
LARGE = replace(CONFIG, model=ModelConfig(name="convnet"))
SIZES = {
    ("digits", "{}", "mlp", "{}"): Sizes(num_train=1000, num_test=500, macs=10**6),
    ("digits", "{}", "convnet", "{}"): Sizes(num_train=1000, num_test=500, macs=10**8),
}


def test_unmeasured_trials_are_ordered_by_their_sizes() -> None:
    costs = CostModel(sizes=SIZES)
    small, large = costs.predict(CONFIG), costs.predict(LARGE)
    assert 50 < large / small < 101
    longer = costs.predict(replace(LARGE, training=TrainingConfig(epochs=30)))
    assert longer == pytest.approx(2 * large, rel=0.02)
    assert costs.predict(replace(LARGE, pruner=PrunerConfig(name="synflow", iterations=100))) > large
    assert costs.predict(replace(LARGE, seeds=Seeds(init=5, data=6, prune=7))) == large


def test_one_measurement_moves_all_and_many_pin_their_own() -> None:
    costs = CostModel(sizes=SIZES)
    before = costs.predict(LARGE)
    costs.observe(CONFIG, 3 * costs.predict(CONFIG))
    assert costs.predict(LARGE) == pytest.approx(3 * before)  # the machine is slow, as far as anybody knows
    for _ in range(100):
        costs.observe(CONFIG, 7.0)
    assert costs.predict(CONFIG) == pytest.approx(7.0, rel=0.05)
    assert costs.knows(CONFIG)
    assert not costs.knows(LARGE)


def test_a_density_that_was_never_seen_is_predicted_from_its_pruners_others() -> None:
    costs = CostModel(sizes=SIZES)
    synflow = replace(CONFIG, pruner=PrunerConfig(name="synflow", iterations=100))
    for _ in range(50):
        costs.observe(CONFIG, 2.0)
        costs.observe(synflow, 20.0)
    assert costs.predict(replace(synflow, density=Decimal("0.01"))) == pytest.approx(20.0, rel=0.1)
    assert costs.predict(replace(CONFIG, density=Decimal("0.01"))) == pytest.approx(2.0, rel=0.1)


def planned(seeds: int, densities: str = "[0.5, 0.1]", pruner: str = "[snip, random]") -> Trials:
    text = (
        f"name: s\ndataset: digits\nmodel: [mlp, convnet]\npruner: {pruner}\ndensity: {densities}\n"
        f"seed: {{count: {seeds}}}\ntraining: {{epochs: 15}}\n"
    )
    return make_plan(parse_sweep(text, name="s.yaml", folder=Path()), Store("/nowhere")).to_run


def test_predicting_in_columns_is_predicting_one_by_one() -> None:
    trials, costs = planned(3), CostModel(sizes=SIZES)
    for number, trial in enumerate(trials[::3]):
        costs.observe(trial.config, 1.0 + number)
    assert costs.predict_all(trials).tolist() == pytest.approx([costs.predict(one.config) for one in trials])
    assert costs.estimate(trials).seconds == pytest.approx(costs.predict_all(trials).sum())


def test_intervals_hold_what_happens_as_often_as_they_say_and_narrow_as_trials_are_measured() -> None:
    """Machines, networks and pruners of random speed, trials of random length: 90 % intervals cover at least 80 %."""
    trials = planned(10)
    kinds = list(dict.fromkeys((one.config.model, one.config.pruner, one.config.density) for one in trials))
    covered, widths = {5: 0, 40: 0}, {5: 0.0, 40: 0.0}
    for repeat in range(60):
        draw = random.Random(repeat)
        speed = draw.lognormvariate(0, 1)
        length = {kind: speed * draw.lognormvariate(0, 0.5) for kind in kinds}
        seconds = [
            length[one.config.model, one.config.pruner, one.config.density] * draw.lognormvariate(0, 0.2)
            for one in trials
        ]
        order = draw.sample(range(len(trials)), len(trials))
        costs = CostModel()
        for place, index in enumerate(order):
            if place in covered:
                rest = order[place:]
                left = costs.estimate(Trials.of([trials[one] for one in rest]))
                truth = sum(seconds[one] for one in rest)
                covered[place] += left.low <= truth <= left.high
                widths[place] += math.log(left.high / left.low)
            costs.observe(trials[index].config, seconds[index])
    assert covered[5] >= 48
    assert covered[40] >= 48
    assert widths[40] < widths[5] / 2


def test_the_stores_history_counts_completed_trials_of_the_device(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def commit(name: str, device: str, seconds: float, *, status: str = "completed", run_id: str = "a") -> None:
        rows = [
            config_columns(CONFIG)
            | {"trial_id": f"{name}{number}", "attempt_id": f"{name}{number}", "attempt": 1, "status": status}
            | {"device": device, "prune_seconds": 0.25 * seconds, "train_seconds": 0.75 * seconds, "run_id": run_id}
            for number in range(50)
        ]
        write_segment(store, name, [{"trials": rows}])

    assert CostModel.from_store(store, device="auto").num_observed == 0
    commit("s1", "cpu", 40.0)
    commit("s2", "cuda", 2.0, run_id="b")
    commit("s3", "cuda", 500.0, status="failed", run_id="c")
    on_cpu, on_gpu = CostModel.from_store(store, device="cpu"), CostModel.from_store(store, device="cuda")
    assert (on_cpu.num_observed, on_gpu.num_observed) == (50, 50)
    assert on_cpu.predict(CONFIG) == pytest.approx(40.0, rel=0.1)
    assert on_gpu.predict(CONFIG) == pytest.approx(2.0, rel=0.1)
    assert CostModel.from_store(store, device="auto").device == "cuda"
