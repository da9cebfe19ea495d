"""What every model in the table promises: a new one is covered by being registered and counted in counted.py.

Counts and shapes are checked for all, without allocating a weight; what needs numbers, for one or two of each family.
"""

from __future__ import annotations

import inspect
import math
import pkgutil
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from models.forms import FORMS
from models.table import MODELS
from pruning.connectivity import connectivity
from pruning.prunable import prunable_weights
from tests.models.counted import CIFAR, COUNTED, IMAGENET, MEASURED, TINY, Case

every_counted = pytest.mark.parametrize("case", COUNTED, ids=str)
every_measured = pytest.mark.parametrize("case", MEASURED, ids=str)
every_name = pytest.mark.parametrize("name", MODELS)


def images(case: Case, num: int) -> torch.Tensor:
    return torch.randn(num, *case.shape, generator=torch.Generator().manual_seed(0))


def on_meta(case: Case) -> nn.Module:
    with torch.device("meta"):
        return case.build()


def test_every_model_is_counted_and_every_target_measured() -> None:
    assert {case.name for case in COUNTED} == set(MODELS)
    measured = {MODELS[case.name].target.partition(":")[0] for case in MEASURED}
    assert measured == {entry.target.partition(":")[0] for entry in MODELS.values()}


@every_counted
def test_parameters_are_as_many_as_published_and_logits_one_a_class(case: Case) -> None:
    model = on_meta(case)
    weights = prunable_weights(model)
    assert sum(weight.numel() for weight in weights.values()) == case.prunable
    assert len(weights) == case.layers
    assert sum(parameter.numel() for parameter in model.parameters()) == case.parameters
    assert model(torch.empty(2, *case.shape, device="meta")).shape == (2, case.num_classes)


def test_vgg16_has_the_layers_of_the_papers_result_files() -> None:
    case = next(case for case in COUNTED if case.name == "vgg16_bn" and case.shape == CIFAR)
    assert [weight.numel() for weight in prunable_weights(on_meta(case)).values()] == [
        *(1_728, 36_864, 73_728, 147_456, 294_912, 589_824, 589_824, 1_179_648),
        *(2_359_296, 2_359_296, 2_359_296, 2_359_296, 2_359_296, 51_200),
    ]


@pytest.mark.parametrize("depth", [20, 32, 44, 56, 110])
def test_wide_resnets_are_truly_twice_as_wide(depth: int) -> None:
    narrow, wide = (
        prunable_weights(on_meta(next(case for case in COUNTED if case.name == name and not case.options)))
        for name in (f"resnet{depth}", f"wide_resnet{depth}")
    )
    ends = (next(iter(narrow)), list(narrow)[-1])
    for name, weight in narrow.items():
        assert wide[name].numel() == (2 if name in ends else 4) * weight.numel(), name


@every_name
def test_options_in_the_table_are_the_constructors_arguments(name: str) -> None:
    parameters = inspect.signature(pkgutil.resolve_name(MODELS[name].target)).parameters
    assert tuple(parameters) == ("input_shape", "num_classes", *MODELS[name].options)
    assert all(parameter.kind == inspect.Parameter.KEYWORD_ONLY for parameter in parameters.values())


@every_name
def test_an_unknown_option_is_refused_by_name(name: str) -> None:
    required: dict[str, object] = {"arch": "squeezenet1_1"} if name == "torchvision" else {}
    with pytest.raises(TypeError, match="unexpected keyword argument 'depht'"):
        Case(name, CIFAR, 10, 0, 0, 0, "", required | {"depht": 3}).build()


@every_measured
def test_initial_weights_depend_on_the_seed_alone(case: Case) -> None:
    before = torch.get_rng_state()
    first = case.build(seed=1).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(5)
    second, other = case.build(seed=1).state_dict(), case.build(seed=2)
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not any(torch.equal(first[key], weight) for key, weight in prunable_weights(other).items())


