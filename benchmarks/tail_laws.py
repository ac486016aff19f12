"""Laws for tail estimators, with parameters drawn from a seed: nobody can tune an estimator to them.

    from benchmarks.tail_laws import laws
    for law in laws(seed=7, classes=("quarter",)):
        x = law.draw(np.random.default_rng(0), (100, 10_000))

The second-order exponent rho of a law with tail index alpha is that of `P(|X| > x) = C x^-alpha (1 + D x^(alpha rho) + o(...))`. With
u = P(|X| > x) the relative correction is of order u^|rho|: the smaller |rho|, the later the tail begins. Each function below states
where its rho comes from, and tests/test_benchmarks.py reads index and rho off `log_tail` numerically.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import linalg, special, stats

from meanfield.theory import recursion

CLASSES = {
    "pareto": "Pareto: no second order",
    "fast": "|rho| >= 1",
    "middle": ".5 <= |rho| < 1",
    "quarter": ".25 <= |rho| < .5",
    "slow": "|rho| < .25",
    "log-gamma": "|rho| = 0: a power of the logarithm",
    "traps": "finite-sample traps: rounded, mixed, nearly normal, shifted",
    "dependent": "dependent values, in order",
    "transient": "chains that have not reached a stationary law, or have none",
    "none": "laws without an index",
}
BOUNDS = {"fast": (1.0, np.inf), "middle": (0.5, 1.0), "quarter": (0.25, 0.5), "slow": (0.0, 0.25)}  # of |rho|
BEYOND = 10.0  # a cut beyond which fewer values of a sample are expected cannot be seen
Draw = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]
Log = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Law:
    """A law of tails.

    Args:
        name: with its parameters.
        alpha: tail index of |X|; NaN without one.
        rho: second-order exponent, <= 0; -inf for exact Pareto tails, NaN where it is not defined or not known.
        draw: (rng, (samples, n)) -> samples, values in their order.
        family: "POWER", "STABLE", "LOGNORMAL", "LIGHT", "BOUNDED", or "FINITE": all moments are finite, and neither a log-normal nor a
            stretched exponential is wrong.
        log_tail: log P(|X| > x) for large x, where there is a closed form.
        cut: tail probability at which a power law is truncated or tempered; 0 without.
        largest: size of a sample beyond which drawing takes too long.
        cls: a key of `CLASSES`.
    """

    name: str
    alpha: float
    rho: float
    draw: Draw
    family: str = "POWER"
    log_tail: Log | None = field(default=None, repr=False)
    cut: float = 0.0
    largest: int = 1_000_000_000
    cls: str = ""


def laws(seed: int, classes: tuple[str, ...] = tuple(CLASSES)) -> list[Law]:
    """The laws of the classes, with parameters drawn from the seed. They do not depend on which classes are asked for."""
    every = list(CLASSES)
    found = []
    for cls in classes:
        rng = np.random.default_rng([seed, every.index(cls)])

        def pick(low: float, high: float, rng=rng) -> float:
            return round(float(rng.uniform(low, high)), 3)

        found += [replace(law, cls=cls) for law in _MEMBERS[cls](pick)]
    return found


# Power laws. --------------------------------------------------------------------------------------------------------------


def pareto(alpha: float) -> Law:
    """`P(X > x) = x^-alpha`, x >= 1."""
    tail = _log_pareto(alpha)
    return Law(f"Pareto({alpha:g})", alpha, -np.inf, lambda rng, shape: rng.pareto(alpha, shape) + 1, log_tail=tail)


def genpareto(xi: float) -> Law:
    """`(1 + xi x)^(-1/xi) = (xi x)^(-1/xi) (1 + 1 / (xi x))^(-1/xi)`: corrections of order x^-1, alpha = 1/xi, so rho = -xi."""

    def draw(rng, shape):
        return rng.pareto(1 / xi, shape) / xi

    return Law(f"genpareto({xi:g})", 1 / xi, -xi, draw, log_tail=lambda x: -np.log1p(xi * x) / xi)


def lomax(alpha: float) -> Law:
    """`(1 + x)^-alpha`: corrections of order x^-1, so rho = -1/alpha."""
    return Law(
        f"Lomax({alpha:g})",
        alpha,
        -1 / alpha,
        lambda rng, shape: rng.pareto(alpha, shape),
        log_tail=lambda x: -alpha * np.log1p(x),
    )


def burr(alpha: float, shape_: float) -> Law:
    """`(1 + x^tau)^-shape_`, alpha = tau shape_: corrections of order x^-tau, so rho = -tau/alpha = -1/shape_."""
    tau = alpha / shape_

    def draw(rng, shape):
        return rng.pareto(shape_, shape) ** (1 / tau)

    return Law(f"Burr({alpha:g}, {shape_:g})", alpha, -1 / shape_, draw, log_tail=lambda x: -shape_ * np.log1p(x**tau))


def inverse_gamma(alpha: float) -> Law:
    """`P(X > x) = P(G < 1/x) = y^alpha / Gamma(alpha + 1) (1 - alpha y / (alpha + 1) + ...)`, y = 1/x: rho = -1/alpha."""

    def draw(rng, shape):
        return 1 / rng.standard_gamma(alpha, shape)

    return Law(f"inverse gamma({alpha:g})", alpha, -1 / alpha, draw, log_tail=lambda x: np.log(special.gammainc(alpha, 1 / x)))


def student(nu: float) -> Law:
    """Density `~ x^(-nu-1) (1 + nu/x^2)^(-(nu+1)/2)`: corrections of order x^-2, so rho = -2/nu."""

    def tail(x):
        return np.log(special.betainc(nu / 2, 0.5, nu / (nu + x * x)))

    return Law(f"Student({nu:g})", nu, -2 / nu, lambda rng, shape: rng.standard_t(nu, shape), log_tail=tail)


def fisher(d1: float, d2: float) -> Law:
    """F law, density `~ x^(-d2/2-1) (1 + d2/(d1 x))^(-(d1+d2)/2)`: alpha = d2/2, corrections of order x^-1, so rho = -2/d2."""

    def tail(x):
        return np.log(special.betainc(d2 / 2, d1 / 2, d2 / (d2 + d1 * x)))

    return Law(f"F({d1:g}, {d2:g})", d2 / 2, -2 / d2, lambda rng, shape: rng.f(d1, d2, shape), log_tail=tail)


def beta_prime(a: float, b: float) -> Law:
    """Density `~ x^(-b-1) (1 + 1/x)^(-a-b)`: alpha = b, corrections of order x^-1, so rho = -1/b."""

    def draw(rng, shape):
        return rng.standard_gamma(a, shape) / rng.standard_gamma(b, shape)

    return Law(f"betaprime({a:g}, {b:g})", b, -1 / b, draw, log_tail=lambda x: np.log(special.betainc(b, a, 1 / (1 + x))))


def frechet(alpha: float) -> Law:
    """`1 - exp(-x^-alpha) = x^-alpha (1 - x^-alpha / 2 + ...)`: rho = -1."""

    def draw(rng, shape):
        return rng.standard_exponential(shape) ** (-1 / alpha)

    return Law(f"Frechet({alpha:g})", alpha, -1.0, draw, log_tail=lambda x: np.log(-np.expm1(-(x**-alpha))))


def fisk(alpha: float) -> Law:
    """`1 / (1 + x^alpha) = x^-alpha (1 - x^-alpha + ...)`: rho = -1."""

    def draw(rng, shape):
        return rng.pareto(1.0, shape) ** (1 / alpha)

    return Law(f"fisk({alpha:g})", alpha, -1.0, draw, log_tail=lambda x: -np.log1p(x**alpha))


def shifted(alpha: float, shift: float) -> Law:
    """Pareto plus a shift: `(x - c)^-alpha = x^-alpha (1 - c/x)^-alpha`: corrections of order x^-1, so rho = -1/alpha."""
    base = _log_pareto(alpha)

    def draw(rng, shape):
        return rng.pareto(alpha, shape) + 1 + shift

    return Law(f"Pareto({alpha:g}) {shift:+g}", alpha, -1 / alpha, draw, log_tail=lambda x: base(x - shift))


def stable(alpha: float, size: bool = False) -> Law:
    """Symmetric stable, of |X| if `size`: `P(|X| > x) = 2/pi sum_k (-1)^(k+1) Gamma(k alpha) sin(k pi alpha / 2) / k! x^(-k alpha)`.

    The second term is of order x^(-2 alpha), and its factor sin(pi alpha) is 0 at alpha = 1 only: rho = -1 elsewhere. Drawn by the
    formula of Chambers, Mallows and Stuck.
    """

    def draw(rng, shape):
        u, w = rng.uniform(-np.pi / 2, np.pi / 2, shape), rng.standard_exponential(shape)
        x = np.sin(alpha * u) / np.cos(u) ** (1 / alpha) * (np.cos((1 - alpha) * u) / w) ** ((1 - alpha) / alpha)
        return abs(x) if size else x

    k = np.arange(1.0, 12.0)
    factors = (
        -((-1) ** k) * 2 / np.pi * np.exp(special.gammaln(k * alpha) - special.gammaln(k + 1)) * np.sin(k * np.pi * alpha / 2)
    )

    def tail(x):  # the series converges for alpha < 1 only; far out eleven terms do for every alpha
        return np.log((factors * np.asarray(x)[..., None] ** (-alpha * k)).sum(-1))

    name = f"|stable({alpha:g})|" if size else f"stable({alpha:g})"
    return Law(name, alpha, -1.0, draw, "STABLE", log_tail=tail)


def two_paretos(a: float, b: float, share: float) -> Law:
    """`p x^-a + (1 - p) x^-b`, a < b: corrections of order x^(a-b), so rho = (a - b)/a."""

    def draw(rng, shape):
        power = np.where(rng.random(shape) < share, 1 / a, 1 / b)
        return np.exp(rng.standard_exponential(shape) * power)

    def tail(x):
        return np.logaddexp(np.log(share) - a * np.log(x), np.log1p(-share) - b * np.log(x))

    return Law(f"{share:g} Pareto({a:g}) + Pareto({b:g})", a, (a - b) / a, draw, log_tail=tail)


def log_gamma(shape_: float, alpha: float) -> Law:
    """Exponential of a gamma variable over alpha: corrections to x^-alpha are powers of log x, so rho = 0.

    `P(X > x) = P(G > alpha log x) ~ (alpha log x)^(shape_ - 1) x^-alpha / Gamma(shape_)`.
    """

    def draw(rng, shape):
        return np.exp(rng.standard_gamma(shape_, shape) / alpha)

    def tail(x):
        return np.log(special.gammaincc(shape_, alpha * np.log(x)))

    return Law(f"log-gamma({shape_:g}, {alpha:g})", alpha, 0.0, draw, log_tail=tail)


def kesten(alpha: float) -> Law:
    """Stationary law of `x' = (1 - eta a^2) x + eta a b`, a and b normal: SGD on least squares in one dimension, batch size 1.

    Multiply by |x|^s and average: E|x|^s (1 - h(s)) is regular, h(s) = E|1 - eta a^2|^s, up to the pole that a symmetric b puts at
    alpha + 2. So the tail has a term x^-s for each zero s of 1 - h, and the second is that with the next larger real part. It is a
    complex pair, Re s < alpha + 2: corrections x^(alpha - Re s) cos(Im s log x + c), rho = (alpha - Re s)/alpha, wider than the -2/alpha
    of the pole. Values are drawn from the stationary law as sums backwards in time, to 1e-9.
    """
    eta = recursion.step_size_for(alpha, 1, 1)
    alpha = recursion.tail_index(eta, 1, 1)
    root = second_zero(alpha, eta)

    def draw(rng, shape):
        x = np.empty(shape)
        for block in np.array_split(x.reshape(-1), -(-x.size // 50_000)):  # views that stay in the cache
            left, product, total = np.arange(block.size), np.ones(block.size), np.zeros(block.size)
            while left.size:
                for _ in range(8):
                    a, b = rng.standard_normal((2, left.size))
                    total += product * (eta * a * b)
                    product *= 1 - eta * a * a
                on = abs(product) > 1e-9
                block[left[~on]] = total[~on]
                left, product, total = left[on], product[on], total[on]
        return x

    return Law(f"Kesten chain({alpha:.3f})", alpha, (alpha - root.real) / alpha, draw)


def second_zero(alpha: float, eta: float) -> complex:
    """The complex zero of h(s) - 1, h(s) = E|1 - eta a^2|^s, with the smallest real part beyond alpha, by Newton's method."""
    logs, weights = log_factors(eta)
    found = []
    for start in alpha + np.add.outer(np.linspace(0.2, 2.2, 6), 1j * np.linspace(0.5, 8, 16)).ravel():
        s = complex(start)
        for _ in range(40):
            if not (alpha - 1 < s.real < alpha + 4 and abs(s.imag) < 20):
                break
            powers = np.exp(s * logs) * weights
            s -= (powers.sum() - 1) / (powers * logs).sum()
        else:
            if s.imag > 0.1 and abs((np.exp(s * logs) * weights).sum() - 1) < 1e-9:
                found.append(s)
    return min(found, key=lambda s: s.real)


