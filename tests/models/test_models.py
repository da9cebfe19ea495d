"""What every model in the table promises: a new one is covered by being registered and counted below."""

from __future__ import annotations

import inspect
import json
import pkgutil
from pathlib import Path

import pytest
import torch
from torch import nn

from models.table import MODELS
from pruning.prunable import prunable_weights
from training.build import build_model
from training.config import ModelConfig, options_text

# (options, input shape, classes) -> (prunable weights, all parameters), counted by hand.
COUNTED: list[tuple[str, dict[str, object], tuple[int, int, int], int, int, int]] = [
    ("mlp", {}, (1, 8, 8), 10, 64 * 500 + 500 * 500 + 500 * 10, 287_000 + 500 + 500 + 10),
    ("mlp", {"widths": [300, 100]}, (1, 28, 28), 10, 235_200 + 30_000 + 1_000, 266_200 + 410),
    ("mlp", {"widths": []}, (3, 2, 2), 4, 48, 52),
    ("convnet", {}, (1, 8, 8), 10, 144 + 4_608 + 9_216 + 320, 14_288 + 2 * (16 + 32 + 32) + 10),
    ("convnet", {"widths": [2, 3]}, (3, 6, 6), 5, 54 + 54 + 15, 123 + 2 * 5 + 5),
]


def build(
    name: str, options: dict[str, object], shape: tuple[int, int, int], num_classes: int, seed: int = 0
) -> nn.Module:
    config = ModelConfig(name=name, options=options_text(options))
    return build_model(config, input_shape=shape, num_classes=num_classes, init_seed=seed)


def default(name: str, seed: int = 0) -> nn.Module:
    return build(name, {}, (1, 8, 8), 10, seed)


def images(num: int = 6, shape: tuple[int, int, int] = (1, 8, 8)) -> torch.Tensor:
    return torch.randn(num, *shape, generator=torch.Generator().manual_seed(0))


def test_every_model_is_counted_below() -> None:
    assert {name for name, *_ in COUNTED} == set(MODELS)


@pytest.mark.parametrize(("name", "options", "shape", "num_classes", "prunable", "parameters"), COUNTED)
def test_parameters_are_as_many_as_counted_by_hand_and_logits_one_a_class(
    name: str,
    options: dict[str, object],
    shape: tuple[int, int, int],
    num_classes: int,
    prunable: int,
    parameters: int,
) -> None:
    model = build(name, options, shape, num_classes)
    assert sum(weight.numel() for weight in prunable_weights(model).values()) == prunable
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    assert model(images(6, shape)).shape == (6, num_classes)


@pytest.mark.parametrize("name", MODELS)
def test_options_in_the_table_are_the_constructors_arguments(name: str) -> None:
    parameters = inspect.signature(pkgutil.resolve_name(MODELS[name].target)).parameters
    assert tuple(parameters) == ("input_shape", "num_classes", *MODELS[name].options)


@pytest.mark.parametrize("name", MODELS)
def test_initial_weights_depend_on_the_seed_alone(name: str) -> None:
    before = torch.get_rng_state()
    first = default(name, seed=1).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(5)
    second, other = default(name, seed=1).state_dict(), default(name, seed=2)
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not any(torch.equal(first[key], weight) for key, weight in prunable_weights(other).items())


@pytest.mark.parametrize("name", MODELS)
def test_weights_are_drawn_from_hes_law_and_offsets_are_zero(name: str) -> None:
    model = default(name)
    for weight in prunable_weights(model).values():
        fan_in = weight[0].numel()
        assert float(weight.detach().std()) * (fan_in / 2) ** 0.5 == pytest.approx(1, abs=4 / weight.numel() ** 0.5)
    assert not any(bool(p.any()) for key, p in model.named_parameters() if key.endswith("bias"))


@pytest.mark.parametrize("name", MODELS)
def test_every_prunable_weight_gets_gradient(name: str) -> None:
    model = default(name)
    model(images(64)).square().sum().backward()
    for weight in prunable_weights(model).values():
        assert weight.grad is not None
        assert float(weight.grad.count_nonzero()) > 0.9 * weight.numel()


@pytest.mark.parametrize("name", MODELS)
def test_a_state_dict_carries_the_whole_model(name: str, tmp_path: Path) -> None:
    model = default(name, seed=1)
    model.train()(images(32))  # moves running statistics
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    other = default(name, seed=2)
    other.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    assert torch.equal(model.eval()(images()), other.eval()(images()))


@pytest.mark.parametrize("name", MODELS)
def test_an_image_is_classified_alone_as_in_a_batch(name: str) -> None:
    model = default(name).double().eval()
    batch = images().double()
    torch.testing.assert_close(model(batch[2:3]), model(batch)[2:3], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", MODELS)
def test_an_unknown_option_is_refused_by_name(name: str) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'depht'"):
        build(name, json.loads('{"depht": 3}'), (1, 8, 8), 10)
