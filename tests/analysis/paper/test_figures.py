"""Each figure's numbers and drawing, from stores of literal rows."""

import re
from typing import Any

import polars as pl
import pytest
import vl_convert

from analysis import accuracy
from analysis import collapse as collapsed
from analysis.paper import figure1, figure2, figure3, figure4, figure5a, figure5b, figure6, figure7
from analysis.paper.figures import FIGURES, Figure, write_figure
from analysis.paper.publication import published
from analysis.report.section import VEGALITE
from analysis.report.write import write_report
from analysis.scan import scan

IMAGENET = {"dataset": "blank", "dataset_options": '{"num_classes":1000,"shape":[3,224,224]}', "model": "vgg19"}
CIFAR100 = {"dataset": "cifar100", "model": "vgg16_bn"}
NOT_TRAINED = {"final_test_accuracy": None, "final_test_loss": None, "best_test_accuracy": None}


def verdicts(module, found):
    return {point.point: point.judged() for point in module.points(found)}


def of_ours(module, found):
    return {point.point: point.judged() for point in module.points(found) if point.ours}


def drawn(module, found):
    svg = vl_convert.vegalite_to_svg(module.plot(found).to_dict(), vl_version=VEGALITE)
    assert svg.startswith("<svg")
    return svg


def collapse(builder, pruner, first_empty, seeds=1, quarters=range(10, 19), **point):
    """Networks on a grid, from 2.5 to 4.5 unless given, that have an empty layer from an exponent on."""
    for seed in range(seeds):
        for quarter in quarters:
            density = float(f"{10 ** (-quarter / 4):.12g}")
            where = CIFAR100 | {"pruner": pruner, "density": density, "seed": seed, "epochs": 0} | point
            empty = int(quarter / 4 >= first_empty)
            builder.both(f"{pruner}-{point}-{seed}-{quarter}", point=where, collapsed_layers=empty, **NOT_TRAINED)


def test_figure_1_compares_critical_exponents_by_pruner(builder):
    collapse(builder, "magnitude", 3.0)
    collapse(builder, "snip", 4.25)
    collapse(builder, "grasp", 3.75)
    collapse(builder, "grasp", 3.75, ablation="invert")
    collapse(builder, "grasp", 3.75, ablation="invert", pruner_options='{"temperature":1}')
    collapse(builder, "synflow", 4.0, dataset="digits")
    for number, first in enumerate((3.0, 3.25, 4.0, 4.25)):
        for seed in range(3):
            collapse(builder, "random", first, seed_init=3 * number + seed)
    found = figure1.tables(scan(builder.write()))
    assert verdicts(figure1, found) == {
        "magnitude": ("agrees", ""),  # 2.75: as all published runs
        "snip": ("differs", ""),  # 4.0: more than a step from 3.5, which was published
        "grasp, as scored, default options": ("not comparable", figure1.OTHER_GRASP),
        "grasp, invert, default options": ("not comparable", figure1.OTHER_GRASP),
        "grasp, invert, temperature 1": ("agrees", ""),
        "random": ("agrees", ""),  # 2.75 to 4.0 over twelve seeds
        "synflow": ("not comparable", "data set digits, published cifar100"),
    }
    svg = drawn(figure1, found)
    assert ">digits<" in svg  # one of them is of other images
    # a value of the legend is a number of networks that some dot has
    assert re.findall(r">([^<>\n]+)</text>", svg.partition(">networks<")[0])[-2:] == ["1", "3"]


