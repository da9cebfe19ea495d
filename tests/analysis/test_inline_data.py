"""A chart's rows reach the browser as they are, whatever is in their text."""

from __future__ import annotations

import altair as alt
import polars as pl
import vl_convert

from analysis.inline_data import inline
from analysis.report.section import VEGALITE


def test_values_come_back_with_their_kinds():
    rows = pl.DataFrame(
        {
            "name": ['a, "b"', "line\nbreak", "</script>", "1"],
            "x": [0.123456789, None, 1e-9, 3.0],
            "n": [1, 2, 3, None],
            "is": [True, False, None, True],
        },
        schema_overrides={"n": pl.Int64},
    )
    told = (
        "(datum.name === '1') + ' ' + datum.x + ' ' + (datum.n === null) + ' ' + (datum.is === true) + ' ' + datum.name"
    )
    chart = alt.Chart(inline(rows)).transform_calculate(told=told).mark_text().encode(text="told:N", y="told:N")
    image = vl_convert.vegalite_to_svg(chart.to_dict(), vl_version=VEGALITE)
    for text in (
        "false 0.12346 false true a, &quot;b&quot;",
        "false null false false line",
        "false 1e-9 false false &lt;/script&gt;",
        "true 3 true true 1",
    ):
        assert text.replace("&quot;", '"') in image.replace("&quot;", '"'), text
