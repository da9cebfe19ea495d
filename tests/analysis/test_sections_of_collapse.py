"""The report's sections about collapse and rounds, on stores with little or nothing to say."""

import pytest

from analysis.report.write import write_report

SECTIONS = ("critical", "first-empty", "effective", "phases", "least-rounds")


def sections(page):
    return [name for name in SECTIONS if f'<section id="{name}"' in page]


def written(builder):
    return write_report(builder.write(), also=("png", "csv"))[0].read_text()


def test_one_dense_trial_has_an_effective_density_alone(builder):
    builder.both("a", point={"density": 1.0}, density=1.0, effective_density=1.0)
    assert sections(written(builder)) == ["effective"]


@pytest.mark.parametrize("collapsed", [0, 1])
def test_one_pruned_trial_is_not_yet_a_diagram(builder, collapsed):
    builder.both(
        "a",
        point={},
        layers={"in": (100, 10), "out": (10, 1 - collapsed)},
        collapsed_layers=collapsed,
        effective_density=0.1 * (1 - collapsed),
    )
    assert sections(written(builder)) == ["critical", *["first-empty"] * collapsed, "effective"]


def test_only_failures_have_none(builder):
    for iterations in (1, 10):
        builder.both(f"{iterations}", point={"iterations": iterations}, error=("ValueError", "no"))
    assert sections(written(builder)) == []


def test_two_numbers_of_rounds_make_a_diagram_and_refuse_a_law(builder):
    for iterations, layers in ((1, 1), (10, 0)):
        builder.both(
            f"{iterations}",
            point={"iterations": iterations},
            collapsed_layers=layers,
            layers={"in": (100, 10), "out": (10, 1 - layers)},
            rounds=[{"density": 0.1, "kept": 10, "score_cut": 3.0, "flow": 2.0, "collapsed_layers": layers}],
        )
    page = written(builder)
    assert sections(page) == list(SECTIONS)
    assert "no law: the least number of rounds is bounded on both sides at 1 sparsity, and it takes 3" in page


def test_names_reach_the_page_escaped(builder):
    hostile = "</script><script>alert(1)</script>"
    for iterations, layers in ((1, 1), (10, 0)):
        builder.both(
            f"{iterations}",
            point={"iterations": iterations, "pruner": hostile},
            collapsed_layers=layers,
            layers={hostile: (100, 10 * (1 - layers))},
        )
    assert "<script>alert(1)" not in written(builder)