def log_factors(eta: float) -> tuple[np.ndarray, np.ndarray]:
    """Nodes log|1 - eta a^2| and weights of an integral over a normal a, dense where the factor is 0."""
    t, w = np.polynomial.legendre.leggauss(400)
    t, w = (t + 1) / 2, w / 2
    zero = eta**-0.5
    a = np.r_[zero * (1 - t**4), zero + 14 * t**4]
    w = np.r_[zero * 4 * t**3 * w, 14 * 4 * t**3 * w]
    size = abs(np.r_[-zero * t**4, 14 * t**4] * (a + zero) * eta)  # |1 - eta a^2| without cancellation
    return np.log(size), w * np.sqrt(2 / np.pi) * np.exp(-a * a / 2)


def _log_pareto(alpha: float) -> Log:
    return lambda x: -alpha * np.log(np.maximum(x, 1.0))


# Traps. -------------------------------------------------------------------------------------------------------------------


def rounded(law: Law, decimals: int = 2) -> Law:
    """Rounded to decimals."""
    step = 10.0**-decimals
    return _changed(law, f"{law.name}, {decimals} decimals", lambda x: np.round(x, decimals), lambda x: _next(x, step, 0.5))


def two_digits(law: Law) -> Law:
    """Rounded to two significant digits."""

    def change(x):
        step = 10.0 ** (np.floor(np.log10(np.maximum(abs(x), 1e-300))) - 1)
        return np.round(x / step) * step

    return _changed(law, f"{law.name}, 2 digits", change, lambda x: _next(x, 10.0 ** (np.floor(np.log10(x)) - 1), 0.5))


