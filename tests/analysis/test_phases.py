import polars as pl
import pytest
import vl_convert

from analysis import phases
from analysis.labels import without_rounds
from analysis.palette import Palette
from analysis.report.panels import slim
from analysis.report.section import VEGALITE
from analysis.scan import scan


def cut(score_cut, flow):
    return {"density": 0.5, "kept": 5, "score_cut": score_cut, "flow": flow, "collapsed_layers": 0}


def table(builder):
    store = scan(builder.write())
    return phases.table(store.results, store.rounds).collect()


def fill(builder):
    """SynFlow in 1 and 10 rounds at 90 %, three seeds; magnitude in one; the dense trial that they share."""
    builder.both("dense", point={"density": 1.0, "pruner": "magnitude"})
    for iterations in (1, 10):
        builder.point("dense", density=1.0, iterations=iterations)
    builder.both("m", point={"pruner": "magnitude"}, rounds=[cut(9, 1)])
    for seed, accuracy, layers, rounds in [
        (0, 0.8, 0, [cut(1, 2), cut(6, 2)]),  # the largest of 0.5 and 3
        (1, 0.1, 2, [cut(2, 2), cut(0, 0)]),  # 1; nothing flows in the second
    ]:
        builder.both(
            f"s{seed}", point={"seed": seed}, final_test_accuracy=accuracy, collapsed_layers=layers, rounds=rounds
        )
    builder.both("s2", point={"seed": 2}, final_test_loss=float("nan"), collapsed_layers=1, rounds=[cut(0, 0)])
    builder.both("ten", point={"iterations": 10}, final_test_accuracy=0.9, rounds=[cut(1, 4)])
    builder.both("failed", point={"iterations": 10, "seed": 1}, error=("ValueError", "no"), rounds=[cut(99, 1)])
    builder.point("missing", iterations=10, seed=2)


def test_cells_have_accuracy_collapse_and_the_largest_cut(builder):
    fill(builder)
    one, ten = table(builder).rows(named=True)
    assert (one["method"], one["curve"], one["iterations"], one["density"]) == ("synflow", "synflow, 1 round", 1, 0.1)
    assert (one["n"], one["mean_accuracy"], one["num_diverged"]) == (2, pytest.approx(0.45), 1)
    assert (one["num_collapsed"], one["num_pruned"], one["collapsed_share"]) == (2, 3, pytest.approx(2 / 3))
    assert (one["num_cut"], one["mean_largest_cut"]) == (2, pytest.approx(2.0))  # (3 + 1) / 2
    assert (ten["iterations"], ten["n"], ten["mean_accuracy"], ten["mean_largest_cut"]) == (10, 1, 0.9, 0.25)
    assert (ten["num_failed"], ten["num_missing"], ten["num_pruned"], ten["num_cut"]) == (1, 1, 1, 1)


def test_a_pruner_with_one_number_of_rounds_has_no_diagram(builder):
    builder.both("a", point={"iterations": 100}, rounds=[cut(1, 1)])
    assert table(builder).is_empty()


def test_a_score_that_is_not_finite_is_no_ratio(builder):
    for iterations in (1, 2):
        builder.both(
            f"{iterations}", point={"iterations": iterations}, rounds=[cut(float("nan"), 1), cut(float("inf"), 1)]
        )
    assert table(builder).select("num_cut", "mean_largest_cut").rows() == [(0, None), (0, None)]


@pytest.mark.parametrize(
    ("curve", "method"),
    [
        ("synflow", "synflow"),
        ("synflow, 1 round", "synflow"),
        ("synflow, 100 rounds, linear", "synflow, linear"),
        ("synflow, linear", "synflow, linear"),
        ("my.pruner:Best, 10 rounds, 3 rounds of mine", "my.pruner:Best, 3 rounds of mine"),
    ],
)
def test_a_method_is_a_curve_less_its_rounds(curve, method):
    assert pl.select(without_rounds(pl.lit(curve))).item() == method


def test_a_diagram_is_coloured_by_what_is_chosen(builder):
    fill(builder)
    cells = table(builder)
    spec = phases.plot(cells).to_dict()
    svg = vl_convert.vegalite_to_svg(spec, vl_version=VEGALITE)
    # two cells in each of three diagrams, with their accuracy, collapsed share and cut
    assert svg.count('aria-roledescription="rect mark"') == 6
    texts = [text for text in ("45", "90", "67", "0.25") if f">{text}<" in svg]
    assert texts == ["45", "90", "67", "0.25"]
    on_page = phases.panel(cells, Palette.of(cells["curve"])).properties(width=300).to_dict()
    assert on_page["params"][0]["bind"]["options"] == ["mean_accuracy", "collapsed_share", "mean_largest_cut"]
    for measure, text in (("mean_accuracy", "45"), ("collapsed_share", "67"), ("mean_largest_cut", "0.25")):
        on_page["params"][0]["value"] = measure
        assert f">{text}<" in vl_convert.vegalite_to_svg(on_page, vl_version=VEGALITE)
    # the page carries only fields that a chart names
    (carried,) = slim(on_page)["datasets"].values()
    assert {f"{measure}_{kind}" for measure in phases.MEASURES for kind in ("level", "text")} <= set(
        carried.partition("\n")[0].split(",")
    )
