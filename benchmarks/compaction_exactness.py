"""Whether compact training is masked dense training: differences in float64, over a table of options.

    python -m benchmarks.compaction_exactness [--full] [--json] [--limit 20]

Without --full a pairwise sample: every pair of options occurs in some case. A case prunes a network, then trains it
twice on the same batches: dense with its masks in the forward pass, and compacted. Measured are the largest differences
of a gradient in the first step (relative to its tensor's largest), of the loss in 5 steps, of the restored state and of
the logits in eval mode; and, with --full, the loss after 50 steps as a multiple of the largest of ten divergences that
a relative change of 1e-15 of its weights causes in the masked dense network itself.

Where a difference exceeds its tolerance, the same change is tried on the dense network over 5 steps: in a few networks
rounding decides (a BatchNorm of a channel that is constant but not zero divides rounding noise by sqrt(eps), and a ReLU
then asks for its sign). Such a case passes if masked dense differs from itself as much, and is counted.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.cifar_resnet import resnet20
from models.lenet import lenet5
from models.mlp import MLP
from models.mobilenet import mobilenet_v2
from models.plain import conv, fc
from models.resnet import resnet18, resnet50
from models.vgg import vgg11, vgg11_bn
from models.wrn import wrn40_1
from pruning.criteria.contract import PruneSet, layer_densities_of
from pruning.density import canonical_density
from pruning.masks import Masks
from pruning.prunable import prunable_weights
from pruning.prune import prune
from pruning.scoring import prune_at_once, score_network
from training.build import build_criterion
from training.compaction.compact import Compacted, NotCompacted, compact
from training.config import PrunerConfig
from training.masking import zero_removed

SHAPE, NUM_CLASSES, BATCH = (3, 16, 16), 10, 12

MODELS: dict[str, Callable[[], nn.Module]] = {
    "mlp": lambda: MLP(input_shape=SHAPE, num_classes=NUM_CLASSES, widths=(80, 60)),
    "fc": lambda: fc(input_shape=SHAPE, num_classes=NUM_CLASSES),
    "conv": lambda: conv(input_shape=SHAPE, num_classes=NUM_CLASSES),
    "lenet5": lambda: lenet5(input_shape=SHAPE, num_classes=NUM_CLASSES),
    "vgg11": lambda: vgg11(input_shape=SHAPE, num_classes=NUM_CLASSES),
    "vgg11_bn": lambda: vgg11_bn(input_shape=SHAPE, num_classes=NUM_CLASSES),
    "resnet20": lambda: resnet20(input_shape=SHAPE, num_classes=NUM_CLASSES),
    "resnet20, padding": lambda: resnet20(input_shape=SHAPE, num_classes=NUM_CLASSES, shortcut="padding"),
    "wrn40_1": lambda: wrn40_1(input_shape=SHAPE, num_classes=NUM_CLASSES),
    "resnet18": lambda: resnet18(input_shape=SHAPE, num_classes=NUM_CLASSES),
    "resnet50": lambda: resnet50(input_shape=SHAPE, num_classes=NUM_CLASSES),
    "mobilenet_v2": lambda: mobilenet_v2(input_shape=SHAPE, num_classes=NUM_CLASSES),
}

AXES: dict[str, Sequence[Any]] = {
    "model": list(MODELS),
    "criterion": ["random", "magnitude", "snip", "grasp", "synflow"],
    "exponent": [0, 1, 2, 3, 4],
    "start": ["initial", "default biases", "pretrained"],
    "optimizer": ["nesterov", "sgd", "adam", "adamw", "rmsprop"],
    "decay": ["all", "weights", "none"],
    "label_smoothing": [0.0, 0.1],
    "clip": [None, 0.5],
}


@dataclass(frozen=True)
class Case:
    """One cell of the table of options."""

    model: str
    criterion: str
    exponent: float
    start: str = "initial"
    optimizer: str = "nesterov"
    decay: str = "all"
    label_smoothing: float = 0.0
    clip: float | None = None


def pairwise(axes: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """Rows in which every pair of values of two axes occurs: greedily, each value where it covers most new pairs."""
    names = list(axes)
    missing = {((a, x), (b, y)) for a, b in itertools.combinations(names, 2) for x in axes[a] for y in axes[b]}
    order = {pair: index for index, pair in enumerate(sorted(missing, key=str))}
    while missing:
        first = min(missing, key=order.__getitem__)
        row = dict(first)
        for name in names:
            if name not in row:
                row[name] = max(axes[name], key=lambda value: _newly_covered(row | {name: value}, names, missing))
        missing -= set(_pairs(row, names))
        yield row


def _pairs(row: Mapping[str, Any], names: Sequence[str]) -> Iterator[tuple[Any, Any]]:
    present = [(name, row[name]) for name in names if name in row]
    return itertools.combinations(present, 2)


def _newly_covered(row: Mapping[str, Any], names: Sequence[str], missing: set[Any]) -> int:
    return sum(pair in missing for pair in _pairs(row, names))


def images(seed: int) -> tuple[Tensor, Tensor]:
    """A batch of float64 images and labels."""
    source = torch.Generator().manual_seed(seed)
    return (
        torch.randn(BATCH, *SHAPE, generator=source, dtype=torch.float64),
        torch.randint(NUM_CLASSES, (BATCH,), generator=source),
    )


def start_of(case: Case) -> nn.Module:
    """The network before pruning, in float64 and train mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = MODELS[case.model]().double().train()
        if case.start == "default biases":
            for module in model.modules():
                if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
                    nn.init.uniform_(module.bias, -0.1, 0.1)
        if case.start == "pretrained":
            optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
            for step in range(3):
                inputs, labels = images(100 + step)
                optimizer.zero_grad()
                F.cross_entropy(model(inputs), labels).backward()
                optimizer.step()
    model.zero_grad()
    return model


