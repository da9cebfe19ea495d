"""How far a model can be compressed at all: known from its shapes, before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from pruning.density import kept_count
from pruning.prunable import choose_prunable, is_layer, prunable_weights
from training.build import build_shapes, load_dataset
from training.config import DatasetConfig, ModelConfig
from training.datasets.table import DATASETS


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """Prunable weights and layers of a model."""

    num_weights: int
    num_layers: int

    @property
    def maximal_compression(self) -> float:
        """rho_max = weights / layers: beyond it some layer must be empty (SynFlow paper, section 3)."""
        return self.num_weights / self.num_layers

    def is_beyond(self, density: Decimal) -> bool:
        """Whether a global mask of this density keeps fewer weights than there are layers."""
        return kept_count(density, self.num_weights) < self.num_layers


def capacity(
    dataset: DatasetConfig, model: ModelConfig, *, data_root: str | None = None, prunable: str = "weights"
) -> Capacity:
    """Capacity of `model` for the images of `dataset`.

    No weights are allocated, unless a user's model reads values while it is built; no data set is loaded but a user's,
    and one whose shape is an option.
    """
    entry = DATASETS.get(dataset.name)
    known_shape = entry.shape_with(dataset.kwargs) if entry else None
    if entry and known_shape and entry.num_classes:
        input_shape, num_classes = known_shape, entry.num_classes
    else:
        loaded = load_dataset(dataset, data_root)
        input_shape, num_classes = loaded.input_shape, loaded.num_classes
    network = build_shapes(model, input_shape=input_shape, num_classes=num_classes)
    choose_prunable(network, prunable)
    weights = prunable_weights(network).values()
    return Capacity(num_weights=sum(weight.numel() for weight in weights), num_layers=sum(map(is_layer, weights)))
