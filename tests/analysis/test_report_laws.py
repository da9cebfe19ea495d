"""Comparisons and laws on the report's page."""

from analysis.report.write import write_report


def test_comparisons_and_laws_are_sections(realistic):
    write_report(realistic)
    page = (realistic / "report.html").read_text().replace("\u00a0", " ")
    assert "Who is ahead where" in page
    assert "Power laws: error = c · density^−γ" in page
    assert "is ahead of every other pruner" in page
    # eight densities are too few to fit a part and predict the rest
    assert "A tenth of the sweep predicts the rest" not in page


def test_one_trial_has_neither(builder):
    builder.both("a", point={}, layers={"in": (10, 1)})
    page = write_report(builder.write())[0].read_text()
    assert "Who is ahead where" not in page
    assert "Laws of the error" not in page
    assert "Power laws" not in page
