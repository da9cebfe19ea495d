"""One pruning of a trial: from a network, as initialised or as trained so far, to masks and what they mean."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import torch
from torch import nn

from pruning.ablations import ABLATIONS, inverted, shuffled
from pruning.connectivity import connectivity
from pruning.criteria.contract import is_monotone, layer_densities_of
from pruning.masks import Masks, Scores, all_kept
from pruning.prunable import is_layer, layer_names, prunable_weights
from pruning.prune import Pruned, prune
from training.build import build_criterion
from training.config import DENSE_PRUNER, TrialConfig
from training.context import CohortContext
from training.levels import round_schedule
from training.pruned import Pruning
from training.record import LayerRecord
from training.seeds import generator
from training.small_dense import full_sizes


def prune_model(
    model: nn.Module,
    config: TrialConfig,
    context: CohortContext,
    *,
    density: Decimal | None = None,
    before: tuple[Masks, Decimal] | None = None,
) -> Pruned:
    """Masks for `model` at a density, the trial's own unless given; the model itself is left untouched.

    `before` are the masks of the level before and their density: what they removed stays removed.
    Raises ValueError where the dense pruner is asked for anything but density 1, and where no weight would be left.
    """
    density = config.density if density is None else density
    weights = {name: weight.detach() for name, weight in prunable_weights(model).items()}
    if config.pruner.is_dense:
        if density != 1 and not config.pruner.builds_smaller:
            raise ValueError(f"pruner {DENSE_PRUNER!r} keeps every weight: density {density} needs another pruner")
        return Pruned(masks=all_kept(weights), scores={}, rounds=[])
    ablation = config.pruner.ablation
    if ablation not in ABLATIONS:
        raise ValueError(f"ablation {ablation!r}: expected one of {', '.join(ABLATIONS)}")

    def score(masks: Masks, round_number: int) -> Scores:
        scores = context.score(config, model, masks, round_number)
        return inverted(scores) if ablation == "invert" else scores

    criterion = build_criterion(config.pruner)
    at_once = None if ablation == "invert" or before else context.prune_at_once(config, model, density)
    pruned = at_once or prune(
        score,
        weights,
        density,
        num_rounds=config.pruner.iterations,
        schedule=round_schedule(config),
        scope=config.pruner.scope,
        layer_densities=layer_densities_of(criterion),
        monotone=is_monotone(criterion),
        layers=layer_names(weights),
        before=before,
    )
    if ablation == "shuffle" and density == config.density:
        source = generator(config.seeds.prune, "shuffle", context.device)
        pruned = replace(pruned, masks=shuffled(pruned.masks, source))
    return pruned


def described(pruned: Pruned, model: nn.Module, config: TrialConfig, context: CohortContext) -> Pruning:
    """A pruning of `model` with what it leaves of each prunable tensor and whether anything still flows through."""
    dataset = context.dataset(config.dataset)
    wiring = connectivity(model, pruned.masks, dataset.input_shape)
    sizes = full_sizes(config, dataset)
    positions = context.weight_positions(config, model)
    flows = context.unit_flows(config, model, pruned.scores)
    initial = dict(zip(layer_names(pruned.masks), pruned.rounds[0].layer_scores, strict=True)) if pruned.scores else {}
    layers = [
        LayerRecord(
            layer=name.removesuffix(".weight"),
            position=position,
            num_weights=sizes.get(name, mask.numel()),
            kept=int(mask.sum()),
            live=int(wiring.live[name].sum()),
            score_sum=float(pruned.scores[name].sum(dtype=torch.float64)) if pruned.scores else None,
            initial_score_sum=initial.get(name),
            unit_conservation_error=flows[name].largest_error() if name in flows else None,
            unit_scores_in=flows[name].into.tolist() if context.save_unit_scores and name in flows else None,
            unit_scores_out=flows[name].out_of.tolist() if context.save_unit_scores and name in flows else None,
            is_layer=is_layer(mask),
            positions=positions.get(name) if is_layer(mask) else None,
        )
        for position, (name, mask) in enumerate(pruned.masks.items())
    ]
    return Pruning(masks=pruned.masks, rounds=pruned.rounds, layers=layers, is_connected=wiring.is_connected)
