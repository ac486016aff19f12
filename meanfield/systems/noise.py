"""Stable noise: symmetric, positive, rotation-invariant; finite in float32 by construction, right far into the tails.

Below them, cheap normal numbers: for the start of every particle, and for dynamics that draw some for every particle and step.

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


def key_words(key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The two words of 32 bits of a threefry key, from which `fold_words` starts.

    Examples:
        >>> [int(word) for word in key_words(jax.random.key(7))]
        [0, 7]
    """
    _check.random_key("key", key)
    data = jax.random.key_data(key)
    return data[0], data[1]


def fold_words(words: tuple[jax.Array, jax.Array], count: jax.Array) -> tuple[jax.Array, jax.Array]:
    """`jax.random.fold_in` on the words of a threefry key, bit for bit; 64 random bits that are a function of both arguments.

    What is ours is the spelling: elementwise and unrolled, so that XLA fuses it with what uses the words, and nothing is stored.
    (On CPU jax's own is a loop over whole arrays, three to six times slower; `jax.random.bits` spends one hash a WORD.)

    Args:
        words: two uint32 arrays.
        count: uint32; broadcast against the words.

    Source: Salmon, Moraes, Dror, Shaw (2011), Threefry-2x32 with 20 rounds.

    Examples:
        >>> first, second = fold_words(key_words(jax.random.key(7)), jnp.arange(3, dtype="uint32"))
        >>> bool((jax.random.key_data(jax.random.fold_in(jax.random.key(7), 2)) == jnp.stack([first[2], second[2]])).all())
        True
    """
    _check_words(*words)
    if not isinstance(count, np.ndarray | jax.Array):
        _check.integer("count", count, at_least=0)
        _check.require(count < 2**32, "count", "be less than 2^32", count)
        count = jnp.uint32(count)
    _check_words(count, name="count")
    keys = (*words, words[0] ^ words[1] ^ jnp.uint32(0x1BD11BDA))
    x, y = keys[0], keys[1] + count
    for i in range(5):
        for r in ((13, 15, 26, 6), (17, 29, 16, 24))[i % 2]:
            x = x + y
            y = x ^ ((y << r) | (y >> (32 - r)))
        x, y = x + keys[(i + 1) % 3], y + keys[(i + 2) % 3] + jnp.uint32(i + 1)
    return x, y


def integer(words: tuple[jax.Array, jax.Array], size: int) -> jax.Array:
    """Uniform on 0, ..., size - 1: the 64 bits as one number modulo `size`, int32.

    Probabilities are right to a relative `size / 2^64` up to size 2^16. Beyond that the arithmetic of 32 bits wraps around, as in
    `jax.random.randint`.

    Examples:
        >>> integer((jnp.uint32(1), jnp.uint32(5)), 7).item(), (2**32 + 5) % 7
        (2, 2)
    """
    _check_words(*words)
    _check.integer("size", size, at_least=1)
    _check.require(size < 2**31, "size", "be less than 2^31", size)
    n = np.uint32(size)
    return ((words[0] % n * np.uint32(2**32 % size) + words[1] % n) % n).astype(jnp.int32)


