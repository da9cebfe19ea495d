"""What several commands take, by one name and with one explanation."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from orchestrator.errors import did_you_mean

SweepPath = Annotated[Path, typer.Argument(metavar="SWEEP", help="A sweep file (YAML).")]
StoreDir = Annotated[str, typer.Argument(metavar="DIR", help="The results folder of a sweep, or its address.")]
StoreDirs = Annotated[
    list[str], typer.Argument(metavar="DIR...", help="Results folders of sweeps, or their addresses, side by side.")
]
ResultsDir = Annotated[
    str | None, typer.Option("--results", metavar="DIR", help="Where results go. Default: results/<name of the sweep>.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
JsonProgress = Annotated[bool, typer.Option("--json", help="Say how it goes as JSON, an object a line.")]
Slots = Annotated[int, typer.Option(min=1, help="Trials at a time on this machine. Default: its cores.")]
Address = Annotated[str, typer.Option(help="A running Ray to join: 'auto' or host:port. Default: one of our own.")]
Device = Annotated[
    Literal["auto", "cpu", "cuda"], typer.Option(help="Where trials run; auto takes a GPU if there is one.")
]
Engine = Annotated[
    Literal["compact", "fused", "reference"],
    typer.Option(
        help="compact trains the small network that pruning leaves; fused several of those at a time where it is "
        "faster; reference masks the full one."
    ),
]


def _gpus(text: str) -> float | str:
    """A number of GPUs, or "fit"."""
    if text == "fit":
        return text
    try:
        gpus = float(text)
    except ValueError:
        hint = did_you_mean(text, ["fit", "a number (0.25 for four trials on one)"])
        raise typer.BadParameter(f"{text!r} is no number of GPUs: {hint}") from None
    if not 0 <= gpus < math.inf:
        raise typer.BadParameter(f"{text} GPUs cannot be reserved: expected a number from 0, or fit")
    return gpus


GpusPerTrial = Annotated[
    Any,  # a float, "fit" or None: typer knows no unions
    typer.Option(
        parser=_gpus,
        metavar="NUMBER|fit",
        help="GPUs a trial reserves, e.g. 0.25 for four on one; fit: as many on one as fit by what such trials took "
        "before. Default: 1 where there are GPUs.",
    ),
]
CpusPerTrial = Annotated[
    float | None, typer.Option(min=0.01, help="Cores a trial reserves. Default: 1, or as the sweep file says.")
]
PricePerGpuHour = Annotated[
    float | None, typer.Option(min=0, help="What a GPU costs an hour: the estimate then has a price.")
]
PricePerCpuHour = Annotated[float | None, typer.Option(min=0, help="The same for a core.")]
DataRoot = Annotated[
    str | None,
    typer.Option(
        metavar="DIR", help="The folder of data sets. Default: $PRUNESWEEP_DATA, else ~/.cache/prunesweep/data."
    ),
]
MaxAttempts = Annotated[int, typer.Option(min=1, help="Crashes of its process after which a trial is given up.")]
TimeLimit = Annotated[
    float | None,
    typer.Option(min=0, metavar="SECONDS", help="A trial that takes longer is ended and gets a failed row."),
]
CheckpointEvery = Annotated[
    float,
    typer.Option(min=0, metavar="SECONDS", help="Seconds between checkpoints of a trial; shorter trials write none."),
]
ShardText = Annotated[
    str | None,
    typer.Option("--shard", metavar="I/N", help="Run only this part of the sweep, e.g. 2/8; all parts share a store."),
]
Within = Annotated[
    str | None,
    typer.Option(metavar="H:MM:SS", help="Begin no trial that would not end in this time; exit code 5 if any is left."),
]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Try failed trials again, as resume does.")]

Changed = Annotated[
    bool, typer.Option("--changed", help="Run it although results of its last run would answer nothing any more.")
]

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
