"""The table says what the classes do, and can be read without torch."""

from __future__ import annotations

import inspect
import pkgutil
import subprocess
import sys

import pytest

from pruning.table import CUSTOM, PRUNERS


@pytest.mark.parametrize("name", PRUNERS)
def test_an_entry_names_an_importable_criterion_and_its_options(name: str) -> None:
    criterion = pkgutil.resolve_name(PRUNERS[name].target)
    assert tuple(inspect.signature(criterion).parameters) == PRUNERS[name].options
    assert callable(criterion().score)


@pytest.mark.parametrize("name", PRUNERS)
def test_an_entry_has_settings_that_scoring_knows(name: str) -> None:
    entry = PRUNERS[name]
    assert entry.mode in (None, "eval", "train")
    assert entry.score_dtype in (None, "float32", "float64")
    assert entry.iterations == 1 or (entry.iterations > 1 and entry.rescores)
    assert all([entry.score, entry.needs, entry.source])


def test_a_users_own_pruner_gets_settings_that_scoring_knows() -> None:
    assert (CUSTOM.mode, CUSTOM.score_dtype, CUSTOM.rescores) == ("train", "float32", True)


def test_tables_and_configurations_are_read_without_torch() -> None:
    program = (
        "import training.config, models.table, pruning.table, pruning.density, training.datasets.table, sys;"
        "print(sorted({'torch', 'numpy', 'sklearn'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"
