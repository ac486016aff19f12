"""Norms of columns: grids against known sums, quantiles and simulations."""

from typing import Any

import numpy as np
import pytest
from scipy import optimize, special, stats

from meanfield.measure import pruning
from meanfield.theory import _absolute, _column_norms, compressibility
from tests.theory.common import gamma_sum, square_sum


@pytest.mark.parametrize("dim", [2, 3, 10, 300])
def test_grids_agree_with_the_gamma_law(dim):
    kappas = (0.02, 0.3)
    exact = [special.gammainc(dim / 2 + 1, special.gammainccinv(dim / 2, kappa)) for kappa in kappas]
    found = np.exp(_column_norms.log_shares(_absolute.AbsoluteLaw(stats.norm()), dim, 2.0, kappas))
    np.testing.assert_allclose(found, exact, atol=1e-7)


@pytest.mark.parametrize(
    ("law", "dim", "q"), [(stats.t(5), 5, 2.0), (stats.uniform(-1, 2), 3, 2.0), (stats.lognorm(0.7), 4, 1.0)]
)
def test_columns_by_simulation(law, dim, q):
    """20 matrices of 40 000 rows, within five standard errors; one entry more or less is outside."""
    w = law.rvs((20, 40_000, dim), random_state=np.random.default_rng(1))
    measured = pruning.error_curve(w, 0.1, "node", q)
    error = measured.std(ddof=1) / np.sqrt(20)
    assert abs(measured.mean() - compressibility.node_limit_error(law, dim, 0.1, q)) < 5 * error
    assert abs(measured.mean() - compressibility.node_limit_error(law, dim + 1, 0.1, q)) > 5 * error


def _uniform_sum(dim, kappa):
    """Of dim + Irwin and Hall's law, a polynomial between integers."""
    law: Any = stats.irwinhall(dim)
    cut = float(law.isf(kappa))
    y, weights = np.polynomial.legendre.leggauss(10)
    edges = np.append(np.arange(cut), cut)
    left, half = edges[:-1, None], np.diff(edges)[:, None] / 2
    x = left + half * (1 + y)
    return (dim * (1 - kappa) + float(np.sum(half * weights * x * law.pdf(x)))) / (1.5 * dim)


SUMS = {  # laws whose sums are known: entry, q, the share of the sum below its threshold
    "uniform on (1, 2)": (stats.uniform(1, 1), 1.0, _uniform_sum),
    "pole at 1": (stats.gamma(0.3, 1), 1.0, gamma_sum),
    "normal, off 0": (stats.norm(1, 0.5), 2.0, square_sum),
}


@pytest.mark.short(4)
@pytest.mark.parametrize("dim", [2, 3, 9])
@pytest.mark.parametrize("name", SUMS)
def test_columns_whose_sums_are_known(name, dim):
    law, q, share = SUMS[name]
    kappas = np.array([1e-3, 0.1, 0.5, 0.95])
    exact = np.array([share(dim, kappa) for kappa in kappas]) ** (1 / q)
    np.testing.assert_allclose(compressibility.node_limit_error(law, dim, kappas, q), exact, atol=1e-7, rtol=0)


def _pair(law, q, kappa):
    """Share of the sum of two, by an integral over the quantiles of one: distribution function and quantiles alone, no density."""
    below = (lambda x: 1 - 2 * law.sf(x)) if law.support()[0] < 0 else law.cdf
    size = (lambda p: law.isf((1 - p) / 2)) if law.support()[0] < 0 else law.ppf
    y, weights = np.polynomial.legendre.leggauss(20)

    def integral(s, order):
        rest = np.maximum(s - np.array([0, s / 2, *(abs(v) ** q for v in law.support() if np.isfinite(v))]), 0)
        breaks = np.unique([0.0, *below(rest ** (1 / q)).round(15), 1.0])
        near = np.diff(breaks)[:, None] / 2 * 2.0 ** -np.arange(50)
        edges = np.unique(np.concatenate([breaks, (breaks[:-1, None] + near).ravel(), (breaks[1:, None] - near).ravel()]))
        half = np.diff(edges)[:, None] / 2
        p = edges[:-1, None] + half * (1 + y)
        v = size(p) ** q
        keep = v < s
        return float(np.sum((half * weights)[keep] * v[keep] ** order * below((s - v[keep]) ** (1 / q))))

    top = 1.0
    while integral(top, 0) < 1 - kappa:
        top *= 2
    s = optimize.brentq(lambda s: integral(s, 0) - (1 - kappa), 1e-9, top, xtol=1e-14)
    return integral(s, 1)


BETA = np.exp(special.betaln(0.8, 0.5) - special.betaln(0.3, 0.5))
PAIRS = {  # entry, q, E|X|^q
    "beta(.3, .5)": (stats.beta(0.3, 0.5), 0.5, BETA),
    "arcsine": (stats.arcsine(), 2.0, 3 / 8),
    "pareto(5)": (stats.pareto(5), 2.0, 5 / 3),
    "pareto(2.2)": (stats.pareto(2.2), 2.0, 11.0),
    "lomax(3)": (stats.lomax(3), 2.0, 1.0),
    "uniform(1, 2)": (stats.uniform(1, 1), 2.0, 7 / 3),
    "t(3)": (stats.t(3), 2.0, 3.0),
}


@pytest.mark.short(2)
@pytest.mark.parametrize("name", PAIRS)
def test_pairs_by_quantiles(name):
    law, q, mean = PAIRS[name]
    exact = np.array([_pair(law, q, kappa) / mean for kappa in (1e-3, 0.1, 0.5)]) ** (1 / q)
    np.testing.assert_allclose(compressibility.node_limit_error(law, 2, [1e-3, 0.1, 0.5], q), exact, atol=1e-7, rtol=0)
    assert abs(compressibility.node_limit_error(law, 2, 0.1001, q) - exact[1]) > 1e-5


@pytest.mark.long(1)
@pytest.mark.parametrize("case", ["beta(.3, .5)", "arcsine", "pareto(5)"])
def test_three_entries_by_simulation(case):
    """50 samples of 200 000 columns of three, within five standard errors; a kept fraction 2 % larger is outside."""
    law, q, _ = PAIRS[case]
    rng = np.random.default_rng(5)
    sizes = (np.sort((law.rvs((3, 200_000), random_state=rng) ** q).sum(axis=0)) for _ in range(50))
    measured = np.array([(v[:-20_000].sum() / v.sum()) ** (1 / q) for v in sizes])
    error = measured.std(ddof=1) / np.sqrt(len(measured))
    assert abs(measured.mean() - compressibility.node_limit_error(law, 3, 0.1, q)) < 5 * error
    assert abs(measured.mean() - compressibility.node_limit_error(law, 3, 0.102, q)) > 5 * error
