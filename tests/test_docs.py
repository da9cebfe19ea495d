"""What docs/ shows works: sweep files are read, a user's model and a weights file run, tables say what the data say."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from safetensors.torch import save_file

from models.lenet import lenet_300_100
from orchestrator.expand import expand
from orchestrator.presets import load_presets
from orchestrator.sources import UserCode
from orchestrator.sweepfile import parse_sweep
from training.context import CohortContext
from training.evaluate import evaluate
from training.trial import run_trial

DOCS = Path(__file__).parents[1] / "docs"


def blocks(page: str, kind: str) -> list[str]:
    """The code blocks of a page."""
    text = (DOCS / page).read_text(encoding="utf-8")
    found = re.findall(rf"^```{kind}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    assert found
    return found


def test_the_sweep_files_of_the_recipes_are_read() -> None:
    recipe, levels, preset = blocks("recipes.md", "yaml")
    rest = "name: n\nmodel: mlp\npruner: snip\nsparsity: 0.9\n"
    (point,) = expand(parse_sweep(rest + recipe, name="recipe", folder=Path()).sweep, UserCode(Path()))
    assert (point.dataset.validation, point.training.clip_grad_norm) == ("300", 1.0)
    rest = "name: n\ndataset: digits\nmodel: mlp\nsparsity: 0.5\n"
    points = list(expand(parse_sweep(rest + levels, name="levels", folder=Path()).sweep, UserCode(Path())))
    assert [(point.pruner.name, point.levels.pre_epochs, point.levels.levels) for point in points] == [
        ("imp", 30, 4),  # 0.8, 0.64, 0.512, 0.5
        ("magnitude", 30, 1),
        ("snip", 2, 1),
        ("synflow", 30, 5),
    ]
    file = parse_sweep(preset.replace("cifar10", "digits"), name="preset", folder=Path())
    assert len(list(expand(file.sweep, UserCode(Path())))) == 2 * 5 * 13 * 3


def test_what_a_trial_reserves_is_read_as_the_page_on_scheduling_shows_it() -> None:
    (resources,) = blocks("scheduling.md", "yaml")
    rest = "name: n\ndataset: digits\nmodel: mlp\npruner: snip\nsparsity: 0.9\ntraining: {epochs: 1}\n"
    read = parse_sweep(rest + resources, name="resources", folder=Path()).sweep.resources
    assert (read.gpu, read.cpu) == (0.25, 2)


def test_the_table_of_presets_says_what_the_presets_say() -> None:
    text = (DOCS / "recipes.md").read_text(encoding="utf-8")
    table = text[text.index("| preset |") :]
    shown = [[cell.strip() for cell in line.split("|")] for line in table.splitlines() if line.startswith("| `")]
    assert {cells[1].strip("`") for cells in shown} == set(load_presets())
    for cells in shown:
        preset = load_presets()[cells[1].strip("`")]
        recipes = [preset.training_of_row(row) for row in preset.rows]
        if cells[1] == "`synflow-cifar`":
            recipes = recipes[:1]  # the other row stands below
        drops = recipes[0].get("lr_drops")
        assert [int(epochs) for epochs in cells[3].split(";")] == [one["epochs"][0] for one in recipes]
        assert ("Nesterov" in cells[4]) == recipes[0].get("nesterov", [False])[0]
        assert [float(rate) for rate in cells[5].split(";")] == [one["lr"][0] for one in recipes]
        assert cells[6] == (f"{str(drops)[1:-1]}; {recipes[0]['lr_drop_factor'][0]}" if drops else "")
        assert float(cells[7]) == recipes[0].get("weight_decay", [0.0])[0]
        assert (int(cells[8]), cells[9]) == (recipes[0]["batch_size"][0], preset.validation)


def test_a_users_model_and_a_file_of_weights_run_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_models.py").write_text(blocks("models.md", "python")[0])
    (tmp_path / "pretrained").mkdir()
    pretrained = lenet_300_100(input_shape=(1, 8, 8), num_classes=10)
    save_file(pretrained.state_dict(), tmp_path / "pretrained" / "mine.safetensors")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    rest = "name: n\ndataset: digits\npruner: random\nsparsity: 0\ntraining: {epochs: 1, lr: 1.0e-30}\n"
    file = parse_sweep(rest + blocks("models.md", "yaml")[1], name="n", folder=tmp_path)
    own, loaded = expand(file.sweep, UserCode(tmp_path))
    assert own.model.source_hash
    assert loaded.model.source_hash
    records = [run_trial(config, CohortContext("cpu")) for config in (own, loaded)]
    assert [record.layers[0].num_weights for record in records] == [16 * 9, 300 * 64]
    measured = evaluate(pretrained, CohortContext("cpu").dataset(loaded.dataset).test)
    assert records[1].final
    assert measured
    assert records[1].final.test_loss == pytest.approx(measured.loss, rel=1e-6)
    del sys.modules["my_models"]