def masks_of(case: Case, model: nn.Module) -> Masks:
    """Masks by the case's criterion; SynFlow's in ten rounds."""
    criterion = build_criterion(PrunerConfig(name=case.criterion))
    inputs, labels = images(7)
    data = PruneSet(inputs=inputs, targets=labels, batch_size=BATCH)
    density = canonical_density("compression_exponent", case.exponent)
    weights = {name: weight.detach() for name, weight in prunable_weights(model).items()}
    if case.criterion == "synflow":
        densities = [Decimal(str(10 ** (-case.exponent * k / 10))) for k in range(1, 11)]
        return prune_at_once(model, criterion, data, [*densities[:-1], density], "global").masks  # type: ignore[arg-type]
    return prune(
        lambda masks, number: score_network(
            model, masks, criterion, data, torch.Generator().manual_seed(3), mode="train", dtype=torch.float64
        ),
        weights,
        density,
        num_rounds=1,
        layer_densities=layer_densities_of(criterion),
    ).masks


def optimizer_of(case: Case, model: nn.Module) -> torch.optim.Optimizer:
    """The case's optimizer over all parameters."""
    decay = 0.0 if case.decay == "none" else 5e-3
    groups = [
        {"params": [p for p in model.parameters() if p.dim() > 1], "weight_decay": decay},
        {"params": [p for p in model.parameters() if p.dim() <= 1], "weight_decay": decay * (case.decay == "all")},
    ]
    groups = [group for group in groups if group["params"]]
    if case.optimizer == "nesterov":
        return torch.optim.SGD(groups, lr=0.02, momentum=0.9, nesterov=True)
    kind = {
        "sgd": torch.optim.SGD,
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "rmsprop": torch.optim.RMSprop,
    }[case.optimizer]
    return kind(groups, lr=0.02 if case.optimizer == "sgd" else 1e-3)


class MaskedDense:
    """The oracle: every weight is multiplied by its mask in the forward pass, nothing is ever set to zero."""

    def __init__(self, model: nn.Module, masks: Masks) -> None:
        self.model = model
        self.masks = masks

    def __call__(self, inputs: Tensor) -> Tensor:
        """Logits."""
        masked = {name: weight * self.masks[name] for name, weight in prunable_weights(self.model).items()}
        return torch.func.functional_call(self.model, masked, (inputs,))

    def state(self) -> dict[str, Tensor]:
        """The network as it acts."""
        return {n: t * self.masks[n] if n in self.masks else t for n, t in self.model.state_dict().items()}


