"""What else than weights may be pruned: by hand on small networks, and for every pruner that allows it."""

from __future__ import annotations

import copy
import pkgutil
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction

import pytest
import torch
from torch import Tensor, nn

from models.shortcut import IdentityShortcut
from pruning.connectivity import connectivity
from pruning.conservation import collapsed_layers, maximal_compression
from pruning.criteria.contract import PruneSet, is_monotone
from pruning.criteria.erk import Erk
from pruning.criteria.magnitude import Magnitude
from pruning.criteria.phew import Phew
from pruning.criteria.snip import Snip
from pruning.criteria.synflow import SynFlow
from pruning.masks import Masks, Scores, all_kept, count_kept
from pruning.prunable import GatedShortcut, choose_prunable, layer_names, prunable_weights
from pruning.prune import Pruned, prune
from pruning.scoring import score_network
from pruning.table import PRUNERS
from tests.pruning.networks import INPUT_SHAPE, NETWORKS, build, prune_set

KINDS = ["weights,biases", "weights,batchnorm", "weights,residual", "weights,biases,batchnorm,residual"]
COMBINATIONS = [
    *((network, "weights,biases") for network in NETWORKS),
    *((network, "weights,batchnorm") for network in ("convnet", "residual")),
    *((network, "weights,biases,batchnorm") for network in ("convnet", "residual")),
    *(("identity", kinds) for kinds in KINDS),
]
"""Networks with the kinds that they have something of."""

ALLOWED = [name for name, entry in PRUNERS.items() if not entry.weights_only]
OPTIONS = {"ntk_sap": {"passes": 1}}


class WithIdentity(nn.Module):
    """Everything that can be prunable: biases, BatchNorm, a residual identity."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.branch = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4))
        self.shortcut = IdentityShortcut(4)
        self.classifier = nn.Linear(4, 10)

    def forward(self, images_nchw: Tensor) -> Tensor:
        features = torch.relu(self.stem(images_nchw))
        return self.classifier(torch.relu(self.branch(features) + self.shortcut(features)).mean((2, 3)))


def made(network: str, kinds: str) -> nn.Module:
    """The network with the kinds chosen."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = WithIdentity() if network == "identity" else build(network)
    choose_prunable(model, kinds)
    return model


def masks_of(model: nn.Module) -> Masks:
    return all_kept({name: weight.detach() for name, weight in prunable_weights(model).items()})


def scores_of(name: str, model: nn.Module, masks: Masks, seed: int = 0) -> Scores:
    criterion = pkgutil.resolve_name(PRUNERS[name].target)(**OPTIONS.get(name, {}))
    return score_network(
        model, masks, criterion, prune_set(), torch.Generator().manual_seed(seed), mode=PRUNERS[name].mode,
        dtype=torch.float64,
    )  # fmt: skip


@pytest.mark.parametrize(("network", "kinds"), COMBINATIONS)
@pytest.mark.parametrize("pruner", ALLOWED)
def test_counts_are_exact_over_all_that_is_prunable(pruner: str, network: str, kinds: str) -> None:
    model = made(network, kinds)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    total = sum(weight.numel() for weight in prunable_weights(model).values())
    criterion = pkgutil.resolve_name(PRUNERS[pruner].target)()

    def run() -> Pruned:
        return prune(
            lambda masks, number: scores_of(pruner, model, masks, number),
            masks_of(model),
            Decimal("0.3"),
            num_rounds=2,
            monotone=is_monotone(criterion),
        )

    pruned, again = run(), run()
    assert count_kept(pruned.masks) == round(Fraction(3, 10) * total)
    assert all(torch.equal(pruned.masks[name], again.masks[name]) for name in pruned.masks)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def two_layers() -> nn.Sequential:
    """y = 3 (2 x + 0.5) - 1 behind a ReLU that is open."""
    model = nn.Sequential(nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 1)).double()
    for parameter, value in zip(model.parameters(), (2.0, 0.5, 3.0, -1.0), strict=True):
        nn.init.constant_(parameter, value)
    choose_prunable(model, "weights,biases")
    return model


