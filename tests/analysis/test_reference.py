"""Published curves beside a sweep's own, with numbers worked out by hand."""

import math
import re
from pathlib import Path

import polars as pl
import pytest
from scipy import stats

from analysis import accuracy, reference
from analysis.scan import scan
from orchestrator.errors import BadInput


@pytest.fixture
def sweep(builder):
    """SynFlow on an MLP: 80 and 90 % at a tenth, 60 % at a hundredth; SNIP at a tenth."""
    builder.both("a", point={"density": 0.1, "seed": 0}, final_test_accuracy=0.8)
    builder.both("b", point={"density": 0.1, "seed": 1}, final_test_accuracy=0.9)
    builder.both("c", point={"density": 0.01}, final_test_accuracy=0.6)
    builder.both("d", point={"density": 0.1, "pruner": "snip"}, final_test_accuracy=0.7)
    results = scan(builder.write()).results
    return reference.curves(results).collect(), accuracy.table(results).collect()


def published(tmp_path, text):
    path = tmp_path / "published.csv"
    path.write_text(text)
    return reference.read(path)


PAPER = """dataset,model,pruner,run,compression_exponent,top1_accuracy
digits,mlp,synflow,1,1,80
digits,mlp,synflow,2,1,84
digits,mlp,synflow,1,3,50
digits,mlp,grasp,1,1,70
digits,vgg11,synflow,1,1,90
"""


def test_differences_at_equal_points(sweep, tmp_path):
    rows = reference.table(published(tmp_path, PAPER), *sweep)
    assert rows.height == 1
    row = rows.row(0, named=True)
    assert (row["curve"], row["density"], row["n"], row["published_n"]) == ("synflow", 0.1, 2, 2)
    assert row["mean_accuracy"] == pytest.approx(0.85)
    assert row["published_accuracy"] == pytest.approx(0.82)
    assert row["difference"] == pytest.approx(0.03)
    welch = stats.ttest_ind([0.8, 0.9], [0.8, 0.84], equal_var=False).confidence_interval(0.95)
    assert (row["interval_low"], row["interval_high"]) == pytest.approx((welch.low, welch.high))


def test_one_run_has_no_interval(sweep, tmp_path):
    row = reference.table(published(tmp_path, "pruner,density,accuracy\nsynflow,0.01,0.5\n"), *sweep).row(0, named=True)
    assert (row["difference"], row["interval_low"]) == (pytest.approx(0.1), None)


def test_what_has_no_partner_is_listed(sweep, tmp_path):
    rows = reference.unmatched(published(tmp_path, PAPER), *sweep)
    assert rows.rows() == [
        ("published", "digits, mlp, grasp", 1, "no such dataset, model, pruner here"),
        ("published", "digits, mlp, synflow", 1, "not at these sparsities here"),
        ("published", "digits, vgg11, synflow", 1, "no such dataset, model, pruner here"),
        ("ours", "mlp on digits: snip", 1, "no such curve published"),
        ("ours", "mlp on digits: synflow", 1, "not published at these sparsities"),
    ]


def test_without_a_model_every_curve_of_the_pruner_is_compared(builder, tmp_path):
    builder.both("a", point={"model": "mlp"}, final_test_accuracy=0.8)
    builder.both("b", point={"model": "convnet", "iterations": 100}, final_test_accuracy=0.7)
    results = scan(builder.write()).results
    own = reference.curves(results).collect(), accuracy.table(results).collect()
    rows = reference.table(published(tmp_path, "pruner,sparsity,accuracy\nsynflow,0.9,0.75\n"), *own)
    assert dict(rows.select("model_label", "difference").rows()) == {
        "convnet": pytest.approx(-0.05), "mlp": pytest.approx(0.05),
    }  # fmt: skip
    text = "pruner,iterations,sparsity,accuracy\nsynflow,100,0.9,0.75\n"
    assert reference.table(published(tmp_path, text), *own)["model_label"].to_list() == ["convnet"]


