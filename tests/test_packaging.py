"""What is built and installed: all of the product, none of its tests, and a command that needs no checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("analysis", "models", "orchestrator", "pruning", "sweeps", "training")
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


def shipped_files() -> set[str]:
    """What belongs into an installation: everything that git knows in our rooms."""
    command = ["git", "ls-files", "-co", "--exclude-standard", *ROOMS]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {name for name in listed.splitlines() if (ROOT / name).exists()}


def run(command: list[str], folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command that must succeed."""
    environment = {**os.environ, **variables}
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A wheel and a source distribution, built from a copy of the tree."""
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("dist")
    for name in [*shipped_files(), "pyproject.toml", "README.md", "LICENSE"]:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes((ROOT / name).read_bytes())
    (tree / "tests").mkdir()
    (tree / "tests" / "test_nothing.py").touch()
    for kind in ("wheel", "sdist"):
        code = f"import sys; from setuptools.build_meta import build_{kind} as build; build(sys.argv[1])"
        result = run([sys.executable, "-c", code, str(out)], tree)
        assert "Warning" not in result.stderr + result.stdout
    return next(out.glob("*.whl")), next(out.glob("*.tar.gz"))


def test_the_wheel_holds_the_product_and_nothing_else(built: tuple[Path, Path]) -> None:
    wheel, _ = built
    assert wheel.name == f"prunesweep-{VERSION}-py3-none-any.whl"
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert inside == shipped_files()


def test_the_source_distribution_builds_again(built: tuple[Path, Path]) -> None:
    _, source = built
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert shipped_files() | {"pyproject.toml", "README.md", "LICENSE"} <= names


def test_an_installation_works_away_from_the_checkout(built: tuple[Path, Path], tmp_path: Path) -> None:
    wheel, _ = built
    site, here = tmp_path / "site", tmp_path / "here"
    here.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    for command in (["init", "s.yaml"], ["plan", "s.yaml"], ["show", "presets"]):
        run([sys.executable, "-m", "orchestrator", *command], here, PYTHONPATH=str(site))
    found = run([sys.executable, "-c", "import sweeps; print(sweeps.__file__)"], here, PYTHONPATH=str(site))
    assert str(site) in found.stdout
