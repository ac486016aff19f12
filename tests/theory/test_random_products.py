"""The population solver, on laws whose growth is known."""

import jax
import numpy as np
import pytest
from scipy import optimize, special

import meanfield as mf
from meanfield.theory import random_products, recursion

KEY = jax.random.key(0)
SMALL = {"key": KEY, "population": 3_000, "steps": 500}


def isotropic(step_size, batch_size, dim, weight_decay=0.0):
    """SGD on least squares with inputs N(0, I), from its mini-batches: nothing of what the package knows about them."""

    def grow(rng, u):
        moved = (1 - step_size * weight_decay) * u
        for _ in range(batch_size):
            a = rng.normal(size=u.shape)
            moved = moved - step_size / batch_size * np.sum(a * u, axis=1, keepdims=True) * a
        return moved

    return grow


def diagonal(factors):
    """Diagonal maps whose factors are drawn together, with equal probabilities: rows of `factors`."""
    return lambda rng, u: u * factors[rng.integers(len(factors), size=len(u))]


@pytest.mark.long(1)
@pytest.mark.parametrize(("dim", "alpha"), [(2, 1.5), (2, 3.0), (5, 1.5), (5, 3.0)])
def test_isotropic_gaussian_inputs(dim, alpha):
    """Within 1 % and 4 standard errors of the quadrature, which are small enough to tell an index 5 % beside it."""
    law = isotropic(recursion.step_size_for(alpha, 1, dim), 1, dim)
    found = random_products.tail_index(law, dim, key=jax.random.key(1), population=5_000, steps=700)
    assert abs(found.value / alpha - 1) < 0.01
    assert abs(found.value - alpha) < 4 * found.standard_error
    assert found.standard_error < 0.01 * alpha
    assert found.interval[0] < found.value < found.interval[1]
    wrong = 1.05 * alpha
    assert abs(found.value - wrong) > 4 * found.standard_error


def test_a_wrong_law_is_told_apart():
    """The same step with a ridge: another index, by the quadrature too."""
    eta = recursion.step_size_for(1.5, 2, 2)
    found = random_products.tail_index(isotropic(eta, 2, 2, weight_decay=0.1), 2, **SMALL)
    assert abs(found.value - recursion.tail_index(eta, 2, 2, weight_decay=0.1)) < 4 * found.standard_error
    assert abs(found.value - 1.5) > 4 * found.standard_error


@pytest.mark.slow
def test_growth_and_its_bias():
    """A population of 200, 20 000 steps: biased by some 6 standard errors if it is not corrected (the same run, the mean alone)."""
    eta, dim, s = 0.4, 3, 2.0
    law, exact = isotropic(eta, 1, dim), np.log(recursion.moment(s, eta, 1, dim))
    found = random_products.log_growth(law, dim, s, population=200, steps=20_000, key=KEY)
    assert abs(found.value - exact) < 4 * found.standard_error
    assert found.value - 20_000 * found.standard_error**2 / 2 < exact - 4 * found.standard_error
    assert random_products.log_growth(law, dim, 0.0, **SMALL) == random_products.exact(0.0)


def test_lyapunov_exponent():
    found = random_products.lyapunov(isotropic(0.3, 2, 4), 4, **SMALL)
    assert abs(found.value - recursion.lyapunov(0.3, 2, 4)) < 4 * found.standard_error
    assert abs(found.value - recursion.lyapunov(0.3, 2, 5)) > 4 * found.standard_error
    assert random_products.lyapunov(lambda rng, u: 0 * u, 2, **SMALL).value == -np.inf


def test_one_dimension_is_an_equation():
    factors = np.array([[0.2], [0.5], [-0.7], [2.0]])
    exact = optimize.brentq(lambda s: np.mean(np.abs(factors) ** s) - 1, 0.1, 10)
    found = random_products.tail_index(diagonal(factors), 1, **SMALL)
    assert abs(found.value - exact) < 4 * found.standard_error < 0.05 * exact


def test_diagonal_maps_have_the_smallest_index_of_their_entries():
    """Diagonal maps commute: k(s) is the largest E |m_i|^s, alpha the smallest root, 1.694 here; the other is 3.35."""
    factors = np.array([[0.3, 0.9], [0.3, 0.4], [1.9, 0.7], [0.2, 1.5]])
    roots = [optimize.brentq(lambda s, m=m: np.mean(m**s) - 1, 0.1, 20) for m in factors.T]
    found = random_products.tail_index(diagonal(factors), 2, **SMALL)
    assert abs(found.value - min(roots)) < 4 * found.standard_error
    assert abs(found.value - max(roots)) > 4 * found.standard_error


