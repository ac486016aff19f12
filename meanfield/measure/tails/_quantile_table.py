"""Quantile ratios of stable laws and their inverse; the numbers are computed by benchmarks/stable_quantiles.py."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from meanfield.measure._arrays import Array, Bool, Float

_TABLE = json.loads((Path(__file__).parent / "_quantile_table.json").read_text())
ALPHAS = np.array(_TABLE["alpha"])
LOG_RATIO = np.array(_TABLE["log_ratio"])  # (alpha, beta)
SKEWNESS = np.array(_TABLE["skewness"])
SPREAD = np.array(_TABLE["spread"])  # standard error of the index times root n, symmetric laws


def index(
    xp: Any, log_ratio: Float[Array, "*lead"], skewness: Float[Array, "*lead"]
) -> tuple[Float[Array, "*lead"], Bool[Array, "*lead"]]:
    """The alpha whose stable law has this ratio and skewness, clipped to the table, and whether it lies inside.

    Source: McCulloch (1986), with linear interpolation, first in the skewness (beyond that of the totally skewed law: its), then
    in the logarithm of the ratio, which falls with alpha.
    """
    dtype = log_ratio.dtype
    rows = [
        xp.interp(skewness, xp.asarray(s.astype(dtype)), xp.asarray(r.astype(dtype)))
        for s, r in zip(SKEWNESS, LOG_RATIO, strict=True)
    ]
    ratios = xp.stack(rows, axis=-1)  # falling along the last axis
    ends = ratios[..., 0], ratios[..., -1]
    inside = (log_ratio <= ends[0]) & (log_ratio >= ends[1])
    low = xp.clip(xp.sum(ratios[..., 1:] > log_ratio[..., None], axis=-1), 0, len(ALPHAS) - 2)
    first = xp.take_along_axis(ratios, low[..., None], axis=-1)[..., 0]
    second = xp.take_along_axis(ratios, low[..., None] + 1, axis=-1)[..., 0]
    part = xp.clip((first - log_ratio) / (first - second), 0.0, 1.0)
    grid = xp.asarray(ALPHAS.astype(dtype))
    return grid[low] + part * (grid[low + 1] - grid[low]), inside
