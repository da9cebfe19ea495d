"""Multiply-accumulates are counted to the last one: against closed forms, and against loops over every position."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from models.cifar_resnet import resnet20
from models.convnet import ConvNet
from models.mlp import MLP
from models.vgg import vgg16_bn
from orchestrator.store.rows import Provenance, Row, attempt_rows
from tests.training.test_small_dense import small_trial
from tests.training.test_trial import trial
from training.config import ModelConfig
from training.context import CohortContext
from training.macs import macs_per_image, weight_positions
from training.record import TrialRecord
from training.trial import run_cohort, run_trial

WHERE = Provenance(run_id="r", prunesweep_version="0", torch_version="2", git_commit=None, git_dirty=None)


def row_of(record: TrialRecord) -> Row:
    (row,) = attempt_rows(record, trial_id="t", attempt_id="a", attempt=1, provenance=WHERE)["trials"]
    return row


def test_an_mlp_multiplies_by_each_weight_once() -> None:
    model = MLP(input_shape=(1, 8, 8), num_classes=10, widths=(30, 20))
    assert set(weight_positions(model, (1, 8, 8)).values()) == {1}
    assert macs_per_image(model, (1, 8, 8)) == 64 * 30 + 30 * 20 + 20 * 10


def test_a_convnet_multiplies_at_every_position_of_its_outputs() -> None:
    model = ConvNet(input_shape=(3, 6, 6), num_classes=5, widths=(2, 3))
    # 3x3 convolutions that keep 6 x 6 and halve it after the first; 3 features reach the classifier
    assert list(weight_positions(model, (3, 6, 6)).values()) == [36, 9, 1]
    assert macs_per_image(model, (3, 6, 6)) == 9 * 3 * 2 * 36 + 9 * 2 * 3 * 9 + 3 * 5


def test_published_networks() -> None:
    """Closed form for VGG-16; ResNet-20's published 41 M."""
    shapes = [(3, 64, 32), (64, 64, 32), (64, 128, 16), (128, 128, 16), (128, 256, 8), (256, 256, 8), (256, 256, 8)]
    shapes += [(256, 512, 4), (512, 512, 4), (512, 512, 4), (512, 512, 2), (512, 512, 2), (512, 512, 2)]
    vgg = vgg16_bn(input_shape=(3, 32, 32), num_classes=100)
    assert macs_per_image(vgg, (3, 32, 32)) == sum(9 * a * b * side**2 for a, b, side in shapes) + 512 * 100
    resnet = resnet20(input_shape=(3, 32, 32), num_classes=10)
    assert macs_per_image(resnet, (3, 32, 32)) == pytest.approx(41e6, rel=0.02)


@pytest.mark.parametrize(
    ("layer", "shape", "positions"),
    [
        (nn.Conv2d(8, 8, 3, padding=1, groups=8), (8, 5, 5), 25),
        (nn.Conv2d(8, 12, 3, stride=2, groups=4), (8, 7, 5), 3 * 2),
        (nn.Conv1d(4, 6, 2), (4, 9), 8),
        (nn.Conv3d(2, 2, 2), (2, 3, 4, 5), 2 * 3 * 4),
        (nn.ConvTranspose2d(6, 4, 3, stride=2), (6, 4, 5), 20),
        (nn.ConvTranspose2d(6, 4, 3, stride=2, groups=2), (6, 4, 5), 20),
        (nn.Linear(7, 3), (11, 7), 11),
    ],
)
def test_each_kind_of_layer_against_the_products_it_makes(
    layer: nn.Conv2d, shape: tuple[int, ...], positions: int
) -> None:
    """With every weight and input 1 and no border, the outputs add up to the number of products."""
    for parameter in layer.parameters():
        nn.init.ones_(parameter)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    assert weight_positions(layer, shape) == {"weight": positions}
    if getattr(layer, "padding", 0) in (0, (0,), (0, 0), (0, 0, 0)):
        with torch.no_grad():
            products = layer(torch.ones(1, *shape)).double().sum().item()
        assert macs_per_image(layer, shape) == products
    assert macs_per_image(layer, shape) == layer.weight.numel() * positions


