"""The tables of a store, column by column: the contract with everyone who reads the Parquet files.

`trials`  one row an attempt; readers see one row a trial (`read.py`)
`epochs`, `layers`, `rounds`  rows of an attempt's training, layers and pruning
`masks`   the masks themselves, where a sweep asks for them (`save_masks: true`)
`points`  which trial answers each point of a sweep's grid; equal trials are run once and share an id. One file a
          sweep: a new version of a sweep file replaces the grid, never the trials

Every row of all but the last carries (trial_id, attempt_id). Accuracies and densities are fractions.
"""

from __future__ import annotations

from typing import NamedTuple

import pyarrow as pa


class Column(NamedTuple):
    """A column of a table."""

    name: str
    type: pa.DataType
    meaning: str
    """For whoever reads the files: unit, range, and what null says. `docs/columns.md` is made of these."""


_KEY = [
    Column("trial_id", pa.string(), "hash of the configuration, the numerics version and a user's own sources"),
    Column("attempt_id", pa.string(), "random, of this attempt; child rows count if theirs is the one that counts"),
]

CONFIGURATION = [
    Column("dataset", pa.string(), "name in our table, or a user's `package.module:Name`"),
    Column("dataset_options", pa.string(), "its options as JSON with sorted keys"),
    Column("dataset_source", pa.string(), "hash of a user's own code; empty for ours"),
    Column("validation", pa.string(), '"own", or how much was held out: a count, or a fraction below 1'),
    Column("model", pa.string(), "name in our table, or a user's `package.module:Name`"),
    Column("model_options", pa.string(), "its options as JSON with sorted keys"),
    Column("model_source", pa.string(), "hash of a user's own code and of a weights file; empty where there is none"),
    Column("pruner", pa.string(), 'name, or a user\'s `package.module:Name`; in `trials` "none" at density 1'),
    Column("pruner_options", pa.string(), "its options as JSON with sorted keys"),
    Column("pruner_source", pa.string(), "hash of a user's own code; empty for ours"),
    Column("iterations", pa.int64(), "rounds of scoring and pruning"),
    Column("schedule", pa.string(), 'densities between rounds: "exponential", "linear", or the densities themselves'),
    Column("scope", pa.string(), '"global", "local", or densities of layers as JSON'),
    Column("mode", pa.string(), 'of the network while it is scored: "eval" or "train"'),
    Column("score_dtype", pa.string(), 'precision of scoring: "float32" or "float64"'),
    Column("prunable", pa.string(), "what may be removed: weights, biases, batchnorm, residual, separated by commas"),
    Column("ablation", pa.string(), 'check of the mask: "none", "shuffle", "reinitialise" or "invert"'),
    Column("examples_per_class", pa.int64(), "size of the prune set over the number of classes"),
    Column("pre_epochs", pa.int64(), "epochs trained before each pruning; 0: pruned as initialised"),
    Column("levels", pa.int64(), "times that training and pruning take turns"),
    Column("rewind", pa.string(), 'what training goes on from after a pruning: "none", "weights" or "lr"'),
    Column("rewind_step", pa.int64(), "optimizer step of the recipe that is gone back to; 0: the initialisation"),
    Column("fine_tune_epochs", pa.int64(), "after each pruning without rewinding; 0: what the recipe has left"),
    Column("density", pa.float64(), "fraction of prunable weights that is kept"),
    Column("density_literal", pa.string(), "the same as an exact decimal: join and group by this one"),
    Column("seed_init", pa.int64(), "seed of the initial weights"),
    Column("seed_data", pa.int64(), "seed of the order of images, of augmentation and dropout"),
    Column("seed_prune", pa.int64(), "seed of the prune set and of random scores"),
    Column("epochs", pa.int64(), "passes over the training images; 0: pruned, neither trained nor measured"),
    Column("optimizer", pa.string(), '"sgd", "momentum", "adam", "adamw" or "rmsprop"'),
    Column("lr", pa.float64(), "learning rate after warm-up, before any drop"),
    Column("momentum", pa.float64(), 'of "momentum"; 0 for other optimizers'),
    Column("nesterov", pa.bool_(), 'whether "momentum" is Nesterov\'s'),
    Column("beta1", pa.float64(), 'of "adam" and "adamw": decay of the mean of gradients'),
    Column("beta2", pa.float64(), 'of "adam" and "adamw": decay of the mean of squared gradients'),
    Column("epsilon", pa.float64(), 'of "adam", "adamw" and "rmsprop": added to the root in the denominator'),
    Column("rmsprop_alpha", pa.float64(), 'of "rmsprop": decay of the mean of squared gradients'),
    Column("weight_decay", pa.float64(), 'L2 penalty in the gradient; of "adamw" apart from it'),
    Column("weight_decay_on", pa.string(), '"all" parameters, or "weights": those of two dimensions or more'),
    Column("batch_size", pa.int64(), "images a step"),
    Column("lr_schedule", pa.string(), '"step" or "cosine"'),
    Column("lr_drops", pa.string(), "JSON list of the epochs after which the learning rate drops"),
    Column("lr_drop_factor", pa.float64(), "by which it is multiplied then"),
    Column("warmup_epochs", pa.float64(), "over which the learning rate grows linearly"),
    Column("label_smoothing", pa.float64(), "share of the target that is spread over all classes"),
    Column("clip_grad_norm", pa.float64(), "largest norm of all gradients together; 0: no limit"),
    Column("precision", pa.string(), 'of the forward passes of training: "float32" or "bf16"'),
    Column("augment", pa.bool_(), "whether training images are augmented"),
]
"""A trial's configuration, spelled out; the same columns describe the points of a grid."""