def floored(law: Law, factor: float = 1.0) -> Law:
    """Integers: the floor of factor times the value."""
    name = f"floor of {factor:g} {law.name}" if factor != 1 else f"floor of {law.name}"
    return _changed(law, name, lambda x: np.floor(factor * x), lambda x: _next(x, 1.0, 1.0) / factor)


def _next(x: np.ndarray, step, by: float) -> np.ndarray:
    """What the value before rounding has to reach, so that the rounded one is beyond x."""
    return (np.floor(x / step + 1e-9) + by) * step


def _changed(law: Law, name: str, change: Callable, reach: Callable) -> Law:
    inner = law.log_tail
    tail = None if inner is None else (lambda x: inner(reach(np.asarray(x))))
    return replace(law, name=name, rho=np.nan, draw=lambda rng, shape: change(law.draw(rng, shape)), log_tail=tail)


def with_normal(alpha: float, share: float) -> Law:
    """Pareto with probability `share`, else standard normal."""

    def draw(rng, shape):
        return np.where(rng.random(shape) < share, rng.pareto(alpha, shape) + 1, rng.standard_normal(shape))

    def tail(x):
        return np.log(share * np.maximum(x, 1.0) ** -alpha + (1 - share) * special.erfc(x / np.sqrt(2)))

    return Law(f"{share:g} Pareto({alpha:g}) + normal", alpha, np.nan, draw, log_tail=tail)


