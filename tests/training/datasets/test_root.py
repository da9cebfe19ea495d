"""Where data sets are looked for, and where decoded copies go."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.datasets.root import cache_folder, data_root


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable in ("PRUNESWEEP_DATA", "PRUNESWEEP_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


def test_the_root_is_what_is_given_then_the_variable_then_the_users_cache(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert data_root() == home / ".cache" / "prunesweep" / "data"
    monkeypatch.setenv("PRUNESWEEP_DATA", "~/sets")
    assert data_root() == home / "sets"
    assert data_root("here") == tmp_path / "here"
    assert data_root(tmp_path) == tmp_path


def test_copies_go_under_a_root_that_is_ours_to_write_also_one_not_made_yet(home: Path, tmp_path: Path) -> None:
    assert cache_folder(tmp_path) == tmp_path / "prunesweep-cache"
    assert cache_folder(tmp_path / "a" / "b") == tmp_path / "a" / "b" / "prunesweep-cache"


def test_copies_of_a_read_only_root_go_to_the_users_cache_a_folder_a_root(home: Path, tmp_path: Path) -> None:
    roots = [tmp_path / "one", tmp_path / "two"]
    for root in roots:
        root.mkdir(mode=0o555)
    one, two = map(cache_folder, roots)
    assert one != two
    assert one.parent == two.parent == home / ".cache" / "prunesweep"
    assert cache_folder(roots[0]) == one


def test_the_variable_decides_where_copies_go(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRUNESWEEP_CACHE", str(tmp_path / "fast"))
    assert cache_folder(tmp_path).parent == tmp_path / "fast"
    assert cache_folder(tmp_path) != cache_folder(tmp_path / "other")
