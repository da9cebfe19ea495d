"""How do a sweep's curves compare with published ones? Read from a table with one accuracy a row, a run or a mean.

Columns: `pruner`; one of `compression_exponent`, `compression_ratio`, `density`, `sparsity` (fractions); and one of
`top1_accuracy` (per cent), `accuracy` (a fraction). With `dataset`, `model` or `iterations` a curve is compared only
with results of the same; `run` and everything else tell runs of one point apart. CSV or Parquet.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import altair as alt
import polars as pl

from analysis import accuracy, student
from analysis.axis import sparsity_axis
from analysis.inline_data import inline
from analysis.labels import PANEL
from analysis.palette import Palette
from analysis.sparsity import sparsity_texts
from orchestrator.errors import BadInput, did_you_mean

CONFIDENCE = 0.95
KEYS = ("dataset", "model", "pruner", "iterations")
"""Columns that are matched with a sweep's own, where the file has them."""
COMPRESSIONS = {
    "compression_exponent": 10.0 ** -pl.col("compression_exponent"),
    "compression_ratio": 1 / pl.col("compression_ratio"),
    "density": pl.col("density"),
    "sparsity": 1 - pl.col("sparsity"),
}
"""Columns that say how much is kept, and the density they mean."""
ACCURACIES = {"top1_accuracy": pl.col("top1_accuracy") / 100, "accuracy": pl.col("accuracy")}
"""Columns that hold an accuracy, and the fraction they mean."""
_SCHEMA = {
    **dict.fromkeys(PANEL, pl.String), "curve": pl.String, "density": pl.Float64, "n": pl.Int64,
    "mean_accuracy": pl.Float64, "published": pl.String, "published_n": pl.Int64,
    "published_accuracy": pl.Float64, "difference": pl.Float64,
    "interval_low": pl.Float64, "interval_high": pl.Float64,
}  # fmt: skip


def read(path: str | Path) -> pl.DataFrame:
    """Published accuracies: the columns of `KEYS` that the file has, `density` and `accuracy` (fractions).

    Raises BadInput naming file and column where it is not such a table.
    """
    path = Path(path)
    if not path.is_file():
        raise BadInput(f"--reference {path}: there is no such file; expected a CSV or Parquet file of accuracies")
    try:
        found = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path, infer_schema_length=None)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise BadInput(
            f"{path}: not a {path.suffix.lstrip('.') or 'CSV'} table: {str(error).splitlines()[0]}"
        ) from None
    if "pruner" not in found.columns:
        raise BadInput(f"{path}: it has no column 'pruner', {did_you_mean('pruner', found.columns)}")
    share = _one_of(path, found, ACCURACIES)
    density = _one_of(path, found, COMPRESSIONS)
    found = found.with_columns(pl.col(density, share).cast(pl.Float64, strict=False))
    keys = [name for name in KEYS if name in found.columns]
    texts = [pl.col(name).cast(pl.Int64 if name == "iterations" else pl.String, strict=False) for name in keys]
    rows = found.select(*texts, COMPRESSIONS[density].alias("density"), ACCURACIES[share].alias("accuracy"))
    _check(path, found, rows, keys, density, share)
    return rows


def _one_of(path: Path, found: pl.DataFrame, choices: dict[str, pl.Expr]) -> str:
    """The column of `choices` that the file has: exactly one, and of numbers."""
    present = [name for name in choices if name in found.columns]
    if len(present) != 1:
        had = f"has {' and '.join(map(repr, present))}" if present else f"has columns {', '.join(found.columns)}"
        raise BadInput(f"{path}: expected exactly one column of {', '.join(choices)}; it {had}")
    if not found.schema[present[0]].is_numeric():
        wrong = found.filter(found[present[0]].cast(pl.Float64, strict=False).is_null())[present[0]]
        if len(wrong):
            raise BadInput(f"{path}: column {present[0]!r} holds {wrong[0]!r}, expected numbers")
    return present[0]


def _check(path: Path, found: pl.DataFrame, rows: pl.DataFrame, names: list[str], density: str, share: str) -> None:
    """Raise BadInput at the first value that cannot be meant."""
    if rows.is_empty():
        raise BadInput(f"{path}: it holds no rows")
    limits = {
        density: ((pl.col("density") > 0) & (pl.col("density") <= 1 + 1e-9), "a density in (0, 1]"),
        share: (pl.col("accuracy").is_between(0, 1), "an accuracy of 0 to 100 %"),
    }
    for column, (is_right, expected) in limits.items():
        wrong = rows.select((~is_right).fill_null(True).alias("wrong"))["wrong"].arg_true()
        if len(wrong):
            raise BadInput(
                f"{path}: column {column!r} holds {found[column][wrong[0]]} in row {wrong[0] + 1}, expected {expected}"
            )
    for name in names:
        empty = rows[name].is_null().arg_true()
        if len(empty):
            raise BadInput(
                f"{path}: column {name!r} holds {found[name][empty[0]]!r} in row {empty[0] + 1}, expected a value"
            )


