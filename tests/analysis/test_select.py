import polars as pl
import pytest

from analysis import accuracy, select
from analysis.palette import Palette
from analysis.report.collected import collect
from analysis.report.write import write_report
from analysis.scan import scan
from orchestrator.errors import BadInput


def run(builder, lr, seed, validation, test, **point):
    """One trial with its accuracies on validation and test images."""
    builder.both(
        f"{lr}-{seed}-{point}",
        point={"lr": lr, "seed": seed, **point},
        final_validation_accuracy=validation,
        final_test_accuracy=test,
    )


def both(builder, axis="lr"):
    """The collected choices, and accuracies of what was chosen."""
    store = scan(builder.write(), hidden=select.hidden(axis))
    chosen = select.selected(store, axis)
    return pl.collect_all([select.table(store.results, axis), accuracy.table(chosen.results)])


def test_validation_chooses_and_test_is_reported(builder):
    for seed, (low, high) in enumerate([((0.7, 0.90), (0.8, 0.60)), ((0.7, 0.90), (0.9, 0.70))]):
        run(builder, 0.01, seed, *low)
        run(builder, 0.1, seed, *high)  # better on validation, worse on test
    choices, accuracies = both(builder)
    assert choices.row(0, named=True) == {
        "dataset_label": "digits", "model_label": "mlp", "training_label": "", "curve": "synflow", "density": 0.1,
        "axis": "lr", "chosen": "lr 0.1", "validation_accuracy": pytest.approx(0.85),
        "n": 2, "num_values": 2, "num_tied": 1, "num_unvalidated": 0,
    }  # fmt: skip
    row = accuracies.row(0, named=True)
    assert accuracies.height == 1
    assert (row["mean_accuracy"], row["n"], row["chosen"]) == (pytest.approx(0.65), 2, "lr 0.1")


def test_each_curve_and_density_has_a_choice_of_its_own(builder):
    for density, best in [(0.1, 0.01), (0.01, 0.1)]:
        for pruner in ("synflow", "magnitude"):
            for lr in (0.01, 0.1):
                other = best if pruner == "synflow" else 0.11 - best
                run(builder, lr, 0, 0.9 if lr == pytest.approx(other) else 0.5, lr, density=density, pruner=pruner)
    choices, accuracies = both(builder)
    assert choices.select("curve", "density", "chosen").rows() == [
        ("magnitude", 0.1, "lr 0.1"),
        ("magnitude", 0.01, "lr 0.01"),
        ("synflow", 0.1, "lr 0.01"),
        ("synflow", 0.01, "lr 0.1"),
    ]
    assert accuracies["mean_accuracy"].to_list() == [0.1, 0.01, 0.01, 0.1]


def test_of_values_that_tie_the_smallest_is_chosen_and_the_tie_is_said(builder):
    # three sums of the same numbers in different orders
    for lr, validations in [(0.3, (0.1, 0.2, 0.7)), (0.1, (0.7, 0.2, 0.1)), (0.2, (0.2, 0.1, 0.7))]:
        for seed, validation in enumerate(validations):
            run(builder, lr, seed, validation, lr)
    choices, accuracies = both(builder)
    assert choices.select("chosen", "num_tied", "num_values").rows() == [("lr 0.1", 3, 3)]
    assert accuracies["mean_accuracy"].to_list() == [pytest.approx(0.1)]


def test_a_rate_at_which_most_seeds_diverge_is_not_judged_by_the_lucky_one(builder):
    for seed in range(3):
        run(builder, 0.01, seed, 0.8, 0.8)
    run(builder, 1.0, 0, 0.95, 0.95)
    for seed in (1, 2):
        builder.both(
            f"d{seed}",
            point={"lr": 1.0, "seed": seed},
            final_validation_accuracy=0.1,
            final_test_accuracy=0.1,
            final_test_loss=float("nan"),
        )
    choices, accuracies = both(builder)
    assert choices["chosen"].to_list() == ["lr 0.01"]  # 0.8 against (0.95 + 0.1 + 0.1) / 3
    assert accuracies.select("n", "num_diverged").rows() == [(3, 0)]


def test_failed_and_missing_trials_of_any_value_are_counted(builder):
    run(builder, 0.01, 0, 0.8, 0.7)
    builder.both("failed", point={"lr": 0.1, "seed": 0}, error=("ValueError", "no"))
    builder.point("missing", lr=0.01, seed=1)
    choices, accuracies = both(builder)
    assert choices.select("chosen", "n", "num_values", "num_unvalidated").rows() == [("lr 0.01", 1, 2, 2)]
    assert accuracies.select("n", "num_missing", "num_failed").rows() == [(1, 1, 0)]


def test_a_cell_without_any_result_keeps_a_row(builder):
    builder.point("a", lr=0.1)
    builder.both("b", point={"lr": 0.01}, error=("ValueError", "no"))
    choices, accuracies = both(builder)
    assert choices.select("chosen", "validation_accuracy", "n", "num_tied", "num_unvalidated").rows() == [
        ("lr 0.01", None, 0, 0, 2)
    ]
    assert accuracies.select("n", "mean_accuracy", "num_failed").rows() == [(0, None, 1)]


def test_a_trial_that_answers_every_value_counts_once(builder):
    # magnitude does not care for rounds: one trial, two points
    for iterations in (1, 100):
        builder.point("m", pruner="magnitude", iterations=iterations)
    builder.trial("m", final_validation_accuracy=0.8, final_test_accuracy=0.7)
    choices, accuracies = both(builder, "iterations")
    assert choices.select("chosen", "num_tied", "num_values").rows() == [("iterations 1", 2, 2)]
    assert accuracies.select("curve", "n", "mean_accuracy").rows() == [("magnitude", 1, 0.7)]


