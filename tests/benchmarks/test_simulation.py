"""The simulation keeps account: every trial once, never more than the slots' time, deaths cost what they cost."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from benchmarks import simulation
from benchmarks.simulation import EqualShares, Simulation, draw_figure, simulate, sweep
from orchestrator.trials import Trials


@pytest.fixture(scope="module")
def small() -> tuple[Trials, dict[str, float]]:
    return sweep(520, seed=0)


@pytest.mark.parametrize("way", simulation.WAYS)
@pytest.mark.parametrize("slots", [1, 8])
def test_efficiency_is_a_share_and_few_slots_are_kept_busy(
    small: tuple[Trials, dict[str, float]], way: str, slots: int
) -> None:
    row = simulate(*small, slots, way, seed=0)
    assert 0.9 < row["efficiency"] < 1
    assert row["hours"] * slots * row["efficiency"] == pytest.approx(sum(small[1].values()) / 3600)


def test_256_slots_are_kept_busy_by_10_000_trials() -> None:
    trials, seconds = sweep(10_000, seed=0)
    assert len(trials) >= 10_000
    for way in ("history", "nothing measured"):
        assert simulate(trials, seconds, 256, way, seed=0)["efficiency"] > 0.95


def test_without_overheads_one_slot_takes_the_sum(
    small: tuple[Trials, dict[str, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HAND_OUT_SECONDS", "REPORT_SECONDS", "OPEN_SECONDS", "COMMIT_SECONDS", "START_SECONDS"):
        monkeypatch.setattr(simulation, name, 0.0)
    monkeypatch.setattr(simulation, "HOURS_BETWEEN_DEATHS", 1e12)
    assert simulate(*small, 1, "history", seed=0)["efficiency"] == pytest.approx(1.0)


def test_a_death_costs_a_start_and_what_lies_behind_the_last_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    class OneDeath(random.Random):
        left = 1

        def expovariate(self, lambd: float = 1.0) -> float:
            self.left -= 1
            return 700.0 if self.left == 0 else 1e9

    trials, _ = sweep(26, seed=0)
    run = Simulation(EqualShares(trials, 1), [], 1, OneDeath())
    assert run._with_deaths(1000.0) == pytest.approx(700 + simulation.START_SECONDS + 400)  # from 600 s on
    assert run.deaths == 1


def test_the_figure_is_drawn(small: tuple[Trials, dict[str, float]], tmp_path: Path) -> None:
    rows = [{"way": way, "slots": slots, "efficiency": 0.9} for way in simulation.WAYS for slots in (1, 2)]
    draw_figure(rows, 520, tmp_path / "f.png")
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")
