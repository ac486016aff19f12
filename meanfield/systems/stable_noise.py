"""Stable noise: symmetric, positive, rotation-invariant; finite in float32 by construction, right far into the tails.

All three stable laws are products of powers of sines and of an exponential variable W, with a uniform angle (Chambers, Mallows,
Stuck 1976; Kanter 1975), and heavy tails are born where a sine or W is near 0. Three measures keep them right in float32.

*Uniforms that are fine at both ends.* `jax.random.uniform` lies on a grid of step 2^-23 and is 0 sometimes. Here a uniform is a
pair (p, q), p + q = 1, both accurate to the last digit however small: p is 31 bits of a random word and, below them, the last
16 bits of the other word; q is the same of the complement. The 16 bits are rounded away unless p < 2^-7, and they are a
relative 2^-15 of the other number, unless that is small at the same time: no dependence to be seen. Neither p nor q is ever
below 2^-48 = 3.6e-15 (in float64, of words of 64 bits, 2^-80).

*Sines of sums, never of differences.* Every sine is sin(pi t / 2) with t in (0, 1], and near each of its zeros t is a sum of
positive terms: sin(alpha V) with V = p pi / 2 is that of t = min(alpha p, (2 - alpha) + alpha q).

*Logarithms.* A draw is exp(L), and L is finite, because the sines are at least 2^-48, and W = -log(q) lies in [2^-48, 33.3].
For 1 <= alpha <= 2 this makes |X| < 2^51 (float32). For alpha < 1, L <= 48 (2 - alpha) / alpha log(2), below the largest
float32, 2^128, for alpha > 0.55; under it L is clipped at the logarithm of 0.99 times the largest number. The clip changes
draws whose true value is no float32: their probability is C_alpha 2^(-128 alpha), 2e-12 at alpha = 0.3, 2e-10 at 0.25.
"""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from meanfield import _check
from meanfield.systems.random import floating, sine
from meanfield.systems.scaling import Number


def symmetric_stable(key: jax.Array, alpha: Number, shape: tuple[int, ...] = (), dtype=None) -> jax.Array:
    """Independent symmetric alpha-stable numbers X of scale 1: `E exp(iuX) = exp(-|u|^alpha)`.

    S1 and S0 parameters coincide: (alpha, beta = 0, scale 1, location 0), `scipy.stats.levy_stable(alpha, 0)`. alpha = 1 is the
    standard Cauchy law, alpha = 2 is N(0, 2), not N(0, 1). For alpha < 2, `P(|X| > x) ~ C x^-alpha` with
    `C = (2/pi) Gamma(alpha) sin(pi alpha / 2)`.

    Args:
        key: one random key.
        alpha: number in (0, 2], or an array of them that broadcasts to `shape`. May be traced; changing it never recompiles.
        shape: of the sample.
        dtype: floating type of the sample; jax's default if None.

    Returns:
        Array of `shape`: finite and never 0. Where a value is beyond the range of `dtype` (alpha < 0.3 in float32), it is 0.99
        times the largest or the smallest number. A traced alpha outside (0, 2] cannot raise and gives NaN.

    Raises:
        ValueError: alpha outside (0, 2], or any other wrong argument.

    Source: Chambers, Mallows, Stuck (1976). Tails are right to probabilities of 1e-12 also in float32.

    Examples:
        >>> x = symmetric_stable(jax.random.key(0), 1.5, (1000,))
        >>> x.shape, bool(jnp.max(jnp.abs(x)) > 10)
        ((1000,), True)
    """
    return _symmetric(key, *_arguments(key, alpha, shape, dtype, top=2))