# Dependent values. --------------------------------------------------------------------------------------------------------

MEMORY = 1_000  # steps before the first value


def affine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """`x_t = a_t x_(t-1) + b_t` along the last axis from x_0 = b_0, by doubling: log2(n) passes over whole arrays."""
    lag = 1
    while lag < b.shape[-1] and np.any(a[..., lag:]):
        b[..., lag:] += a[..., lag:] * b[..., :-lag].copy()
        a[..., lag:] *= a[..., :-lag].copy()
        a[..., :lag] = 0.0
        a[abs(a) < 1e-30] = 0.0
        lag *= 2
    return b


def _chain(step: Callable) -> Draw:
    """Values of one long chain a sample, after MEMORY steps."""
    return lambda rng, shape: affine(*step(rng, (shape[0], shape[1] + MEMORY)))[:, MEMORY:]


def ar1(coefficient: float, nu: float) -> Law:
    """`x' = phi x + z`, z Student: a sum of independent terms with the index of z."""

    def step(rng, shape):
        return np.full(shape, coefficient), rng.standard_t(nu, shape)

    return Law(f"AR({coefficient:g}), Student({nu:g})", nu, np.nan, _chain(step))


def arch1(share: float) -> Law:
    """`x_t^2 = (1 + a x_(t-1)^2) z_t^2`, z normal.

    The index is twice the root k > 0 of `E (a z^2)^k = (2a)^k Gamma(k + 1/2) / sqrt(pi) = 1`.
    """
    alpha = arch_index(share)
    square = _chain(lambda rng, shape: (lambda z: (share * z, z.copy()))(rng.standard_normal(shape) ** 2))

    def draw(rng, shape):
        return np.sqrt(square(rng, shape)) * rng.choice([-1.0, 1.0], shape)

    return Law(f"ARCH({share:g})", alpha, np.nan, draw)


