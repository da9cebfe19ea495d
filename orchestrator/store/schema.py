"""The tables of a store, column by column: the contract with everyone who reads the Parquet files.

`trials`  one row an attempt; readers see one row a trial (`read.py`)
`epochs`, `layers`, `rounds`  rows of an attempt's training, layers and pruning
`masks`   the masks themselves, where a sweep asks for them (`save_masks: true`)
`points`  which trial answers each point of a sweep's grid; equal trials are run once and share an id. One file a
          sweep: a new version of a sweep file replaces the grid, never the trials

Every row of all but the last carries (trial_id, attempt_id). Accuracies and densities are fractions.
"""

from __future__ import annotations

import pyarrow as pa

_KEY = [("trial_id", pa.string()), ("attempt_id", pa.string())]

CONFIG_COLUMNS: list[tuple[str, pa.DataType]] = [
    ("dataset", pa.string()),
    ("dataset_options", pa.string()),
    ("dataset_source", pa.string()),  # hash of a user's own code; empty for ours
    ("validation", pa.string()),  # "own", or how much was held out: a count, or a fraction below 1
    ("model", pa.string()),
    ("model_options", pa.string()),
    ("model_source", pa.string()),  # of a user's own code and of a weights file
    ("pruner", pa.string()),
    ("pruner_options", pa.string()),
    ("pruner_source", pa.string()),
    ("iterations", pa.int64()),
    ("schedule", pa.string()),
    ("scope", pa.string()),
    ("mode", pa.string()),
    ("score_dtype", pa.string()),
    ("prunable", pa.string()),  # weights, biases, batchnorm, residual: separated by commas
    ("ablation", pa.string()),
    ("examples_per_class", pa.int64()),  # prune set / classes
    ("pre_epochs", pa.int64()),  # trained before each pruning; 0: pruned at initialisation
    ("levels", pa.int64()),  # times that training and pruning take turns
    ("rewind", pa.string()),  # after a pruning: "none", "weights" or "lr"
    ("rewind_step", pa.int64()),
    ("fine_tune_epochs", pa.int64()),
    ("density", pa.float64()),
    ("density_literal", pa.string()),
    ("seed_init", pa.int64()),
    ("seed_data", pa.int64()),
    ("seed_prune", pa.int64()),
    ("epochs", pa.int64()),
    ("optimizer", pa.string()),
    ("lr", pa.float64()),
    ("momentum", pa.float64()),
    ("nesterov", pa.bool_()),
    ("beta1", pa.float64()),
    ("beta2", pa.float64()),
    ("epsilon", pa.float64()),
    ("rmsprop_alpha", pa.float64()),
    ("weight_decay", pa.float64()),
    ("weight_decay_on", pa.string()),
    ("batch_size", pa.int64()),
    ("lr_schedule", pa.string()),
    ("lr_drops", pa.string()),
    ("lr_drop_factor", pa.float64()),
    ("warmup_epochs", pa.float64()),
    ("label_smoothing", pa.float64()),
    ("clip_grad_norm", pa.float64()),  # 0: no limit
    ("precision", pa.string()),
    ("augment", pa.bool_()),
]
"""A trial's configuration, spelled out; the same columns describe the points of a grid."""

TRIALS = pa.schema(
    [
        *_KEY,
        ("attempt", pa.int64()),  # 1 is the first
        ("status", pa.string()),  # "completed" or "failed"
        ("error_type", pa.string()),
        ("error_message", pa.string()),
        ("error_traceback", pa.string()),
        ("output", pa.string()),  # the end of what it printed; null where it printed nothing
        *CONFIG_COLUMNS,
        # what was measured; null in failed rows
        ("data_hash", pa.string()),  # checksum of the images and labels that were used
        ("num_classes", pa.int64()),
        ("num_train_images", pa.int64()),
        ("num_test_images", pa.int64()),
        ("prunable_weights", pa.int64()),
        ("prunable_layers", pa.int64()),
        ("kept_weights", pa.int64()),
        ("live_weights", pa.int64()),  # kept and on a path from an input to an output
        ("effective_density", pa.float64()),  # live / prunable
        ("collapsed_layers", pa.int64()),  # prunable layers without a kept weight
        ("is_connected", pa.bool_()),
        ("dense_macs", pa.int64()),  # multiply-accumulates of one image's forward pass; null where uncounted
        ("live_macs", pa.int64()),  # those by live weights alone
        ("final_train_loss", pa.float64()),
        ("final_validation_accuracy", pa.float64()),
        ("final_test_loss", pa.float64()),
        ("final_test_accuracy", pa.float64()),
        ("final_test_top5", pa.float64()),
        ("best_test_accuracy", pa.float64()),  # over epochs: only beside published curves that did the same
        ("best_epoch", pa.int64()),
        ("selected_test_accuracy", pa.float64()),  # at the epoch of the highest validation accuracy
        ("selected_epoch", pa.int64()),
        # what it cost and where it ran
        ("load_seconds", pa.float64()),
        ("build_seconds", pa.float64()),
        ("prune_seconds", pa.float64()),
        ("train_seconds", pa.float64()),
        ("device", pa.string()),
        ("dtype", pa.string()),
        ("engine", pa.string()),
        ("engine_fallback", pa.string()),  # why it is not the engine that was asked for; null where it is
        ("threads", pa.int64()),
        ("host", pa.string()),
        ("finished_at", pa.timestamp("us", tz="UTC")),  # for people; never decides which row wins
        ("numerics_version", pa.int64()),
        ("prunesweep_version", pa.string()),
        ("torch_version", pa.string()),
        ("python_version", pa.string()),
        ("git_commit", pa.string()),  # of the folder that holds the sweep file; null outside git
        ("git_dirty", pa.bool_()),
        ("run_id", pa.string()),
    ]
)

