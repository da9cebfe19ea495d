"""Flow beyond the float range: against decimals of 50 digits, and bit for bit where nothing overflows."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, localcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pruning.criteria.synflow import SynFlow
from pruning.linear_view import synaptic_flow, to_linear_view
from pruning.masks import Scores, all_kept
from pruning.prunable import prunable_weights
from pruning.scaled import Scaled, scaled, times_power_of_two, value_and_exponent
from pruning.scoring import score_network
from tests.pruning.networks import prune_set

WIDTH = 3

Matrix = list[list[Decimal]]
Vector = list[Decimal]


class Plain(nn.Module):
    """Linear layers of one width, as deep as asked for."""

    def __init__(self, depth: int, gain: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(WIDTH, WIDTH) for _ in range(depth)])
        with torch.no_grad():
            for layer in self.layers:
                layer.weight.normal_(0, gain)

    def forward(self, inputs: Tensor) -> Tensor:
        for layer in self.layers:
            inputs = torch.relu(layer(inputs))
        return inputs


class ResidualMLP(nn.Module):
    """Blocks of two layers, one of them normalised, beside an identity or, every tenth, a projection."""

    def __init__(self, num_blocks: int, gain: float) -> None:
        super().__init__()
        self.first = Plain(num_blocks, gain).layers
        self.second = Plain(num_blocks, gain).layers
        self.norms = nn.ModuleList([nn.BatchNorm1d(WIDTH, eps=0.0) for _ in range(num_blocks)])
        self.shortcuts = nn.ModuleDict({str(i): nn.Linear(WIDTH, WIDTH) for i in range(0, num_blocks, 10)})
        with torch.no_grad():
            for norm in self.norms:
                norm.weight.normal_()
                norm.running_mean.normal_()

    def forward(self, inputs: Tensor) -> Tensor:
        for index, (first, norm, second) in enumerate(zip(self.first, self.norms, self.second, strict=True)):
            shortcut = self.shortcuts[str(index)](inputs) if str(index) in self.shortcuts else inputs
            inputs = torch.relu(second(torch.relu(norm(first(inputs)))) + shortcut)
        return inputs


def build(kind: Callable[[int, float], nn.Module], depth: int, gain: float) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(depth)
        return kind(depth, gain).double()


def synflow(model: nn.Module, shape: tuple[int, ...] = (WIDTH,), dtype: torch.dtype = torch.float64) -> Scores:
    masks = all_kept({name: weight.detach() for name, weight in prunable_weights(model).items()})
    data = prune_set()
    data = type(data)(inputs=torch.zeros(2, *shape), targets=data.targets[:2])
    return score_network(model, masks, SynFlow(), data, torch.Generator(), dtype=dtype)


def exactly(weight: Tensor) -> Matrix:
    return [[Decimal(value) for value in row] for row in weight.detach().abs().tolist()]


def times(matrix: Matrix, vector: Vector) -> Vector:
    return [sum((a * b for a, b in zip(row, vector, strict=True)), Decimal(0)) for row in matrix]


def transposed(matrix: Matrix) -> Matrix:
    return [list(column) for column in zip(*matrix, strict=True)]


def plus(first: Vector, second: Vector) -> Vector:
    return [a + b for a, b in zip(first, second, strict=True)]


def score(matrix: Matrix, into: Vector, out_of: Vector) -> Matrix:
    return [[o * w * i for w, i in zip(row, into, strict=True)] for o, row in zip(out_of, matrix, strict=True)]


def oracle_of_plain(model: Plain) -> dict[str, Matrix]:
    matrices = [exactly(layer.get_parameter("weight")) for layer in model.layers]
    into = [[Decimal(1)] * WIDTH]
    for matrix in matrices:
        into.append(times(matrix, into[-1]))
    out_of, scores = [Decimal(1)] * WIDTH, {}
    for index in reversed(range(len(matrices))):
        scores[f"layers.{index}.weight"] = score(matrices[index], into[index], out_of)
        out_of = times(transposed(matrices[index]), out_of)
    return scores


def oracle_of_residual(model: ResidualMLP) -> dict[str, Matrix]:
    num_blocks = len(model.first)
    into, hidden = [[Decimal(1)] * WIDTH], []
    first, second = [
        [exactly(layer.get_parameter("weight")) for layer in layers] for layers in (model.first, model.second)
    ]
    shortcut = {int(index): exactly(layer.get_parameter("weight")) for index, layer in model.shortcuts.items()}
    gamma = [[Decimal(value) for value in norm.weight.detach().abs().tolist()] for norm in model.norms]
    for index in range(num_blocks):
        hidden.append([g * h for g, h in zip(gamma[index], times(first[index], into[-1]), strict=True)])
        beside = times(shortcut[index], into[-1]) if index in shortcut else into[-1]
        into.append(plus(times(second[index], hidden[-1]), beside))
    out_of, scores = [Decimal(1)] * WIDTH, {}
    for index in reversed(range(num_blocks)):
        scores[f"second.{index}.weight"] = score(second[index], hidden[index], out_of)
        back = [g * b for g, b in zip(gamma[index], times(transposed(second[index]), out_of), strict=True)]
        scores[f"first.{index}.weight"] = score(first[index], into[index], back)
        beside = out_of
        if index in shortcut:
            scores[f"shortcuts.{index}.weight"] = score(shortcut[index], into[index], out_of)
            beside = times(transposed(shortcut[index]), out_of)
        out_of = plus(times(transposed(first[index]), back), beside)
    return scores


@pytest.mark.parametrize(
    ("kind", "oracle", "depth", "gain", "exponent_of_ten"),
    [
        (Plain, oracle_of_plain, 700, 50.0, 1300),
        (Plain, oracle_of_plain, 700, 1e-3, -1800),
        (Plain, oracle_of_plain, 60, 3.0, 40),
        (ResidualMLP, oracle_of_residual, 600, 3.0, 700),
        (ResidualMLP, oracle_of_residual, 600, 0.3, 50),
    ],
    ids=["plain, growing", "plain, shrinking", "plain, within range", "residual, growing", "residual, mild"],
)
def test_deep_scores_are_those_of_arbitrary_precision_up_to_one_power_of_two(
    kind: Callable[[int, float], nn.Module],
    oracle: Callable[[Any], dict[str, Matrix]],
    depth: int,
    gain: float,
    exponent_of_ten: int,
) -> None:
    model = build(kind, depth, gain)
    with localcontext() as context:
        context.prec, context.Emax, context.Emin = 50, 10**6, -(10**6)
        expected = {name: [s for row in matrix for s in row] for name, matrix in oracle(model).items()}
        largest = max(max(scores) for scores in expected.values())
        assert (largest.adjusted() - exponent_of_ten) * (1 if exponent_of_ten > 0 else -1) >= 0
        scores = synflow(model)
        got = {name: [Decimal(value) for value in tensor.flatten().tolist()] for name, tensor in scores.items()}
        names = list(got)
        ratio = got[names[0]][0] / expected[names[0]][0]
        for name in names:
            for mine, true in zip(got[name], expected[name], strict=True):
                assert abs(mine / (true * ratio) - 1) < Decimal("1e-11")
        power = int(ratio.ln() / Decimal(2).ln() * (1 + Decimal("1e-20")))
        assert any(abs(ratio / Decimal(2) ** k - 1) < Decimal("1e-11") for k in (power - 1, power, power + 1))
        everything = [(true, name, i) for name in names for i, true in enumerate(expected[name])]
        ranking = [(name, i) for _, name, i in sorted(everything)]
        found = sorted((got[name][i], name, i) for name in names for i in range(len(got[name])))
        assert [(name, i) for _, name, i in found] == ranking


class DeepConv(nn.Module):
    """A residual network of the CIFAR kind: option A shortcuts, pooling, concatenation, in-place sums and ReLUs."""

    def __init__(self, blocks_per_stage: int, widths: tuple[int, ...] = (4, 8, 16)) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, widths[0], 3, padding=1, bias=False)
        self.stages = nn.ModuleList()
        channels = widths[0]
        for width in widths:
            for block in range(blocks_per_stage):
                stride = 2 if block == 0 and width != widths[0] else 1
                self.stages.append(
                    nn.Sequential(
                        nn.Conv2d(channels, width, 3, padding=1, stride=stride, bias=False),
                        nn.BatchNorm2d(width),
                        nn.ReLU(inplace=True),
                        nn.Conv2d(width, width, 3, padding=1, bias=False),
                        nn.BatchNorm2d(width),
                    )
                )
                channels = width
        self.classifier = nn.Linear(2 * channels, 10)
        for weight in prunable_weights(self).values():
            nn.init.kaiming_normal_(weight)

    def forward(self, images: Tensor) -> Tensor:
        features = torch.relu(self.stem(images))
        for stage in self.stages:
            out = stage(features)
            if out.shape != features.shape:
                extra = out.shape[1] - features.shape[1]
                features = nn.functional.pad(features[:, :, ::2, ::2], (0, 0, 0, 0, extra // 2, extra - extra // 2))
            out += features
            features = nn.functional.relu(out, inplace=True)
        pooled = torch.cat([features.mean((2, 3)), nn.functional.adaptive_avg_pool2d(features, 1).flatten(1)], 1)
        return self.classifier(pooled)


def without_exponents(model: nn.Module, shape: tuple[int, ...]) -> Scores:
    """The formula in plain arithmetic."""
    to_linear_view(model)
    weights = prunable_weights(model)
    flow = model(torch.ones(1, *shape, dtype=torch.float64)).sum()
    gradients = torch.autograd.grad(flow, list(weights.values()))
    return {n: (w.detach() * g).abs() for (n, w), g in zip(weights.items(), gradients, strict=True)}


def test_scores_are_bit_equal_to_plain_arithmetic_where_that_does_not_overflow() -> None:
    torch.manual_seed(0)
    model = DeepConv(50).double()
    mine = synflow(model, (1, 8, 8))
    plain = without_exponents(model, (1, 8, 8))
    total = float(plain["stem.weight"].sum())
    assert 1e100 < total < 1e290
    _, exponent = synaptic_flow(model, torch.ones(1, 1, 8, 8, dtype=torch.float64))
    assert exponent > 256
    assert [name for name in plain if not torch.equal(plain[name], mine[name])] == []


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_residual_network_of_1202_layers_scores_finitely_and_conserves_flow(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    model = DeepConv(200)
    scores = synflow(model, (1, 8, 8), dtype)
    assert all(bool(tensor.isfinite().all()) for tensor in scores.values())
    first, last = float(scores["stem.weight"].double().sum()), float(scores["classifier.weight"].double().sum())
    assert first == pytest.approx(last, rel=1e-10 if dtype == torch.float64 else 1e-3)
    to_linear_view(model.double())
    _, exponent = synaptic_flow(model, torch.ones(1, 1, 8, 8, dtype=torch.float64))
    assert exponent > 1024  # beyond float64


def test_flow_that_fits_comes_back_in_its_own_unit() -> None:
    model = build(Plain, 40, 1e4)
    flow = float(synflow(model)["layers.0.weight"].sum())
    assert flow == pytest.approx(float(without_exponents(model, (WIDTH,))["layers.0.weight"].sum()), rel=1e-13)
    assert flow > 1e150


class Deep(nn.Module):
    """Grows far beyond float64, then applies a function."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function
        self.layers = Plain(400, 50.0)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.layers(self.function(self.layers(inputs)))


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (torch.sigmoid, "sigmoid"),
        (lambda x: x * x.mean(), "mul"),
        (lambda x: 1 / x, "(r.*div|reciprocal)"),
        (lambda x: x + 1.0, "add"),
        (lambda x: x.softmax(1), "softmax"),
        (torch.ones_like, "ones_like"),
    ],
)
def test_a_function_that_does_not_scale_is_refused_by_name_where_an_exponent_is_in_play(
    function: Callable[[Tensor], Tensor], name: str
) -> None:
    with pytest.raises(ValueError, match=rf"leaves the float range, and \w*{name}\w*\(\) does not scale"):
        synflow(Deep(function).double())


