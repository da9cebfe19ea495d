"""Every command and every line of Python that the README shows works, in the order in which it is shown."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(sh|python|yaml)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.timeout(600)
def test_the_readme_works_as_written(tmp_path: Path) -> None:
    num_commands = 0
    for kind, text in BLOCKS:
        if kind == "python":
            commands = [[sys.executable, "-c", text]]
        elif kind == "sh":
            lines = [shlex.split(line, comments=True) for line in text.splitlines()]
            commands = [[sys.executable, "-m", "orchestrator", *line[1:]] for line in lines if line[0] == "prunesweep"]
            assert all(line[0] in ("prunesweep", "make") for line in lines)
        else:
            (tmp_path / "shown.yaml").write_text(text)
            commands = [[sys.executable, "-m", "orchestrator", "plan", "shown.yaml"]]
        for command in commands:
            result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
            assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
            num_commands += 1
    assert num_commands >= 10
    assert (tmp_path / "results" / "my-sweep" / "report.html").stat().st_size > 500_000


@pytest.mark.parametrize("page", ["README.md", "CHANGELOG.md"])
def test_links_and_pictures_beside_the_docs_exist(page: str) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / page).read_text(encoding="utf-8"))
    assert targets
    for target in targets:
        assert (ROOT / target).exists(), target


def test_the_readme_starts_with_the_one_command() -> None:
    assert "make demo" in "\n".join(README.splitlines()[:15])