def means(published: pl.DataFrame) -> pl.DataFrame:
    """Published means: the file's columns of `KEYS`, `density`, `published_n`, `published_accuracy`, `spread`."""
    keys = [name for name in KEYS if name in published.columns]
    share = pl.col("accuracy")
    return (
        published.group_by(*keys, _place().alias("place"), maintain_order=True)
        .agg(
            pl.col("density").first(),
            pl.len().cast(pl.Int64).alias("published_n"),
            share.mean().alias("published_accuracy"),
            share.std().alias("spread"),
        )
        .sort(*keys, "place")
    )


def curves(results: pl.LazyFrame) -> pl.LazyFrame:
    """The curves of a sweep with what a published one is matched by: `PANEL`, `curve` and the columns of `KEYS`."""
    return results.select(*PANEL, "curve", *KEYS).unique().sort(*PANEL, "curve", *KEYS)


def matched(published: pl.DataFrame, own: pl.DataFrame) -> pl.DataFrame:
    """Published means beside each curve (collected `curves`) of the same data set, model, pruner and rounds.

    Columns `PANEL`, `curve`, those of `means`, and `published`, the published curve's name.
    """
    keys = [name for name in KEYS if name in published.columns]
    name = pl.concat_str([pl.col("pruner"), *([pl.format("{} rounds", "iterations")] if "iterations" in keys else [])],
                         separator=", ")  # fmt: skip
    return (
        means(published)
        .with_columns(published=name)
        .join(own.select(*PANEL, "curve", *keys).unique(), on=keys)
        .sort(*PANEL, "curve", "place")
    )


