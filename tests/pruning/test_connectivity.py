"""Live weights against a brute-force search for paths."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from models.convnet import ConvNet
from models.mlp import MLP
from pruning.connectivity import connectivity
from pruning.masks import Masks, all_kept, count_kept
from pruning.prunable import prunable_weights
from tests.pruning.networks import INPUT_SHAPE, NETWORKS, briefly_trained, build


def path_oracle(layers: Sequence[np.ndarray]) -> tuple[list[np.ndarray], bool]:
    """Of boolean (outputs, inputs) matrices in sequence: the entries on an input-output path, and whether any is."""
    reached: list[np.ndarray] = [np.ones(layers[0].shape[1], dtype=bool)]
    for layer in layers:
        reached.append((layer & reached[-1]).any(1))
    leads_on: list[np.ndarray] = [np.ones(layers[-1].shape[0], dtype=bool)]
    for layer in reversed(layers):
        leads_on.append((layer & leads_on[-1][:, None]).any(0))
    leads_on.reverse()
    live = [layer & reached[i] & leads_on[i + 1][:, None] for i, layer in enumerate(layers)]
    return live, bool(reached[-1].any())


def random_masks(model: nn.Module, density: float, seed: int) -> Masks:
    generator = torch.Generator().manual_seed(seed)
    return {n: torch.rand(w.shape, generator=generator) < density for n, w in prunable_weights(model).items()}


def full_masks(model: nn.Module) -> Masks:
    return all_kept({name: weight.detach() for name, weight in prunable_weights(model).items()})


@given(
    widths=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    density=st.floats(0.05, 0.9),
    seed=st.integers(0, 10_000),
)
def test_an_mlps_live_weights_are_those_on_a_path(widths: list[int], density: float, seed: int) -> None:
    model = MLP(input_shape=(5, 1, 1), num_classes=4, widths=widths)
    with torch.no_grad():
        for layer in model.hidden:
            layer.bias.fill_(-100.0)  # what the network computes does not matter, only how it is wired
    masks = random_masks(model, density, seed)
    live, is_connected = path_oracle([mask.numpy() for mask in masks.values()])
    result = connectivity(model, masks, (5, 1, 1))
    assert [mask.tolist() for mask in result.live.values()] == [layer.tolist() for layer in live]
    assert result.is_connected == is_connected


@given(density=st.floats(0.005, 0.5), seed=st.integers(0, 10_000))
def test_a_convnets_live_weights_are_those_on_a_path_of_channels(density: float, seed: int) -> None:
    model = ConvNet(input_shape=(2, 8, 8), num_classes=4, widths=(4, 5, 4))
    masks = random_masks(model, density, seed)
    channels, is_connected = path_oracle(
        [mask.flatten(2).any(2).numpy() if mask.dim() == 4 else mask.numpy() for mask in masks.values()]
    )
    result = connectivity(model, masks, (2, 8, 8))
    for (name, mask), layer in zip(masks.items(), channels, strict=True):
        on_path = torch.from_numpy(layer)
        expected = mask & (on_path[:, :, None, None] if mask.dim() == 4 else on_path)
        assert torch.equal(result.live[name], expected)
    assert result.is_connected == is_connected


@pytest.mark.parametrize("network", NETWORKS)
def test_every_weight_of_a_dense_network_is_live(network: str) -> None:
    model = briefly_trained(build(network))
    result = connectivity(model, full_masks(model), INPUT_SHAPE)
    assert result.is_connected
    assert all(bool(mask.all()) for mask in result.live.values())


def test_the_network_is_left_untouched() -> None:
    model = briefly_trained(build("convnet"))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    modules = [type(module) for module in model.modules()]
    connectivity(model, random_masks(model, 0.5, 0), INPUT_SHAPE)
    assert model.training
    assert [type(module) for module in model.modules()] == modules
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize(
    ("network", "emptied"),
    [("residual", "shortcut.0.weight"), ("residual", "body.0.weight"), ("bypassed", "branch.0.weight")],
)
def test_an_emptied_layer_that_a_branch_bypasses_leaves_the_network_connected(network: str, emptied: str) -> None:
    model = build(network)
    masks = full_masks(model)
    masks[emptied][:] = False
    result = connectivity(model, masks, INPUT_SHAPE)
    assert result.is_connected
    dead = {emptied} | ({"body.3.weight"} if emptied.startswith("body") else set())
    dead |= {"branch.2.weight"} if emptied.startswith("branch") else set()
    for name, mask in masks.items():
        assert torch.equal(result.live[name], mask & (name not in dead))


def test_a_residual_network_with_both_branches_emptied_is_cut() -> None:
    model = build("residual")
    masks = full_masks(model)
    masks["shortcut.0.weight"][:] = False
    masks["body.3.weight"][:] = False
    result = connectivity(model, masks, INPUT_SHAPE)
    assert not result.is_connected
    assert count_kept(result.live) == 0


@pytest.mark.parametrize("network", NETWORKS)
def test_a_network_without_its_classifier_is_cut(network: str) -> None:
    model = build(network)
    masks = full_masks(model)
    masks["classifier.weight"][:] = False
    result = connectivity(model, masks, INPUT_SHAPE)
    assert not result.is_connected
    assert count_kept(result.live) == 0


def test_one_path_through_a_wide_deep_network_is_found_among_dead_weights() -> None:
    model = MLP(input_shape=(1, 8, 8), num_classes=10, widths=(500, 500, 500, 500))
    masks = {name: torch.zeros_like(weight, dtype=torch.bool) for name, weight in prunable_weights(model).items()}
    units = [63, 7, 499, 0, 250, 9]
    for mask, source, target in zip(masks.values(), units, units[1:], strict=False):
        mask[target, source] = True
    path = {name: mask.clone() for name, mask in masks.items()}
    masks["hidden.1.weight"][3, :] = True  # unit 3 leads nowhere
    masks["hidden.3.weight"][:, 8] = True  # unit 8 is never fed
    result = connectivity(model, masks, INPUT_SHAPE)
    assert result.is_connected
    # Feeding unit 250 from dead unit 8 does not make that weight live; the path is all there is.
    assert all(torch.equal(result.live[name], path[name]) for name in path)


def test_taps_that_read_only_padding_are_dead() -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.Flatten(), nn.Linear(1, 2))
    result = connectivity(model, full_masks(model), (1, 1, 1))
    assert result.live["0.weight"].flatten().tolist() == [index == 4 for index in range(9)]


def test_depth_does_not_overflow_or_underflow() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 300), *(nn.Linear(300, 300) for _ in range(150)))
    result = connectivity(model, full_masks(model), INPUT_SHAPE)
    assert result.is_connected
    assert all(bool(mask.all()) for mask in result.live.values())


@pytest.mark.parametrize(
    "norm",
    [
        nn.GroupNorm(2, 6),
        nn.GroupNorm(6, 6),
        nn.LayerNorm([6, 8, 8]),
        nn.InstanceNorm2d(6, affine=True),
        nn.BatchNorm2d(6, track_running_stats=False),
    ],
    ids=str,
)
def test_normalisations_that_subtract_a_mean_do_not_hide_paths(norm: nn.Module) -> None:
    model = nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), norm, nn.ReLU(), nn.Flatten(), nn.Linear(6 * 64, 3))
    masks = full_masks(model)
    masks["0.weight"][2] = False
    result = connectivity(model, masks, INPUT_SHAPE)
    assert torch.equal(result.live["0.weight"], masks["0.weight"])
    reads_channel_2 = torch.arange(6 * 64).view(1, -1).expand(3, -1) // 64 == 2
    assert torch.equal(result.live["4.weight"], ~reads_channel_2)


@pytest.mark.parametrize("pool", [nn.MaxPool2d(2), nn.MaxPool2d(3, stride=2, padding=1), nn.AdaptiveMaxPool2d(4)])
def test_max_pooling_counts_every_position_that_can_win(pool: nn.Module) -> None:
    model = nn.Sequential(pool, nn.Flatten(), nn.Linear(16, 5))
    front = nn.Sequential(nn.Conv2d(1, 1, 8, padding=0), nn.Flatten(), nn.Linear(1, 2))
    assert connectivity(front, full_masks(front), INPUT_SHAPE).is_connected
    locally = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.Unflatten(1, (1, 8, 8)), *model)
    result = connectivity(locally, full_masks(locally), INPUT_SHAPE)
    assert all(bool(mask.all()) for mask in result.live.values())


class DeepResidual(nn.Module):
    """As many blocks of one wide layer beside an identity as ResNet-1202 has."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(64, 40)
        self.blocks = nn.ModuleList([nn.Sequential(nn.Linear(40, 40), nn.ReLU()) for _ in range(600)])
        self.classifier = nn.Linear(40, 10)

    def forward(self, images: Tensor) -> Tensor:
        features = self.stem(images.flatten(1))
        for block in self.blocks:
            features = features + block(features)
        return self.classifier(features)


