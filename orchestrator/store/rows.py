"""From records to rows: the only place that knows how a configuration and a record become columns."""

from __future__ import annotations

import platform
import socket
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from training.config import NUMERICS_VERSION, TrainingConfig, TrialConfig, options_text

if TYPE_CHECKING:  # the record pulls in torch, which planning and analysis do without
    from pruning.prune import Round
    from training.record import TrialRecord

Row = dict[str, Any]

TRAINING_COLUMNS = [field.name for field in fields(TrainingConfig)]


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where a run's code came from; recorded in every row."""

    run_id: str
    prunesweep_version: str
    torch_version: str
    git_commit: str | None
    git_dirty: bool | None


PART_COLUMNS: dict[str, Callable[[Any], Row]] = {
    "dataset": lambda dataset: {
        "dataset": dataset.name,
        "dataset_options": dataset.options,
        "dataset_source": dataset.source_hash,
        "validation": dataset.validation,
    },
    "model": lambda model: {
        "model": model.name,
        "model_options": model.options,
        "model_source": model.source_hash,
    },
    "pruner": lambda pruner: {
        "pruner": pruner.name,
        "pruner_options": pruner.options,
        "pruner_source": pruner.source_hash,
        "iterations": pruner.iterations,
        "schedule": pruner.schedule,
        "scope": pruner.scope,
        "mode": pruner.mode,
        "score_dtype": pruner.score_dtype,
        "prunable": pruner.prunable,
        "ablation": pruner.ablation,
        "examples_per_class": pruner.examples_per_class,
    },
    "levels": lambda levels: {
        "pre_epochs": levels.pre_epochs,
        "levels": levels.levels,
        "rewind": levels.rewind,
        "rewind_step": levels.rewind_step,
        "fine_tune_epochs": levels.fine_tune_epochs,
    },
    "density": lambda density: {"density": float(density), "density_literal": f"{density:f}"},
    "seeds": lambda seeds: {"seed_init": seeds.init, "seed_data": seeds.data, "seed_prune": seeds.prune},
    "training": lambda training: (
        {name: getattr(training, name) for name in TRAINING_COLUMNS}
        | {"lr_drops": options_text(list(training.lr_drops))}
    ),
}
"""The columns of each part of a configuration: a grid is written part by part (`orchestrator/grid.py`)."""


def config_columns(config: TrialConfig) -> Row:
    """A configuration as the columns that `trials` and `points` share."""
    row: Row = {}
    for part, columns in PART_COLUMNS.items():
        row |= columns(getattr(config, part))
    return row


def attempt_rows(
    record: TrialRecord, *, trial_id: str, attempt_id: str, attempt: int, provenance: Provenance
) -> Mapping[str, list[Row]]:
    """The rows of one attempt, by table."""
    key = {"trial_id": trial_id, "attempt_id": attempt_id}
    return {
        "epochs": [key | asdict(epoch) for epoch in record.epochs],
        "layers": [key | asdict(layer) for layer in record.layers],
        "rounds": [key | _round_columns(one) for one in record.rounds],
        "masks": [key | asdict(mask) for mask in record.masks],
        "trials": [
            key
            | {"attempt": attempt, "status": "failed" if record.error else "completed"}
            | config_columns(record.config)
            | {"output": record.output or None}
            | _error_columns(record)
            | _measured_columns(record)
            | {f"{phase}_seconds": seconds for phase, seconds in record.seconds.items()}
            | asdict(record.execution)
            | {"engine_fallback": record.fallback or None, "fused_with": record.fused_with}
            | asdict(record.gpu_memory)
            | asdict(provenance)
            | {
                "host": socket.gethostname(),
                "finished_at": datetime.now(UTC),
                "numerics_version": NUMERICS_VERSION,
                "python_version": platform.python_version(),
            }
        ],
    }


def _round_columns(done: Round) -> Row:
    return {
        "round": done.round,
        "density": done.density,
        "kept": done.kept,
        "score_cut": done.score_cut,
        "flow": done.flow,
        "layer_deviation": done.layer_deviation,
        "collapsed_layers": done.collapsed_layers,
    }


def _error_columns(record: TrialRecord) -> Row:
    if record.error is None:
        return {}
    return {
        "error_type": record.error.type,
        "error_message": record.error.message,
        "error_traceback": record.error.traceback,
    }


def _measured_columns(record: TrialRecord) -> Row:
    if record.error is not None:
        return {}
    prunable = sum(layer.num_weights for layer in record.layers)
    live = sum(layer.live for layer in record.layers)
    row: Row = {
        "data_hash": record.data_hash,
        "num_classes": record.num_classes,
        "num_train_images": record.num_train,
        "num_test_images": record.num_test,
        "prunable_weights": prunable,
        "prunable_layers": sum(layer.is_layer for layer in record.layers),
        "kept_weights": sum(layer.kept for layer in record.layers),
        "live_weights": live,
        "effective_density": live / prunable,
        "collapsed_layers": record.num_collapsed_layers,
        "is_connected": record.is_connected,
        "dense_macs": record.dense_macs,
        "live_macs": record.live_macs,
    }
    if record.final:
        row |= {
            "final_train_loss": record.final.train_loss,
            "final_validation_accuracy": record.final.validation_accuracy,
            "final_test_loss": record.final.test_loss,
            "final_test_accuracy": record.final.test_accuracy,
            "final_test_top5": record.final.test_top5,
        }
    if record.best:
        row |= {"best_test_accuracy": record.best.test_accuracy, "best_epoch": record.best.epoch}
    if record.selected:
        row |= {"selected_test_accuracy": record.selected.test_accuracy, "selected_epoch": record.selected.epoch}
    return row
