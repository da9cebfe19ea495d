"""What a submitted sweep takes along: all that a trial reads, nothing that git ignores, and never too much."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from orchestrator import shipment as shipping
from orchestrator.errors import BadInput
from orchestrator.origin import ORIGIN_FILE, origin_of
from orchestrator.shipment import Shipment, pack
from orchestrator.sweepfile import read_sweep_file
from tests.orchestrator.conftest import SMALL_SWEEP, CommandLine

OWN = SMALL_SWEEP.replace("[random, magnitude]", '[random, "mine.pruners:Mine"]')


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


@pytest.fixture
def own_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sweep with a package of the user's, of which one module is not used."""
    files = {"small.yaml": OWN, "mine/__init__.py": "", "mine/unused.py": "", "mine/kernel.py": "K = 1\n"}
    write(tmp_path, files | {"mine/pruners.py": "from mine.kernel import K\nclass Mine: pass\n", "table.csv": "1"})
    monkeypatch.chdir(tmp_path)
    return tmp_path / "small.yaml"


def packed(path: Path, *, installed: bool = True, also: tuple[str, ...] = ()) -> Shipment:
    return pack(read_sweep_file(path), path, installed=installed, also=[Path(one) for one in also])


def test_the_sweep_and_the_modules_it_imports_are_shipped(own_sweep: Path) -> None:
    names = {"small.yaml", "mine/__init__.py", "mine/kernel.py", "mine/pruners.py", ORIGIN_FILE}
    assert set(packed(own_sweep).files) == {f"submitted/{name}" for name in names}
    assert "submitted/table.csv" in packed(own_sweep, also=("table.csv",)).files


def test_the_origin_goes_along_and_answers_for_the_copy(own_sweep: Path, tmp_path: Path) -> None:
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "small.yaml"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "x"], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    packed(own_sweep).unpack(tmp_path / "elsewhere")
    origin = origin_of(tmp_path / "elsewhere" / "submitted")
    assert (origin.folder, origin.git_commit, origin.git_dirty) == (str(tmp_path), commit, True)


def test_the_working_tree_goes_without_what_git_ignores(
    own_sweep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tmp_path / "tree"
    subprocess.run(["git", "init", "-q", str(tree)], check=True)
    write(tree, {"models/new.py": "", "models/weights.bin": "", "docs/page.md": "", ".gitignore": "*.bin\n"})
    monkeypatch.setattr(shipping, "OUR_ROOT", tree)
    names = [name for name in packed(own_sweep, installed=False).files if not name.startswith("submitted/")]
    assert names[0] == "models/new.py"
    assert [Path(name).suffix for name in names[1:]] == [""]
    assert names[1].endswith(".dist-info/METADATA")
    monkeypatch.setattr(shipping, "OUR_ROOT", tmp_path / "mine")
    with pytest.raises(BadInput, match="--installed runs what the cluster has installed"):
        packed(own_sweep, installed=False)


def test_what_was_shipped_runs_by_itself(own_sweep: Path, tmp_path: Path) -> None:
    """Unpacked elsewhere, without the tree that it came from: the modules and the version are the shipped ones."""
    packed(own_sweep, installed=False).unpack(tmp_path / "there")
    code = (
        "import sys, importlib.metadata, orchestrator.cli, analysis.report, training.trial;"
        "print(orchestrator.cli.__file__, importlib.metadata.distribution('prunesweep').locate_file(''))"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "there")}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    module, metadata = done.stdout.split()
    assert module == str(tmp_path / "there" / "orchestrator" / "cli.py")
    assert Path(metadata) == tmp_path / "there"


def test_the_same_content_is_the_same_archive_under_the_same_name(own_sweep: Path, tmp_path: Path) -> None:
    first, again = packed(own_sweep), packed(own_sweep)
    assert first.to_zip() == again.to_zip()
    assert zipfile.ZipFile(io.BytesIO(first.to_zip())).namelist() == sorted(first.files)
    assert first.content_hash("a") == again.content_hash("a") != first.content_hash("b")
    (tmp_path / "mine" / "kernel.py").write_text("K = 2\n")
    assert packed(own_sweep).content_hash("a") != first.content_hash("a")
    assert packed(own_sweep, installed=False).content_hash() == packed(own_sweep).content_hash()


def test_too_much_is_refused_naming_the_biggest(own_sweep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipping, "LARGEST_BYTES", 300)
    with pytest.raises(BadInput, match=r"at most 300 B are: submitted/small.yaml \(\d+ B\), "):
        packed(own_sweep)


def test_a_file_from_elsewhere_is_refused(own_sweep: Path, tmp_path: Path) -> None:
    outside = tmp_path.parent / "outside.csv"
    outside.write_text("1")
    with pytest.raises(BadInput, match="lies outside"):
        packed(own_sweep, also=(str(outside),))
    with pytest.raises(BadInput, match="cannot be shipped"):
        packed(own_sweep, also=("no such file",))


def test_a_dry_run_says_what_would_be_shipped_and_run(own_sweep: Path, prunesweep: CommandLine) -> None:
    where = ("--results", "s3://bucket/small")
    shown = prunesweep("submit", "small.yaml", *where, "--dry-run", "--shards", "2", "--", "--gpus-per-trial", "0.5")
    lines = shown.stdout.splitlines()
    assert any(line.split()[:1] == ["orchestrator/"] for line in lines)
    assert any(line.split()[:1] == ["submitted/mine/kernel.py"] for line in lines)
    ending = "run small.yaml --address auto --results s3://bucket/small --gpus-per-trial 0.5 --shard 2/2"
    assert lines[-1].endswith(ending)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "where should results go?"),
        (("--results", "results/here"), "expected an absolute path, or s3://bucket/path"),
        (("--results", "s3://key:secret@bucket/x"), "may not hold credentials"),
        (("--results", "s3://b/x", "--", "--no-such-option"), "No such option"),
        (("--results", "s3://b/x", "--", "--shard", "1/2"), "--shard after --: submit sets it"),
        (("--results", "s3://b/x", "--", "--slots", "none"), "Invalid value"),
    ],
)
def test_what_the_cluster_would_refuse_is_refused_before(
    own_sweep: Path, prunesweep: CommandLine, arguments: tuple[str, ...], complaint: str
) -> None:
    refused = prunesweep("submit", "small.yaml", "--dry-run", *arguments, check=2)
    assert complaint in refused.stderr
    assert "Traceback" not in refused.stderr
    assert "secret" not in refused.stderr
