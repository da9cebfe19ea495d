"""Find the store that a command is about, and say which file of it is damaged."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orchestrator.errors import BadInput


def data_root_of(given: str | None, file: Any) -> str | None:
    """The root to hand to every worker, absolute; None where nobody named one: nodes have variables and defaults."""
    from training.datasets.root import data_root

    named = given or file.sweep.data_root
    return str(data_root(named)) if named else None


def data_root_again(given: str | None, saved: Any) -> str | None:
    """The same for a sweep that was run before: what is given now, else what that run was told."""
    return data_root_of(given or saved.options.get("data_root"), saved.file)


def price_of(
    sweep: Any, options: dict[str, Any], device: str, per_gpu_hour: float | None, per_cpu_hour: float | None
) -> Any:
    """What a slot costs on a device, reserving what `options` of a run say; None where nobody said the price."""
    from orchestrator.estimate import Price
    from orchestrator.resources import paid_as_told

    if per_gpu_hour is None and per_cpu_hour is None:
        return None
    reserved = paid_as_told(sweep, options)
    return Price(
        per_gpu_hour=per_gpu_hour or 0.0,
        per_cpu_hour=per_cpu_hour or 0.0,
        gpus_per_trial=reserved["gpus_per_trial"] if device == "cuda" else 0.0,
        cpus_per_trial=reserved["cpus_per_trial"],
    )


def store_of(results: str | None, name: str) -> Any:
    """The store to write to. Raises BadInput where an object store cannot be used."""
    from orchestrator.store.layout import Store

    store = Store(results or Path("results") / name)
    store.check()
    return store


def existing_store(directory: str) -> Any:
    """The store of a sweep that was run. Raises BadInput where there is none."""
    from orchestrator.store.layout import Store

    store = Store(directory)
    store.check()
    if not store.exists("sweeps"):
        raise BadInput(f"{directory} holds no sweep: expected the folder that `prunesweep run SWEEP` wrote")
    return store


@contextmanager
def naming_damaged_files(store: Any) -> Iterator[None]:
    """Readers fail at a damaged file without saying which: look for it then."""
    import polars as pl

    from orchestrator.store.read import damaged_files

    try:
        yield
    except (pl.exceptions.PolarsError, OSError) as error:
        if isinstance(error, OSError) and not store.is_remote:
            raise
        store.check()  # an object store that went away is no damage
        damaged = damaged_files(store)
        if not damaged:
            raise
        raise BadInput(
            f"damaged: {', '.join(damaged)}. Next: prunesweep doctor {shlex.quote(store.location)} --repair puts it "
            "aside and says which trials are lost with it; prunesweep resume runs them again"
        ) from None
