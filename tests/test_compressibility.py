"""Limits and laws of pruning errors: the values of an independent program, other routes to them, and simulations."""

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from scipy import optimize, special, stats
from scipy.stats import _distr_params

import meanfield as mf
from meanfield.measure import pruning
from meanfield.theory import _absolute, _column_norms, compressibility

KNOWN = json.loads((Path(__file__).parent / "known" / "compressibility.json").read_text())
LAWS = {
    "uniform": stats.uniform(),
    "gauss": stats.norm(),
    "laplace": stats.laplace(),
    "ggd_half": stats.gennorm(0.5),
    "t1p5": stats.t(1.5),
    "t2p1": stats.t(2.1),
    "t25": stats.t(2.5),
    "t3": stats.t(3),
    "t4": stats.t(4),
    "t5": stats.t(5),
    "pareto2p5": stats.pareto(2.5),
    "pareto3": stats.pareto(3),
    "lomax3": stats.lomax(3),
    "lomax5": stats.lomax(5),
}


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


@pytest.mark.parametrize("name", ["gauss", "ggd_half", "t25", "pareto2p5", "lomax3", "uniform"])
@pytest.mark.parametrize("q", [0.7, 2.0])
def test_quadrature_agrees_with_the_closed_forms(name, q):
    """Two routes: incomplete gamma and beta functions, and the density alone; also shifted out of the closed form's reach."""
    closed, plain = _absolute.absolute_law(LAWS[name]), _absolute.AbsoluteLaw(LAWS[name])
    assert type(closed) is not type(plain)
    assert plain.total(q) == pytest.approx(closed.total(q), rel=1e-9)
    assert plain.tail() == pytest.approx(closed.tail(), rel=1e-9)
    for kappa in (0.01, 0.5, 0.99):
        cut = closed.threshold(kappa)
        assert plain.threshold(kappa) == pytest.approx(cut, rel=1e-9)
        assert plain.partial(q, 0.0, cut) == pytest.approx(closed.partial(q, 0.0, cut), rel=1e-8)


@pytest.mark.parametrize("law", [stats.gamma(0.3), stats.dweibull(0.6), stats.chi(7), stats.maxwell(scale=3), stats.dgamma(2)])
def test_scales_and_signs_do_not_matter(law):
    plain = _absolute.AbsoluteLaw(law)
    exact = (plain.partial(1.5, 0, plain.threshold(0.2)) / plain.total(1.5)) ** (1 / 1.5)
    assert compressibility.limit_error(law, 0.2, 1.5) == pytest.approx(exact, rel=1e-8)


@pytest.mark.long(4)
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


@pytest.mark.long
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


def test_stable_laws_with_place_and_skewness():
    """Half of Levy's law (1/2, 1) against incomplete gamma functions, scipy's S1 place and scale in the middle."""
    levy = stats.levy_stable(0.5, 1.0, 0.0, 2.0)
    cut = 2 / stats.chi2(1).ppf(1e-6)  # scale / g^2
    own = _absolute.absolute_law(levy)
    assert own.unit * own.threshold(1e-6) == pytest.approx(2 / (2 * special.erfinv(1e-6) ** 2), rel=1e-10)
    assert cut == pytest.approx(own.unit * own.threshold(stats.chi2(1).cdf(2 / cut)), rel=1e-9)
    share = special.gammaincc(0.5 - 0.2, 2 / cut / 2)  # E[g^(-2q); g^2 > 2 / cut]
    assert compressibility.limit_error(levy, 1e-6, 0.2) == pytest.approx(share ** (1 / 0.2), rel=1e-9)
    law = stats.levy_stable(1.5, 0.5, 2.0, 0.3)
    own = _absolute.absolute_law(law)
    x = 2.2 / own.unit
    assert own.density(x) / own.unit == pytest.approx(law.pdf(2.2) + law.pdf(-2.2), rel=1e-8)
    assert own.above(x) == pytest.approx(law.sf(2.2) + law.cdf(-2.2), rel=1e-8)


def _gamma_sum(dim, kappa):
    shape = 0.3 * dim
    below = special.gammainc(shape + 1, special.gammainccinv(shape, kappa))
    return (dim * (1 - kappa) + shape * below) / (dim + shape)


def _square_sum(dim, kappa):
    """Noncentral chi-square: x times its density is k times that of k + 2 and the noncentrality times that of k + 4 degrees."""
    s = special.chndtrix(1 - kappa, dim, 4.0 * dim)
    return (special.chndtr(s, dim + 2, 4.0 * dim) + 4 * special.chndtr(s, dim + 4, 4.0 * dim)) / 5


def _beta_share(a, b, q, kappa):
    return special.betainc(a + q, b, special.betaincinv(a, b, 1 - kappa))