class Shared(nn.Module):
    """A layer that runs twice, one whose weight is the same, an unused one, and one read by a function."""

    def __init__(self) -> None:
        super().__init__()
        self.twice = nn.Linear(4, 4)
        self.tied = nn.Linear(4, 4)
        self.tied.weight = self.twice.weight
        self.unused = nn.Linear(4, 4)
        self.read = nn.Linear(4, 2)

    def forward(self, images: Tensor) -> Tensor:
        features = self.tied(self.twice(self.twice(images.flatten(1))))
        return nn.functional.linear(features, self.read.weight)


def test_shared_weights_add_up_and_what_never_runs_is_left_out() -> None:
    model = Shared().train()
    assert weight_positions(model, (1, 2, 2)) == {"twice.weight": 3}
    assert model.training
    assert not any(module._forward_hooks for module in model.modules())


def test_a_dense_trial_costs_what_the_network_does_and_a_pruned_one_what_lives() -> None:
    dense, sparse = (row_of(run_trial(trial("magnitude", density), CohortContext("cpu"))) for density in ("1", "0.1"))
    total = 64 * 30 + 30 * 20 + 20 * 10
    assert (dense["dense_macs"], dense["live_macs"]) == (total, total)
    assert (sparse["dense_macs"], sparse["live_macs"]) == (total, sparse["live_weights"])  # an MLP: each weight once


def test_live_weights_count_at_their_layers_positions() -> None:
    config = trial("magnitude", "0.05", model=ModelConfig(name="convnet", options='{"widths":[2,3]}'))
    record = run_trial(config, CohortContext("cpu"))
    row = row_of(record)
    assert [layer.positions for layer in record.layers] == [64, 16, 1]
    first, second, last = (layer.live for layer in record.layers)
    assert row["live_macs"] == 64 * first + 16 * second + last
    assert row["dense_macs"] == 64 * 18 + 16 * 54 + 30


def test_a_narrower_dense_network_is_compared_with_the_full_one() -> None:
    record = run_trial(small_trial("0.3"), CohortContext("cpu"))
    row = row_of(record)
    assert (row["dense_macs"], row["live_macs"]) == (2720, row["kept_weights"])


def test_one_context_counts_each_network_once_and_right() -> None:
    configs = [
        trial("random", "0.5"),
        trial("random", "0.5", model=ModelConfig(name="convnet", options='{"widths":[2,3]}')),
        small_trial("0.3"),
        small_trial("0.6"),
    ]
    alone = [row_of(run_trial(config, CohortContext("cpu")))["live_macs"] for config in configs]
    assert [row_of(record)["live_macs"] for record in run_cohort(configs, CohortContext("cpu"))] == alone


@pytest.mark.parametrize("name", ["refuses_zeros", "reads_functionally"])
def test_a_network_that_cannot_be_counted_is_trained_all_the_same(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "users_uncounted.py").write_text(
        "import torch\n"
        "from torch import nn\n"
        "class Refuses(nn.Sequential):\n"
        "    def forward(self, images):\n"
        "        if len(images) == 1 and not images.any():\n"
        "            raise RuntimeError('a blank image')\n"
        "        return super().forward(images)\n"
        "class Functional(nn.Module):\n"
        "    def __init__(self, num_classes):\n"
        "        super().__init__()\n"
        "        self.only = nn.Linear(64, num_classes)\n"
        "    def forward(self, images):\n"
        "        return nn.functional.linear(images.flatten(1), self.only.weight)\n"
        "def refuses_zeros(*, input_shape, num_classes):\n"
        "    return Refuses(nn.Flatten(), nn.Linear(64, num_classes))\n"
        "def reads_functionally(*, input_shape, num_classes):\n"
        "    return Functional(num_classes)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(__import__("sys").modules, "users_uncounted", raising=False)
    config = trial("random", "0.5", model=ModelConfig(name=f"users_uncounted:{name}"))
    (record,) = run_cohort([config], CohortContext("cpu", engine="reference"))
    assert record.error is None
    row = row_of(record)
    assert (row["dense_macs"], row["live_macs"]) == (None, None)
    assert row["density"] == float(Decimal("0.5"))
