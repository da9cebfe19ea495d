"""The measurement of exactness can fail: it sees what is not a number, and what was not compacted."""

from __future__ import annotations

import math
import sys
from typing import Any

import pytest
import torch

from benchmarks import compaction_exactness
from benchmarks.compaction_exactness import TOLERANCES, gradient_difference, holds, state_difference
from training.compaction.compact import NotCompacted

GOOD: dict[str, Any] = dict.fromkeys(TOLERANCES, 0.0) | {"removed_are_zero": True}
NAN, ONE = torch.tensor([math.nan, 1.0]), torch.tensor([1.0, 1.0])


@pytest.mark.parametrize(("first", "second"), [(NAN, ONE), (ONE, NAN), (NAN, NAN)])
def test_a_difference_with_what_is_not_a_number_is_not_a_number(first: torch.Tensor, second: torch.Tensor) -> None:
    found, expected = {"good": ONE, "bad": first, "last": ONE}, {"good": ONE, "bad": second, "last": ONE}
    assert math.isnan(gradient_difference(found, expected))
    assert math.isnan(state_difference(found, expected, {}))
    assert state_difference(found, expected, {"bad": torch.tensor([True, False])}) == 0.0


def test_differences_are_the_largest_of_all_tensors() -> None:
    first, second = {"a": 2 * ONE, "b": ONE}, {"a": 1.5 * ONE, "b": 0 * ONE}
    assert gradient_difference(first, second) == 1.0
    assert state_difference(first, second, {"b": torch.tensor([True, True])}) == 0.5


def test_a_case_fails_that_differs_is_not_a_number_or_was_not_compacted() -> None:
    assert holds(GOOD)
    for key in TOLERANCES:
        assert not holds(GOOD | {key: 1e-6})
        assert not holds(GOOD | {key: math.nan})
        assert not holds(GOOD | {key: math.nan, "dense_with_itself": dict.fromkeys(TOLERANCES, math.nan)})
    assert not holds(GOOD | {"removed_are_zero": False})
    assert not holds({"reason": "conv1 is not known"})


def test_the_command_fails_where_nothing_is_compacted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(compaction_exactness, "compact", lambda *arguments: NotCompacted("nothing is known"))
    monkeypatch.setattr(compaction_exactness, "AXES", {"model": ["mlp"], "criterion": ["random"], "exponent": [1]})
    monkeypatch.setattr(sys, "argv", ["compaction_exactness"])
    with pytest.raises(SystemExit) as stopped:
        compaction_exactness.main()
    assert stopped.value.code
    assert "1 not compacted" in capsys.readouterr().out
