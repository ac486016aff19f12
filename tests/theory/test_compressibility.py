"""Limits and laws of pruning errors: the values of an independent program, other routes to them, and simulations."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest
from scipy import special, stats

import meanfield as mf
from meanfield.measure import pruning
from meanfield.theory import _absolute, compressibility
from tests.theory.common import LAWS, gamma_sum, square_sum

KNOWN = json.loads((Path(__file__).parent.parent / "known" / "compressibility.json").read_text())


# -- limits ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("q", [1, 2])
@pytest.mark.parametrize("name", [name for name in LAWS if name != "t2p1"])
def test_limits_of_the_table(name, q):
    rows = KNOWN[f"q{q}"]
    kappas = np.array([float(kappa) for kappa in rows])
    exact = np.array([row[name] for row in rows.values()])
    found = compressibility.limit_error(LAWS[name], kappas, float(q)) ** q
    np.testing.assert_allclose(found, exact, atol=1e-9)
    if np.any(exact > 0):
        wrong = compressibility.limit_error(LAWS[name], 1.001 * kappas, float(q)) ** q
        assert np.max(np.abs(wrong - exact)) > 1e-5


@pytest.mark.long(2)
@pytest.mark.parametrize(
    "law",
    [
        stats.norm(1.0, 0.5),
        stats.skewnorm(4),
        stats.uniform(-1, 3),
        stats.burr12(2, 2.5),
        stats.invgamma(3.5),
        stats.lognorm(0.8),
        stats.nct(5, 1),
    ],
    ids=lambda law: law.dist.name,
)
def test_other_laws_by_simulation(law):
    """20 samples of 200 000, within five standard errors; 3 % more kept is outside."""
    x = law.rvs((20, 200_000), random_state=np.random.default_rng(3))
    measured = pruning.error_curve(x[:, None, :], 0.1, "magnitude") ** 1.0
    error = measured.std(ddof=1) / np.sqrt(20)
    assert abs(measured.mean() - compressibility.limit_error(law, 0.1)) < 5 * error
    assert abs(measured.mean() - compressibility.limit_error(law, 0.103)) > 5 * error


def test_infinite_moments_have_limit_zero():
    for law, index in (
        (stats.t(2), 2.0),
        (stats.levy_stable(1.7, 0), 1.7),
        (stats.levy_stable(1.2, 0.5, 3.0), 1.2),
        (stats.invgamma(1.5), 1.5),
        (stats.f(3, 3), 1.5),
        (stats.genpareto(0.8), 1.25),
        (stats.halfcauchy(scale=9), 1.0),
    ):
        assert _absolute.absolute_law(law).tail()[0] == pytest.approx(index, rel=1e-6)
        assert compressibility.limit_error(law, 0.01, 2.0) == 0 == compressibility.limit_error(law, 0.01, index)
        assert compressibility.limit_error(law, 0.01, 0.9 * index) > 0.01
        assert compressibility.prunable_fraction(law, 0.01) == 1.0
    assert compressibility.limit_error(stats.t(2.01), 0.01) > 0.02  # just above: a limit, small


@pytest.mark.parametrize("group", ["pruned_fraction_rel_l2_0.1", "pruned_fraction_sq_err_0.1"])
def test_prunable_fractions_of_the_table(group):
    error = 0.1 if "rel" in group else np.sqrt(0.1)
    for name, exact in KNOWN[group].items():
        assert compressibility.prunable_fraction(LAWS[name], error) == pytest.approx(exact, abs=1e-8)
    law = stats.lognorm(0.8, 0.1)  # by quadrature, there and back
    fraction = compressibility.prunable_fraction(law, 0.3, 1.5)
    assert compressibility.limit_error(law, 1 - fraction, 1.5) == pytest.approx(0.3, rel=1e-7)


@pytest.mark.slow
def test_stable_laws_by_simulation():
    """q = 1, where the limit of a stable law is positive: 40 samples of 100 000 of our own draws, within five standard errors."""
    x = np.float64(mf.noise.symmetric_stable(jax.random.key(0), 1.8, (40, 100_000)))
    measured = pruning.error_curve(x[:, None, :], 0.1, "magnitude", 1.0)
    error = measured.std(ddof=1) / np.sqrt(40)
    assert abs(measured.mean() - compressibility.limit_error(stats.levy_stable(1.8, 0), 0.1, 1.0)) < 5 * error < 0.02


def test_stable_laws_far_in_the_tail():
    """Values of another program, by the law's own series; scipy's quantiles stop at 1e-4."""
    law = stats.levy_stable(1.2, 0, scale=3.0)
    np.testing.assert_allclose(compressibility.limit_error(law, [1e-5, 1e-8], 0.6), [0.9942, 0.9998], atol=1e-4)
    assert compressibility.divergent_limit(stats.levy_stable(0.8, 0), 1e-5).body == pytest.approx(8.8e6, rel=1e-2)


def _beta_share(a, b, q, kappa):
    return special.betainc(a + q, b, special.betaincinv(a, b, 1 - kappa))


EDGES = {  # laws that quadrature finds hard: (law, kappa, q, the share in closed form)
    "poles at both ends": (stats.beta(0.1, 0.1), 0.1, 2.0, 1 - 0.1 / (0.5 * 1.1 / 1.2)),  # the threshold is 1 - 9e-8
    "poles, mean": (stats.beta(0.1, 0.1), 0.1, 1.0, 0.8),
    "pole at the end": (stats.beta(5, 0.2), 0.3, 1.0, _beta_share(5, 0.2, 1.0, 0.3)),
    "arcsine": (stats.arcsine(), 1e-6, 2.0, _beta_share(0.5, 0.5, 2.0, 1e-6)),
    "pole off 0": (stats.gamma(0.3, 1), 0.1, 1.0, gamma_sum(1, 0.1)),
    "600 decades": (stats.loguniform(1e-300, 1e300), 1e-3, 2.0, np.exp(-2 * 1e-3 * np.log(1e300) * 2)),
    "log-normal, high moment": (stats.lognorm(3), 0.1, 10.0, special.ndtr(special.ndtri(0.9) - 30)),
    "tiny": (stats.norm(0, 1e-200), 0.1, 10.0, special.gammainc(5.5, special.gammainccinv(0.5, 0.1))),
    "huge": (stats.norm(scale=1e200), 0.1, 2.0, special.gammainc(1.5, special.gammainccinv(0.5, 0.1))),
    "huge, off 0": (stats.norm(1e200, 0.5e200), 0.1, 2.0, square_sum(1, 0.1)),
    "index 20": (stats.genpareto(0.05), 0.1, 19.0, special.betainc(20, 1, 1 - 0.1**0.05)),
    "narrow": (stats.invweibull(106), 0.1, 2.0, special.gammaincc(1 - 2 / 106, -np.log(0.9))),
    "an index near the order": (stats.f(4, 4.02), 0.1, 2.0, special.betainc(4, 0.01, special.betaincinv(2, 2.01, 0.9))),
}


@pytest.mark.parametrize("case", EDGES)
def test_edges(case):
    law, kappa, q, share = EDGES[case]
    assert compressibility.limit_error(law, kappa, q) == pytest.approx(share ** (1 / q), rel=1e-7, abs=0)
    assert compressibility.limit_error(law, 0.0, q) == 1
    if share > 0.01:
        assert compressibility.prunable_fraction(law, share ** (1 / q), q) == pytest.approx(1 - kappa, abs=1e-7)


def test_skewed_cauchy_laws_by_simulation():
    """Index 1 with skewness: 10 samples of 100 000 of scipy's draws, within five standard errors; skewness 0 is outside."""
    law = stats.levy_stable(1.0, 0.9, 1.0, 2.0)
    x = law.rvs((10, 100_000), random_state=np.random.default_rng(2))
    measured = pruning.error_curve(x[:, None, :], 0.1, "magnitude", 0.4)
    error = measured.std(ddof=1) / np.sqrt(len(measured))
    assert abs(measured.mean() - compressibility.limit_error(law, 0.1, 0.4)) < 5 * error
    assert abs(measured.mean() - compressibility.limit_error(stats.levy_stable(1.0, 0.0, 1.0, 2.0), 0.1, 0.4)) > 5 * error


