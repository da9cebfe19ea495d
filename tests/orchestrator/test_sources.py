"""A user's own code is part of a trial's identity, and cannot replace ours or be replaced by it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from orchestrator.errors import BadInput
from orchestrator.sources import UserCode


def write(folder: Path, **modules: str) -> None:
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text)


def test_editing_a_module_or_one_it_imports_changes_the_hash(tmp_path: Path) -> None:
    write(tmp_path, mine="import kernel\nclass A: pass\n", kernel="K = 1\n", unrelated="U = 1\n")
    first = UserCode(tmp_path).source_hash("mine:A")
    write(tmp_path, unrelated="U = 2\n")
    assert UserCode(tmp_path).source_hash("mine:A") == first
    write(tmp_path, kernel="K = 2\n")
    second = UserCode(tmp_path).source_hash("mine:A")
    write(tmp_path, mine="import kernel\nclass A: x = 1\n")
    assert len({first, second, UserCode(tmp_path).source_hash("mine:A")}) == 3


def test_planning_reads_code_but_never_runs_it(tmp_path: Path) -> None:
    write(tmp_path, mine="raise SystemExit('ran')\nclass A: pass\n")
    assert UserCode(tmp_path).source_hash("mine:A")


def test_a_missing_module_or_name_is_refused_with_a_remedy(tmp_path: Path) -> None:
    write(tmp_path, mine="class Snip2: pass\n")
    with pytest.raises(BadInput, match="neither beside the sweep file .* nor installed: put nowhere.py there"):
        UserCode(tmp_path).source_hash("nowhere:A")
    with pytest.raises(BadInput, match="defines no 'Snip3': did you mean 'Snip2'"):
        UserCode(tmp_path).source_hash("mine:Snip3")


def test_a_syntax_error_is_named_with_its_line(tmp_path: Path) -> None:
    write(tmp_path, mine="class A:\n  x = (\n")
    with pytest.raises(BadInput, match=r"mine\.py:2"):
        UserCode(tmp_path).source_hash("mine:A")


def test_a_module_with_an_installed_name_is_refused_naming_both(tmp_path: Path) -> None:
    write(tmp_path, models="class A: pass\n", mine="import models\nclass A: pass\n", json="class A: pass\n")
    with pytest.raises(BadInput, match=r"models\.py has the name of an installed module .*models.*rename"):
        UserCode(tmp_path).source_hash("mine:A")
    with pytest.raises(BadInput, match=r"json\.py has the name of an installed module"):
        UserCode(tmp_path).source_hash("json:A")


def test_a_folder_without_init_is_refused_where_its_edits_would_go_unseen(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "one.py").write_text("class A: pass\n")
    write(tmp_path, mine="from parts import one\nclass A: pass\n")
    for target in ("mine:A", "parts.one:A"):
        with pytest.raises(BadInput, match="put an __init__.py there"):
            UserCode(tmp_path).source_hash(target)
    (tmp_path / "parts" / "__init__.py").touch()
    before = UserCode(tmp_path).source_hash("mine:A")
    (tmp_path / "parts" / "one.py").write_text("class A: x = 1\n")
    assert UserCode(tmp_path).source_hash("mine:A") != before


def test_a_folder_of_something_else_with_an_imported_name_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "rich" / "logs").mkdir(parents=True)  # as wandb/ beside `import wandb`
    write(tmp_path, mine="import rich\nclass A: pass\n")
    assert UserCode(tmp_path).source_hash("mine:A")


def test_code_of_an_installed_package_is_hashed_with_its_version() -> None:
    first = UserCode(Path()).source_hash("rich.table:Table")
    assert first == UserCode(Path()).source_hash("rich.table:Table")


def test_a_weights_file_counts_with_its_content(tmp_path: Path) -> None:
    weights = tmp_path / "w.pt"
    weights.write_bytes(b"one")
    first = UserCode(tmp_path).content_hash("vgg16", {"weights": str(weights)})
    weights.write_bytes(b"two")
    assert first
    assert UserCode(tmp_path).content_hash("vgg16", {"weights": str(weights)}) != first
    assert UserCode(tmp_path).content_hash("vgg16", {}) == ""
    with pytest.raises(BadInput, match="vgg16: weights: .*none.pt"):
        UserCode(tmp_path).content_hash("vgg16", {"weights": str(tmp_path / "none.pt")})


def test_a_users_folder_comes_last_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    UserCode(tmp_path).make_importable()
    UserCode(tmp_path).make_importable()
    assert sys.path[-1] == str(tmp_path)
    assert sys.path.count(str(tmp_path)) == 1


def test_a_module_that_imports_what_is_built_into_python_is_taken_wherever_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    write(tmp_path, mine="import time, sys\nclass A: pass\n")
    assert UserCode(tmp_path).source_hash("mine:A")
    write(tmp_path, time="")
    with pytest.raises(BadInput, match="time.py has the name of an installed module"):
        UserCode(tmp_path).source_hash("mine:A")