def normal_pair(words: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
    """Two independent float32 N(0, 1) for every 64 random bits: the polar transform of Box and Muller.

        sqrt(-2 log u) (sin, cos)(2 pi v),   u on the centres of a grid of step 2^-40 (as far as float32 goes), v of 2^-24

    The probability of |Z| > z is right to a relative 1e-5 for z <= 5.5, 1e-3 for z <= 6.5, and no |Z| is beyond 7.54. (Those of
    `jax.random.normal` in float32 lie between -5.42 and 5.23, and P(Z > 5) is wrong by a fifth.)

    Args:
        words: two uint32 arrays of independent uniform bits.

    Source: Box, Muller (1958).

    Examples:
        >>> bits = jax.random.bits(jax.random.key(0), (2, 1000), "uint32")
        >>> first, second = normal_pair((bits[0], bits[1]))
        >>> first.shape, bool(jnp.abs(jnp.std(first) - 1) < 0.1)
        ((1000,), True)
    """
    _check_words(*words)
    one, two = words
    low, angle = ((v.astype(jnp.float32) + 0.5) for v in (two & 0xFF, (two >> 8) & 0x3FFFFF))
    radius = jnp.sqrt(-2 * jnp.log((one.astype(jnp.float32) + low * 2.0**-8) * 2.0**-32))
    p = angle * 2.0**-22  # a quarter of the circle, 1 - p exact; two more bits are the signs
    both = ((radius * _sine(p), two >> 31), (radius * _sine(1 - p), (two >> 30) & 1))
    first, second = (jnp.where(negative == 1, -v, v) for v, negative in both)
    return first, second


def normal(key: jax.Array, size: int, dtype) -> jax.Array:
    """A vector of `size` independent N(0, 1): `normal_pair` of `fold_in(key, 0)`, `fold_in(key, 1)`, ..., first all firsts.

    For noise that every neuron draws by itself: one pass without intermediate arrays, several times faster than
    `jax.random.normal`, which float64 falls back on.

    Examples:
        >>> normal(jax.random.key(0), 3, jnp.float32).shape
        (3,)
    """
    _check.random_key("key", key)
    _check.integer("size", size, at_least=0)
    dtype = _floating(dtype)
    if dtype.itemsize > 4:
        return jax.random.normal(key, (size,), dtype)
    pairs = normal_pair(fold_words(key_words(key), jnp.arange((size + 1) // 2, dtype=jnp.uint32)))
    return jnp.concatenate(pairs)[:size].astype(dtype)


def normal_rows(key: jax.Array, count: int, start: int, stop: int) -> jax.Array:
    """Independent N(0, 1), (count, stop - start): row i is `jax.random.normal(fold_in(key, i), (stop,))[start:]`, bit for bit.

    Number j of row i is the same for every `count`, `start` and `stop`. What is ours is the spelling
    (see `fold_words`): one pass, and nothing but the numbers is
    stored, where jax keeps bits of three times their size. float64 falls back on `jax.random.normal`.

    Examples:
        >>> rows = normal_rows(jax.random.key(0), 3, 1, 4)
        >>> bool((rows[2] == jax.random.normal(jax.random.fold_in(jax.random.key(0), 2), (4,))[1:]).all())
        True
    """
    _check.random_key("key", key)
    for name, value, least in (("count", count, 0), ("start", start, 0), ("stop", stop, start)):
        _check.integer(name, value, at_least=least)
    if jnp.zeros((), float).dtype.itemsize > 4:
        return jax.vmap(lambda i: jax.random.normal(jax.random.fold_in(key, i), (stop,))[start:])(jnp.arange(count))
    # The words of the rows are stored. Without the barrier jaxlib 0.12.0.1 does not finish to compile 1 or 2 columns.
    own = jax.lax.optimization_barrier(fold_words(key_words(key), jnp.arange(count, dtype=jnp.uint32)[:, None]))
    first, second = fold_words(own, jnp.arange(start, stop, dtype=jnp.uint32)[None])
    unit = jax.lax.bitcast_convert_type(((first ^ second) >> 9) | jnp.uint32(0x3F800000), jnp.float32) - 1
    lowest = np.nextafter(np.float32(-1), np.float32(0))
    return np.float32(math.sqrt(2)) * jax.lax.erf_inv(jnp.maximum(lowest, unit * (1 - lowest) + lowest))


def uniform(word: jax.Array) -> jax.Array:
    """Uniform on (0, 1) from 32 random bits, float32: the centres of a grid of step 2^-32, fine near 0 (near 1 as float32 is).

    Examples:
        >>> float(uniform(jnp.uint32(0))) == 2.0**-33
        True
    """
    _check_words(word, name="word")
    return (word.astype(jnp.float32) + 0.5) * 2.0**-32


def _check_words(*arrays, name: str = "words") -> None:
    for word in arrays:
        ok = isinstance(word, np.ndarray | np.generic | jax.Array) and word.dtype == jnp.uint32
        _check.require(ok, name, "hold random bits, of type uint32", word)


def _floating(dtype) -> np.dtype:
    """The floating type that `dtype` names; None: jax's default."""
    default = jnp.zeros((), float).dtype
    try:
        kind = default if dtype is None else jnp.dtype(dtype)
    except TypeError:
        kind = jnp.dtype(int)
    ok = jnp.issubdtype(kind, jnp.floating) and 2 <= kind.itemsize <= default.itemsize
    _check.require(ok, "dtype", "be a floating type of 2 or 4 bytes, or of 8 under `jax.enable_x64`", dtype)
    return kind


def _arguments(key, alpha, shape, dtype, top, vector=False):
    """Check everything a user can have typed; return alpha as an array with as many axes as the sample, or none."""
    _check.random_key("key", key)
    _check.numbers("alpha", alpha, f"lie in (0, {top}]", lambda v: (v > 0) & (v <= top))
    sizes = tuple(shape) if isinstance(shape, tuple | list) else (-1,)
    ok = all(isinstance(n, int | np.integer) and not isinstance(n, bool) and n >= 0 for n in sizes) and len(sizes) >= vector
    _check.require(ok, "shape", "be a tuple of " + "one or more " * vector + "integers >= 0", shape)
    kind = _floating(dtype)
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
    first = _sine(jnp.minimum(alpha * p, (2 - alpha) + alpha * q))
    second = _sine(jnp.minimum(alpha, 2 - alpha) + jnp.abs(1 - alpha) * q)
    return (sign * _exp(_log_stable(alpha, first, second, _sine(q), _exponential(*other)), dtype)).astype(dtype)


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
    both = jnp.concatenate([sign * scale * _sine(p), other_sign * scale * _sine(q)], axis=-1)
    return both[..., : shape[-1]].astype(dtype)


def _log_positive(key, alpha, shape):
    """Logarithm of `sin(alpha V) / sin(V)^(1/alpha) (sin((1-alpha) V) / W)^((1-alpha)/alpha)`, V = p pi."""
    (_, p, q), (_, *other) = _uniforms(key, shape, alpha.dtype)
    p, q, rest = 2 * p, 2 * q, 1 - alpha
    first = _sine(jnp.minimum(alpha * p, 2 * rest + alpha * q))
    second = _sine(jnp.minimum(rest * p, 2 * alpha + rest * q))
    return _log_stable(alpha, first, second, _sine(jnp.minimum(p, q)), _exponential(*other))


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


def _sine(t):
    """`sin(pi t / 2)` for t in [0, 1] to the last digit: its series (faster than `jnp.sin`, which must reduce any angle)."""
    terms = 7 if t.dtype.itemsize < 8 else 11
    powers = [(-1) ** k * (math.pi / 2) ** (2 * k + 1) / math.factorial(2 * k + 1) for k in range(terms)]
    return t * jnp.polyval(jnp.asarray(powers[::-1], t.dtype), t * t, unroll=terms)


def _exp(value, dtype, room=1):
    """`exp`, clipped to the range of both types, upwards with a factor `room` to spare."""
    top = math.log(min(float(jnp.finfo(dtype).max), float(jnp.finfo(value.dtype).max)) / room) - 0.01
    return jnp.exp(jnp.clip(value, math.log(float(jnp.finfo(value.dtype).tiny)) + 0.01, top))