def table(published: pl.DataFrame, own: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Where both have a point: ours minus theirs. `rows` is a collected `accuracy.table`, `own` collected `curves`.

    `interval_low` to `interval_high` is Welch's 95 % interval of `difference`, null unless both have n >= 2: runs of
    others are not paired with ours. Sorted by panel and curve, dense to sparse.
    """
    ours = rows.filter(pl.col("n") > 0).with_columns(place=_place())
    found = ours.join(
        matched(published, own).drop("density"), on=[*PANEL, "curve", "place"], how="inner", maintain_order="left"
    )
    n, other = pl.col("n"), pl.col("published_n")
    # the standard error of our mean, from its interval
    mine = ((pl.col("interval_high") - pl.col("mean_accuracy")) / student.quantile(n - 1, accuracy.CONFIDENCE)) ** 2
    theirs = pl.col("spread") ** 2 / other
    freedom = (mine + theirs) ** 2 / (mine**2 / (n - 1) + theirs**2 / (other - 1))
    difference = pl.col("mean_accuracy") - pl.col("published_accuracy")
    return (
        found.with_columns(difference=difference, variance=mine + theirs, freedom=freedom)
        .with_columns(half=student.quantile(pl.col("freedom"), CONFIDENCE) * pl.col("variance").sqrt())
        .with_columns(
            interval_low=pl.col("difference") - pl.col("half"), interval_high=pl.col("difference") + pl.col("half")
        )
        .select(pl.col(name).cast(kind) for name, kind in _SCHEMA.items())
    )  # fmt: skip


def unmatched(published: pl.DataFrame, own: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """What has no partner: `side` ("published" or "ours"), `curve` in words, `num_points` (densities) and `reason`."""
    keys = [name for name in KEYS if name in published.columns]
    pairs = matched(published, own)
    ours = rows.filter(pl.col("n") > 0).with_columns(place=_place())
    common = pairs.join(ours.select(*PANEL, "curve", "place"), on=[*PANEL, "curve", "place"])
    words = pl.concat_str([pl.col(name).cast(pl.String) for name in keys], separator=", ")
    theirs = (
        means(published)
        .join(common.select(*keys, "place").unique(), on=[*keys, "place"], how="anti")
        .join(pairs.select(keys).unique().with_columns(known=True), on=keys, how="left")
        .group_by(*keys, maintain_order=True)
        .agg(pl.len().cast(pl.Int64).alias("num_points"), pl.col("known").first())
        .select(
            side=pl.lit("published"),
            curve=words,
            num_points="num_points",
            reason=pl.when(pl.col("known").fill_null(False))
            .then(pl.lit("not at these sparsities here"))
            .otherwise(pl.lit(f"no such {', '.join(keys)} here")),
        )
    )
    mine = (
        ours.join(common.select(*PANEL, "curve", "place").unique(), on=[*PANEL, "curve", "place"], how="anti")
        .join(pairs.select(*PANEL, "curve").unique().with_columns(known=True), on=[*PANEL, "curve"], how="left")
        .group_by(*PANEL, "curve", maintain_order=True)
        .agg(pl.len().cast(pl.Int64).alias("num_points"), pl.col("known").first())
        .select(
            side=pl.lit("ours"),
            curve=pl.format("{} on {}: {}", "model_label", "dataset_label", "curve"),
            num_points="num_points",
            reason=pl.when(pl.col("known").fill_null(False))
            .then(pl.lit("not published at these sparsities"))
            .otherwise(pl.lit("no such curve published")),
        )
    )
    return pl.concat([theirs, mine])


def overlay(published: pl.DataFrame, own: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows to draw: of `rows` the panels with a published curve, then these curves, with `published` set.

    A published curve that several of ours match is drawn once, in the look of the last of them.
    """
    pairs = matched(published, own)
    drawn = pairs.group_by(*PANEL, "published", "place", maintain_order=True).agg(pl.all().last())
    return pl.concat(
        [rows.join(pairs.select(PANEL).unique(), on=PANEL, how="semi"), drawn.select(*PANEL, "curve", "density",
         "published", "published_n", "published_accuracy", compression_ratio=1 / pl.col("density"))],
        how="diagonal",
    )  # fmt: skip


def panel(
    rows: pl.DataFrame, palette: Palette, *, title: str = "", width: Any = "container", lowest: float = 0.0
) -> alt.LayerChart:
    """`accuracy.panel` with the published curves of an `overlay` on top: thin, with small open diamonds."""
    theirs = rows.filter(pl.col("published").is_not_null())
    highest = max(theirs["published_accuracy"], default=0.0)
    # rows of published points have no n: they widen the axis and draw no mark of ours
    ours = rows.select(name for name in rows.columns if not name.startswith("published"))
    chart = accuracy.panel(ours, palette, title=title, width=width, lowest=lowest, highest=highest)
    texts = sparsity_texts(theirs["density"])
    shown = theirs.select(
        "curve", "published", "published_n", "published_accuracy", "compression_ratio",
        sparsity_text=pl.col("density").replace_strict(texts, return_dtype=pl.String),
    )  # fmt: skip
    colour = alt.Color("curve:N", scale=palette.colour_scale(), legend=None)
    base = (
        alt.Chart(inline(shown))
        .transform_filter("indexof(hidden, datum.curve) < 0")
        .encode(x=sparsity_axis(rows["density"]), y="published_accuracy:Q", detail="published:N")
    )
    line = base.mark_line(strokeWidth=1, opacity=0.75).encode(color=colour)
    marks = base.mark_point(shape="diamond", size=26, strokeWidth=1.2, opacity=1).encode(
        stroke=alt.Stroke("curve:N", scale=palette.colour_scale(), legend=None),
        fill=alt.value({"expr": "paper"}),
        tooltip=[
            alt.Tooltip("published:N"),
            alt.Tooltip("sparsity_text:N", title="sparsity"),
            alt.Tooltip("published_accuracy:Q", title="published mean", format=".1%"),
            alt.Tooltip("published_n:Q", title="runs (n)"),
        ],
    )
    return alt.LayerChart(data=chart.data, layer=[*chart.layer, line, marks], width=width, height=320, title=title)


def plot(rows: pl.DataFrame, palette: Palette | None = None) -> alt.ConcatChart:
    """All panels of an `overlay` beside each other: a figure for a notebook or a paper."""
    palette = palette or Palette.of(rows["curve"])
    panels = [
        panel(of_panel, palette, title=accuracy.panel_title(key), width=380)
        for key, of_panel in rows.partition_by(PANEL, as_dict=True, maintain_order=True).items()
    ]
    return alt.concat(*panels, columns=2).add_params(accuracy.paper(), alt.param(name="hidden", value=[]))


def _place() -> pl.Expr:
    """The compression exponent to six decimals: densities that are written with other digits meet."""
    return (-pl.col("density").log10() * 1e6).round().cast(pl.Int64)
