"""A default is part of a trial without being written in its configuration, so a store cannot tell that it changed.

Should this test fail because a default changed on purpose: bump `training.config.NUMERICS_VERSION`, so that no old
result answers for the new default, and write the new file with `python -m tests.test_defaults`.
"""

from __future__ import annotations

import inspect
import json
import pkgutil
from pathlib import Path
from typing import Any

from models.table import MODELS
from pruning.table import PRUNERS
from training.config import NUMERICS_VERSION
from training.datasets.table import DATASETS

RECORDED = Path(__file__).with_name("defaults.json")
GIVEN_BY_US = {"input_shape", "num_classes"}


def defaults() -> dict[str, Any]:
    """Every default that a sweep file may leave out, by kind and name."""
    found: dict[str, Any] = {"numerics_version": NUMERICS_VERSION}
    for kind, table in (("models", MODELS), ("pruners", PRUNERS), ("datasets", DATASETS)):
        found[kind] = {
            name: {
                parameter.name: parameter.default
                for parameter in inspect.signature(pkgutil.resolve_name(entry.target)).parameters.values()
                if parameter.name not in GIVEN_BY_US and parameter.default is not inspect.Parameter.empty
            }
            for name, entry in table.items()
        }
    return json.loads(json.dumps(found))


def test_no_default_changes_without_a_new_numerics_version() -> None:
    assert defaults() == json.loads(RECORDED.read_text())


if __name__ == "__main__":
    RECORDED.write_text(json.dumps(defaults(), indent=1, sort_keys=True) + "\n")
