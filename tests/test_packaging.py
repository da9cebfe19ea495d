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
OTHER_VERSION = f"{VERSION}+elsewhere"
"""Of the copy that is built here: whatever says it has read it from where that copy says it, once."""


def shipped_files() -> set[str]:
    """What belongs into an installation: everything that git knows in our rooms."""
    command = ["git", "ls-files", "-co", "--exclude-standard", *ROOMS]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {name for name in listed.splitlines() if (ROOT / name).exists()}


def run(command: list[str], folder: Path, *, check: int = 0, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command that must end with the exit code `check`."""
    environment = {**os.environ, **variables}
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == check, result.stdout + result.stderr
    return result


def build(kind: str, tree: Path, out: Path) -> Path:
    """Build a wheel or a source distribution of a tree, without network."""
    code = f"import sys; from setuptools.build_meta import build_{kind} as build; print(build(sys.argv[1]))"
    result = run([sys.executable, "-c", code, str(out)], tree)
    assert "Warning" not in result.stderr + result.stdout
    return out / result.stdout.splitlines()[-1]


def product(wheel: Path) -> set[str]:
    """The files of a wheel, less those about the wheel."""
    return {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree, with a test in it and a version of its own."""
    copy = tmp_path_factory.mktemp("tree")
    for name in [*shipped_files(), "pyproject.toml", "README.md", "LICENSE"]:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes((ROOT / name).read_bytes())
    (copy / "tests").mkdir()
    (copy / "tests" / "test_nothing.py").touch()
    project = (copy / "pyproject.toml").read_text(encoding="utf-8")
    assert project.count(f'version = "{VERSION}"') == 1
    (copy / "pyproject.toml").write_text(project.replace(f'version = "{VERSION}"', f'version = "{OTHER_VERSION}"'))
    return copy


@pytest.fixture(scope="module")
def source(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("sdist", tree, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def site(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `pip install` put the source distribution; what it stands on is taken from our own environment."""
    folder = tmp_path_factory.mktemp("site")
    offline = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--no-cache-dir"]
    run([sys.executable, "-m", "pip", "install", *offline, "--target", str(folder), str(source)], source.parent)
    return folder


def test_the_wheel_holds_the_product_and_nothing_else(tree: Path, tmp_path: Path) -> None:
    wheel = build("wheel", tree, tmp_path)
    assert wheel.name == f"prunesweep-{OTHER_VERSION}-py3-none-any.whl"
    assert product(wheel) == shipped_files()


def test_the_source_distribution_builds_the_same_wheel(source: Path, tmp_path: Path) -> None:
    with tarfile.open(source) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    assert product(build("wheel", unpacked, tmp_path)) == shipped_files()


def test_pip_installs_the_command_and_it_works_away_from_the_checkout(site: Path, tmp_path: Path) -> None:
    def prunesweep(*arguments: str, check: int = 0) -> str:
        result = run([str(site / "bin" / "prunesweep"), *arguments], tmp_path, check=check, PYTHONPATH=str(site))
        return result.stdout + result.stderr

    assert prunesweep("--version") == f"prunesweep {OTHER_VERSION}\n"
    prunesweep("init", "sweep.yaml")
    assert prunesweep("plan", "sweep.yaml").startswith("my-sweep: ")
    assert "synflow-cifar" in prunesweep("show", "presets")
    assert "nothing at scale cpu-hours" in prunesweep("reproduce", "5a", "--scale", "cpu-hours", check=2)  # scales.yaml
    figure = str(site / "sweeps" / "paper" / "figure3.yaml")
    assert prunesweep("plan", figure).startswith("paper-figure3: ")
    found = run([sys.executable, "-c", "import sweeps; print(sweeps.__file__)"], tmp_path, PYTHONPATH=str(site))
    assert str(site) in found.stdout


def test_the_command_says_the_projects_version() -> None:
    assert run([sys.executable, "-m", "orchestrator", "--version"], ROOT).stdout == f"prunesweep {VERSION}\n"