def published_deviation(case: Case, weight: torch.Tensor) -> float:
    """Standard deviation of the law that a family's source draws `weight` from."""
    fan_in, fan_out = weight[0].numel(), weight[:, 0].numel()
    if case.name in ("fc", "conv"):  # PyTorch's default
        return 1 / math.sqrt(3 * fan_in)
    if case.name.startswith(("lenet", "conv2", "conv4", "conv6")):  # Glorot
        return math.sqrt(2 / (fan_in + fan_out))
    for_large_images = case.name.startswith(("vgg", "mobilenet")) and case.shape != CIFAR
    if weight.dim() == 2 and (for_large_images or case.name == "mobilenet_v2"):
        return 0.01
    if weight.dim() == 2 and case.name in ("resnet18", "resnet50"):
        return 1 / math.sqrt(3 * fan_in)
    by_fan_out = for_large_images or case.name in ("mobilenet_v2", "resnet18", "resnet50")
    return math.sqrt(2 / (fan_out if by_fan_out else fan_in))


@pytest.mark.parametrize("case", [case for case in MEASURED if case.name != "torchvision"], ids=str)
def test_weights_are_drawn_from_the_published_law_and_offsets_are_zero(case: Case) -> None:
    model = case.build()
    for name, weight in prunable_weights(model).items():
        expected = published_deviation(case, weight)
        assert float(weight.detach().std()) / expected == pytest.approx(1, abs=4 / weight.numel() ** 0.5), name
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert bool((module.weight == 1).all())  # also at the end of residual blocks
    assert not any(bool(p.any()) for key, p in model.named_parameters() if key.endswith("bias"))


@every_measured
def test_gradients_are_finite_and_reach_every_prunable_layer(case: Case) -> None:
    model = case.build()
    num_images = 64 if case.shape[1] <= 28 else 4
    model(images(case, num_images)).square().sum().backward()
    for name, weight in prunable_weights(model).items():
        assert weight.grad is not None, name
        assert bool(weight.grad.isfinite().all()), name
        assert float(weight.grad.count_nonzero()) > 0.15 * weight.numel(), name


@every_measured
def test_every_prunable_weight_lies_on_a_path_from_input_to_output(case: Case) -> None:
    model = unclipped(case.build())
    everything = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in prunable_weights(model).items()}
    found = connectivity(model, everything, case.shape)
    assert found.is_connected
    for name, live in found.live.items():
        assert bool(live.all()), name


def unclipped(model: nn.Module) -> nn.Module:
    """Paths are counted through increasing activations; ReLU6 is flat above 6, which says nothing about the wiring."""
    for module in model.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.ReLU6):
                setattr(module, name, nn.ReLU())
    return model


@every_measured
def test_a_state_dict_carries_the_whole_model(case: Case, tmp_path: Path) -> None:
    model = case.build(seed=1)
    model.train()(images(case, 4))  # moves running statistics
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    other = case.build(seed=2)
    other.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    assert torch.equal(model.eval()(images(case, 2)), other.eval()(images(case, 2)))