def test_figure_1_says_whether_the_layers_die_first_that_did_in_the_published_run(builder):
    assert figure1.published_first_empty() == {
        "random": [0],
        "magnitude": [8, 9, 10, 11, 12],
        "snip": [8, 9, 10],
        "grasp": [10],
    }
    deaths = {
        ("magnitude", 0): [12], ("magnitude", 1): [9, 13], ("magnitude", 2): [13],
        ("snip", 0): [11], ("random", 0): [0, 1], ("synflow", 0): [0],
    }  # fmt: skip
    for (pruner, seed), dead in deaths.items():
        layers = {f"l{depth}": (100, int(depth not in dead)) for depth in range(14)}
        where = CIFAR100 | {"pruner": pruner, "seed": seed, "epochs": 0}
        name = f"{pruner}-{seed}"
        builder.both(f"{name}-whole", point=where | {"density": 0.1}, collapsed_layers=0, **NOT_TRAINED)
        builder.both(f"{name}-first", point=where | {"density": 10**-1.25}, layers=layers, collapsed_layers=1)
        # what dies later counts for nothing
        all_dead = dict.fromkeys(layers, (100, 0))
        builder.both(f"{name}-later", point=where | {"density": 0.01}, layers=all_dead, collapsed_layers=14)
    found = figure1.tables(scan(builder.write()))
    said = {point.point: point for point in figure1.points(found) if "first" in point.point}
    assert {name: (point.ours, point.judged()[0]) for name, point in said.items()} == {
        "magnitude, first collapse": ((1.0, 1.0, 0.0), "agrees"),
        "random, first collapse": ((1.0,), "agrees"),
        "snip, first collapse": ((0.0,), "differs"),
    }
    assert said["snip, first collapse"].measure == "empties layer 8 or 9 or 10, from 0 (1: yes)"
    assert found["first_empty"].filter(pl.col("seed") == 1).select("curve", "depth").rows() == [
        ("magnitude", 9), ("magnitude", 13),
    ]  # fmt: skip


def test_figure_1_on_a_coarser_or_shorter_grid_is_not_comparable(builder):
    collapse(builder, "magnitude", 3.0, quarters=range(4, 25, 4))  # 1, 2, 3 ...: anywhere above 2
    collapse(builder, "snip", 2.0, quarters=range(8, 25))  # empty at the first point
    collapse(builder, "synflow", 9.0, quarters=range(4, 17))  # none up to 4
    collapse(builder, "random", 3.0, seeds=2, quarters=(8, 11, 12))  # coarse where nothing happens
    found = figure1.tables(scan(builder.write()))
    assert verdicts(figure1, found) == {
        "grasp": ("not comparable", "no result here yet"),
        "magnitude": ("not comparable", "the grid here has no point between 2 and 3, published steps of 0.25"),
        "random": ("differs", ""),  # 2.75 twice, published up to 3.75
        "snip": ("not comparable", "the grid here has no point between 0 and 2, published steps of 0.25"),
        "synflow": ("not comparable", "the grid here ends at 4, published 6"),
    }


def test_a_network_that_was_trained_and_also_only_pruned_counts_once(builder):
    collapse(builder, "random", 3.0, seeds=3)
    for quarter in (4, 8):
        trained = CIFAR100 | {"pruner": "random", "density": 10 ** (-quarter / 4), "seed": 0, "epochs": 160}
        builder.both(f"trained-{quarter}", point=trained, collapsed_layers=0)
    found = figure1.tables(scan(builder.write()))
    assert found["critical"].select("seed", "critical_exponent", "epochs").rows() == [
        (0, 2.75, 160), (1, 2.75, 160), (2, 2.75, 160),
    ]  # fmt: skip


def test_a_network_of_which_a_point_is_missing_has_no_critical_exponent_yet(builder):
    collapse(builder, "magnitude", 3.0)
    builder.point("later", **CIFAR100, pruner="magnitude", density=0.5, epochs=0)
    found = figure1.tables(scan(builder.write()))
    assert verdicts(figure1, found)["magnitude"] == ("not comparable", "no result here yet")


def test_figure_1_says_what_is_missing_and_draws_accuracy_where_there_is_any(builder):
    for exponent, best in ((1, 0.7), (2, 0.6)):
        point = CIFAR100 | {"pruner": "magnitude", "density": 10.0**-exponent, "epochs": 160}
        builder.both(f"m{exponent}", point=point, best_test_accuracy=best, collapsed_layers=0)
    found = figure1.tables(scan(builder.write()))
    assert found["accuracy"]["best_test_accuracy"].to_list() == [0.7, 0.6]
    assert "epochs" not in drawn(figure1, found)  # as published
    assert verdicts(figure1, found)["synflow"] == ("not comparable", "no result here yet")
    assert "best test accuracy" in drawn(figure1, found)