def train(case: Case, small: Compacted | MaskedDense, num_steps: int) -> Iterator[float]:
    """Losses before each step, and the last after all of them."""
    network: Any = small.model if isinstance(small, Compacted) else small
    removed = small.removed_weights() if isinstance(small, Compacted) else []
    optimizer = optimizer_of(case, small.model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        for step in range(num_steps + 1):
            inputs, labels = images(step % 20)
            optimizer.zero_grad(set_to_none=True)
            loss = F.cross_entropy(network(inputs), labels, label_smoothing=case.label_smoothing)
            yield loss.item()
            if step == num_steps:
                return
            loss.backward()
            for weight, gone in removed:  # before clipping: removed weights are no part of the norm
                assert weight.grad is not None
                weight.grad.masked_fill_(gone, 0.0)
            if case.clip is not None:
                nn.utils.clip_grad_norm_(small.model.parameters(), case.clip)
            optimizer.step()
            zero_removed(removed)


def gradients(case: Case, network: Compacted | MaskedDense) -> dict[str, Tensor]:
    """Gradients of the first step by full name and in full shape; zero for what the small network leaves out."""
    inputs, labels = images(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        logits = network.model(inputs) if isinstance(network, Compacted) else network(inputs)
        F.cross_entropy(logits, labels, label_smoothing=case.label_smoothing).backward()
    if isinstance(network, Compacted):
        return network.full_gradients()
    return {n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in network.model.named_parameters()}


def gradient_difference(first: dict[str, Tensor], second: dict[str, Tensor]) -> float:
    """Largest difference of an entry, relative to its tensor's largest, of all tensors."""
    differences = []
    for name, expected in second.items():
        difference, scale = (first[name] - expected).abs().max(), expected.abs().max()
        differences.append(float(difference / scale) if scale > 0 else float(difference))
    return largest(differences)


def largest(differences: Iterable[float]) -> float:
    """The largest; NaN if any is, where Python's max would pass over it."""
    return float(torch.tensor([0.0, *differences], dtype=torch.float64).max())


TOLERANCES = {"gradient": 1e-12, "loss": 1e-10, "state": 1e-10, "evaluation": 1e-10, "restored_evaluation": 1e-10}


def measure(case: Case, *, long: bool = False) -> dict[str, Any]:
    """The differences of one case."""
    model = start_of(case)
    return measure_network(case, model, masks_of(case, model), long=long)


def measure_network(case: Case, model: nn.Module, masks: Masks, *, long: bool = False) -> dict[str, Any]:
    """The differences for a network and masks of one's own; of the case only how it trains counts."""
    small, restored = compact(model, masks, SHAPE), copy.deepcopy(model)
    row: dict[str, Any] = dict(vars(case))
    if isinstance(small, NotCompacted):
        return row | {"reason": small.reason}
    dense = MaskedDense(copy.deepcopy(model), masks)
    row["gradient"] = gradient_difference(gradients(case, small), gradients(case, dense))
    small = compact(model, masks, SHAPE)
    assert isinstance(small, Compacted)
    dense = MaskedDense(copy.deepcopy(model), masks)
    losses, expected = list(train(case, small, 5)), list(train(case, dense, 5))
    row["loss"] = largest(abs(a - b) for a, b in zip(losses, expected, strict=True))
    small.restore_into(restored)
    row["state"] = state_difference(restored.state_dict(), dense.state(), small.untracked())
    row["removed_are_zero"] = not any(restored.state_dict()[name][~mask].any() for name, mask in masks.items())
    inputs, _ = images(50)
    with torch.no_grad():
        evaluated = MaskedDense(dense.model.eval(), masks)(inputs)
        row["evaluation"] = float((small.model.eval()(inputs) - evaluated).abs().max())
        row["restored_evaluation"] = float((restored.eval()(inputs) - evaluated).abs().max())
    row["collapsed"] = not small.depends_on_images
    row["weights_left"] = small.facts.num_weights_left / sum(mask.numel() for mask in masks.values())
    if any(row[key] > tolerance for key, tolerance in TOLERANCES.items()):
        row["dense_with_itself"] = dense_with_itself(case, model, masks, small.untracked())
    if long:
        row["multiple_of_chaos"] = multiple_of_chaos(case, model, masks, num_steps=50)
    return row


def dense_with_itself(case: Case, model: nn.Module, masks: Masks, skip: dict[str, Tensor]) -> dict[str, float]:
    """The same differences, between masked dense networks whose weights differ by 1e-15, relatively; largest of ten."""
    found = dict.fromkeys(TOLERANCES, 0.0)
    inputs, _ = images(50)
    first_gradients = gradients(case, MaskedDense(copy.deepcopy(model), masks))
    dense = MaskedDense(copy.deepcopy(model), masks)
    expected = list(train(case, dense, 5))
    for seed in range(10):
        other = MaskedDense(changed(model, seed), masks)
        found["gradient"] = max(found["gradient"], gradient_difference(gradients(case, other), first_gradients))
        other = MaskedDense(changed(model, seed), masks)
        losses = list(train(case, other, 5))
        found["loss"] = max(found["loss"], *(abs(a - b) for a, b in zip(losses, expected, strict=True)))
        found["state"] = max(found["state"], state_difference(other.state(), dense.state(), skip))
        with torch.no_grad():
            dense.model.eval(), other.model.eval()
            evaluation = float((dense(inputs) - other(inputs)).abs().max())
            dense.model.train()
        for key in ("evaluation", "restored_evaluation"):
            found[key] = max(found[key], evaluation)
    return found


def changed(model: nn.Module, seed: int) -> nn.Module:
    """A copy with weights multiplied by 1 + 1e-15 N(0, 1)."""
    copied = copy.deepcopy(model)
    source = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in prunable_weights(copied).values():
            weight.mul_(1 + 1e-15 * torch.randn(weight.shape, generator=source, dtype=weight.dtype))
    return copied


def state_difference(first: dict[str, Tensor], second: dict[str, Tensor], skip: dict[str, Tensor]) -> float:
    """Largest difference of an entry, except those in `skip`."""
    nothing = torch.tensor(False)
    return largest(
        float((tensor - second[name]).double().abs().masked_fill(skip.get(name, nothing), 0.0).max())
        for name, tensor in first.items()
    )


def multiple_of_chaos(case: Case, model: nn.Module, masks: Masks, num_steps: int) -> float:
    """The loss's divergence after `num_steps`, over the largest that changes of 1e-15 cause in the dense network."""
    small = compact(model, masks, SHAPE)
    assert isinstance(small, Compacted)
    expected = list(train(case, MaskedDense(copy.deepcopy(model), masks), num_steps))[-1]
    divergence = abs(list(train(case, small, num_steps))[-1] - expected)
    chaos = 0.0
    for seed in range(10):
        if divergence <= 10 * chaos:
            break
        chaos = max(chaos, abs(list(train(case, MaskedDense(changed(model, seed), masks), num_steps))[-1] - expected))
    return divergence / chaos if chaos else (0.0 if divergence == 0 else float("inf"))


def holds(row: Mapping[str, Any]) -> bool:
    """Whether a measured case was compacted and keeps every promise."""
    if "reason" in row:
        return False  # all models here are ours: none may fall back
    itself = row.get("dense_with_itself", {})
    close = all(row[key] <= max(limit, 10 * itself.get(key, 0.0)) for key, limit in TOLERANCES.items())
    return close and row["removed_are_zero"] and row.get("multiple_of_chaos", 0.0) <= 10


def main() -> None:
    """Print the cases that fail and a summary; exit with 1 if any fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="every combination, with 50 steps; takes days, see --limit")
    parser.add_argument("--json", action="store_true", help="every case as a line of JSON")
    parser.add_argument("--limit", type=int, default=None, help="cases at most, evenly spread over the table")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = list(pairwise(AXES))
    if arguments.full:
        rows = [dict(zip(AXES, values, strict=True)) for values in itertools.product(*AXES.values())]
    chosen = rows if arguments.limit is None else rows[:: max(1, len(rows) // arguments.limit)]
    measured = []
    for row in chosen:
        measured.append(measure(Case(**row), long=arguments.full))
        if arguments.json or not holds(measured[-1]):
            print(json.dumps(measured[-1]), flush=True)
    compacted = [row for row in measured if "reason" not in row]
    num_undecided = sum("dense_with_itself" in row for row in compacted)
    print(
        f"{len(measured)} cases, {sum(row['collapsed'] for row in compacted)} collapsed, "
        f"{len(measured) - len(compacted)} not compacted, {num_undecided} where rounding decides, "
        f"{sum(not holds(row) for row in measured)} fail"
    )
    decided = [row for row in compacted if "dense_with_itself" not in row]
    print(
        "largest of the others:", ", ".join(f"{key} {largest(row[key] for row in decided):.1e}" for key in TOLERANCES)
    )
    raise SystemExit(any(not holds(row) for row in measured))


if __name__ == "__main__":
    main()
