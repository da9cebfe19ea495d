"""The points that a law of pruning is fitted to: one mean test error for each curve and density, or why there is none.

Error = 1 - final test accuracy. A collapsed network is at chance however many weights it has left, which no smooth law
describes: collapsed trials are left out of the mean and counted, like those that failed, diverged or are missing. What
is left at a density of which some trials collapsed is a mean of survivors.

A network's size is read from its model's name and options, so that members of one family can share a law:

width  `width_factor` (1 if not given) x `width` or the geometric mean of `widths`, x k of a `wrnD_k`
depth  `depth`, or the number of `widths` + 1, or the number in the names below

The defaults of `width`, `widths` and `depth` are not in the store, so where only some members of a family give one,
the others have no size (null). Members agree in everything else: data set, the kind of model, its other options.
"""

from __future__ import annotations

import polars as pl

from analysis.labels import PANEL

FAMILY = ["dataset_label", "family", "training_label", "curve"]
"""What shares a joint law."""

_FAMILIES = {
    r"^(?:wide_)?resnet(20|32|44|56|110|1202)$": "of three segments",
    r"^(?:wide_)?resnet(18|34)$": "of basic blocks",
    r"^(?:wide_)?resnet(50|101|152)$": "of bottlenecks",
    r"^vgg(\d+)(?:_bn)?$": "",
    r"^wrn(\d+)_\d+$": "",
    r"^conv(\d+)$": "",
}
"""Names that hold a depth, and what tells those apart that are built differently."""
_SIZES = r'"(?:depth|width|width_factor)":[^,}\]]*,?|"widths":\[[^\]]*\],?'


def table(results: pl.LazyFrame) -> pl.LazyFrame:
    """Points by panel, curve and density, dense to sparse.

    `error` is the mean of `n` trials, neither collapsed (`num_collapsed`) nor without a result (`num_absent`), with
    standard deviation `deviation` (null for n < 2); null for n = 0. `dense_error` is that of the network unpruned, null
    where no such trial completed; `guessing_error` = 1 - 1 / classes. `family`, `width` and `depth`: see above.
    """
    usable = (pl.col("outcome") == "completed") & pl.col("final_test_accuracy").is_finite().fill_null(False)
    collapsed = usable & (pl.col("collapsed_layers") > 0)
    error = (1 - pl.col("final_test_accuracy")).filter(usable & ~collapsed)
    cells = results.group_by(*PANEL, "curve", "density").agg(
        pl.col("model", "model_options").first(),
        error.len().cast(pl.Int64).alias("n"),
        error.mean().alias("error"),
        error.std().alias("deviation"),
        collapsed.sum().cast(pl.Int64).alias("num_collapsed"),
        (~usable).sum().cast(pl.Int64).alias("num_absent"),
        (1 - 1 / pl.col("num_classes").max()).alias("guessing_error"),
    )
    dense = pl.col("error").filter(pl.col("density") == 1).max()
    stated = [pl.col(size).is_not_null().any().over("dataset_label", "family") for size in ("width", "depth")]
    return (
        cells.with_columns(
            dense_error=dense.over(PANEL),
            guessing_error=pl.col("guessing_error").max().over("dataset_label"),
            family=_family(),
            width=_width(),
            depth=_depth(),
            width_factor=_option("width_factor").fill_null(1.0),
        )
        .with_columns(
            width=pl.col("width_factor") * pl.col("width").fill_null(pl.when(~stated[0]).then(1.0)),
            depth=pl.col("depth").fill_null(pl.when(~stated[1]).then(1.0)),
        )
        .drop("width_factor", "model", "model_options")
        .sort(*PANEL, "curve", "density", descending=[False] * 4 + [True])
    )


def _option(name: str) -> pl.Expr:
    return pl.col("model_options").str.json_path_match(f"$.{name}").cast(pl.Float64)


def _widths() -> pl.Expr:
    """The option `widths` as a list."""
    inside = pl.col("model_options").str.json_path_match("$.widths").str.strip_chars("[]")
    return inside.str.split(",").list.eval(pl.element().str.strip_chars().cast(pl.Float64))


def _width() -> pl.Expr:
    mean = _widths().list.eval(pl.element().log()).list.mean().exp()
    widening = pl.col("model").str.extract(r"^wrn\d+_(\d+)$").cast(pl.Float64)
    return pl.coalesce(_option("width"), mean, widening)


def _depth() -> pl.Expr:
    named = [pl.col("model").str.extract(pattern).cast(pl.Float64) for pattern in _FAMILIES]
    return pl.coalesce(_option("depth"), (_widths().list.len() + 1).cast(pl.Float64), *named)


def _family() -> pl.Expr:
    """The kind of model in words, with the options that are not sizes."""
    numberless = pl.col("model").str.replace_all(r"\d+", "")
    kind = pl.coalesce(
        *(
            pl.when(pl.col("model").str.contains(pattern)).then(
                pl.concat_str(numberless.str.strip_chars_end("_"), pl.lit(f" {how}" if how else ""))
            )
            for pattern, how in _FAMILIES.items()
        ),
        pl.col("model"),
    )
    others = pl.col("model_options").str.replace_all(_SIZES, "").str.strip_chars("{},").str.replace_all('"', "")
    words = others.str.replace_all(":", " ").str.replace_all(",", ", ")
    return pl.when(words == "").then(kind).otherwise(pl.concat_str(kind, pl.lit(", "), words))
