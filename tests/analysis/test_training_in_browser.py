"""The sections on training, masks and cost, as a person opens and uses them."""

from __future__ import annotations

import pytest

from analysis.report.write import write_report
from tests.analysis.conftest import StoreBuilder
from tests.analysis.test_report_in_browser import HOSTILE, browser, opened, pytestmark  # noqa: F401


@pytest.fixture(scope="module")
def page_path(tmp_path_factory):
    """Three curves, one of an unfriendly name, with epochs, masks, seconds and a pruning of a trained network."""
    builder = StoreBuilder(tmp_path_factory.mktemp("training") / "store")
    machine = {"train_seconds": 7200.0, "prune_seconds": 60.0, "live_macs": 500, "dense_macs": 1000}

    def epochs(*accuracies, level=1):
        return [
            {"level": level, "epoch": place, "test_accuracy": one, "test_loss": 2 - one, "train_loss": 1 - one}
            for place, one in enumerate(accuracies, start=1)
        ]

    for seed in range(2):
        builder.both(f"d{seed}", point={"density": 1.0, "seed": seed}, epochs=epochs(0.5, 0.9), **machine)
        for pruner, bits in {"snip": 240, HOSTILE: 204}.items():
            point = {"pruner": pruner, "seed": seed}
            masks = {"w": bytes([bits])}
            trial = f"{len(pruner)}-{seed}"
            builder.both(trial, point=point, epochs=epochs(0.3, 0.6 + 0.1 * seed), masks=masks, **machine)
    imp = {"pruner": "imp", "pre_epochs": 2, "levels": 1, "rewind": "weights"}
    levels = epochs(0.5, 0.8, level=0) + epochs(0.6, 0.7)
    builder.both("imp", point=imp, epochs=levels, rounds=[{"density": 0.1}], **machine)
    return write_report(builder.write())[0]


@pytest.mark.parametrize("width", [390, 1280])
def test_every_section_is_there_and_fits(browser, page_path, width):  # noqa: F811
    with opened(browser, page_path, width=width) as page:
        for section in ("pareto", "training", "stability", "overlap", "cost", "speedup"):
            assert page.locator(f"#{section} .chart svg.marks").count() >= 1, section
        assert page.evaluate("document.documentElement.scrollWidth") == width
        cells = page.locator("#overlap-0 g.mark-rect path").count()
        assert cells == 2 + 2  # both ways round, and the diagonal's two seeds of each


def test_sparsity_and_measure_are_chosen_and_curves_are_hidden(browser, page_path):  # noqa: F811
    with opened(browser, page_path) as page:
        chart = page.locator("#curves-0")
        lines = chart.locator("g.mark-line path")
        axis = chart.locator("g.role-axis-label").last
        sparsity, shown = (chart.locator("select").nth(place) for place in (0, 1))
        sparsity.select_option("90 %")
        page.wait_for_timeout(300)
        assert lines.count() == 3
        assert "%" in axis.text_content()
        shown.select_option("test loss")
        page.wait_for_timeout(300)
        assert "%" not in axis.text_content()
        sparsity.select_option("0 %")
        page.wait_for_timeout(300)
        assert lines.count() == 1
        sparsity.select_option("90 %")
        page.locator(".key", has_text="snip").first.click()
        page.wait_for_timeout(300)
        assert lines.count() == 2
        assert page.locator("#overlap-0 g.mark-rect path").count() == 1
