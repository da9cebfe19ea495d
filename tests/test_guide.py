"""The guide's pages work as written: their files, commands and code are run in the order in which they are shown."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


PROGRAMS = {"prunesweep": [sys.executable, "-m", "orchestrator"], "python": [sys.executable]}


def run_page(page: str, folder: Path) -> int:
    """Write each block that starts with a file's name, run each command and each program; returns how many ran."""
    blocks = re.findall(r"^```(sh|python|yaml)\n(.*?)^```$", (DOCS / page).read_text(), flags=re.MULTILINE | re.DOTALL)
    num_run = 0
    for kind, text in blocks:
        named = re.match(r"# (\w+\.(?:py|yaml))\n", text)
        commands: list[list[str]] = []
        if named:
            (folder / named[1]).write_text(text)
        if kind == "sh":
            lines = [shlex.split(line, comments=True) for line in text.splitlines()]
            commands = [[*PROGRAMS[line[0]], *line[1:]] for line in lines]
        elif kind == "python":
            commands = [[sys.executable, "-c", text]]
        elif not named:
            (folder / "shown.yaml").write_text(text)
            commands = [[sys.executable, "-m", "orchestrator", "plan", "shown.yaml"]]
        for command in commands:
            result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
            assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
            num_run += 1
    return num_run


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("page", "least"), [("start.md", 6), ("sweep-file.md", 1), ("extending.md", 9)])
def test_a_page_of_the_guide_works_as_written(page: str, least: int, tmp_path: Path) -> None:
    assert run_page(page, tmp_path) >= least


def test_the_site_builds_and_every_link_inside_it_leads_somewhere(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", str(DOCS), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    api = (tmp_path / "api" / "pruning" / "pruning.density.html").read_text()
    assert "round half to even" in api or "half to even" in api
    assert (tmp_path / "start.html").exists()
