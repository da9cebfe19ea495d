"""`report --select` from the command line: what it writes, and what it refuses with what to do."""

from pathlib import Path

import pytest

from tests.analysis.conftest import StoreBuilder
from tests.orchestrator.conftest import CommandLine


def fill(root: Path, validation: float | None) -> Path:
    """Two learning rates, the first better on test, the second on validation, if it was measured."""
    builder = StoreBuilder(root)
    for lr, accuracy, test in ((0.01, 0.7, 0.9), (0.1, 0.8, 0.6)):
        builder.both(
            f"{lr}",
            point={"lr": lr},
            final_validation_accuracy=None if validation is None else accuracy,
            final_test_accuracy=test,
        )
    builder.write()
    (root / "sweeps").mkdir()
    (root / "sweeps" / "h1.yaml").write_text("sweep: demo\n")
    return root


def test_it_chooses_on_validation(prunesweep: CommandLine, tmp_path: Path) -> None:
    root = fill(tmp_path / "store", 0.8)
    prunesweep("report", str(root), "--select", "lr")
    assert "n=1, lr 0.1" in (root / "report.html").read_text()


@pytest.mark.parametrize(
    ("axis", "expected"),
    [
        ("lr", "hold out images with `validation:` in the sweep file"),
        ("weight_decy", "did you mean 'weight_decay'?"),
        ("seed_init", "is what is compared, or luck"),
    ],
)
def test_what_cannot_be_chosen_is_exit_code_2(
    prunesweep: CommandLine, tmp_path: Path, axis: str, expected: str
) -> None:
    root = fill(tmp_path / "store", None)
    said = " ".join(prunesweep("report", str(root), "--select", axis, check=2).stderr.split())
    assert expected in said
    assert not (root / "report.html").exists()
