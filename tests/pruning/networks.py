"""The networks that every pruner and diagnostic is tested on: small, one structural difficulty each."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from models.convnet import ConvNet
from models.mlp import MLP
from pruning.criteria.contract import PruneSet

INPUT_SHAPE = (1, 8, 8)
NUM_CLASSES = 10


class Residual(nn.Module):
    """A strided block whose shortcut is a 1x1 convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU())
        self.body = nn.Sequential(
            nn.Conv2d(6, 8, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, padding=1, bias=False),
            nn.BatchNorm2d(8),
        )
        self.shortcut = nn.Sequential(nn.Conv2d(6, 8, 1, stride=2, bias=False), nn.BatchNorm2d(8))
        self.classifier = nn.Linear(8, NUM_CLASSES)

    def forward(self, images_nchw: Tensor) -> Tensor:
        features = self.stem(images_nchw)
        return self.classifier(torch.relu(self.body(features) + self.shortcut(features)).mean((2, 3)))


class Grouped(nn.Module):
    """A depthwise and a grouped convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, padding=1, groups=8),
            nn.ReLU(),
            nn.Conv2d(8, 16, 3, stride=2, padding=1, groups=4),
            nn.ReLU(),
        )
        self.classifier = nn.Linear(16, NUM_CLASSES)

    def forward(self, images_nchw: Tensor) -> Tensor:
        return self.classifier(self.features(images_nchw).mean((2, 3)))


class Bypassed(nn.Module):
    """A branch that an identity bypasses: emptied, it leaves the network connected."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 6, 3, padding=1)
        self.branch = nn.Sequential(nn.Conv2d(6, 4, 1), nn.ReLU(), nn.Conv2d(4, 6, 1))
        self.classifier = nn.Linear(6 * 64, NUM_CLASSES)

    def forward(self, images_nchw: Tensor) -> Tensor:
        features = torch.relu(self.stem(images_nchw))
        return self.classifier((features + self.branch(features)).flatten(1))


class Transposed(nn.Module):
    """Down by a stride, up again by a transposed convolution of two groups."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 6, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(6, 8, 2, stride=2, groups=2),
            nn.ReLU(),
        )
        self.classifier = nn.Linear(8, NUM_CLASSES)

    def forward(self, images_nchw: Tensor) -> Tensor:
        return self.classifier(self.features(images_nchw).mean((2, 3)))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "mlp": lambda: MLP(input_shape=INPUT_SHAPE, num_classes=NUM_CLASSES, widths=(20, 15)),
    "convnet": lambda: ConvNet(input_shape=INPUT_SHAPE, num_classes=NUM_CLASSES, widths=(4, 6, 8)),
    "residual": Residual,
    "grouped": Grouped,
    "bypassed": Bypassed,
    "transposed": Transposed,
}


def build(name: str, seed: int = 0) -> nn.Module:
    """A network whose weights depend on `seed` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return NETWORKS[name]()


def prune_set(num_examples: int = 20, batch_size: int = 256) -> PruneSet:
    """Random images and labels."""
    generator = torch.Generator().manual_seed(7)
    return PruneSet(
        inputs=torch.randn(num_examples, *INPUT_SHAPE, generator=generator),
        targets=torch.randint(NUM_CLASSES, (num_examples,), generator=generator),
        batch_size=batch_size,
    )


def briefly_trained(model: nn.Module, num_steps: int = 5) -> nn.Module:
    """`model` after a few steps of gradient descent in train mode: biases and running statistics are no longer zero."""
    data = prune_set(64)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model.train()
    for _ in range(num_steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(data.inputs), data.targets).backward()
        optimizer.step()
    model.zero_grad()
    return model