LAYERS = {"features.0": (100, 10), "features.3": (1000, 0), "classifier": (200, 50)}


def test_figure_2_holds_synflow_to_its_proof_below_maximal_compression(builder):
    full = {name: (size, 1) for name, (size, _) in LAYERS.items()}
    builder.both("m", point=IMAGENET | {"pruner": "magnitude", "density": 0.25, "epochs": 0}, layers=LAYERS,
                 collapsed_layers=1, **NOT_TRAINED)  # fmt: skip
    builder.both("s", point=IMAGENET | {"pruner": "synflow", "density": 0.25, "epochs": 0}, layers=full)
    # two weights for three layers: beyond maximal compression nobody is to blame
    few = {"features.0": (100, 1), "features.3": (1000, 0), "classifier": (200, 1)}
    builder.both("t", point=IMAGENET | {"pruner": "synflow", "density": 0.0015, "epochs": 0}, layers=few)
    found = figure2.tables(scan(builder.write()))
    assert of_ours(figure2, found) == {
        "magnitude, every compression": ("not comparable", "no number was published"),
        "magnitude, first collapse": ("agrees", ""),
        "synflow, every compression": ("agrees", ""),
    }
    magnitude = found["layers"].filter(pl.col("pruner") == "magnitude")
    assert magnitude["layer_density"].to_list() == [0.1, 0.0, 0.25]
    assert found["first_empty"].select("curve", "layer").rows() == [("magnitude", "features.3")]
    drawn(figure2, found)


def test_figure_2_says_whether_random_empties_the_smallest_layer_first_and_magnitude_a_widest(builder):
    sizes = {"smallest": 100, "wide": 1000, "as wide": 1000, "classifier": 200}
    deaths = {
        ("random", 0): {"smallest"}, ("random", 1): {"smallest", "classifier"}, ("random", 2): {"wide"},
        ("magnitude", 0): {"as wide"}, ("magnitude", 1): {"classifier"}, ("snip", 0): {"smallest"},
    }  # fmt: skip
    for (pruner, seed), dead in deaths.items():
        for density, empty in ((0.5, set()), (0.25, dead), (0.1, set(sizes))):  # what dies later counts for nothing
            layers = {name: (size, int(name not in empty)) for name, size in sizes.items()}
            point = IMAGENET | {"pruner": pruner, "density": density, "seed": seed, "epochs": 0}
            builder.both(f"{pruner}{seed}{density}", point=point, layers=layers, collapsed_layers=len(empty))
    said = {point.point: point for point in figure2.points(figure2.tables(scan(builder.write())))}
    random, magnitude = said["random, first collapse"], said["magnitude, first collapse"]
    assert (random.measure, random.ours, random.judged()[0]) == (
        "empties the smallest layer (1: yes)", (1.0, 1.0, 0.0), "agrees",
    )  # fmt: skip
    assert (magnitude.measure, magnitude.ours, magnitude.judged()[0]) == (
        "empties one of the widest layers (1: yes)", (1.0, 0.0), "differs",
    )  # fmt: skip
    assert "snip, first collapse" not in said