def positive_stable(key: jax.Array, alpha: Number, shape: tuple[int, ...] = (), dtype=None) -> jax.Array:
    """Independent positive alpha-stable numbers A: `E exp(-l A) = exp(-l^alpha)` for l >= 0.

    S1 parameters: (alpha, beta = 1, scale cos(pi alpha / 2)^(1/alpha), location 0). alpha = 1/2 is the Levy law of scale 1/2,
    alpha = 1 the constant 1. `P(A > x) ~ x^-alpha / Gamma(1 - alpha)`.

    Args:
        key: one random key.
        alpha: number in (0, 1], or an array of them that broadcasts to `shape`. May be traced; changing it never recompiles.
        shape: of the sample.
        dtype: floating type of the sample; jax's default if None.

    Returns:
        Array of `shape`: finite and never 0, clipped as in `symmetric_stable`.

    Raises:
        ValueError: alpha outside (0, 1], or any other wrong argument.

    Source: Kanter (1975), in logarithms.

    Examples:
        >>> a = positive_stable(jax.random.key(0), 0.5, (1000,))
        >>> bool(jnp.min(a) > 0.01), positive_stable(jax.random.key(0), 1.0, (2,)).tolist()
        (True, [1.0, 1.0])
    """
    return _positive(key, *_arguments(key, alpha, shape, dtype, top=1))


def isotropic_stable(key: jax.Array, alpha: Number, shape: tuple[int, ...], dtype=None) -> jax.Array:
    """Independent rotation-invariant alpha-stable vectors X: `E exp(i <u, X>) = exp(-|u|^alpha)` with Euclidean |u|.

    `X = sqrt(2 A) G`, A positive alpha/2-stable (`positive_stable`), G standard normal. Projections on unit vectors are
    `symmetric_stable`; coordinates share A and so depend on each other, except at alpha = 2, where X is N(0, 2 I).

    Args:
        key: one random key.
        alpha: number in (0, 2], or an array of them, one a vector, that broadcasts to `shape[:-1]`. May be traced.
        shape: of the sample; the last axis is the vector.
        dtype: floating type of the sample; jax's default if None.

    Returns:
        Array of `shape`: finite; sqrt(2 A) is clipped at 1/16 of the largest number.

    Raises:
        ValueError: alpha outside (0, 2], an empty shape, or any other wrong argument.

    Source: Samorodnitsky, Taqqu (1994), proposition 2.5.2. The Type-3 noise of Wan, Barsbey, Zaidi, Simsekli (2024) is sqrt(A) G
    with characteristic function `exp(-2^(-alpha/2) |u|^alpha)`: ours divided by sqrt(2).

    Examples:
        >>> x = isotropic_stable(jax.random.key(0), 1.5, (1000, 3))
        >>> x.shape, bool(jnp.max(jnp.abs(x)) > 10)
        ((1000, 3), True)
    """
    alpha, shape, dtype = _arguments(key, alpha, shape, dtype, top=2, vector=True)
    one = shape[-1] == 1  # the same law, in less time
    return _symmetric(key, alpha, shape[:-1], dtype)[..., None] if one else _isotropic(key, alpha, shape, dtype)


def _arguments(key, alpha, shape, dtype, top, vector=False):
    """Check everything a user can have typed; return alpha as an array with as many axes as the sample, or none."""
    _check.random_key("key", key)
    _check.numbers("alpha", alpha, f"lie in (0, {top}]", lambda v: (v > 0) & (v <= top))
    sizes = tuple(shape) if isinstance(shape, tuple | list) else (-1,)
    ok = all(isinstance(n, int | np.integer) and not isinstance(n, bool) and n >= 0 for n in sizes) and len(sizes) >= vector
    _check.require(ok, "shape", "be a tuple of " + "one or more " * vector + "integers >= 0", shape)
    kind = floating(dtype)
    alpha = jnp.asarray(alpha, kind if kind.itemsize > 2 else jnp.float32)
    sample = sizes[: len(sizes) - vector]
    fits = alpha.ndim <= len(sample) and all(m in (1, n) for m, n in zip(alpha.shape[::-1], sample[::-1], strict=False))
    _check.require(fits, "alpha", f"broadcast to {sample}", _check.words(f"an array of shape {alpha.shape}"))
    ones = (1,) * (len(sample) - alpha.ndim) if alpha.ndim else ()
    return alpha.reshape(ones + alpha.shape), tuple(int(n) for n in sizes), kind