def test_blocks_have_the_smallest_index_of_the_blocks():
    """Two plain recursions in two dimensions each, independent: indices 1.5 and 3."""
    blocks = [isotropic(recursion.step_size_for(alpha, 1, 2), 1, 2) for alpha in (3.0, 1.5)]
    law = lambda rng, u: np.hstack([block(rng, u[:, part]) for block, part in zip(blocks, (slice(2), slice(2, 4)), strict=True)])  # noqa: E731
    found = random_products.tail_index(law, 4, **SMALL)
    assert abs(found.value - 1.5) < 4 * found.standard_error < 0.15


def test_rotations_change_nothing():
    """Log-normal lengths times rotations: log k(s) = m s + v s^2 / 2, alpha = -2 m / v; and maps that are not linear."""
    m, v = -0.3, 0.5

    def turned(rng, u):
        angle = rng.normal(size=len(u)) * (1 + (u[:, 0] > 0))  # homogeneous, not linear
        size = np.exp(m + np.sqrt(v) * special.ndtri(random_products.stratified(rng, len(u))))
        return size[:, None] * np.stack(
            [np.cos(angle) * u[:, 0] - np.sin(angle) * u[:, 1], np.sin(angle) * u[:, 0] + np.cos(angle) * u[:, 1]], 1
        )

    found = random_products.tail_index(turned, 2, **SMALL)
    assert abs(found.value - 1.2) < max(4 * found.standard_error, 1e-3)


def lost(u):
    """Whether a vector is in the cone that absorbs, of vectors with a negative entry."""
    return np.min(u, axis=1) < 0


def test_survivors_of_a_chain():
    """Three states and a cone that absorbs: slope and value at 0 of the logarithm of the largest eigenvalue of P_ij g_i^s.

    The mean growth of what is alive is another number, more than 4 errors away: vectors that are about to be lost count there.
    """
    chance = np.array([[0.90, 0.06, 0.0], [0.1, 0.6, 0.25], [0.0, 0.3, 0.5]])  # the rest is lost
    growth = np.array([1.2, 0.9, 0.5])

    def grow(rng, u):
        state = np.argmax(np.abs(u), axis=1)
        later = np.sum(random_products.stratified(rng, len(u))[:, None] > np.cumsum(chance, axis=1)[state], axis=1)
        gone = lost(u) | (later == 3)
        moved = np.zeros_like(u)
        moved[np.arange(len(u)), np.where(gone, 0, later)] = np.where(gone, -0.1, growth[state])
        return moved

    found = random_products.survivors(grow, 3, lost, key=KEY, population=2_000, steps=700)
    values, right = (part.real for part in np.linalg.eig(chance))
    top = np.argmax(values)
    left, right = np.linalg.inv(right)[top], right[:, top]
    exact = left * right @ np.log(growth) / (left @ right)
    assert abs(found.rate.value + np.log(values[top])) < 4 * found.rate.standard_error < 0.02
    assert abs(found.growth.value - exact) < 4 * found.growth.standard_error < 0.01
    assert abs(found.growth.value - left @ np.log(growth) / np.sum(left)) > 4 * found.growth.standard_error
    assert found.growth.bias == 0


def test_survivors_without_absorption_are_all():
    """Then the exponent is that of `lyapunov`; and no loss in 500 steps of 3000 vectors has the error of one."""
    law = isotropic(0.3, 2, 4)
    found = random_products.survivors(law, 4, **SMALL)
    assert abs(found.growth.value - recursion.lyapunov(0.3, 2, 4)) < 4 * found.growth.standard_error
    assert found.rate == random_products.exact(0.0)
    never = random_products.survivors(law, 4, lambda u: u[:, 0] > 2, **SMALL)
    assert never.growth == found.growth and never.rate.value == 0 and never.rate.standard_error == 1 / 1_500_000
    assert random_products.survivors(lambda rng, u: 0 * u, 2, **SMALL).growth.value == -np.inf


def test_survivors_tell_cones_with_an_exponent_each():
    """A half of the vectors grows by log 2 a step, the other by log 3: mean, and standard deviation in `bias`."""

    def grow(rng, u):
        noise = np.exp(0.1 * special.ndtri(random_products.stratified(rng, len(u))))
        return u * (np.where(u[:, 0] > 0, 2, 3) * noise)[:, None]

    found = random_products.survivors(grow, 2, **SMALL).growth
    assert found.bias == pytest.approx(np.log(1.5) / 2, rel=0.02) and found.value == pytest.approx(np.log(6) / 2, abs=0.01)
    assert random_products.survivors(lambda rng, u: 2 * np.abs(u), 2, **SMALL).growth.bias == 0


@pytest.mark.parametrize(
    ("absorbed", "fragment"),
    [(3, "`absorbed` must be None or a function"), (lambda u: u[:, 0] < 9, "`grow` must not absorb all vectors")],
)
def test_survivors_are_refused_in_a_sentence(absorbed, fragment):
    with pytest.raises(mf.ArgumentError) as caught:
        random_products.survivors(lambda rng, u: u, 2, absorbed, **SMALL)
    assert fragment in str(caught.value)


