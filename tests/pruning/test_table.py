"""The table says what the classes do, and can be read without torch."""

from __future__ import annotations

import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from pruning import criteria
from pruning.criteria.contract import PruneSet, layer_densities_of
from pruning.dynamic.contract import DynamicPruner
from pruning.table import ALL_PRUNERS, CUSTOM, DYNAMIC_PRUNERS, PRUNERS, SMALLER_NETWORKS


@pytest.mark.parametrize("name", PRUNERS)
def test_an_entry_names_an_importable_criterion_and_its_options(name: str) -> None:
    criterion = pkgutil.resolve_name(PRUNERS[name].target)
    assert tuple(inspect.signature(criterion).parameters) == PRUNERS[name].options
    assert callable(criterion().score)


@pytest.mark.parametrize("name", DYNAMIC_PRUNERS)
def test_a_dynamic_entry_names_a_dynamic_pruner_and_its_options(name: str) -> None:
    pruner = pkgutil.resolve_name(DYNAMIC_PRUNERS[name].target)
    assert tuple(inspect.signature(pruner).parameters) == DYNAMIC_PRUNERS[name].options
    assert isinstance(pruner(), DynamicPruner)


@pytest.mark.parametrize("name", PRUNERS)
def test_an_entry_has_settings_that_scoring_knows(name: str) -> None:
    entry = PRUNERS[name]
    assert entry.mode in (None, "eval", "train")
    assert entry.score_dtype in (None, "float32", "float64")
    assert entry.iterations == 1 or (entry.iterations > 1 and entry.rescores)
    assert all([entry.score, entry.needs, entry.source])


@pytest.mark.parametrize("name", PRUNERS)
def test_a_model_without_prunable_layers_is_refused(name: str) -> None:
    data = PruneSet(inputs=torch.zeros(1, 4), targets=torch.zeros(1, dtype=torch.long))
    with pytest.raises(ValueError, match="Flatten has no prunable layer: expected at least one of Linear"):
        pkgutil.resolve_name(PRUNERS[name].target)().score(nn.Flatten(), data, torch.Generator())


@pytest.mark.parametrize("name", PRUNERS)
def test_an_entry_that_sets_layer_densities_scores_once_and_does_not_run_the_network(name: str) -> None:
    sets_densities = layer_densities_of(pkgutil.resolve_name(PRUNERS[name].target)()) is not None
    assert PRUNERS[name].sets_densities == sets_densities
    if not sets_densities:
        return
    assert (PRUNERS[name].rescores, PRUNERS[name].reads_network) == (False, False)


def test_a_baseline_without_a_mask_has_neither_a_class_nor_settings_of_scoring() -> None:
    assert set(ALL_PRUNERS) == {*PRUNERS, *DYNAMIC_PRUNERS, *SMALLER_NETWORKS}
    for entry in SMALLER_NETWORKS.values():
        assert (entry.target, entry.options, entry.rescores, entry.reads_network) == ("", (), False, False)


def test_every_criterion_has_an_entry() -> None:
    files = {module.name for module in pkgutil.iter_modules(criteria.__path__)} - {"contract"}
    assert {entry.target.split(":")[0].rsplit(".", 1)[1] for entry in PRUNERS.values()} == files


def test_every_pruner_is_explained_in_the_documentation() -> None:
    headings = re.findall(
        r"^### `(\w+)`", (Path(__file__).parents[2] / "docs" / "pruners.md").read_text(), re.MULTILINE
    )
    assert headings == list(ALL_PRUNERS)


def test_a_users_own_pruner_gets_settings_that_scoring_knows() -> None:
    assert (CUSTOM.mode, CUSTOM.score_dtype, CUSTOM.rescores) == ("train", "float32", True)


def test_tables_and_configurations_are_read_without_torch() -> None:
    program = (
        "import training.config, models.table, pruning.table, pruning.density, training.datasets.table, sys;"
        "print(sorted({'torch', 'numpy', 'sklearn'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"
