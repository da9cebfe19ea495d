"""Trials as runs of TensorBoard: a folder of scalars a trial, for those who are used to look at training there.

Needs the package tensorboard, which is not installed with prunesweep, and neither torch nor TensorFlow.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import polars as pl

from analysis.labels import PANEL
from analysis.trial_key import TRIAL

SCALARS = {
    "accuracy/test": "test_accuracy",
    "accuracy/test top 5": "test_top5",
    "accuracy/validation": "validation_accuracy",
    "loss/train": "train_loss",
    "loss/test": "test_loss",
    "loss/validation": "validation_loss",
    "lr": "lr",
}
"""By name there, of each epoch; what was not measured has no point."""
SETTINGS = [
    "dataset_label",
    "model_label",
    "training_label",
    "curve",
    "density",
    "seed_init",
    "seed_data",
    "seed_prune",
]
"""Of a run on the page of hyperparameters."""
MOST_RUNS = 2_000
"""TensorBoard reads every run whenever it starts, and lists them all beside its charts."""


def write_runs(results: pl.LazyFrame, epochs: pl.LazyFrame, folder: Path) -> int:
    """Write a run for each trial that completed, in place of what is there of it; return how many.

    A run is PANEL/CURVE/DENSITY seed SEED ID; a trial that several curves share stands under the first. Steps are
    epochs; where levels follow each other they go on counting. Raises ValueError without the package, and for more
    trials than TensorBoard can show.
    """
    try:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.plugins.hparams.summary_v2 import hparams_pb
        from tensorboard.summary.writer.event_file_writer import EventFileWriter
    except ImportError as error:
        raise ValueError(
            f"--tensorboard needs a package that is not installed: pip install tensorboard ({error})"
        ) from None
    trials = (
        results.filter(pl.col("outcome").is_in(["completed", "diverged"]))
        .select(*TRIAL, *SETTINGS, "finished_at")
        .unique(TRIAL, keep="first", maintain_order=True)
        .collect()
    )
    if trials.height > MOST_RUNS:
        raise ValueError(
            f"--tensorboard: {trials.height:,} trials, and TensorBoard shows at most {MOST_RUNS:,} runs: "
            "`prunesweep export DIR results.parquet` writes them as one table"
        )
    rows = epochs.select(*TRIAL, "level", "epoch", *SCALARS.values()).sort(*TRIAL, "level", "epoch").collect()
    by_trial = rows.partition_by(TRIAL, as_dict=True)
    for trial in trials.iter_rows(named=True):
        place = folder / _name(trial)
        for old in place.glob("events.out.tfevents.*"):
            old.unlink()
        at = trial["finished_at"].timestamp()
        writer = EventFileWriter(str(place))
        settings = {name: trial[name] for name in SETTINGS if trial[name] is not None}
        writer.add_event(Event(wall_time=at, summary=hparams_pb(settings, trial_id=trial["trial_id"])))
        measured = by_trial.get((trial["store"], trial["trial_id"]), rows.clear())
        for number, epoch in enumerate(measured.iter_rows(named=True)):
            found = {tag: epoch[column] for tag, column in SCALARS.items() if epoch[column] is not None}
            values = [Summary.Value(tag=tag, simple_value=value) for tag, value in found.items()]
            writer.add_event(Event(wall_time=at, step=measured["epoch"][0] + number, summary=Summary(value=values)))
        writer.close()
    return trials.height


def _name(trial: dict[str, Any]) -> Path:
    """A run's folder; a slash in a label would make one of its own."""
    panel = ", ".join(trial[name] for name in PANEL if trial[name])
    seeds = list(dict.fromkeys(trial[f"seed_{of}"] for of in ("init", "data", "prune")))
    last = f"density {trial['density']:.6g}, seed {' '.join(map(str, seeds))}, {trial['trial_id'][:8]}"
    return Path(*(re.sub(r"[/\\]", "_", part) for part in (panel, trial["curve"], last)))