def test_equal_keys_give_equal_numbers():
    law = isotropic(0.5, 1, 2)
    one, two, three = (random_products.lyapunov(law, 2, **{**SMALL, "key": jax.random.key(n)}) for n in (4, 4, 5))
    assert one == two and one.value != three.value


@pytest.mark.long
def test_high_orders_are_refused_not_guessed():
    """Index 12: the weights of 10^4 vectors degenerate. An answer would be wrong by more than 100 %."""
    law = isotropic(recursion.step_size_for(12.0, 1, 2), 1, 2)
    with pytest.raises(
        mf.ArgumentError, match=r"^Argument `population` must be larger \(too few vectors carry the weight \|M u\|\^"
    ):
        random_products.tail_index(law, 2, population=2_000, steps=500, key=KEY)
    with pytest.raises(mf.ArgumentError, match="too few vectors carry the weight"):
        random_products.log_growth(law, 2, 12.0, population=2_000, steps=500, key=KEY)


@pytest.mark.slow
def test_errors_are_calibrated():
    """40 keys, index 1.5 in 2 dimensions: z-scores of mean 0 and standard deviation 1, within five standard errors of 40 Student's t_19."""
    eta = recursion.step_size_for(1.5, 1, 2)
    found = [
        random_products.tail_index(isotropic(eta, 1, 2), 2, key=jax.random.key(n), population=2_000, steps=500) for n in range(40)
    ]
    z = np.array([(f.value - 1.5) / f.standard_error for f in found])
    assert abs(z.mean()) < 5 * 1.06 / np.sqrt(40)
    assert 0.5 < z.std(ddof=1) < 1.6
    assert sum(f.interval[0] < 1.5 < f.interval[1] for f in found) >= 32
    # Half the errors would be found out.
    assert (2 * z).std(ddof=1) > 1.6


WRONG = {
    "no law": (
        lambda: random_products.tail_index(lambda rng, u: 2 * u, 2, **SMALL),
        "Argument `grow` must have a negative Lyapunov exponent (else there is no stationary law), but is one with 0.693 +- ",
    ),
    "no growth": (
        lambda: random_products.tail_index(lambda rng, u: u / 2, 2, population=100, steps=500, key=KEY),
        "Argument `grow` must lengthen vectors often enough: up to order ",
    ),
    "hardly any growth": (  # bounded inputs below 2 / |a|^2: nothing is lengthened, but some vectors are hardly shortened
        lambda: random_products.tail_index(lambda rng, u: u - 0.3 * u * rng.uniform(-1, 1, u.shape) ** 2, 2, **SMALL),
        "Argument `grow` must lengthen vectors often enough: up to order ",
    ),
    "no numbers": (
        lambda: random_products.lyapunov(lambda rng, u: u * np.nan, 2, **SMALL),
        "Argument `grow` must give finite vectors, but is one that does not.",
    ),
    "all zero": (
        lambda: random_products.log_growth(lambda rng, u: u * 0, 2, 1.0, **SMALL),
        "Argument `grow` must not make all vectors 0, but is one that does.",
    ),
    "shape": (
        lambda: random_products.lyapunov(lambda rng, u: u[:, 0], 2, **SMALL),
        "Argument `grow` must give an array of shape (3000, 2), but is one that gives (3000,).",
    ),
    "not a function": (
        lambda: random_products.lyapunov(np.eye(2), 2, key=KEY),  # type: ignore[arg-type]
        "Argument `grow` must be a function of a numpy generator and an array (population, dim), but is [[1.0, 0.0], [0.0, 1.0]].",
    ),
    "dim": (
        lambda: random_products.lyapunov(isotropic(0.1, 1, 2), 0, key=KEY),
        "Argument `dim` must be an integer >= 1, but is 0.",
    ),
    "population": (
        lambda: random_products.lyapunov(isotropic(0.1, 1, 2), 2, population=10, key=KEY),
        "Argument `population` must be an integer >= 100, but is 10.",
    ),
    "steps": (
        lambda: random_products.lyapunov(isotropic(0.1, 1, 2), 2, steps=10, key=KEY),
        "Argument `steps` must be an integer >= 500, but is 10.",
    ),
    "s": (
        lambda: random_products.log_growth(isotropic(0.1, 1, 2), 2, -1.0, key=KEY),
        "Argument `s` must be a number >= 0, but is -1.0.",
    ),
    "key": (
        lambda: random_products.lyapunov(isotropic(0.1, 1, 2), 2, key=3),  # type: ignore[arg-type]
        "Argument `key` must be one random key, made by `jax.random.key(seed)`, but is 3.",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments(name):
    call, message = WRONG[name]
    with pytest.raises(mf.ArgumentError) as caught:
        call()
    assert str(caught.value).startswith(message)
