"""A sweep file is read strictly, and every complaint names file, line, key, value and remedy."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from orchestrator.errors import BadInput
from orchestrator.sweepfile import parse_sweep, read_sweep_file

GOOD = """\
name: good
dataset: digits
model: [mlp, convnet]
pruner:
  - {name: [random, snip]}
  - {name: synflow, iterations: [1, 100]}
compression_exponent: [0, {start: 1, stop: 2, step: 0.5}]
seed: {count: 2}
training: {epochs: 3, lr: [0.1, 0.01]}
"""


def complaint(text: str) -> str:
    with pytest.raises(BadInput) as caught:
        parse_sweep(text, name="s.yaml", folder=Path())
    return str(caught.value)


def test_a_good_file_is_read_as_written() -> None:
    sweep = parse_sweep(GOOD, name="s.yaml", folder=Path()).sweep
    assert [spec.name for spec in sweep.model] == [["mlp"], ["convnet"]]
    assert sweep.pruner[1].iterations == [1, 100]
    assert sweep.densities == [Decimal("1"), Decimal("0.1"), Decimal("0.0316227766017"), Decimal("0.01")]
    assert sweep.training.lr == [0.1, 0.01]


@pytest.mark.parametrize(
    ("wrong", "right", "expected"),
    [
        ("dataset: digits", "dataset: digitz", "s.yaml:2: dataset: unknown data set 'digitz': did you mean 'digits'?"),
        ("seed: {count: 2}", "sede: {count: 2}", "s.yaml:8: sede: unknown key 'sede': did you mean 'seed'?"),
        ("[random, snip]", "[random, snap]", "s.yaml:5: pruner.0.name: unknown pruner 'snap': did you mean 'snip'?"),
        (
            "iterations: [1, 100]",
            "iteration: [1, 100]",
            "s.yaml:6: pruner.1.iteration: unknown key 'iteration' for pruner synflow: did you mean 'iterations'?",
        ),
        ("iterations: [1, 100]", "iterations: [1, 0]", "s.yaml:6: pruner.1.iterations.1: Input should be greater"),
        ("iterations: [1, 100]", "iterations: [1, 1]", "s.yaml:6: pruner.1.iterations: 1 is listed twice"),
        ("{count: 2}", "{count: two}", "s.yaml:8: seed.count: Input should be a valid integer (got 'two')"),
        ("{count: 2}", "{count: true}", "s.yaml:8: seed.count: Input should be a valid integer (got True)"),
        ("epochs: 3", "epochs: '3'", "s.yaml:9: training.epochs: Input should be a valid integer (got '3')"),
        ("epochs: 3, ", "", "s.yaml:9: training: 'epochs' is missing"),
        ("lr: [0.1, 0.01]", "lr: []", "s.yaml:9: training.lr: an empty list leaves nothing to run"),
        (
            "lr: [0.1, 0.01]",
            "optimizer: adam, momentum: 0.9",
            "s.yaml:9: training.momentum: momentum is set but no optimizer",
        ),
        (
            "lr: [0.1, 0.01]",
            "nesterov: true, optimizer: sgd",
            "training.nesterov: nesterov is set but no optimizer",
        ),
        ("lr: [0.1, 0.01]", "beta1: 0.5", "beta1 is set but no optimizer here uses it: write optimizer: adam or adamw"),
        ("lr: [0.1, 0.01]", "lr_drops: [3]", "s.yaml:9: training.lr_drops: a drop after epoch 3 of 3 changes nothing"),
        ("lr: [0.1, 0.01]", "lr_drop_factor: 0.5", "lr_drop_factor is set but there are no drops: write lr_drops"),
        ("lr: [0.1, 0.01]", "lr_drops: [1], lr_schedule: cosine", "lr_drops is set but no schedule here has drops"),
        (
            "lr: [0.1, 0.01]",
            "warmup_epochs: 4",
            "s.yaml:9: training.warmup_epochs: a warm-up of 4 epochs is longer",
        ),
        ("lr: [0.1, 0.01]", "weight_decay_on: weights", "weight_decay_on is set but there is no weight_decay"),
        ("lr: [0.1, 0.01]", "label_smoothing: 1", "s.yaml:9: training.label_smoothing: Input should be less than 1"),
        ("lr: [0.1, 0.01]", "precision: bf61", "s.yaml:9: training.precision: Input should be 'float32' or 'bf16'"),
        ("lr: [0.1, 0.01]", "lr_scedule: step", "unknown key 'lr_scedule': did you mean 'lr_schedule'?"),
        ("lr: [0.1, 0.01]", "augment: 1", "s.yaml:9: training.augment: Input should be a valid boolean"),
        (
            "dataset: digits",
            "dataset: {name: digits, validation: -1}",
            "s.yaml:2: dataset.validation: expected own",
        ),
        ("dataset: digits", "dataset: {name: digits, validation: 1.5}", "or a fraction of them below 1 (got 1.5)"),
        ("training: {epochs: 3, lr: [0.1, 0.01]}", "", "'epochs' is missing; `prunesweep init`"),
        ("iterations: [1, 100]", "schedule: [0.2, 0.5]", "falls from round to round"),
        ("iterations: [1, 100]", "iterations: 3, schedule: [0.5, 0.2]", "iterations is set, but a list of densities"),
        (
            "{name: [random, snip]}",
            "{name: erk, scope: local}",
            "s.yaml:5: pruner.0.scope: erk sets each layer's density",
        ),
        ("{name: [random, snip]}", "{name: [snip, igq], scope: {first: 1}}", "or give igq an entry of its own"),
        ("{name: [random, snip]}", "{name: balanced, scope: [global, local]}", "balanced sets each layer's density"),
        ("iterations: [1, 100]", "prunable: [biases]", "s.yaml:6: pruner.1.prunable: expected weights and what else"),
        ("iterations: [1, 100]", "prunable: [weights, bias]", "s.yaml:6: pruner.1.prunable"),
        (
            "[random, snip]",
            "[random, phew], prunable: [weights, biases]",
            "s.yaml:5: pruner.0.prunable: phew is defined",
        ),
        ("iterations: [1, 100]", "scope: {}", "s.yaml:6: pruner.1.scope: a scope of no layers is global"),
        ("iterations: [1, 100]", "ablation: shufle", "s.yaml:6: pruner.1.ablation: Input should be 'none', 'shuffle'"),
        ("step: 0.5", "step: 0", "s.yaml:7: compression_exponent: a range goes up"),
        ("step: 0.5", "steps: 0.5", "s.yaml:7: compression_exponent: a range is {start: number"),
        ("stop: 2", "stop: .inf", "s.yaml:7: compression_exponent: a range goes up"),
        ("step: 0.5", "step: .nan", "s.yaml:7: compression_exponent: a range goes up"),
        ("compression_exponent: [0, ", "compression_exponent: [400, ", "400.0 leaves no weight in any network"),
        ("{count: 2}", "99999999999999999999", "s.yaml:8: seed: Input should be less than or equal to 922337"),
        ("name: good", "name: !!python/object:os.system [x]", "name: a value with a tag (tag:yaml.org,2002:python/"),
        ("name: good", "name: " + 201 * "x", "s.yaml:1: name: a name becomes a folder: expected at most 200 bytes"),
        ("name: good", "name: ../good", "s.yaml:1: name: a name becomes a folder"),
        ("name: good", "name: good\nname: other", "s.yaml:2: not valid YAML: found duplicate key"),
        ("name: good", "name: [good", "not valid YAML"),
        ("name: good", "name: good\nsparsity: 0.9", "expected exactly one of sparsity, density, compression_ratio"),
        ("compression_exponent: [0, ", "sparsity: [95, ", "did you mean 0.95?"),
        ("compression_exponent: [0, ", "sparsity: [-0.1, ", "sparsity is the fraction removed and lies in [0, 1)"),
        ("compression_exponent: [0, ", "compression_exponent: [.nan, ", "is not a finite number"),
        (
            "model: [mlp, convnet]",
            "model: {name: mlp, width: 3}",
            "unknown key 'width' for model mlp: did you mean 'widths'?",
        ),
    ],
)
def test_a_wrong_file_is_refused_with_place_and_remedy(wrong: str, right: str, expected: str) -> None:
    assert wrong in GOOD
    assert expected in complaint(GOOD.replace(wrong, right))


def test_all_mistakes_are_reported_at_once() -> None:
    lines = complaint(GOOD.replace("digits", "x").replace("count: 2", "count: 0")).splitlines()
    assert len(lines) == 2


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "just words"])
def test_a_file_that_is_no_mapping_is_refused(text: str) -> None:
    assert "prunesweep init" in complaint(text)


def test_yaml_tags_run_no_code() -> None:
    assert "s.yaml" in complaint("!!python/object/apply:os.system [echo]")


def test_a_missing_file_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read as a sweep file"):
        read_sweep_file(tmp_path / "none.yaml")


def test_names_with_spaces_and_unicode_are_fine() -> None:
    assert parse_sweep(GOOD.replace("name: good", "name: größe 2"), name="s", folder=Path()).sweep.name == "größe 2"


@pytest.mark.parametrize("shipped", ["quickstart.yaml", "template.yaml", "lottery-ticket.yaml"])
def test_the_sweeps_that_ship_are_valid(shipped: str) -> None:
    read_sweep_file(Path(__file__).parents[2] / "sweeps" / shipped)
