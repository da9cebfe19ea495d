"""What a trial printed is there afterwards, also where its process was killed."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.output import BYTES_KEPT, CHARACTERS_KEPT, Mirror, OutputTail, captured


@given(st.lists(st.text(max_size=12).map(lambda text: text * 997), max_size=8))
def test_the_mirror_says_what_the_tail_says(texts: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        mirror = Mirror(Path(folder, "ring"))
        tail = OutputTail(mirror)
        for text in texts:
            tail.write(text)
        mirror.close()
        read = Mirror.read(Path(folder, "ring"))
    whole = "".join(texts)
    if len(whole.encode("utf-8", "backslashreplace")) <= BYTES_KEPT and len(whole) <= CHARACTERS_KEPT:
        assert read == tail.text
    assert read[-100:] == tail.text[-100:]


def test_of_a_process_that_is_gone_the_last_words_remain(tmp_path: Path) -> None:
    path = tmp_path / "words"
    child = os.fork()
    if child == 0:
        with captured(path):
            for number in range(20_000):
                print(number)
            os._exit(9)
    os.waitpid(child, 0)
    lines = Mirror.read(path).splitlines()
    assert lines[0].startswith("... ")
    assert lines[-1] == "19999"
    assert [int(line) for line in lines[2:]] == list(range(20_000 - len(lines) + 2, 20_000))


def test_nothing_stays_of_what_ended_by_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyError), captured(tmp_path / "words") as output:
        print("to stdout")
        print("to stderr", file=sys.stderr)
        raise KeyError
    assert output.text == "to stdout\nto stderr\n"
    assert Mirror.read(tmp_path / "words") == ""
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().out == ""