def score(criterion: object, model: nn.Module, inputs: Tensor) -> dict[str, list[float]]:
    data = PruneSet(inputs=inputs, targets=torch.zeros(len(inputs), dtype=torch.long))
    scores = score_network(model, masks_of(model), criterion, data, torch.Generator())  # type: ignore[arg-type]
    return {name: tensor.flatten().tolist() for name, tensor in scores.items()}


def test_synflows_biases_by_hand() -> None:
    # R = 3 (2 + 0.5) + 1; the scores into the hidden unit, 6 and 1.5, are the score out of it
    assert score(SynFlow(), two_layers(), torch.ones(1, 1)) == {
        "0.weight": [6.0], "0.bias": [1.5], "2.weight": [7.5], "2.bias": [1.0]
    }  # fmt: skip


def test_magnitudes_biases_by_hand() -> None:
    assert score(Magnitude(), two_layers(), torch.ones(1, 1)) == {
        "0.weight": [2.0], "0.bias": [0.5], "2.weight": [3.0], "2.bias": [1.0]
    }  # fmt: skip


def test_snips_biases_by_hand() -> None:
    """Logits (b, 0): dL/db = sigmoid(b) - 1 for label 0."""
    model = nn.Sequential(nn.Linear(1, 2)).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0], [0.0]]))
        model[0].bias.copy_(torch.tensor([0.5, 0.0]))
    choose_prunable(model, "weights,biases")
    slope = 1 - float(torch.sigmoid(torch.tensor(2.5, dtype=torch.float64)))  # at x = 2: logits 2.5 and 0
    scores = score(Snip(), model, torch.full((1, 1), 2.0))
    assert scores["0.weight"] == pytest.approx([2 * slope, 0.0], rel=1e-12)
    assert scores["0.bias"] == pytest.approx([0.5 * slope, 0.0], rel=1e-12)


def gated() -> nn.Module:
    """y = gamma x / sqrt(1 + eps) + beta + s x, with gamma = -2, beta = 0.5, s = 1, behind a weight of 3."""

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 1, 1, bias=False)
            self.norm = nn.BatchNorm2d(1, eps=0.0)
            self.shortcut = IdentityShortcut(1)

        def forward(self, images: Tensor) -> Tensor:
            features = self.conv(images)
            return (self.norm(features) + self.shortcut(features)).flatten(1)

    model = Block().double()
    for parameter, value in zip(model.parameters(), (3.0, -2.0, 0.5), strict=True):
        nn.init.constant_(parameter, value)
    choose_prunable(model, "weights,biases,batchnorm,residual")
    return model


def test_synflow_and_magnitude_of_batchnorm_and_identity_by_hand() -> None:
    images = torch.ones(1, 1, 1, 1)
    # R = 3 (2 + 1) + 0.5
    assert score(SynFlow(), gated(), images) == {
        "conv.weight": [9.0], "norm.weight": [6.0], "norm.bias": [0.5], "shortcut.scale": [3.0]
    }  # fmt: skip
    assert score(Magnitude(), gated(), images) == {
        "conv.weight": [3.0], "norm.weight": [2.0], "norm.bias": [0.5], "shortcut.scale": [1.0]
    }  # fmt: skip


def test_synflow_of_biases_beyond_the_float_range() -> None:
    """60 layers of weight 2^20 and bias 2^10: R's exponent is 1200, and biases lie at very different flows."""
    depth, layers = 60, [nn.Linear(1, 1) for _ in range(60)]
    model = nn.Sequential(*layers).double()
    for layer in layers:
        nn.init.constant_(layer.weight, 2.0**20)
        nn.init.constant_(layer.bias, 2.0**10)
    choose_prunable(model, "weights,biases")
    scores = score(SynFlow(), model, torch.ones(1, 1))
    exact = [Fraction(2**10) * Fraction(2 ** (20 * (depth - 1 - index))) for index in range(depth)]
    for index in (0, 1, 10, 50):
        assert Fraction(scores[f"{index}.bias"][0]) / Fraction(scores["0.bias"][0]) == exact[index] / exact[0]
    assert scores["0.weight"][0] / scores["0.bias"][0] == 2.0**10