@pytest.mark.parametrize("module", [figure2, figure3, figure4])
def test_pruners_that_look_at_other_images_are_not_comparable_and_their_panels_say_at_which(module, builder):
    enlarged = {"dataset": "cifar100", "dataset_options": '{"size":224}', "density": 0.25, "epochs": 0}
    for pruner, point in (
        ("snip", {"dataset": "imagenet"}),
        ("grasp", enlarged),
        ("magnitude", {"dataset": "cifar10"}),
        ("synflow", {"dataset": "cifar10"}),
    ):
        full = {name: (size, 1) for name, (size, _) in LAYERS.items()}
        where = {"model": "vgg19", "density": 0.25, "epochs": 0, "pruner": pruner} | point
        builder.both(pruner, point=where, layers=full, scores=SCORES)
    found = module.tables(scan(builder.write()))
    causes = {name.split(",")[0]: cause for name, (_, cause) in of_ours(module, found).items()}
    assert causes == {
        "grasp": 'data set cifar100 {"size":224}, published imagenet',
        "magnitude": "no number was published",
        "snip": "no number was published",
        "synflow": "",  # what is proved holds for any network
    }
    svg = drawn(module, found)
    assert "cifar100, size 224" in svg
    assert ">imagenet<" in svg


SCORES = {"features.0": (5.0, 6.0, 1e-15), "features.3": (5.0, 6.0, 2e-15), "classifier": (5.0, 6.0, None)}