CONFIG_COLUMNS: list[tuple[str, pa.DataType]] = [(one.name, one.type) for one in CONFIGURATION]

COLUMNS: dict[str, list[Column]] = {
    "trials": [
        *_KEY,
        Column("attempt", pa.int64(), "1 is the first"),
        Column("status", pa.string(), '"completed" or "failed"; what was measured is null in failed rows'),
        Column("error_type", pa.string(), "class of the exception; null where completed"),
        Column("error_message", pa.string(), "its message; the middle of a long one is left out"),
        Column("error_traceback", pa.string(), "the end of its traceback"),
        Column("output", pa.string(), "the end of what the trial printed; null where it printed nothing"),
        *CONFIGURATION,
        Column("data_hash", pa.string(), "checksum of the images and labels that were used"),
        Column("num_classes", pa.int64(), "of the data set"),
        Column("num_train_images", pa.int64(), "trained on"),
        Column("num_test_images", pa.int64(), "tested on"),
        Column("prunable_weights", pa.int64(), "of the network: what density is a fraction of"),
        Column("prunable_layers", pa.int64(), "of the network"),
        Column("kept_weights", pa.int64(), "that the mask keeps"),
        Column("live_weights", pa.int64(), "kept, and on a path from an input to an output"),
        Column("effective_density", pa.float64(), "`live_weights` / `prunable_weights`"),
        Column("collapsed_layers", pa.int64(), "prunable layers without a kept weight"),
        Column("is_connected", pa.bool_(), "whether any path of kept weights leads from input to output"),
        Column("dense_macs", pa.int64(), "multiply-accumulates of one image's forward pass; null where uncounted"),
        Column("live_macs", pa.int64(), "those by live weights alone"),
        Column("final_train_loss", pa.float64(), "of the last epoch; null, like all metrics, with `epochs` 0"),
        Column("final_validation_accuracy", pa.float64(), "of the last epoch; null without a validation split"),
        Column("final_test_loss", pa.float64(), "of the last epoch"),
        Column("final_test_accuracy", pa.float64(), "of the last epoch: the accuracy to report"),
        Column("final_test_top5", pa.float64(), "of the last epoch: share of images with their class among five"),
        Column("best_test_accuracy", pa.float64(), "over epochs: only beside published curves that did the same"),
        Column("best_epoch", pa.int64(), "the first that reached it"),
        Column("selected_test_accuracy", pa.float64(), "at the epoch of the highest validation accuracy"),
        Column("selected_epoch", pa.int64(), "that epoch; null without a validation split"),
        Column("load_seconds", pa.float64(), "spent on the data set"),
        Column("build_seconds", pa.float64(), "spent on the network"),
        Column("prune_seconds", pa.float64(), "spent on scoring and pruning"),
        Column("train_seconds", pa.float64(), "spent on training and measuring"),
        Column("device", pa.string(), '"cpu" or "cuda"'),
        Column("dtype", pa.string(), 'precision of training: "float32" or "bf16"'),
        Column("engine", pa.string(), 'that trained: "compact", "fused" or "reference"'),
        Column("engine_fallback", pa.string(), "why it is not the engine asked for; null where it is"),
        Column("fused_with", pa.int64(), "networks trained side by side, this one among them; null unless `fused`"),
        Column("peak_gpu_bytes", pa.int64(), "most that the trial's process reserved of its GPU's memory; null on CPU"),
        Column("gpu_bytes", pa.int64(), "all memory of that GPU; null on CPU"),
        Column("threads", pa.int64(), "of the trial"),
        Column("host", pa.string(), "name of the machine"),
        Column("finished_at", pa.timestamp("us", tz="UTC"), "for people; never decides which row wins"),
        Column("numerics_version", pa.int64(), "raised when a configuration would give another result"),
        Column("prunesweep_version", pa.string(), "what `prunesweep --version` says"),
        Column("torch_version", pa.string(), "PyTorch's"),
        Column("python_version", pa.string(), "Python's"),
        Column("git_commit", pa.string(), "of the folder that holds the sweep file; null outside git"),
        Column("git_dirty", pa.bool_(), "whether that folder had uncommitted changes"),
        Column("run_id", pa.string(), "of the run that made the attempt; begins with its time in UTC"),
    ],
    "epochs": [
        *_KEY,
        Column("level", pa.int64(), "prunings that lie behind the epoch; the last level is what the trial reports"),
        Column("epoch", pa.int64(), "of the recipe, 1 is the first; no row where nothing was trained"),
        Column("lr", pa.float64(), "learning rate of the epoch's last step"),
        Column("train_loss", pa.float64(), "mean over the epoch's images, each before the step that it was in"),
        Column("validation_loss", pa.float64(), "after the epoch; null without a validation split"),
        Column("validation_accuracy", pa.float64(), "likewise"),
        Column("validation_top5", pa.float64(), "likewise: share of images with their class among five"),
        Column("test_loss", pa.float64(), "after the epoch"),
        Column("test_accuracy", pa.float64(), "after the epoch"),
        Column("test_top5", pa.float64(), "after the epoch: share of images with their class among five"),
    ],
    "layers": [
        *_KEY,
        Column("layer", pa.string(), "name of the layer in the network"),
        Column("position", pa.int64(), "0 is nearest the input"),
        Column("num_weights", pa.int64(), "before pruning"),
        Column("kept", pa.int64(), "after it"),
        Column("live", pa.int64(), "kept, and on a path from an input to an output"),
        Column("score_sum", pa.float64(), "of the last round's live scores, before its cut; null: nothing was scored"),
        Column("initial_score_sum", pa.float64(), "of the first round's scores: of the whole network"),
        Column(
            "unit_conservation_error", pa.float64(), "score into against out of a unit, last round; null: undefined"
        ),
        Column("unit_scores_in", pa.list_(pa.float64()), "into each such unit; null without `save_unit_scores: true`"),
        Column("unit_scores_out", pa.list_(pa.float64()), "out of each, in the same order"),
        Column("is_layer", pa.bool_(), "false: a bias, BatchNorm scale or residual identity"),
        Column("positions", pa.int64(), "that a weight is applied at in one image's forward pass; null: uncounted"),
    ],
    "rounds": [
        *_KEY,
        Column("round", pa.int64(), "1 is the first"),
        Column("density", pa.float64(), "of the whole network after the round"),
        Column("kept", pa.int64(), "weights after the round"),
        Column("score_cut", pa.float64(), "sum of the scores removed in the round"),
        Column("flow", pa.float64(), "live scores before the cut / prunable layers: R for SynFlow without branches"),
        Column(
            "layer_deviation", pa.float64(), "largest |a layer's live scores - flow| / |flow|; null where flow is 0"
        ),
        Column("collapsed_layers", pa.int64(), "prunable layers without a kept weight after the round"),
    ],
    "masks": [
        *_KEY,
        Column("layer", pa.string(), "name of the layer in the network"),
        Column("position", pa.int64(), "0 is nearest the input"),
        Column("shape", pa.list_(pa.int64()), "of its weights"),
        Column("bits", pa.binary(), "eight weights a byte, the first in the highest bit; 1 is kept"),
    ],
    "points": [
        Column("sweep", pa.string(), "the name in the sweep file"),
        Column("sweep_hash", pa.string(), "of the file's text: `sweeps/<hash>.yaml`"),
        Column("trial_id", pa.string(), "the trial that answers the point"),
        *CONFIGURATION,  # as the point was asked for: a dense baseline appears under each pruner
    ],
}

TABLES: dict[str, pa.Schema] = {
    table: pa.schema([(one.name, one.type) for one in columns]) for table, columns in COLUMNS.items()
}
TRIALS, POINTS = TABLES["trials"], TABLES["points"]

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
