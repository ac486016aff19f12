"""Computes meanfield/measure/tails/_quantile_table.json: quantile ratios of stable laws. Minutes; run only to change the grid.

    python -m benchmarks.stable_quantiles

Quantiles come from `scipy.stats.levy_stable`, which inverts the characteristic function.
"""

import json
from pathlib import Path

import numpy as np
from scipy.stats import levy_stable

from meanfield import _files

ALPHAS = np.round(np.arange(0.5, 2.0001, 0.025), 6)
BETAS = (0.0, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
FILE = Path(__file__).parent.parent / "meanfield" / "measure" / "tails" / "_quantile_table.json"


def ratios(alpha: float, beta: float) -> tuple[float, float]:
    """Logarithm of (q95 - q05) / (q75 - q25), and the skewness of quantiles."""
    low, lower, middle, upper, high = levy_stable.ppf(LEVELS, alpha, beta)
    return float(np.log((high - low) / (upper - lower))), float((high + low - 2 * middle) / (high - low))


def spread(index: int, log_nu: np.ndarray) -> float:
    """Standard error of the estimate of alpha, times the root of n, for a symmetric law."""
    alpha, slope = float(ALPHAS[index]), np.gradient(log_nu, ALPHAS)[index]
    levels = np.array([0.05, 0.25, 0.75, 0.95])
    quantiles = np.asarray(levy_stable.ppf(levels, alpha, 0.0))
    density = np.asarray(levy_stable.pdf(quantiles, alpha, 0.0))
    covariance = (np.minimum.outer(levels, levels) - np.outer(levels, levels)) / np.outer(density, density)
    wide, narrow = quantiles[3] - quantiles[0], quantiles[2] - quantiles[1]
    gradient = np.array([-1 / wide, 1 / narrow, -1 / narrow, 1 / wide])
    return float(np.sqrt(gradient @ covariance @ gradient) / abs(slope))


if __name__ == "__main__":
    levy_stable.parameterization = "S0"  # continuous at alpha = 1
    table = np.array([[ratios(alpha, beta) for beta in BETAS] for alpha in ALPHAS])
    spreads = [spread(i, table[:, 0, 0]) for i in range(len(ALPHAS))]
    content = {
        "alpha": ALPHAS.tolist(),
        "log_ratio": table[..., 0].tolist(),
        "skewness": table[..., 1].tolist(),
        "spread": spreads,
    }
    _files.write_text(FILE, json.dumps(content, allow_nan=False) + "\n")