EDGES = {  # laws that quadrature finds hard: (law, kappa, q, the share in closed form)
    "poles at both ends": (stats.beta(0.1, 0.1), 0.1, 2.0, 1 - 0.1 / (0.5 * 1.1 / 1.2)),  # the threshold is 1 - 9e-8
    "poles, mean": (stats.beta(0.1, 0.1), 0.1, 1.0, 0.8),
    "pole at the end": (stats.beta(5, 0.2), 0.3, 1.0, _beta_share(5, 0.2, 1.0, 0.3)),
    "arcsine": (stats.arcsine(), 1e-6, 2.0, _beta_share(0.5, 0.5, 2.0, 1e-6)),
    "pole off 0": (stats.gamma(0.3, 1), 0.1, 1.0, _gamma_sum(1, 0.1)),
    "600 decades": (stats.loguniform(1e-300, 1e300), 1e-3, 2.0, np.exp(-2 * 1e-3 * np.log(1e300) * 2)),
    "log-normal, high moment": (stats.lognorm(3), 0.1, 10.0, special.ndtr(special.ndtri(0.9) - 30)),
    "tiny": (stats.norm(0, 1e-200), 0.1, 10.0, special.gammainc(5.5, special.gammainccinv(0.5, 0.1))),
    "huge": (stats.norm(scale=1e200), 0.1, 2.0, special.gammainc(1.5, special.gammainccinv(0.5, 0.1))),
    "huge, off 0": (stats.norm(1e200, 0.5e200), 0.1, 2.0, _square_sum(1, 0.1)),
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


def test_tails_are_read_where_the_density_is_last_seen():
    """Index 20, whose density vanishes early; a skewed stable law, far beyond scipy's."""
    assert _absolute.absolute_law(stats.genpareto(0.05)).tail() == pytest.approx((20, 20.0**20), rel=1e-6)
    assert compressibility.limit_error(stats.genpareto(0.05), 0.1, 20.0) == 0
    skewed = _absolute.absolute_law(stats.levy_stable(1.3, 0.7)).tail()
    assert skewed == pytest.approx((1.3, mf.theory.stable.tail_constant(1.3)), rel=1e-12)


def test_quantiles_of_scipy_are_not_trusted():
    """A law whose `isf` stops short in the tail, as that of scipy's stable laws does."""

    class Short(type(stats.t)):
        def _isf(self, q, df):
            return np.minimum(stats.t.isf(q, df), 30.0)

        def _ppf(self, q, df):
            return np.maximum(stats.t.ppf(q, df), -30.0)

    kappas = np.array([1e-6, 0.1])
    exact = compressibility.limit_error(stats.t(1.5), kappas, 0.7)
    np.testing.assert_allclose(compressibility.limit_error(Short(name="short")(1.5), kappas, 0.7), exact, rtol=1e-9)


class _Wrong(type(stats.norm)):
    """Normal density, distribution function of another scale."""

    def _cdf(self, x):
        return special.ndtr(1.00001 * x)

    def _sf(self, x):
        return special.ndtr(-1.00001 * x)


class _Rough(type(stats.norm)):
    def _pdf(self, x):
        return stats.norm.pdf(x) * (1 + 1e-3 * np.cos(1e9 * x))


REFUSED = {
    "two laws": (
        _Wrong(name="wrong")(),
        2.0,
        "have a density and a distribution function that agree, but is wrong whose density",
    ),
    "rough": (
        _Rough(name="rough")(),
        2.0,
        "have a density that is smooth but at a few points, but is rough which is not so near",
    ),
    "noise in the tail": (stats.jf_skew_t(0.7, 0.9), 2.0, "have a density that is smooth but at a few points, but is jf_skew_t"),
    "a moment beyond float64": (
        stats.lognorm(5, 0.1),
        10.0,
        "have a moment of order p = 10 that can be computed in float64, but is lognorm",
    ),
    "one number": (stats.norm(1e200, 1), 2.0, "have a density in the range of float64, but is norm without one."),
}


@pytest.mark.parametrize("case", REFUSED)
def test_laws_that_are_refused(case):
    law, q, message = REFUSED[case]
    with pytest.raises(mf.ArgumentError) as caught:
        compressibility.limit_error(law, 0.1, q)
    assert str(caught.value).startswith(f"Argument `distribution` must {message}")


def test_skewed_cauchy_laws_by_simulation():
    """Index 1 with skewness: 10 samples of 100 000 of scipy's draws, within five standard errors; skewness 0 is outside."""
    law = stats.levy_stable(1.0, 0.9, 1.0, 2.0)
    x = law.rvs((10, 100_000), random_state=np.random.default_rng(2))
    measured = pruning.error_curve(x[:, None, :], 0.1, "magnitude", 0.4)
    error = measured.std(ddof=1) / np.sqrt(len(measured))
    assert abs(measured.mean() - compressibility.limit_error(law, 0.1, 0.4)) < 5 * error
    assert abs(measured.mean() - compressibility.limit_error(stats.levy_stable(1.0, 0.0, 1.0, 2.0), 0.1, 0.4)) > 5 * error


def _share_by_quantiles(law, q, kappa):
    """E[|X|^q; |X| < t] / E|X|^q with P(|X| > t) = kappa by integrals over quantiles, no density; both tails to 2^-100."""
    y, weights = np.polynomial.legendre.leggauss(12)
    low, high = law.support()
    if low >= 0 or high <= 0:
        right, left = (kappa, 0.0) if low >= 0 else (0.0, kappa)
    else:
        top = 1.0
        while law.sf(top) + law.cdf(-top) > kappa:
            top *= 2
        t: Any = optimize.brentq(lambda t: law.sf(t) + law.cdf(-t) - kappa, 0, top, xtol=1e-14)
        right, left = law.sf(t), law.cdf(-t)

    def integral(of, start, end, zero):
        breaks = np.unique([start, *([zero] if start < zero < end else []), end])
        steps = np.diff(breaks)[:, None] / 2 * 2.0 ** -np.arange(100 if start == 0 else 24)
        edges = np.unique(
            np.concatenate([breaks, (breaks[:-1, None] + steps).ravel(), (breaks[1:, None] - steps[:, :24]).ravel()])
        )
        half = np.diff(edges)[:, None] / 2
        values = half * weights * abs(of((edges[:-1, None] + half * (1 + y)).ravel()).reshape(-1, 12)) ** q
        return values[np.isfinite(values)].sum() if end > start else 0.0

    halves = ((law.isf, right, law.sf(0)), (law.ppf, left, law.cdf(0)))
    whole = sum(integral(of, 0.0, 0.5, zero) for of, _, zero in halves)
    kept = sum(integral(of, 0.0, min(cut, 0.5), zero) for of, cut, zero in halves)
    kept += sum(
        integral(of, 1 - cut, 0.5, zero) for (of, _, zero), cut in zip(halves[::-1], (right, left), strict=True) if cut > 0.5
    )
    return 1 - kept / whole


SLOW = (
    *("studentized_range", "vonmises", "levy_stable", "invgauss"),  # minutes; a circle; of both, scipy's quantiles are wrong
    *("dpareto_lognorm", "geninvgauss", "genhyperbolic", "gausshyper"),  # right, but the reference takes minutes
)
NOT_SCANNED = ("jf_skew_t", "ncf", "kappa4", "norminvgauss")  # of the last, scipy's own quantiles fail


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of scipy, at the ends of its quantiles
@pytest.mark.parametrize(
    ("name", "shapes"), [case for case in _distr_params.distcont if case[0] not in SLOW], ids=lambda value: str(value)[:40]
)
def test_every_law_of_scipy_is_right_or_refused(name, shapes):
    law = getattr(stats, name)(*shapes)
    kappas = [0.01, 0.3]
    try:
        found = compressibility.limit_error(law, kappas, 1.0)
    except mf.ArgumentError:
        assert name in NOT_SCANNED
        return
    if _absolute.absolute_law(law).tail()[0] <= 1 + 1e-6:
        assert not found.any()
    else:
        with np.errstate(all="ignore"):
            exact = [_share_by_quantiles(law, 1.0, kappa) for kappa in kappas]
        np.testing.assert_allclose(found, exact, atol=1e-6)


# -- columns and singular values ----------------------------------------------------------------------------------------------


def test_gaussian_columns_of_the_table():
    for dim, row in KNOWN["node_gauss_sq"].items():
        found = compressibility.node_limit_error(stats.norm(), int(dim), np.array([0.1, 0.5])) ** 2
        np.testing.assert_allclose(found, list(row.values()), atol=1e-9)


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
    "pole at 1": (stats.gamma(0.3, 1), 1.0, _gamma_sum),
    "normal, off 0": (stats.norm(1, 0.5), 2.0, _square_sum),
}


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


@pytest.mark.parametrize("name", PAIRS)
def test_pairs_by_quantiles(name):
    law, q, mean = PAIRS[name]
    exact = np.array([_pair(law, q, kappa) / mean for kappa in (1e-3, 0.1, 0.5)]) ** (1 / q)
    np.testing.assert_allclose(compressibility.node_limit_error(law, 2, [1e-3, 0.1, 0.5], q), exact, atol=1e-7, rtol=0)
    assert abs(compressibility.node_limit_error(law, 2, 0.1001, q) - exact[1]) > 1e-5


@pytest.mark.long
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


@pytest.mark.long(2)
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


@pytest.mark.long(2)
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


@pytest.mark.long(1)
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