def arch_index(share: float) -> float:
    """Twice the root of `k log(2a) + log Gamma(k + 1/2) - log Gamma(1/2)`, which is convex and 0 at k = 0, by bisection."""
    low, high = 0.05, 100.0
    for _ in range(200):
        k = (low + high) / 2
        below = k * np.log(2 * share) + special.gammaln(k + 0.5) - special.gammaln(0.5) < 0
        low, high = (k, high) if below else (low, k)
    return 2 * low


def max_autoregressive(coefficient: float, alpha: float) -> Law:
    """`x' = max(phi x, z)`, z Frechet: Frechet with `x^-alpha / (1 - phi^alpha)` in the exponent; clusters of 1/(1 - phi^alpha)."""
    scale = (1 - coefficient**alpha) ** (-1 / alpha)

    def draw(rng, shape):
        x = rng.standard_exponential((shape[0], shape[1] + MEMORY)) ** (-1 / alpha)
        lag = 1
        while lag < MEMORY:  # the maximum of phi^k z_(t-k) over k < 2 lag
            x[:, lag:] = np.maximum(x[:, lag:], coefficient**lag * x[:, :-lag])
            lag *= 2
        return x[:, MEMORY:]

    base = frechet(alpha).log_tail
    inner = base if base is not None else _log_pareto(alpha)
    return Law(f"max-AR({coefficient:g}, {alpha:g})", alpha, -1.0, draw, log_tail=lambda x: inner(x / scale))


def long_kesten(alpha: float) -> Law:
    """The values of one chain `x' = (1 - eta a^2) x + eta a b` after one another."""
    eta = recursion.step_size_for(alpha, 1, 1)

    def step(rng, shape):
        a = rng.standard_normal(shape)
        return 1 - eta * a * a, eta * a * rng.standard_normal(shape)

    return Law(f"one Kesten chain({alpha:.3f})", recursion.tail_index(eta, 1, 1), np.nan, _chain(step))


