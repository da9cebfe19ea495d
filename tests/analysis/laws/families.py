"""Points of networks that follow the joint law of Rosenfeld et al. with known constants."""

from __future__ import annotations

import numpy as np
import polars as pl

GAMMA, P, E_UP, PSI, PHI = 0.8, 0.02, 0.85, 1.1, 0.6
WIDTHS, DEPTHS = (1.0, 2.0, 4.0), (20.0, 32.0, 56.0)


def law(dense_error, density, width, depth):
    """The formula as it is printed in the paper, with complex numbers."""
    m = depth**PHI * width**PSI * density
    drop = (E_UP / dense_error) ** (1 / GAMMA)
    return dense_error * abs((m - 1j * P * drop) / (m - 1j * P)) ** GAMMA


def family(
    seed=0, *, widths=WIDTHS, depths=DEPTHS, num_densities=14, relative_noise=0.0, noise=0.0, curve="snip"
) -> pl.DataFrame:
    """Points of each width and depth from density 1 to 10^-4; noise is a factor's, or added to every error alike."""
    generator = np.random.default_rng(seed)
    rows = []
    for width in widths:
        for depth in depths:
            dense = 0.3 * width**-0.3 * depth**-0.2

            def measured(error):
                return error * np.exp(relative_noise * generator.normal()) + noise * generator.normal()

            measured_dense = measured(dense)
            for density in np.logspace(0, -4, num_densities):
                error = measured_dense if density == 1 else measured(law(dense, density, width, depth))
                row = {"model_label": f"{width}x{depth}", "density": density, "width": width, "depth": depth}
                rows.append(row | {"dense_error": measured_dense, "error": error})
    return pl.DataFrame(rows).with_columns(
        dataset_label=pl.lit("digits"),
        family=pl.lit("net"),
        training_label=pl.lit(""),
        curve=pl.lit(curve),
        guessing_error=pl.lit(0.9),
        n=pl.lit(5, dtype=pl.Int64),
        num_collapsed=pl.lit(0, dtype=pl.Int64),
        num_absent=pl.lit(0, dtype=pl.Int64),
    )
