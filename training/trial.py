"""One trial, from configuration to record: the experiment itself, top to bottom.

A trial that raises becomes a failed record in `run_cohort`; `run_trial` lets the error out, for debuggers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from torch import nn

from pruning.ablations import ABLATIONS, inverted, shuffled
from pruning.connectivity import connectivity
from pruning.criteria.contract import is_monotone, layer_densities_of
from pruning.masks import Masks, Scores, all_kept
from pruning.packing import pack
from pruning.prunable import choose_prunable, is_layer, layer_names, prunable_weights
from pruning.prune import Pruned, prune
from training.build import build_criterion, build_model
from training.config import DENSE_PRUNER, TrialConfig
from training.context import CohortContext
from training.loop import train
from training.record import LayerRecord, MaskRecord, PhaseTimer, TrialError, TrialRecord
from training.seeds import generator


def run_cohort(
    configs: Iterable[TrialConfig], context: CohortContext, check: Callable[[TrialConfig], None] = lambda config: None
) -> Iterator[TrialRecord]:
    """Run trials one after the other, sharing what `context` holds. A trial that raises is a record with its error.

    `check` runs before each trial and may raise to refuse it.
    """
    for config in configs:
        try:
            check(config)
            record = run_trial(config, context)
        except (Exception, SystemExit) as error:  # whatever it raises is the trial's result, and the others go on
            record = TrialRecord(config=config, execution=context.execution, error=TrialError.of(error))
        yield record


def run_trial(config: TrialConfig, context: CohortContext | None = None) -> TrialRecord:
    """Build, prune and train one network; return what was measured."""
    context = context or CohortContext()
    context.settle()
    timer = PhaseTimer()
    with timer("load"):
        dataset = context.dataset(config.dataset)
    with timer("build"):
        model = build_network(config, context)
    with timer("prune"):
        pruned = prune_model(model, config, context)
        wiring = connectivity(model, pruned.masks, dataset.input_shape)
        if config.pruner.ablation == "reinitialise":
            model = build_network(config, context, purpose="reinitialise")
    with timer("train"):
        epochs = list(train(model, pruned.masks, dataset, config.training, config.seeds.data))
    return TrialRecord(
        config=config,
        execution=context.execution,
        num_train=len(dataset.train),
        num_test=len(dataset.test),
        num_classes=dataset.num_classes,
        layers=[
            LayerRecord(
                layer=name.removesuffix(".weight"),
                position=position,
                num_weights=mask.numel(),
                is_layer=is_layer(mask),
                kept=int(mask.sum()),
                live=int(wiring.live[name].sum()),
                score_sum=float(pruned.scores[name].double().sum()) if pruned.scores else 0.0,
            )
            for position, (name, mask) in enumerate(pruned.masks.items())
        ],
        rounds=pruned.rounds,
        masks=[
            MaskRecord(layer=name.removesuffix(".weight"), position=position, shape=list(mask.shape), bits=pack(mask))
            for position, (name, mask) in enumerate(pruned.masks.items())
            if context.save_masks
        ],
        epochs=epochs,
        is_connected=wiring.is_connected,
        seconds=timer.seconds,
    )


def build_network(config: TrialConfig, context: CohortContext, purpose: str = "init") -> nn.Module:
    """The configured model on the context's device, its weights drawn for one purpose."""
    dataset = context.dataset(config.dataset)
    model = build_model(
        config.model,
        input_shape=dataset.input_shape,
        num_classes=dataset.num_classes,
        init_seed=config.seeds.init,
        purpose=purpose,
    )
    choose_prunable(model, config.pruner.prunable)
    return model.to(context.device)


def prune_model(model: nn.Module, config: TrialConfig, context: CohortContext) -> Pruned:
    """Masks for `model` at the configured density; the model itself is left untouched.

    Raises ValueError where the dense pruner is asked for anything but density 1, and where no weight would be left.
    """
    weights = {name: weight.detach() for name, weight in prunable_weights(model).items()}
    if config.pruner.name == DENSE_PRUNER:
        if config.density != 1:
            raise ValueError(
                f"pruner {DENSE_PRUNER!r} keeps every weight: density {config.density} needs another pruner"
            )
        return Pruned(masks=all_kept(weights), scores={}, rounds=[])
    ablation = config.pruner.ablation
    if ablation not in ABLATIONS:
        raise ValueError(f"ablation {ablation!r}: expected one of {', '.join(ABLATIONS)}")

    def score(masks: Masks, round_number: int) -> Scores:
        scores = context.score(config, model, masks, round_number)
        return inverted(scores) if ablation == "invert" else scores

    criterion = build_criterion(config.pruner)
    at_once = None if ablation == "invert" else context.prune_at_once(config, model)
    pruned = at_once or prune(
        score,
        weights,
        config.density,
        num_rounds=config.pruner.iterations,
        schedule=config.pruner.schedule,
        scope=config.pruner.scope,
        layer_densities=layer_densities_of(criterion),
        monotone=is_monotone(criterion),
        layers=layer_names(weights),
    )
    if ablation == "shuffle":
        source = generator(config.seeds.prune, "shuffle", context.device)
        pruned = replace(pruned, masks=shuffled(pruned.masks, source))
    return pruned