def test_a_residual_network_of_1200_layers_is_answered_exactly() -> None:
    model = DeepResidual()
    masks = full_masks(model)
    assert all(bool(mask.all()) for mask in connectivity(model, masks, INPUT_SHAPE).live.values())
    masks["stem.weight"][1:] = False  # one unit is fed ...
    for index in range(600):
        masks[f"blocks.{index}.0.weight"][:] = False
        masks[f"blocks.{index}.0.weight"][0, :] = True  # ... and feeds itself alone
    result = connectivity(model, masks, INPUT_SHAPE)
    assert result.is_connected
    assert all(result.live[f"blocks.{index}.0.weight"].nonzero().tolist() == [[0, 0]] for index in range(600))


def test_one_path_beside_wide_dead_layers_does_not_underflow() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 100), *(nn.Linear(100, 100) for _ in range(300)))
    masks = full_masks(model)
    masks["1.weight"][1:] = False  # of the hundred inputs of every later layer one is fed, once
    for index in range(2, 302):
        masks[f"{index}.weight"][1:] = False
    result = connectivity(model, masks, INPUT_SHAPE)
    assert result.is_connected
    assert all(result.live[f"{index}.weight"].nonzero().tolist() == [[0, 0]] for index in range(2, 302))


def test_frozen_and_unused_layers_are_answered_too() -> None:
    class Auxiliary(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head, self.unused = nn.Linear(64, 10), nn.Linear(64, 10)

        def forward(self, images: Tensor) -> Tensor:
            return self.head(images.flatten(1))

    model = Auxiliary()
    model.head.weight.requires_grad_(False)
    result = connectivity(model, full_masks(model), INPUT_SHAPE)
    assert result.is_connected
    assert bool(result.live["head.weight"].all())
    assert not result.live["unused.weight"].any()