# -- columns and singular values ----------------------------------------------------------------------------------------------


def test_gaussian_columns_of_the_table():
    for dim, row in KNOWN["node_gauss_sq"].items():
        found = compressibility.node_limit_error(stats.norm(), int(dim), np.array([0.1, 0.5])) ** 2
        np.testing.assert_allclose(found, list(row.values()), atol=1e-9)


def test_quarter_circle_of_the_table():
    kappas = np.array([float(kappa) for kappa in KNOWN["sv_quartercircle_sq"]])
    found = compressibility.singular_limit_error(kappas) ** 2
    np.testing.assert_allclose(found, list(KNOWN["sv_quartercircle_sq"].values()), atol=1e-9)
    assert compressibility.singular_limit_error(0.3, 1 - 1e-12) == pytest.approx(
        compressibility.singular_limit_error(0.3), abs=1e-5
    )


@pytest.mark.long(1)
@pytest.mark.parametrize(("shape", "q"), [((800, 200), 2.0), ((200, 800), 2.0), ((500, 400), 1.0)])
def test_rectangles_by_simulation(shape, q):
    """Marchenko and Pastur: the mean of three matrices within .002 at this size (errors are O(1/n)); the quarter circle is outside."""
    w = np.random.default_rng(0).uniform(-1, 1, (3, *shape))
    measured = pruning.error_curve(w, [0.1, 0.5], "singular", q).mean(axis=0)
    np.testing.assert_allclose(measured, compressibility.singular_limit_error([0.1, 0.5], shape[0] / shape[1], q), atol=0.002)
    assert np.max(np.abs(measured - compressibility.singular_limit_error([0.1, 0.5], 1.0, q))) > 0.01


