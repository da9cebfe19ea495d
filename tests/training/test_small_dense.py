"""A narrower dense network: as near to the budget as whole channels allow, recorded for what it is, trained as any."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from models.table import MODELS
from orchestrator.store.rows import Provenance, attempt_rows
from pruning.density import kept_count
from pruning.prunable import prunable_weights
from tests.training.test_trial import measured, trial
from training.build import build_shapes
from training.config import ModelConfig, PrunerConfig, TrialConfig
from training.context import CohortContext
from training.small_dense import small_dense
from training.trial import run_cohort, run_trial

CIFAR = (3, 32, 32)
DENSITIES = [Decimal(text) for text in ("0.9", "0.5", "0.2", "0.1", "0.05")]
SCALABLE = list(
    {MODELS[name].family: name for name in reversed(MODELS) if "width_factor" in MODELS[name].options}.values()
)
"""Of every family the first."""


def small_trial(density: str, model: ModelConfig | None = None, epochs: int = 1) -> TrialConfig:
    config = trial("random", density, epochs=epochs)
    return replace(config, pruner=PrunerConfig(name="small_dense"), model=model or config.model)


@pytest.mark.parametrize("name", SCALABLE)
def test_weights_fall_with_the_density_and_miss_the_budget_by_little(name: str) -> None:
    model = ModelConfig(name=name)
    found = [small_dense(model, density, CIFAR, 10) for density in DENSITIES]
    counts = [one.num_weights for one in found]
    assert counts == sorted(counts, reverse=True)
    assert len(set(counts)) == len(counts)
    for one, density in zip(found, DENSITIES, strict=True):
        built = prunable_weights(build_shapes(one.model, input_shape=CIFAR, num_classes=10))
        assert sum(weight.numel() for weight in built.values()) == one.num_weights
        assert list(built) == list(one.full_sizes)
        assert all(weight.numel() <= one.full_sizes[layer] for layer, weight in built.items())
        assert one.budget == kept_count(density, sum(one.full_sizes.values()))
    assert abs(counts[1] / found[1].budget - 1) < 0.07  # the coarsest family, of 16 channels, has steps of an eighth


@pytest.mark.parametrize("density", ["0.99", "0.7", "0.5", "0.31", "0.1", "0.06", "0.05"])
def test_no_other_network_of_the_family_is_nearer_to_the_budget(density: str) -> None:
    """Against all 30 networks of an mlp of 30 and 20 units, whose weights are counted in closed form."""
    found = small_dense(ModelConfig(name="mlp", options='{"widths":[30,20]}'), Decimal(density), (1, 8, 8), 10)
    factors = [(step + nudge) / width for width in (30, 20) for step in range(width) for nudge in (0.501, 1)]
    widths = [[max(1, round(width * factor)) for width in (30, 20)] for factor in factors]
    counts = {64 * a + a * b + b * 10 for a, b in widths}
    assert abs(found.num_weights - found.budget) == min(abs(count - found.budget) for count in counts)


def test_a_model_that_is_already_narrower_is_the_full_one() -> None:
    half = ModelConfig(name="resnet20", options='{"width_factor":0.5}')
    found = small_dense(half, Decimal("0.25"), CIFAR, 10)
    assert 0.2 < found.model.kwargs["width_factor"] < 0.3
    assert small_dense(half, Decimal(1), CIFAR, 10).model == half


def test_a_trial_records_the_narrower_network_beside_the_full_ones_weights() -> None:
    record = run_trial(small_trial("0.3", epochs=12), CohortContext("cpu"))
    full = 64 * 30 + 30 * 20 + 20 * 10
    assert [layer.num_weights for layer in record.layers] == [64 * 30, 30 * 20, 20 * 10]
    a, b = record.layers[0].kept // 64, record.layers[2].kept // 10
    assert record.layers[1].kept == a * b
    assert [layer.live for layer in record.layers] == [layer.kept for layer in record.layers]
    where = Provenance(run_id="r", prunesweep_version="0", torch_version="2", git_commit=None, git_dirty=None)
    (row,) = attempt_rows(record, trial_id="t", attempt_id="a", attempt=1, provenance=where)["trials"]
    assert (row["prunable_weights"], row["density"]) == (full, 0.3)
    assert row["kept_weights"] == 64 * a + a * b + 10 * b
    assert abs(row["kept_weights"] - 0.3 * full) <= 64 + 30 + 20 + 10  # one unit more or less of each layer
    assert row["effective_density"] == row["kept_weights"] / full
    assert (row["collapsed_layers"], row["is_connected"], record.rounds) == (0, True, [])
    assert row["final_test_accuracy"] > 0.8


def test_masks_are_of_the_full_network_so_none_are_kept() -> None:
    assert run_trial(small_trial("0.3"), CohortContext("cpu", save_masks=True)).masks == []


def test_a_trial_is_the_same_alone_in_a_cohort_and_on_either_engine() -> None:
    configs = [small_trial("0.3"), trial("magnitude", "0.3"), small_trial("0.1"), trial("none", "1")]
    alone = [measured(run_trial(config, CohortContext("cpu"))) for config in configs]
    assert [measured(record) for record in run_cohort(configs, CohortContext("cpu"))] == alone
    reference = run_trial(configs[0], CohortContext("cpu", engine="reference"))
    assert reference.final is not None
    assert alone[0].final is not None
    assert reference.final.test_loss == pytest.approx(alone[0].final.test_loss, rel=1e-5)


def test_a_budget_below_one_channel_a_layer_fails_with_both_numbers() -> None:
    (record,) = run_cohort([small_trial("0.01")], CohortContext("cpu"))
    assert record.error is not None
    assert "of one channel a layer, has 75 prunable weights, more than the 27 of this density" in record.error.message


@pytest.mark.parametrize(
    ("source", "remedy"),
    [("", "users_own_width:net has no option width_factor"), (", width_factor=1.0", "")],
)
def test_a_users_factory_needs_the_option(
    source: str, remedy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    width = "round(40 * width_factor) or 1" if source else "40"
    (tmp_path / "users_own_width.py").write_text(
        "from torch import nn\n"
        f"def net(*, input_shape, num_classes{source}):\n"
        f"    width = {width}\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, num_classes))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(__import__("sys").modules, "users_own_width", raising=False)
    (record,) = run_cohort([small_trial("0.5", ModelConfig(name="users_own_width:net"))], CohortContext("cpu"))
    if remedy:
        assert record.error is not None
        assert remedy in record.error.message
    else:
        assert record.error is None
        assert sum(layer.kept for layer in record.layers) == 20 * 74
