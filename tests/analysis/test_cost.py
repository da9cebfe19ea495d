"""Hours and paces, by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import vl_convert

from analysis import cost, speedup
from analysis.palette import Palette
from analysis.report.section import VEGALITE
from analysis.scan import scan

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def seconds(load: float, build: float, prune: float, train: float) -> dict[str, float]:
    return {"load_seconds": load, "build_seconds": build, "prune_seconds": prune, "train_seconds": train}


def fill(builder):
    """Two hours of a shared dense trial, three of synflow, one of snip; one failure; and a GPU's half hour."""
    builder.both("dense", point={"density": 1.0}, **seconds(360, 0, 0, 6840))
    builder.point("dense", density=1.0, pruner="snip")
    builder.both("s", point={"density": 0.01}, **seconds(0, 1800, 3600, 5400))
    builder.both("n", point={"density": 0.1, "pruner": "snip"}, **seconds(0, 0, 0, 3600))
    builder.both("f", point={"density": 0.1}, error=("ValueError", "no"))
    builder.both("g", point={"density": 0.1, "seed": 1}, device="cuda", **seconds(0, 0, 0, 1800))
    builder.point("missing", seed=2)


def test_hours_by_hand(builder):
    fill(builder)
    found = cost.table(scan(builder.write()).results).collect()
    columns = ["value", "load_hours", "build_hours", "prune_hours", "train_hours", "total_hours", "num_trials"]
    cpu = found.filter(machine="cpu")
    assert cpu.filter(axis="all").select(columns).rows() == [("all trials", 0.1, 0.5, 1.0, 4.4, 6.0, 3)]
    assert cpu.filter(axis="pruner").select("value", "total_hours", "share", "num_trials", "num_untimed").rows() == [
        ("synflow", 3.0, 0.5, 1, 1),
        ("shared by several", 2.0, pytest.approx(1 / 3), 1, 0),
        ("snip", 1.0, pytest.approx(1 / 6), 1, 0),
    ]
    assert cpu.filter(axis="sparsity").select("value", "total_hours").rows() == [
        ("99 %", 3.0),
        ("0 %", 2.0),
        ("90 %", 1.0),
    ]
    assert cpu.filter(axis="model").select("value", "total_hours", "hours_a_trial").rows() == [("mlp", 6.0, 2.0)]
    assert found.filter(machine="cuda", axis="pruner").select("value", "total_hours", "share").rows() == [
        ("synflow", 0.5, 1.0)
    ]


def test_trials_that_only_failed_have_no_hours_and_no_mean(builder):
    builder.both("f", point={}, error=("ValueError", "no"))
    (row,) = cost.table(scan(builder.write()).results).filter(axis="pruner").collect().to_dicts()
    assert (row["total_hours"], row["num_trials"], row["num_untimed"]) == (0.0, 0, 1)
    assert (row["share"], row["hours_a_trial"]) == (None, None)


def test_the_figure_has_a_bar_a_phase(builder):
    fill(builder)
    found = cost.table(scan(builder.write()).results).collect()
    assert vl_convert.vegalite_to_svg(cost.plot(found).to_dict(), vl_version=VEGALITE).count('aria-label="slot') == 16
    rows = found.filter(machine="cuda")
    assert cost.panel(rows, Palette.of(["snip", "synflow"])).height == cost.ROW_PIXELS


def test_pace_by_hand(builder):
    for number in range(4):
        builder.both(
            f"a{number}",
            point={"seed": number},
            run_id="one",
            finished_at=NOON + timedelta(minutes=20 * number),
            **seconds(0, 0, 300, 1500),
        )
    builder.point("a0", seed=0, pruner="snip", density=1.0)
    builder.both("b", point={"seed": 8}, run_id="two", finished_at=NOON + timedelta(days=1), error=("E", "no"))
    builder.point("missing", seed=9)
    # one: three more trials in the hour after the first; 4 x 30 minutes of slots in it
    assert cost.pace(scan(builder.write()).results).collect().rows() == [
        ("one", "cpu", 4, 0, 2.0, 1.0, 3.0, 2.0),
        ("two", "cpu", 1, 1, 0.0, 0.0, None, None),
    ]


def timed(builder, name, took, *, epochs=20, **point):
    trial = {key: point.pop(key) for key in ("engine", "is_connected", "device") if key in point}
    builder.both(name, point={"epochs": epochs, **point}, train_seconds=took, **trial)


def test_speedup_by_hand(builder):
    for seed, took in enumerate([40.0, 44.0, 90.0]):  # a median of 2.2 s an epoch, once disturbed
        timed(builder, f"d{seed}", took, density=1.0, seed=seed)
        builder.point(f"d{seed}", density=1.0, seed=seed, pruner="snip", epochs=20)
    timed(builder, "a", 20.0, density=0.1, engine="compact")
    timed(builder, "b", 22.0, density=0.1, seed=1, engine="compact")
    timed(builder, "c", 40.0, density=0.1, seed=2)
    timed(builder, "cut", 0.1, density=0.01, is_connected=False, engine="compact")
    builder.both("f", point={"density": 0.1, "seed": 3, "epochs": 20}, error=("ValueError", "no"))
    rows = speedup.table(scan(builder.write()).results).collect().to_dicts()
    assert [row["density"] for row in rows] == [0.1, 0.01]
    assert rows[0]["epoch_seconds"] == pytest.approx(1.1)
    assert rows[0]["dense_epoch_seconds"] == pytest.approx(2.2)
    assert rows[0]["speedup"] == pytest.approx(2.0)
    assert (rows[0]["slowest"], rows[0]["fastest"]) == (pytest.approx(1.1), pytest.approx(2.2))
    assert (rows[0]["n"], rows[0]["num_dense"], rows[0]["num_compact"], rows[0]["num_disconnected"]) == (3, 3, 2, 0)
    assert (rows[1]["n"], rows[1]["speedup"], rows[1]["num_disconnected"]) == (0, None, 1)


def test_speedups_are_of_one_machine_and_recipe_and_of_training_that_is_not_shared(builder):
    timed(builder, "d", 40.0, density=1.0)
    timed(builder, "gpu", 1.0, density=0.1, device="cuda")
    timed(builder, "long", 80.0, density=0.1, epochs=40)
    timed(builder, "imp", 1.0, density=0.1, pruner="imp", pre_epochs=5, levels=2, rewind="weights")
    timed(builder, "untrained", 0.5, density=0.1, epochs=0)
    rows = speedup.table(scan(builder.write()).results).select("curve", "machine", "num_dense", "speedup").collect()
    assert set(rows.rows()) == {("synflow", "cuda", 0, None), ("synflow", "cpu", 0, None)}


def test_the_speedup_figure_draws_what_can_be_compared(builder):
    timed(builder, "d", 40.0, density=1.0)
    timed(builder, "a", 20.0, density=0.1)
    timed(builder, "cut", 0.1, density=0.01, is_connected=False)
    found = speedup.table(scan(builder.write()).results).collect()
    spec = speedup.plot(found).to_dict()
    (drawn,) = [rows.splitlines()[1:] for rows in spec["datasets"].values() if isinstance(rows, str)]
    assert drawn == ["synflow,10.0,2.0,2.0,2.0,1.0,2.0,1,1,0,90 %,0 of 1"]
    assert vl_convert.vegalite_to_svg(spec, vl_version=VEGALITE).startswith("<svg")


def test_an_empty_store_has_the_columns(builder):
    builder.point("a")
    results = scan(builder.write()).results
    for found in (cost.table(results), cost.pace(results), speedup.table(results)):
        assert found.collect().is_empty()