def test_such_a_function_is_let_through_while_everything_fits() -> None:
    assert synflow(nn.Sequential(nn.Linear(3, 4), nn.Sigmoid(), nn.Linear(4, 2)))["0.weight"].count_nonzero() == 12


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x + 0 * x,
        lambda x: torch.cat([x, x], 1)[:, :WIDTH],
        lambda x: sum([x, x]) / 2,
        lambda x: 3 * x,
        lambda x: torch.stack([x, x]).mean(0),
        lambda x: torch.cat([x, torch.zeros(1, 1, dtype=x.dtype)], 1)[:, :WIDTH],
        lambda x: x.clone().add_(x),
        lambda x: torch.maximum(x, x),
        lambda x: x @ torch.eye(WIDTH, dtype=x.dtype),
    ],
)
def test_functions_that_scale_are_taken_through(function: Callable[[Tensor], Tensor]) -> None:
    scores = synflow(Deep(function).double())
    assert all(bool((tensor > 0).all()) and bool(tensor.isfinite().all()) for tensor in scores.values())


def with_exponent(values: list[float], exponent: int) -> Scaled:
    tensor = scaled(torch.tensor(values, dtype=torch.float64))
    tensor.exponent = exponent
    return tensor


def test_tensors_of_different_exponents_meet_at_the_larger() -> None:
    value, exponent = value_and_exponent(with_exponent([1.0, 3.0], 2000) + with_exponent([1.0, 1.0], 2001))
    assert (value.tolist(), exponent) == ([1.5, 2.5], 2001)
    value, exponent = value_and_exponent(torch.cat([with_exponent([1.0], 10), with_exponent([1.0], 0)]))
    assert (value.tolist(), exponent) == ([1.0, 2.0**-10], 10)


def test_a_sum_in_place_keeps_the_exponent_of_what_is_written_to() -> None:
    target = with_exponent([1.0], 3)
    target.add_(with_exponent([1.0], 5))
    assert value_and_exponent(target)[0].tolist() == [5.0]
    assert target.exponent == 3


def test_what_is_too_small_to_matter_vanishes() -> None:
    value, exponent = value_and_exponent(with_exponent([1.0], 5000) + with_exponent([1.0], 0))
    assert (value.tolist(), exponent) == ([1.0], 5000)


@pytest.mark.parametrize("exponent", [-1074, -900, -3, 0, 5, 900, 1023])
def test_powers_of_two_are_exact(exponent: int) -> None:
    assert times_power_of_two(torch.ones(1, dtype=torch.float64), exponent).item() == 2.0**exponent