def test_collapsed_trials_stay_in_both_means(builder):
    for seed, layers in enumerate((0, 1)):
        builder.both(
            f"c{seed}",
            point={"lr": 0.1, "seed": seed},
            final_validation_accuracy=0.9 - 0.8 * layers,
            final_test_accuracy=0.9 - 0.8 * layers,
            collapsed_layers=layers,
        )
        run(builder, 0.01, seed, 0.6, 0.6)
    choices, accuracies = both(builder)
    assert choices["chosen"].to_list() == ["lr 0.01"]  # 0.6 against (0.9 + 0.1) / 2
    assert accuracies["num_collapsed"].to_list() == [0]


def test_the_epoch_is_chosen_trial_by_trial(builder):
    for seed, (epoch, test) in enumerate([(12, 0.8), (18, 0.9)]):
        builder.both(
            f"e{seed}",
            point={"seed": seed},
            selected_epoch=epoch,
            selected_test_accuracy=test,
            final_test_accuracy=0.1,
        )
    choices, accuracies = both(builder, "epoch")
    assert choices.select("axis", "chosen", "n", "validation_accuracy").rows() == [
        ("epoch", "epochs 12 to 18", 2, None)
    ]
    assert accuracies.select("mean_accuracy", "chosen").rows() == [(pytest.approx(0.85), "epochs 12 to 18")]


def test_the_chosen_value_is_in_the_tooltip(builder):
    run(builder, 0.01, 0, 0.7, 0.9)
    run(builder, 0.1, 0, 0.8, 0.6)
    _, accuracies = both(builder)
    spec = accuracy.panel(accuracies, Palette.of(["synflow"])).to_dict()
    marks = next(layer for layer in spec["layer"] if layer["mark"]["type"] == "point")
    assert {"field": "chosen", "title": "chosen on validation", "type": "nominal"} in marks["encoding"]["tooltip"]


def test_without_an_axis_nothing_is_chosen_and_nothing_changes(builder):
    run(builder, 0.1, 0, 0.8, 0.6)
    store = scan(builder.write(), hidden=select.hidden(None))
    assert select.selected(store, None) is store
    assert select.table(store.results, None).collect().is_empty()
    assert "chosen" not in accuracy.table(store.results).collect_schema()


def refusal(builder, axis):
    results = scan(builder.write(), hidden=select.hidden(axis)).results
    return select.refusal(axis, select.needs(results, axis).collect().row(0, named=True))


def test_without_validation_accuracy_it_is_refused_with_what_to_do(builder):
    run(builder, 0.1, 0, 0.8, 0.6)
    run(builder, 0.01, 0, None, 0.6)
    assert refusal(builder, "lr") == (
        "--select lr goes by validation accuracy, and 1 of 2 completed trials have none: hold out images with "
        "`validation:` in the sweep file (a count such as 5000, or a fraction below 1) and run it"
    )
    assert "2 of 2 completed trials have none" in refusal(builder, "epoch")


def test_one_value_is_no_choice(builder):
    run(builder, 0.1, 0, 0.8, 0.6)
    assert refusal(builder, "lr") == "--select lr: it has one value in this store, so there is nothing to select"
    run(builder, 0.2, 0, 0.8, 0.6)
    assert refusal(builder, "lr") is None


@pytest.mark.parametrize(
    ("axis", "message"),
    [
        ("seed_init", "cannot select 'seed_init' on validation: it is what is compared, or luck"),
        ("weight_decy", "it is no setting; did you mean 'weight_decay'?"),
    ],
)
def test_an_axis_that_cannot_be_chosen_is_refused(axis, message):
    with pytest.raises(BadInput) as refused:
        select.hidden(axis)
    assert message in str(refused.value)


def test_a_report_is_of_the_chosen_trials_and_says_so(builder):
    for seed in range(2):
        run(builder, 0.01, seed, 0.7, 0.9)
        run(builder, 0.1, seed, 0.8, 0.625)
    builder.both("failed", point={"lr": 0.1, "density": 0.01}, error=("ValueError", "no"))
    builder.point("missing", lr=0.01, density=0.01)
    root = builder.write()
    collected = collect(root, select="lr")
    assert collected.tables["accuracy"].filter(density=0.1).select("n", "mean_accuracy", "chosen").rows() == [
        (2, 0.625, "lr 0.1")
    ]
    assert collected.tables["choices"]["chosen"].to_list() == ["lr 0.1", "lr 0.01"]
    # how far the sweep is and what failed is said of all of it
    assert (collected.counts["num_trials"], collected.counts["num_failed"], collected.counts["num_missing"]) == (
        6,
        1,
        1,
    )
    assert collected.tables["failures"]["num_trials"].to_list() == [1]
    assert any("whose lr was chosen by validation accuracy" in notice for notice in collected.notices)
    page = write_report(root, select="lr")[0].read_text()
    assert "Chosen on validation" in page
    assert "n=2, lr 0.1" in page
    assert "Chosen on validation" not in write_report(root)[0].read_text()


def test_a_report_cannot_select_without_validation_accuracy(builder):
    run(builder, 0.1, 0, None, 0.6)
    run(builder, 0.01, 0, 0.7, 0.6)
    with pytest.raises(BadInput, match="hold out images with `validation:`"):
        write_report(builder.write(), select="lr")
