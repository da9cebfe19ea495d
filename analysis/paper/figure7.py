"""Figure 7: how large is the largest cut of a pruning, over the flow R, at which number of rounds?

Below 1 suffices, under any schedule, that no layer collapses. Two panels, linear and exponential schedule; a line a
compression, over the number of rounds; a dashed rule at 1.
"""

from __future__ import annotations

import altair as alt
import polars as pl

from analysis import diagnostics
from analysis.inline_data import inline
from analysis.paper.publication import published
from analysis.paper.setting import COLUMNS, IMAGENET
from analysis.paper.tables import Tables, exponent, rows_of
from analysis.paper.titles import titled
from analysis.paper.verdict import Point, Rule
from analysis.scan import Trials
from analysis.trial_key import TRIAL

SCHEDULES = ("linear", "exponential")
KEYS = ["schedule", "compression_exponent", "iterations"]


def tables(store: Trials) -> Tables:
    """`ratios`: the largest cut / R of each trial, by schedule, compression exponent, rounds and seed."""
    largest = diagnostics.of_trials(store.results, store.layers, store.rounds)
    settings = store.results.select(*TRIAL, "curve", "schedule", "iterations", *COLUMNS).unique()
    ratios = largest.join(settings, on=[*TRIAL, "curve"]).select(
        "schedule",
        exponent().alias("compression_exponent"),
        "iterations",
        seed="seed_init",
        largest_cut="largest_cut_over_flow",
        **{name: name for name in COLUMNS},
    )
    # one round is one round under any schedule
    once = ratios.filter(pl.col("iterations") == 1).drop("schedule").unique()
    both = [once.with_columns(schedule=pl.lit(name)).select(ratios.collect_schema().names()) for name in SCHEDULES]
    found = pl.concat([ratios.filter(pl.col("iterations") > 1), *both])
    return {"ratios": found.sort(*KEYS, "seed").collect()}


def points(found: Tables) -> list[Point]:
    """Every cell of the figure; numbers were published for two of them."""
    theirs = {tuple(row[key] for key in KEYS): row for row in published("figure7.csv").iter_rows(named=True)}
    ours = rows_of(found["ratios"], KEYS)
    return [
        Point(
            figure="7",
            point=f"{schedule} schedule, compression exponent {power:g}, {rounds} rounds",
            measure="largest cut / R",
            rule=Rule(kind="mean", tolerance=0.5 * 10 ** -theirs[key]["decimals"] if key in theirs else 0.0),
            ours=tuple(ours[key]["largest_cut"]) if key in ours else (),
            theirs=(theirs[key]["largest_cut"],) if key in theirs else (),
            cause=IMAGENET.cause(ours[key]) if key in ours else "",
        )
        for key in sorted({*theirs, *ours}, key=lambda key: (key[0], key[1], key[2]))
        for schedule, power, rounds in [key]
    ]


def plot(found: Tables) -> alt.ConcatChart:
    """Linear beside exponential; the mean over seeds with its range, published numbers as diamonds."""
    ratios = found["ratios"]
    return alt.concat(*(_panel(ratios.filter(pl.col("schedule") == name), name) for name in SCHEDULES), columns=2)


def _panel(ratios: pl.DataFrame, schedule: str) -> alt.LayerChart:
    cut = pl.col("largest_cut")
    shown = ratios.group_by(KEYS).agg(mean=cut.mean(), low=cut.min(), high=cut.max()).sort(KEYS)
    theirs = published("figure7.csv").filter(pl.col("schedule") == schedule)
    y = alt.Y("mean:Q", title="largest cut / R", scale=alt.Scale(type="log"), axis=alt.Axis(format=".2~r", grid=False))
    colour = alt.Color("compression_exponent:O", title="compression exponent", scale=alt.Scale(scheme="viridis"))
    base = alt.Chart(inline(shown)).encode(
        x=alt.X("iterations:Q", title="pruning rounds", axis=alt.Axis(grid=False)), color=colour
    )
    rule = alt.Chart(alt.InlineData(values=[{"one": 1}])).mark_rule(strokeDash=[6, 4]).encode(y="one:Q")
    diamonds = (
        alt.Chart(inline(theirs))
        .mark_point(shape="diamond", size=90, strokeWidth=1.6, color="black", filled=False)
        .encode(x="iterations:Q", y="largest_cut:Q")
    )
    layers = [
        rule,
        base.mark_rule(strokeWidth=2).encode(y="low:Q", y2="high:Q"),
        base.mark_line(strokeWidth=1.8).encode(y=y),
        base.mark_point(size=34, filled=True, opacity=1).encode(y=y),
        diamonds,
    ]
    title = titled(f"{schedule} schedule", ratios, IMAGENET)
    return alt.LayerChart(layer=layers, width=320, height=280, title=title)