def shared_factor(alpha: float, group: int) -> Law:
    """Groups of neurons that share a Pareto factor: F z, z normal: `P(|F z| > x) = E min(1, |z|/x)^alpha`."""
    constant = 2 ** (alpha / 2) * special.gamma((alpha + 1) / 2) / np.sqrt(np.pi)

    def draw(rng, shape):
        factor = rng.pareto(alpha, (shape[0], -(-shape[1] // group))) + 1
        return np.repeat(factor, group, axis=1)[:, : shape[1]] * rng.standard_normal(shape)

    def tail(x):
        below = constant * special.gammainc((alpha + 1) / 2, x * x / 2) * x**-alpha
        return np.log(below + special.erfc(x / np.sqrt(2)))

    return Law(f"{group} neurons a factor({alpha:g})", alpha, np.nan, draw, log_tail=tail)


# Transients and laws without an index. ------------------------------------------------------------------------------------


def unfinished(eta: float, steps: int) -> Law:
    """Chains of `kesten` after a few steps from a normal start: polynomials of normals, all moments are finite."""

    def draw(rng, shape):
        x = rng.standard_normal(shape)
        for _ in range(steps):
            a = rng.standard_normal(shape)
            x = (1 - eta * a * a) * x + eta * a * rng.standard_normal(shape)
        return x

    return Law(f"chain at {eta:.3f}, {steps} steps", np.nan, np.nan, draw, "FINITE")


def _early(alpha: float, steps: float) -> Law:
    return unfinished(recursion.step_size_for(alpha, 1, 1), int(steps))


def _beyond(factor: float, steps: float) -> Law:
    return unfinished(factor * recursion.maximal_step_size(1, 1), int(steps))


def known(name: str, distribution, family: str, draw: Draw) -> Law:
    """A law of scipy, of |X| where it is symmetric about 0."""
    both = np.log(2.0) if distribution.support()[0] == -np.inf else 0.0
    return Law(name, np.nan, np.nan, draw, family, log_tail=lambda x: distribution.logsf(x) + both)


def truncated(alpha: float, cut: float) -> Law:
    """Pareto below the quantile beyond which the share `cut` would lie."""

    def draw(rng, shape):
        return (cut + (1 - cut) * rng.random(shape)) ** (-1 / alpha)

    def tail(x):
        with np.errstate(divide="ignore"):
            return np.log(np.maximum(np.maximum(x, 1.0) ** -alpha - cut, 0.0) / (1 - cut))

    return Law(f"Pareto({alpha:g}) cut at {cut:.2g}", np.nan, np.nan, draw, "BOUNDED", log_tail=tail, cut=cut)


def clipped(alpha: float, cut: float) -> Law:
    """Pareto, with all values beyond the quantile of the share `cut` set to it."""
    end = cut ** (-1 / alpha)

    def draw(rng, shape):
        return np.minimum(rng.pareto(alpha, shape) + 1, end)

    def tail(x):
        return np.where(np.asarray(x) < end, -alpha * np.log(np.maximum(x, 1.0)), -np.inf)

    return Law(f"Pareto({alpha:g}) clipped at {cut:.2g}", np.nan, np.nan, draw, "BOUNDED", log_tail=tail, cut=cut)


def saturated(slope: float) -> Law:
    """`tanh(slope z)` in float32, z normal: 1 where rounding says so."""

    def draw(rng, shape):
        return np.tanh(np.float32(slope) * rng.standard_normal(shape, np.float32)).astype(np.float64)

    return Law(f"tanh({slope:g} z)", np.nan, np.nan, draw, "BOUNDED")


def tempered(alpha: float, cut: float) -> Law:
    """`x^-alpha exp(-(x - 1)/L)`, L the quantile of the share `cut`: the smaller of a Pareto and a shifted exponential."""
    scale = cut ** (-1 / alpha)

    def draw(rng, shape):
        return np.minimum(rng.pareto(alpha, shape), scale * rng.standard_exponential(shape)) + 1

    def tail(x):
        return -alpha * np.log(np.maximum(x, 1)) - np.maximum(x - 1, 0) / scale

    return Law(f"Pareto({alpha:g}) tempered at {cut:.2g}", np.nan, np.nan, draw, "LIGHT", log_tail=tail, cut=cut)


def semicircle(size: int) -> Law:
    """Eigenvalues of symmetric Gaussian matrices, by tridiagonal ones with the same (Dumitriu, Edelman 2002)."""

    def draw(rng, shape):
        count = -(-shape[1] // size)
        diagonal = np.sqrt(2) * rng.standard_normal((shape[0], count, size))
        beside = np.sqrt(rng.chisquare(np.arange(size - 1, 0, -1), (shape[0], count, size - 1)))
        x = [
            [linalg.eigvalsh_tridiagonal(*one) for one in zip(*both, strict=True)] for both in zip(diagonal, beside, strict=True)
        ]
        return np.reshape(x, (shape[0], -1))[:, : shape[1]]

    return Law(f"eigenvalues, {size}", np.nan, np.nan, draw, "BOUNDED", largest=10_000)


def norm_of_uniforms(dim: int) -> Law:
    """Norms of vectors of uniform coordinates."""

    def draw(rng, shape):
        total = np.zeros(shape)
        for _ in range(dim):
            u = rng.random(shape)
            total += u * u
        return np.sqrt(total)

    return Law(f"norm of {dim} uniforms", np.nan, np.nan, draw, "BOUNDED")


def product(count: int) -> Law:
    """Products of normals: a stretched exponential with power 2/count."""

    def draw(rng, shape):
        x = rng.standard_normal(shape)
        for _ in range(count - 1):
            x *= rng.standard_normal(shape)
        return x

    return Law(f"product of {count} normals", np.nan, np.nan, draw, "LIGHT")


def _without(pick: Callable[[float, float], float]) -> list[Law]:
    sigmas, powers = [pick(0.4, 0.9), pick(1, 3)], [pick(0.3, 0.6), pick(0.6, 1), pick(1.2, 2)]
    shapes, degrees = [pick(0.2, 0.6), pick(2, 5)], int(pick(6, 20))
    a, b, scale, share = pick(1, 3), pick(2, 6), pick(5, 15), pick(0.02, 0.1)
    found = [known(f"log-normal({s:g})", stats.lognorm(s), "LOGNORMAL", _lognormal(s)) for s in sigmas]
    found += [known(f"Weibull({p:g})", stats.weibull_min(p), "LIGHT", _weibull(p)) for p in powers]
    found += [known(f"gamma({s:g})", stats.gamma(s), "LIGHT", _gamma(s)) for s in shapes]
    found += [
        known("exponential", stats.expon(), "LIGHT", lambda rng, shape: rng.standard_exponential(shape)),
        known("normal", stats.norm(), "LIGHT", lambda rng, shape: rng.standard_normal(shape)),
        known("logistic", stats.logistic(), "LIGHT", lambda rng, shape: rng.logistic(size=shape)),
        known("Laplace", stats.laplace(), "LIGHT", lambda rng, shape: rng.laplace(size=shape)),
        known("uniform", stats.uniform(), "BOUNDED", lambda rng, shape: rng.random(shape)),
        known(f"beta({a:g}, {b:g})", stats.beta(a, b), "BOUNDED", lambda rng, shape: rng.beta(a, b, shape)),
        known(f"norm of {degrees} normals", stats.chi(degrees), "LIGHT", lambda rng, shape: rng.chisquare(degrees, shape) ** 0.5),
        norm_of_uniforms(64),
        semicircle(128),
        product(3),
        Law(
            f"normals, {share:g} of them times {scale:g}",
            np.nan,
            np.nan,
            lambda rng, shape: np.where(rng.random(shape) < share, scale, 1.0) * rng.standard_normal(shape),
            "LIGHT",
            log_tail=lambda x: np.log(share * special.erfc(x / scale / 2**0.5) + (1 - share) * special.erfc(x / 2**0.5)),
        ),
        Law(
            f"normal times log-normal({sigmas[0]:g})",
            np.nan,
            np.nan,
            lambda rng, shape: rng.standard_normal(shape) * np.exp(sigmas[0] * rng.standard_normal(shape)),
            "FINITE",
        ),
    ]
    cuts = [10 ** pick(-2.3, -1.7), 10 ** pick(-3.3, -2.7), 10 ** pick(-4.3, -3.7)]
    found += [truncated(pick(1.2, 2.5), cut) for cut in cuts]
    found += [tempered(pick(1.2, 2.5), cut) for cut in cuts]
    return [*found, clipped(pick(1.2, 2.5), 10 ** pick(-3, -1.5)), saturated(pick(2, 8))]


def _lognormal(sigma: float) -> Draw:
    return lambda rng, shape: np.exp(sigma * rng.standard_normal(shape))


def _weibull(power: float) -> Draw:
    return lambda rng, shape: rng.weibull(power, shape)


def _gamma(shape_: float) -> Draw:
    return lambda rng, shape: rng.standard_gamma(shape_, shape)


def _mixed(pick: Callable, low: float, high: float) -> Law:
    """Two Paretos with |rho| in (low, high)."""
    a = pick(0.8, 2.0)
    return two_paretos(a, round(a * (1 + pick(low, high)), 3), pick(0.3, 0.7))


_MEMBERS: dict[str, Callable[[Callable[[float, float], float]], list[Law]]] = {
    "pareto": lambda pick: [pareto(pick(0.3, 1)), pareto(pick(1, 2)), pareto(pick(2, 5))],
    "fast": lambda pick: [
        frechet(pick(0.8, 3)),
        fisk(pick(0.8, 3)),
        stable(pick(0.5, 0.9)),
        stable(pick(1.1, 1.8)),
        student(pick(0.8, 1.8)),
        burr(pick(1, 3), pick(0.4, 1)),
        lomax(pick(0.5, 1)),
        inverse_gamma(pick(0.5, 1)),
        _mixed(pick, 1.05, 2.0),
        kesten(pick(1.1, 1.45)),
    ],
    "middle": lambda pick: [
        student(pick(2.05, 3.9)),
        lomax(pick(1.05, 1.95)),
        burr(pick(1, 3), pick(1.05, 1.95)),
        inverse_gamma(pick(1.05, 1.95)),
        fisher(pick(2, 8), pick(2.1, 3.9)),
        beta_prime(pick(1, 3), pick(1.05, 1.95)),
        shifted(pick(1.1, 1.9), pick(0.5, 1.5)),
        shifted(pick(1.1, 1.9), -pick(0.3, 0.7)),
        _mixed(pick, 0.55, 0.95),
        kesten(pick(1.6, 2.7)),
    ],
    "quarter": lambda pick: [
        student(pick(4.1, 7.8)),
        genpareto(pick(0.27, 0.48)),
        lomax(pick(2.1, 3.8)),
        burr(pick(1, 3), pick(2.1, 3.8)),
        inverse_gamma(pick(2.1, 3.8)),
        fisher(pick(2, 8), pick(4.2, 7.6)),
        beta_prime(pick(1, 3), pick(2.1, 3.8)),
        shifted(pick(2.1, 3.8), pick(0.5, 1.5)),
        _mixed(pick, 0.27, 0.48),
        kesten(pick(3.0, 4.5)),
    ],
    "slow": lambda pick: [
        student(pick(9, 20)),
        lomax(pick(4.3, 8)),
        burr(pick(1, 3), pick(4.3, 8)),
        inverse_gamma(pick(4.3, 8)),
        _mixed(pick, 0.08, 0.22),
    ],
    "log-gamma": lambda pick: [log_gamma(pick(0.4, 0.8), pick(1, 3)), log_gamma(pick(1.5, 3), pick(1, 3))],
    "traps": lambda pick: [
        rounded(pareto(pick(1.2, 2.5))),
        rounded(student(pick(1.2, 2.5))),
        two_digits(pareto(pick(1.2, 2.5))),
        floored(pareto(pick(1.2, 2.5))),
        floored(pareto(pick(1.2, 2.5)), 10.0),
        with_normal(pick(1.2, 2.5), 0.05),
        with_normal(pick(1.2, 2.5), 0.01),
        stable(1.95, size=True),
        stable(1.99, size=True),
        shifted(pick(1.2, 2.5), pick(5, 20)),
    ],
    "dependent": lambda pick: [
        ar1(pick(0.5, 0.7), pick(1.5, 3)),
        ar1(pick(0.7, 0.9), pick(1.5, 3)),
        ar1(0.95, pick(1.5, 3)),
        arch1(pick(0.5, 0.9)),
        max_autoregressive(pick(0.5, 0.9), pick(1, 3)),
        long_kesten(pick(1.3, 2.5)),
        shared_factor(pick(1.2, 2.5), int(pick(5, 50))),
    ],
    "transient": lambda pick: [
        _early(pick(1.2, 2.5), pick(3, 5)),
        _early(pick(1.2, 2.5), pick(6, 12)),
        _beyond(pick(1.05, 1.3), pick(20, 40)),
        _beyond(pick(1.5, 3), pick(10, 30)),
    ],
    "none": _without,
}