def test_a_pruned_identity_channel_passes_nothing_and_an_open_one_all() -> None:
    model = WithIdentity().eval()
    images = torch.randn(2, *INPUT_SHAPE)
    before = model(images)
    state = set(model.state_dict())
    choose_prunable(model, "weights,residual")
    assert torch.equal(model(images), before)
    assert set(model.state_dict()) - state == {"shortcut.scale"}
    assert isinstance(model.shortcut, GatedShortcut)
    model.shortcut.scale.data[1] = 0
    features = torch.randn(2, 4, 8, 8)
    passed = model.shortcut(features)
    assert not passed[:, 1].any()
    assert torch.equal(passed[:, [0, 2, 3]], features[:, [0, 2, 3]])


def test_connectivity_goes_through_what_is_kept() -> None:
    model = gated().float()
    masks = masks_of(model)
    assert connectivity(model, masks, (1, 1, 1)).is_connected
    masks["norm.weight"][:] = False
    wired = connectivity(model, masks, (1, 1, 1))
    assert wired.is_connected
    assert [bool(wired.live[name].all()) for name in masks] == [True, False, True, True]
    masks["shortcut.scale"][:] = False
    wired = connectivity(model, masks, (1, 1, 1))
    assert not wired.is_connected
    assert [bool(live.all()) for live in wired.live.values()] == [False, False, True, False]  # the offset reaches out


def test_only_layers_collapse_and_bound_compression() -> None:
    masks = masks_of(two_layers())
    masks["0.bias"][:] = False
    assert collapsed_layers(masks) == []
    assert maximal_compression(masks) == 4 / 2
    masks["0.weight"][:] = False
    assert collapsed_layers(masks) == ["0"]


@pytest.mark.parametrize("scope", ['{"first":"1","last":"1"}', '{"classifier":"1","stem":"1"}'])
@pytest.mark.parametrize("kinds", KINDS)
def test_first_and_last_layer_can_be_kept_dense_beside_every_kind(kinds: str, scope: str) -> None:
    model = made("identity", kinds)
    pruned = prune(
        lambda masks, number: scores_of("synflow", model, masks),
        masks_of(model),
        Decimal("0.6"),
        scope=scope,
        layers=layer_names(masks_of(model)),
    )
    assert not pruned.masks["branch.0.weight"].all()
    for name in prunable_weights(model):
        if name.startswith(("stem", "classifier")):
            assert pruned.masks[name].all()


def test_quotas_and_walks_are_for_weights_alone() -> None:
    model = made("identity", "weights,biases")
    masks = masks_of(model)
    with pytest.raises(ValueError, match=r"leave prunable at \[weights\]"):
        prune(
            lambda masks, number: {},
            masks,
            Decimal("0.5"),
            layer_densities=Erk().layer_densities,
            layers=layer_names(masks),
        )
    with pytest.raises(ValueError, match=r"leave prunable at \[weights\]"):
        score_network(model, masks, Phew(), prune_set(), torch.Generator())


@pytest.mark.parametrize(
    ("kinds", "make", "complaint"),
    [
        (
            "weights,gamma",
            lambda: build("mlp"),
            "prunable 'gamma': expected some of weights, biases, batchnorm, residual",
        ),
        ("biases", lambda: build("mlp"), "add 'weights'"),
        ("weights,batchnorm", lambda: build("mlp"), "MLP has no prunable batchnorm: leave 'batchnorm' out"),
        ("weights,residual", lambda: build("residual"), "Residual has no prunable residual"),
    ],
)
def test_kinds_that_cannot_be_are_refused(kinds: str, make: Callable[[], nn.Module], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        choose_prunable(make(), kinds)


def test_the_choice_travels_with_copies() -> None:
    model = two_layers()
    assert list(prunable_weights(copy.deepcopy(model))) == ["0.weight", "0.bias", "2.weight", "2.bias"]
