"""Random numbers spelled so that XLA fuses them with what uses them; nothing is stored.

For the start of every particle, for mini-batches, and for dynamics that draw some numbers for every particle and step.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

from meanfield import _check


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
    both = ((radius * sine(p), two >> 31), (radius * sine(1 - p), (two >> 30) & 1))
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
    dtype = floating(dtype)
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


def floating(dtype) -> np.dtype:
    """The floating type that `dtype` names; None: jax's default."""
    default = jnp.zeros((), float).dtype
    try:
        kind = default if dtype is None else jnp.dtype(dtype)
    except TypeError:
        kind = jnp.dtype(int)
    ok = jnp.issubdtype(kind, jnp.floating) and 2 <= kind.itemsize <= default.itemsize
    _check.require(ok, "dtype", "be a floating type of 2 or 4 bytes, or of 8 under `jax.enable_x64`", dtype)
    return kind


def sine(t):
    """`sin(pi t / 2)` for t in [0, 1] to the last digit: its series (faster than `jnp.sin`, which must reduce any angle)."""
    terms = 7 if t.dtype.itemsize < 8 else 11
    powers = [(-1) ** k * (math.pi / 2) ** (2 * k + 1) / math.factorial(2 * k + 1) for k in range(terms)]
    return t * jnp.polyval(jnp.asarray(powers[::-1], t.dtype), t * t, unroll=terms)