EPOCHS = pa.schema(
    [
        *_KEY,
        ("level", pa.int64()),  # prunings that lie behind the epoch; the last level is what the trial reports
        ("epoch", pa.int64()),  # of the recipe, 1 is the first; no row where nothing was trained
        ("lr", pa.float64()),  # of the epoch's last step
        ("train_loss", pa.float64()),
        ("validation_loss", pa.float64()),
        ("validation_accuracy", pa.float64()),
        ("validation_top5", pa.float64()),
        ("test_loss", pa.float64()),
        ("test_accuracy", pa.float64()),
        ("test_top5", pa.float64()),
    ]
)

LAYERS = pa.schema(
    [
        *_KEY,
        ("layer", pa.string()),
        ("position", pa.int64()),  # 0 is nearest the input
        ("num_weights", pa.int64()),
        ("kept", pa.int64()),
        ("live", pa.int64()),
        ("score_sum", pa.float64()),  # of the last round's live scores, before its cut
        ("initial_score_sum", pa.float64()),  # of the first round's scores: of the whole network
        ("unit_conservation_error", pa.float64()),  # score into against out of a unit, last round; null: undefined
        ("is_layer", pa.bool_()),  # False: a bias, BatchNorm scale or residual identity
        ("positions", pa.int64()),  # that a weight is applied at in one image's forward pass
    ]
)

ROUNDS = pa.schema(
    [
        *_KEY,
        ("round", pa.int64()),  # 1 is the first
        ("density", pa.float64()),
        ("kept", pa.int64()),
        ("score_cut", pa.float64()),  # sum of the scores removed in the round
        ("flow", pa.float64()),  # live scores before the cut / prunable layers: R for SynFlow without branches
        ("layer_deviation", pa.float64()),  # largest |a layer's live scores - flow| / |flow|; null where flow is 0
        ("collapsed_layers", pa.int64()),  # prunable layers without a kept weight after the round
    ]
)

MASKS = pa.schema(
    [
        *_KEY,
        ("layer", pa.string()),
        ("position", pa.int64()),  # 0 is nearest the input
        ("shape", pa.list_(pa.int64())),
        ("bits", pa.binary()),  # eight weights a byte, the first in the highest bit; 1 is kept
    ]
)

POINTS = pa.schema(
    [
        ("sweep", pa.string()),  # the name in the sweep file
        ("sweep_hash", pa.string()),  # of the file's text: sweeps/<hash>.yaml
        ("trial_id", pa.string()),
        *CONFIG_COLUMNS,  # as the point was asked for: a dense baseline appears under each pruner
    ]
)

TABLES: dict[str, pa.Schema] = {
    "trials": TRIALS,
    "epochs": EPOCHS,
    "layers": LAYERS,
    "rounds": ROUNDS,
    "masks": MASKS,
    "points": POINTS,
}

REQUIRED: dict[str, tuple[str, ...]] = {
    "trials": ("trial_id", "attempt_id", "attempt", "status"),
    "epochs": ("trial_id", "attempt_id", "epoch", "test_accuracy"),
    "layers": ("trial_id", "attempt_id", "layer", "position", "num_weights", "kept"),
    "rounds": ("trial_id", "attempt_id", "round", "density", "score_cut", "flow"),
    "masks": ("trial_id", "attempt_id", "layer", "bits"),
    "points": ("trial_id", "dataset", "model", "pruner", "density", "seed_init", "seed_data", "seed_prune"),
}
"""Columns that every version has had and without which a table's rows say nothing."""

AS_BEFORE: dict[str, str | int | float | bool] = {
    "dataset_source": "", "model_source": "", "pruner_source": "",
    "validation": "own", "prunable": "weights", "ablation": "none", "examples_per_class": 10,
    "pre_epochs": 0, "levels": 1, "rewind": "none", "rewind_step": 0, "fine_tune_epochs": 0,
    "nesterov": True, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "rmsprop_alpha": 0.99,
    "weight_decay_on": "all", "lr_schedule": "step", "warmup_epochs": 0.0, "label_smoothing": 0.0,
    "clip_grad_norm": 0.0, "precision": "float32", "augment": False,
    "level": 1, "is_layer": True,
}  # fmt: skip
"""What rows say that were written before these columns existed: all that there was then. Other new columns are null."""
