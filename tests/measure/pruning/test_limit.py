"""The limit of an error from a sample, against quadrature."""

import numpy as np
import pytest
from scipy import stats

from meanfield.measure import pruning, tails


@pytest.mark.parametrize("p", [1.0, 2.0])
@pytest.mark.parametrize("law", [stats.pareto(3.0), stats.t(4.0), stats.norm()])
@pytest.mark.parametrize("kappa", [0.02, 0.1, 0.5])
def test_extrapolated_limit(law, kappa, p):
    """`extrapolated_limit` on 20 samples of 50 000 against quadrature of G_p, within five standard errors plus 2 %."""
    x = np.abs(law.rvs((20, 50_000), random_state=np.random.default_rng(4)))
    fit = tails.hill(x, 2500)
    found = pruning.extrapolated_limit(x, kappa, fit.alpha, fit.k, p)
    sign = 1 if law.dist.name == "pareto" else 2
    low = law.support()[0] if sign == 1 else 0
    cut = law.ppf(1 - kappa / sign)
    part, whole = (sign * law.expect(lambda v: v**p, lb=low, ub=b) for b in (cut, np.inf))
    exact = (part / whole) ** (1 / p)
    assert abs(found.mean() - exact) < 5 * found.std(ddof=1) / np.sqrt(20) + 0.02 * exact


def test_extrapolated_limit_knows_infinite_moments():
    x = stats.pareto(1.8).rvs(20_000, random_state=1)
    assert pruning.extrapolated_limit(x, 0.1, 1.8, 1000) == 0
    assert pruning.extrapolated_limit(x, 0.1, 1.8, 1000, p=1.0) > 0.3
    assert float(pruning.error_curve(x, 0.1, "magnitude")) > 0.1  # the sample alone cannot tell
    grid = pruning.extrapolated_limit(x, 0.1, np.array([2.1, 3.0, 10.0, np.inf]), 1000)
    assert (np.diff(grid) > 0).all()