def conserving(builder):
    point = IMAGENET | {"density": 0.25, "epochs": 0}
    sizes = {name: (size, size // 2) for name, (size, _) in LAYERS.items()}
    builder.both("s", point=point | {"pruner": "synflow"}, layers=sizes, scores=SCORES)
    lost = SCORES | {"features.3": (5.0, 7.5, 0.25)}
    builder.both("m", point=point | {"pruner": "magnitude"}, layers=sizes, scores=lost)
    return scan(builder.write())


@pytest.mark.parametrize("module", [figure2, figure3, figure4])
def test_a_pruner_that_was_left_out_has_a_row_that_says_so(module, builder):
    found = module.tables(conserving(builder))  # magnitude and synflow alone
    missing = {point.point: point.judged() for point in module.points(found) if not point.ours}
    assert missing == {
        "random": ("not comparable", "no result here yet"),
        "snip": ("not comparable", "no result here yet: scored on images, published imagenet"),
        "grasp": ("not comparable", "no result here yet: scored on images, published imagenet"),
    }


def test_figure_3_is_the_largest_difference_over_units(builder):
    found = figure3.tables(conserving(builder))
    ours = {point.point: point.ours for point in figure3.points(found) if point.ours}
    assert ours == {"magnitude": (0.25,), "synflow": (2e-15,)}
    assert of_ours(figure3, found) == {
        "magnitude": ("not comparable", "no number was published"),
        "synflow": ("agrees", ""),
    }
    assert found["units"].is_empty()  # none were kept: the panels are empty
    drawn(figure3, found)


def test_figure_3_draws_all_units_of_a_small_layer_and_64_of_a_large_one(builder):
    point = IMAGENET | {"density": 0.25, "epochs": 0, "pruner": "synflow"}
    sizes = {name: (size, size // 2) for name, (size, _) in LAYERS.items()}
    units = {"features.0": [3.0, 1.0, 2.0], "features.3": [float(one) for one in range(1, 1001)]}
    builder.both("s", point=point, layers=sizes, scores=SCORES, units=units)
    rows = figure3.tables(scan(builder.write()))["units"]
    assert rows.filter(layer="features.0")["score_in"].to_list() == [1.0, 2.0, 3.0]
    large = rows.filter(layer="features.3")
    assert (large["score_in"].diff().drop_nulls().cast(int).unique().to_list(), large["score_in"].max()) == (
        [15, 16],
        1000.0,
    )
    assert (len(large), (large["score_out"] == -large["score_in"]).all()) == (64, True)


def test_figure_4_is_the_distance_of_layers_from_their_mean(builder):
    found = figure4.tables(conserving(builder))
    # 6, 7.5, 6: mean 6.5, of which 7.5 is 1 away
    assert {point.point: point.ours[0] for point in figure4.points(found) if point.ours} == {
        "magnitude": pytest.approx(1 / 6.5),
        "synflow": 0.0,
    }
    assert verdicts(figure4, found)["synflow"] == ("agrees", "")
    drawn(figure4, found)


def test_figure_5a_keeps_what_was_rewound_apart_from_what_was_published(builder):
    base = {"dataset": "cifar10", "model": "vgg11_bn", "pruner": "imp", "pre_epochs": 50, "epochs": 50}
    for rewind in ("none", "weights"):
        for levels, empty in ((1, 1), (5, 0)):
            for exponent in (1, 2):
                point = base | {"rewind": rewind, "levels": levels, "density": 10.0**-exponent}
                builder.both(f"{rewind}{levels}{exponent}", point=point, collapsed_layers=empty * (exponent - 1))
    found = figure5a.tables(scan(builder.write()))
    assert {point.point: (point.ours, point.cause) for point in figure5a.points(found)} == {
        "1 levels, not rewound, as published": ((1.0,), ""),
        "5 levels, not rewound, as published": ((2.0,), ""),
        "1 levels, rewound": ((1.0,), figure5a.REWOUND),
        "5 levels, rewound": ((2.0,), figure5a.REWOUND),
    }
    assert drawn(figure5a, found).count(">cifar10<") == 2


def test_figure_5b_is_the_slope_of_squared_weights_over_inverse_sizes(builder):
    sizes = {"a": (100, 50), "b": (1000, 500), "c": (10000, 5000)}
    totals = {0: (1.0, 10.0, 100.0), 100: (3.0, 3.0, 3.0)}  # the same mean; the same total
    for epochs, sums in totals.items():
        scores = {name: (1.0, total, None) for name, total in zip(sizes, sums, strict=True)}
        point = {"dataset": "cifar10", "model": "vgg19", "pruner": "magnitude", "pruner_options": '{"power":2}'}
        length = {"pre_epochs": epochs, "density": 0.25, "epochs": 100}
        builder.both(f"e{epochs}", point=point | length, layers=sizes, scores=scores)
    found = figure5b.tables(scan(builder.write()))
    expected: dict[str, Any] = {
        "after 0 epochs": (pytest.approx(0, abs=1e-12),),
        "after 100 epochs": (pytest.approx(1),),
    }
    assert {point.point: point.ours for point in figure5b.points(found)} == expected
    drawn(figure5b, found)


def test_figure_6_compares_cells_trained_as_published_with_the_published_runs(builder):
    cell = {"dataset": "cifar10", "model": "resnet18", "epochs": 160, "density": 1.0}
    runs = published("figure6_cifar10.parquet").filter(
        (pl.col("model") == "resnet18") & (pl.col("compression_exponent") == 0)
    )
    theirs = sorted(runs.filter(pl.col("pruner") == "synflow")["top1_accuracy"])
    for seed, percent in enumerate((94.9, 95.1, 95.0)):
        builder.both(f"s{seed}", point=cell | {"pruner": "synflow", "seed": seed}, final_test_accuracy=percent / 100)
        builder.both(f"n{seed}", point=cell | {"pruner": "snip", "seed": seed}, final_test_accuracy=0.5 + seed / 1000)
        builder.both(f"g{seed}", point=cell | {"pruner": "grasp", "seed": seed}, final_test_accuracy=0.95)
        short = cell | {"pruner": "random", "seed": seed, "epochs": 4}
        builder.both(f"r{seed}", point=short, final_test_accuracy=0.95)
    found = figure6.tables(scan(builder.write()))
    of = {point.point: point for point in figure6.points(found)}
    synflow = of["resnet18 on cifar10, synflow, compression exponent 0"]
    assert synflow.ours == pytest.approx((94.9, 95.1, 95.0))
    assert sorted(synflow.theirs) == theirs
    name = "resnet18 on cifar10, {}, compression exponent 0"
    judged = {pruner: of[name.format(pruner)].judged() for pruner in ("synflow", "snip", "grasp", "random")}
    assert judged == {
        "synflow": ("agrees", ""),
        "snip": ("differs", ""),
        "grasp": ("not comparable", figure1.OTHER_GRASP),
        "random": ("not comparable", "4 epochs, published 160"),
    }
    assert of["wide_resnet18 on cifar10, snip, compression exponent 1"].judged() == (
        "not comparable", figure6.NOT_WIDE,
    )  # fmt: skip
    drawn(figure6, found)


def cuts(builder, schedule, ratios, **where):
    for seed, ratio in enumerate(ratios):
        point = IMAGENET | {"pruner": "synflow", "schedule": schedule, "iterations": 100, "density": 0.001} | where
        rounds = [
            {"density": 0.5, "kept": 50, "score_cut": ratio, "flow": 1.0, "collapsed_layers": 0},
            {"density": 0.001, "kept": 1, "score_cut": 0.1, "flow": 0.5, "collapsed_layers": 0},
        ]
        builder.both(f"{schedule}{seed}{where}", point=point | {"seed": seed, "epochs": 0}, rounds=rounds)


LINEAR, EXPONENTIAL = (
    f"{schedule} schedule, compression exponent 3, 100 rounds" for schedule in ("linear", "exponential")
)


def test_figure_7_compares_the_largest_cut_at_the_published_points(builder):
    cuts(builder, "linear", (14.38, 14.41, 14.35))
    cuts(builder, "exponential", (0.81, 0.80, 0.81))
    found = figure7.tables(scan(builder.write()))
    assert verdicts(figure7, found) == {LINEAR: ("agrees", ""), EXPONENTIAL: ("differs", "")}
    drawn(figure7, found)


def test_figure_7_at_another_size_is_not_comparable_and_one_round_is_any_schedule(builder):
    small = {"dataset_options": '{"num_classes":10,"shape":[3,32,32]}'}
    cuts(builder, "linear", (15.1, 15.2), **small)
    cuts(builder, "exponential", (100.0,), iterations=1, **small)
    found = figure7.tables(scan(builder.write()))
    cause = 'data set blank {"num_classes":10,"shape":[3,32,32]}, published imagenet'
    assert verdicts(figure7, found)[LINEAR] == ("not comparable", cause)
    assert "blank, num_classes 10, shape 3x32x32" in drawn(figure7, found)
    assert verdicts(figure7, found)[EXPONENTIAL] == ("not comparable", "no result here yet")
    once = found["ratios"].filter(pl.col("iterations") == 1)
    assert once.select("schedule", "largest_cut").rows() == [("exponential", 100.0), ("linear", 100.0)]
    drawn(figure7, found)


def test_a_figure_is_written_with_its_tables_beside_the_store(builder):
    judged, paths = write_figure("3", str(conserving(builder).stores[0]), scale="full")
    assert judged["scale"].unique().to_list() == ["full"]
    names = ["figures/figure3.png", "figures/figure3.svg", "tables/figure3-layers.csv", "tables/figure3-units.csv"]
    names += [f"tables/figure3-agreement.{kind}" for kind in ("csv", "parquet", "md")]
    assert paths == [str(builder.root / name) for name in names]
    assert (builder.root / names[0]).read_bytes().startswith(b"\x89PNG")
    again = pl.read_parquet(builder.root / "tables" / "figure3-agreement.parquet")
    assert again.rows() == judged.rows()


@pytest.mark.parametrize("number", FIGURES)
def test_a_figure_can_be_drawn_of_nothing(number, builder):
    builder.point("a", density=0.5)
    figure = Figure.of(number)
    found = figure.tables(scan(builder.write()))
    assert all(point.judged()[0] == "not comparable" for point in figure.points(found))


def test_a_report_of_networks_that_were_only_pruned_has_no_accuracy_and_no_divergence(builder):
    collapse(builder, "magnitude", 3.0)
    builder.write()
    results = scan(builder.root).results.collect()
    assert results["outcome"].unique().to_list() == ["pruned"]
    assert write_report(builder.root)[0].stat().st_size > 100_000
    shares = collapsed.shares(scan(builder.root).results).collect()
    assert shares["num_collapsed"].to_list() == [0, 0, *[1] * 7]
    assert accuracy.table(scan(builder.root).results).collect()["n"].to_list() == [0] * 9