def test_an_elliptical_layer_is_not_compressible():
    """One factor of index 1 for all entries: the error is the Gaussian one at every width, though every entry is Cauchy-tailed."""
    rng = np.random.default_rng(0)
    for n in (10_000, 1_000_000):
        w = rng.standard_normal(n) / abs(rng.standard_normal())
        assert pruning.error_curve(w, 0.1, "magnitude") == pytest.approx(
            compressibility.layer_elliptical_limit_error(0.1), abs=10 / np.sqrt(n)
        )
    columns = rng.standard_normal((20_000, 50)) / abs(rng.standard_normal((20_000, 1)))
    assert pruning.error_curve(columns, 0.1, "magnitude") < 0.5 * compressibility.layer_elliptical_limit_error(0.1)


# -- the divergent case -----------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_constants_of_the_table():
    for name, exact in KNOWN["divergent"].items():
        alpha, kappa = (float(part[2:].lstrip("p")) for part in name.split("_")[1:])
        assert compressibility.divergent_limit(stats.pareto(alpha), kappa).constant == pytest.approx(exact, rel=1e-9)
    for alpha, exact in KNOWN["stable_tail_constant"].items():
        assert compressibility.divergent_limit(stats.levy_stable(float(alpha), 0), 0.5).tail == pytest.approx(exact, rel=1e-9)


def test_pareto_one_is_chi_square():
    """N err^2 -> (1/kappa - 1)(2/pi) chi2_1."""
    limit, law = compressibility.divergent_limit(stats.pareto(1), 0.1), stats.chi2(1, scale=18 / np.pi)
    for level in (0.01, 0.5, 0.99):
        assert limit.quantile(level) == pytest.approx(law.ppf(level), rel=1e-7)
    assert limit.mean_log == pytest.approx(law.expect(np.log), rel=1e-6)
    assert limit.std_log == pytest.approx(np.sqrt(law.expect(lambda y: np.log(y) ** 2) - limit.mean_log**2), rel=1e-5)


@pytest.mark.long(1)
@pytest.mark.parametrize("beta", [0.25, 0.6, 0.9])
def test_positive_stable_quantiles(beta):
    """Against 200 000 draws of `stable_noise.positive_stable`: levels within five standard errors; moments of the logarithm too."""
    w = np.float64(mf.noise.positive_stable(jax.random.key(1), beta, (200_000,)))
    limit = compressibility.DivergentLimit(2 * beta, 2.0, 1 / special.gamma(1 - beta), 1.0)  # Y = 1 / W_1
    for level in (0.02, 0.5, 0.98):
        share = np.mean(1 / w < limit.quantile(level))
        assert abs(share - level) < 5 * np.sqrt(level * (1 - level) / len(w))
        wrong = np.mean(1 / w < (1.5 if level != 0.5 else 1.1) * limit.quantile(level))
        assert abs(wrong - level) > 5 * np.sqrt(level * (1 - level) / len(w))
    log = -np.log(w)
    assert abs(log.mean() - limit.mean_log) < 5 * limit.std_log / np.sqrt(len(w))
    assert log.std() == pytest.approx(limit.std_log, rel=0.02)
    assert np.mean(1 / w) == pytest.approx(limit.constant, rel=0.1 if beta < 0.5 else 0.02)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("law", "dim"), [(stats.cauchy(), 1), (stats.pareto(1.2), 1), (stats.cauchy(), 4), (stats.lomax(0.8), 3)]
)
def test_errors_have_the_predicted_law(law, dim):
    """4000 replicas of 2000 parts: mean log error within five standard errors plus 1 % of its level; the exponent off by .1 is outside."""
    n = 2000
    w = law.rvs((4000, n, dim), random_state=np.random.default_rng(7))
    log = np.log(pruning.error_curve(w, 0.1, "node"))
    limit = compressibility.divergent_limit(law, 0.1, dim=dim)
    slack = 5 * log.std(ddof=1) / np.sqrt(len(log)) + 0.01 * abs(log.mean())
    assert abs(log.mean() - limit.error_mean_log(n)) < slack < 0.1 * np.log(n)
    assert log.std() == pytest.approx(limit.std_log / 2, rel=0.05)
    assert np.median(log) == pytest.approx(np.log(limit.error_quantile(n)), abs=slack)