@every_measured
def test_an_image_is_classified_alone_as_in_a_batch(case: Case) -> None:
    model = case.build().double().eval()
    batch = images(case, 2).double()
    torch.testing.assert_close(model(batch[1:]), model(batch)[1:], rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("name", ["vgg11_bn", "resnet18", "mobilenet_v2"])
@pytest.mark.parametrize(("form", "shape"), list(zip(FORMS, (CIFAR, TINY, IMAGENET), strict=True)))
def test_the_form_follows_the_image_size_unless_given(name: str, form: str, shape: tuple[int, int, int]) -> None:
    by_size, by_name = Case(name, shape, 7, 0, 0, 0, ""), Case(name, shape, 7, 0, 0, 0, "", {"form": form})
    assert str(on_meta(by_size)) == str(on_meta(by_name))
    other = Case(name, shape, 7, 0, 0, 0, "", {"form": "cifar" if form == "imagenet" else "imagenet"})
    assert str(on_meta(other)) != str(on_meta(by_name))
    with pytest.raises(ValueError, match=r"form 'imagenett': expected one of cifar, tiny_imagenet, imagenet"):
        Case(name, shape, 7, 0, 0, 0, "", {"form": "imagenett"}).build()


@pytest.mark.parametrize(("name", "minimum"), [("vgg11", 16), ("lenet5", 16), ("conv2", 2), ("conv6", 8)])
def test_images_too_small_to_pool_are_refused_with_the_least_size(name: str, minimum: int) -> None:
    on_meta(Case(name, (1, minimum, minimum), 10, 0, 0, 0, ""))
    with pytest.raises(
        ValueError, match=rf"{name}.*{minimum - 1}x{minimum} are too small.*at least {minimum}x{minimum}"
    ):
        Case(name, (1, minimum - 1, minimum), 10, 0, 0, 0, "").build()


@pytest.mark.parametrize("name", [name for name in MODELS if name != "torchvision" and "1202" not in name])
def test_images_may_have_one_channel_and_unequal_sides(name: str) -> None:
    case = Case(name, (1, 40, 33), 10, 0, 0, 0, "")
    assert on_meta(case)(torch.empty(2, 1, 40, 33, device="meta")).shape == (2, 10)


def test_bad_options_are_refused_with_what_was_expected() -> None:
    refused: list[tuple[str, dict[str, object], str]] = [
        ("resnet20", {"shortcut": "none"}, "shortcut 'none': expected one of projection, padding"),
        ("resnet20", {"width": 0}, "width 0: expected at least 1"),
        ("fc", {"width": 0}, "width 0: expected at least 1"),
        ("mlp", {"widths": [30, -3]}, "width -3: expected at least 1"),
        ("fc", {"depth": 1}, "fc: depth 1 is too small, expected at least 2"),
        ("vgg11", {"width_factor": 0}, "width_factor 0: expected a number above 0"),
        ("mlp", {"width_factor": "half"}, "width_factor 'half': expected a number above 0"),
    ]
    for name, options, message in refused:
        with pytest.raises(ValueError, match=re.escape(message)):
            Case(name, CIFAR, 10, 0, 0, 0, "", options).build()


def test_the_documentation_states_these_counts() -> None:
    text = Path(__file__).parents[2].joinpath("docs", "models.md").read_text(encoding="utf-8")
    stated = {
        (name, int(side), int(classes), int(prunable.replace(",", "")), int(layers), int(parameters.replace(",", "")))
        for name, side, classes, prunable, layers, parameters in re.findall(
            r"^\| `(\w+)`[^|]* \| [^|]*?(\d+)x\d+, (\d+) \| ([\d,]+) \| (\d+) \| ([\d,]+) \|", text, flags=re.MULTILINE
        )
    }
    counted = {(c.name, c.shape[1], c.num_classes, c.prunable, c.layers, c.parameters) for c in COUNTED}
    assert stated <= counted
    assert {name for name, *_ in stated} == set(MODELS)


every_scalable = pytest.mark.parametrize("case", [case for case in MEASURED if case.name != "torchvision"], ids=str)


def at_width(case: Case, factor: float) -> Case:
    return replace(case, options=case.options | {"width_factor": factor})


@every_scalable
def test_half_as_wide_halves_every_layer_but_input_and_classes(case: Case) -> None:
    full, half = (prunable_weights(on_meta(at_width(case, factor))) for factor in (1.0, 0.5))
    assert list(full) == list(half)
    *hidden, last = full
    assert half[last].shape[0] == case.num_classes
    for number, name in enumerate(hidden):
        assert half[name].shape[0] == round(full[name].shape[0] / 2), name
        assert number or half[name].shape[1] == full[name].shape[1]


@every_scalable
@pytest.mark.parametrize("factor", [1e-9, 0.03, 0.3])
def test_narrower_models_keep_strides_and_shortcuts(case: Case, factor: float) -> None:
    def skeleton(model: nn.Module) -> list[tuple[str, str, object]]:
        return [(name, type(m).__name__, getattr(m, "stride", None)) for name, m in model.named_modules()]

    narrow = on_meta(at_width(case, factor))
    assert skeleton(narrow) == skeleton(on_meta(case))
    if factor == 1e-9:
        assert all(weight.shape[0] in (1, case.num_classes, 6) for weight in prunable_weights(narrow).values())
    assert narrow(torch.empty(2, *case.shape, device="meta")).shape == (2, case.num_classes)


@every_scalable
def test_narrower_models_are_drawn_from_the_published_law(case: Case) -> None:
    for name, weight in prunable_weights(at_width(case, 0.5).build()).items():
        expected = published_deviation(case, weight)
        assert float(weight.detach().std()) / expected == pytest.approx(1, abs=4 / weight.numel() ** 0.5), name