def test_densities_meet_however_they_are_written(builder, tmp_path):
    builder.both("a", point={"density": 0.316227766017}, final_test_accuracy=0.8)
    results = scan(builder.write()).results
    own = reference.curves(results).collect(), accuracy.table(results).collect()
    for column, value in {"compression_exponent": 0.5, "compression_ratio": math.sqrt(10), "density": 0.31622777,
                          "sparsity": 0.68377223}.items():  # fmt: skip
        rows = reference.table(published(tmp_path, f"pruner,{column},accuracy\nsynflow,{value},0.5\n"), *own)
        assert rows["difference"].to_list() == [pytest.approx(0.3)], column


def test_a_parquet_file_reads_as_a_csv_does(tmp_path):
    rows = published(tmp_path, PAPER)
    pl.read_csv(tmp_path / "published.csv").write_parquet(tmp_path / "published.parquet")
    assert reference.read(tmp_path / "published.parquet").equals(rows)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("method,density,accuracy\nsynflow,0.1,0.5\n", r"published.csv: it has no column 'pruner', expected"),
        ("prunner,density,accuracy\nsynflow,0.1,0.5\n", r"no column 'pruner', did you mean 'prunner'\?"),
        (
            "pruner,density,top1\nsynflow,0.1,0.5\n",
            r"exactly one column of top1_accuracy, accuracy; it has columns pruner",
        ),
        ("pruner,density,sparsity,accuracy\na,0.1,0.9,0.5\n", r"it has 'density' and 'sparsity'"),
        ("pruner,density,accuracy\na,0.1,high\n", r"column 'accuracy' holds 'high', expected numbers"),
        (
            "pruner,density,accuracy\na,0.1,50\n",
            r"column 'accuracy' holds 50.0 in row 1, expected an accuracy of 0 to 100 %",
        ),
        (
            "pruner,density,accuracy\na,0.1,0.5\na,0,0.5\n",
            r"column 'density' holds 0.0 in row 2, expected a density in",
        ),
        ("pruner,density,accuracy\na,,0.5\n", r"column 'density' holds None, expected numbers"),
        ("pruner,density,accuracy\na,0.1,nan\n", r"column 'accuracy' holds nan in row 1"),
        ("pruner,density,accuracy\n,0.1,0.5\n", r"column 'pruner' holds None in row 1, expected a value"),
        ("pruner,iterations,density,accuracy\na,many,0.1,0.5\n", r"column 'iterations' holds 'many' in row 1"),
        ("pruner,density,accuracy\n", r"published.csv: "),
        ("", r"published.csv: "),
    ],
)
def test_a_file_that_is_none_is_refused_by_column(tmp_path, text, message):
    with pytest.raises(BadInput, match=message):
        published(tmp_path, text)


def test_the_file_that_the_guide_shows_is_read(tmp_path):
    guide = (Path(__file__).parents[2] / "docs" / "report.md").read_text()
    (shown,) = re.findall(r"```text\n(.*?)```", guide, re.DOTALL)
    rows = published(tmp_path, shown)
    assert rows.columns == ["dataset", "model", "pruner", "density", "accuracy"]
    assert rows["accuracy"].to_list() == pytest.approx([0.897, 0.895])


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"nowhere.csv: there is no such file"):
        reference.read(tmp_path / "nowhere.csv")


def test_a_published_curve_is_drawn_once_in_the_look_of_its_last_match(builder, tmp_path):
    builder.both("a", point={"iterations": 1}, final_test_accuracy=0.8)
    builder.both("b", point={"iterations": 100}, final_test_accuracy=0.9)
    builder.both("c", point={"model": "other"}, final_test_accuracy=0.9)
    results = scan(builder.write()).results
    own = reference.curves(results).collect(), accuracy.table(results).collect()
    rows = reference.overlay(published(tmp_path, "model,pruner,density,accuracy\nmlp,synflow,0.1,0.85\n"), *own)
    assert set(rows["model_label"]) == {"mlp"}
    drawn = rows.filter(pl.col("published").is_not_null())
    assert drawn.select("curve", "published_accuracy", "compression_ratio").rows() == [
        ("synflow, 100 rounds", 0.85, pytest.approx(10))
    ]
    assert "synflow, 100 rounds" in str(reference.plot(rows).to_dict())