@partial(jax.jit, static_argnums=(2, 3))
def _symmetric(key, alpha, shape, dtype):
    """`sin(alpha V) / cos(V)^(1/alpha) (cos((1-alpha) V) / W)^((1-alpha)/alpha)`, V = p pi / 2 with a sign."""
    alpha = _safe(alpha, 2)
    (sign, p, q), (_, *other) = _uniforms(key, shape, alpha.dtype)
    first = sine(jnp.minimum(alpha * p, (2 - alpha) + alpha * q))
    second = sine(jnp.minimum(alpha, 2 - alpha) + jnp.abs(1 - alpha) * q)
    return (sign * _exp(_log_stable(alpha, first, second, sine(q), _exponential(*other)), dtype)).astype(dtype)


@partial(jax.jit, static_argnums=(2, 3))
def _positive(key, alpha, shape, dtype):
    return _exp(_log_positive(key, _safe(alpha, 1), shape), dtype).astype(dtype)


@partial(jax.jit, static_argnums=(2, 3))
def _isotropic(key, alpha, shape, dtype):
    """The normal numbers come in twos from pairs of uniforms (Box, Muller 1958), with tails as far as the uniforms'."""
    one, two = jax.random.split(key)
    scale = _exp((_log_positive(one, _safe(alpha / 2, 1), shape[:-1]) + math.log(2)) / 2, dtype, room=16)[..., None]
    (sign, p, q), (other_sign, *other) = _uniforms(two, (*shape[:-1], (shape[-1] + 1) // 2), alpha.dtype)
    scale = scale * jnp.sqrt(2 * _exponential(*other))
    both = jnp.concatenate([sign * scale * sine(p), other_sign * scale * sine(q)], axis=-1)
    return both[..., : shape[-1]].astype(dtype)


def _log_positive(key, alpha, shape):
    """Logarithm of `sin(alpha V) / sin(V)^(1/alpha) (sin((1-alpha) V) / W)^((1-alpha)/alpha)`, V = p pi."""
    (_, p, q), (_, *other) = _uniforms(key, shape, alpha.dtype)
    p, q, rest = 2 * p, 2 * q, 1 - alpha
    first = sine(jnp.minimum(alpha * p, 2 * rest + alpha * q))
    second = sine(jnp.minimum(rest * p, 2 * alpha + rest * q))
    return _log_stable(alpha, first, second, sine(jnp.minimum(p, q)), _exponential(*other))


def _log_stable(alpha, first, second, third, w):
    """Logarithm of `first / third^(1/alpha) (second / w)^((1-alpha)/alpha)`; first and second can be 0 by underflow."""
    first, second = (jnp.log(jnp.maximum(v, float(jnp.finfo(alpha.dtype).tiny))) for v in (first, second / w))
    return first + ((1 - alpha) * second - jnp.log(third)) / alpha


def _safe(alpha, top):
    """The index with a finite inverse; NaN where a tracer brought what the checks refuse."""
    return jnp.where((alpha >= 0) & (alpha <= top), jnp.maximum(alpha, float(jnp.finfo(alpha.dtype).tiny)), jnp.nan)


def _uniforms(key, shape, dtype):
    """Two independent triples (sign, p, q): a random sign and p = 1 - q uniform on (0, 1), fine at both ends."""
    size = 8 * dtype.itemsize
    words = jax.random.bits(key, (2, *shape), f"uint{size}")
    signed = (words >> 1).astype(f"int{size}")

    def triple(word, whole, other):
        part = ((other & 0xFFFF).astype(dtype) + 0.5) * 2.0**-16
        p = (whole.astype(dtype) + part) * 2.0 ** (1 - size)
        q = ((2 ** (size - 1) - 1 - whole).astype(dtype) + (1 - part)) * 2.0 ** (1 - size)
        return 1 - 2 * (word & 1).astype(f"int{size}").astype(dtype), p, q

    return triple(words[0], signed[0], signed[1]), triple(words[1], signed[1], signed[0])


def _exponential(p, q):
    """`-log(q)`, from p where it is small."""
    return -jnp.where(p < 0.5, jnp.log1p(-jnp.minimum(p, 0.5)), jnp.log(q))


def _exp(value, dtype, room=1):
    """`exp`, clipped to the range of both types, upwards with a factor `room` to spare."""
    top = math.log(min(float(jnp.finfo(dtype).max), float(jnp.finfo(value.dtype).max)) / room) - 0.01
    return jnp.exp(jnp.clip(value, math.log(float(jnp.finfo(value.dtype).tiny)) + 0.01, top))