@pytest.mark.slow
@pytest.mark.parametrize(("alpha", "level"), [(1.0, 0.5), (1.0, 0.2), (1.5, 0.8)])
def test_prunable_quantiles_by_simulation(alpha, level):
    """2000 replicas of 5000 parts: the share below the quantile within five standard errors; that of ten times as many parts is outside."""
    w, law = mf.noise.symmetric_stable(jax.random.key(11), alpha, (2000, 1, 5000)), stats.levy_stable(alpha, 0)
    fractions = pruning.prunable_fraction(w, 0.1, "magnitude")
    error = np.sqrt(level * (1 - level) / len(w))
    share, wrong = (np.mean(fractions < compressibility.prunable_quantile(law, 0.1, n, level=level)) for n in (5000, 50_000))
    assert abs(share - level) < 5 * error < abs(wrong - level)


# -- wrong arguments ----------------------------------------------------------------------------------------------------------

CASES = {
    "kappa": (
        lambda: compressibility.limit_error(stats.norm(), 1.2),
        "Argument `kappa` must be a number in [0, 1], the fraction kept, or an array of them, but is 1.2.",
    ),
    "p": (lambda: compressibility.limit_error(stats.norm(), 0.1, 0), "Argument `p` must be a number > 0, but is 0."),
    "no distribution": (
        lambda: compressibility.limit_error([1.0], 0.1),
        "Argument `distribution` must be a frozen continuous distribution of scipy.stats, such as stats.t(3), but is of type list.",
    ),
    "discrete": (
        lambda: compressibility.limit_error(stats.poisson(3), 0.1),
        "Argument `distribution` must be a frozen continuous distribution of scipy.stats, such as stats.t(3), "
        "but is of type rv_discrete_frozen.",
    ),
    "not frozen": (
        lambda: compressibility.prunable_fraction(stats.norm, 0.1),
        "Argument `distribution` must be a frozen continuous distribution of scipy.stats, such as stats.t(3), but is of type norm_gen.",
    ),
    "invalid": (
        lambda: compressibility.limit_error(stats.t(-1), 0.1),
        "Argument `distribution` must have valid parameters and live on the line, but is t without a distribution function there.",
    ),
    "a circle": (
        lambda: compressibility.limit_error(stats.vonmises(2), 0.1),
        "Argument `distribution` must have valid parameters and live on the line, but is vonmises without a distribution function "
        "there.",
    ),
    "light tail": (
        lambda: compressibility.divergent_limit(stats.t(3), 0.1),
        "Argument `distribution` must have a tail index below p = 2, but is one of index 3.",
    ),
    "error": (
        lambda: compressibility.prunable_fraction(stats.norm(), -0.1),
        "Argument `error` must be a number in [0, 1], but is -0.1.",
    ),
    "aspect": (
        lambda: compressibility.singular_limit_error(0.1, 0.0),
        "Argument `aspect` must be a number > 0, but is 0.0.",
    ),
    "dim": (
        lambda: compressibility.node_limit_error(stats.norm(), 0, 0.1),
        "Argument `dim` must be an integer >= 1, but is 0.",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_wrong_arguments(case):
    call, message = CASES[case]
    with pytest.raises(mf.ArgumentError) as caught:
        call()
    assert str(caught.value) == message


def test_decay_exponent_knows_the_norm():
    """1/alpha - 1/p: of the l_1 norm at alpha = 1/2, of the l_4 norm at 2, and 0 from alpha = p on."""
    assert compressibility.decay_exponent(0.5, 1.0) == 1.0 and compressibility.decay_exponent(2.0, 4.0) == 0.25
    np.testing.assert_allclose(compressibility.decay_exponent([0.8, 1.0, 1.5], 1.0), [0.25, 0, 0])
