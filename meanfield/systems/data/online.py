"""Online data: every mini-batch is fresh."""

import dataclasses
from dataclasses import dataclass, field
from typing import final

import jax
import jax.numpy as jnp
import numpy as np

from meanfield import _check
from meanfield.systems.data.base import AbstractSource
from meanfield.systems.networks import Particles, TwoLayer


@final
@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Teacher(AbstractSource):
    """Online teacher-student data, `x ~ N(0, I_dim / dim)`, `y = f_M*(x) + noise_std * N(0, I)`: every batch is fresh.

    Args:
        particles, network: the M neurons of the teacher and its architecture.
        noise_std: standard deviation of the label noise.
        x_test, y_test: a fixed fresh sample (with label noise) on which the risk is evaluated.
    """

    particles: Particles
    network: TwoLayer
    noise_std: float | jax.Array
    x_test: jax.Array
    y_test: jax.Array

    @property
    def dim(self) -> int:
        """Length of one input."""
        return self.particles.w.shape[1]

    @property
    def outputs(self) -> int:
        """Number of outputs a network needs."""
        return self.network.outputs or 0

    @property
    def splits(self) -> dict[str, tuple[jax.Array, jax.Array]]:
        """The test sample."""
        return {"test": (self.x_test, self.y_test)}

    def batch(self, key: jax.Array, step: int | jax.Array, batch_size: int) -> tuple[jax.Array, jax.Array]:
        """Draw `batch_size` fresh examples."""
        key_x, key_noise = jax.random.split(jax.random.fold_in(key, step))
        x = jax.random.normal(key_x, (batch_size, self.dim)) / np.sqrt(self.dim)
        f = self.network.predict(self.particles, x)
        return x, f + self.noise_std * jax.random.normal(key_noise, f.shape, f.dtype)


def teacher(
    key: jax.Array,
    *,
    dim: int,
    neurons: int,
    outputs: int = 1,
    activation: str = "relu",
    noise_std: float = 0.0,
    test_size: int = 2000,
) -> Teacher:
    """Online Gaussian teacher-student regression.

    The teacher is a `TwoLayer` network `f*(x) = (1/M) sum_m a_m act(<w_m, x>)` of M = `neurons` neurons drawn by `TwoLayer.init`;
    `x ~ N(0, I_dim / dim)` (mean square norm 1, the convention of all data sources here), `y = f*(x) + noise_std N(0, I)`.

    Args:
        key: random key; the teacher and its test sample depend on it alone.
        dim: length of an input.
        neurons: number M of neurons of the teacher.
        outputs: number of outputs.
        activation: of the teacher, as in `TwoLayer`.
        noise_std: standard deviation of the label noise, >= 0.
        test_size: number of examples of the fixed test sample.

    Raises:
        ValueError: a size below 1, a negative `noise_std`, an unknown activation, something that is not a key.

    Examples:
        >>> data = teacher(jax.random.key(0), dim=5, neurons=3)
        >>> x, y = data.batch(jax.random.key(1), 0, 4)
        >>> x.shape, y.shape
        ((4, 5), (4, 1))
    """
    _check.random_key("key", key)
    for name, value in {"dim": dim, "neurons": neurons, "outputs": outputs, "test_size": test_size}.items():
        _check.integer(name, value, at_least=1)
    noise_std = _standard_deviation(noise_std)
    network = TwoLayer(activation, "squared", dim=dim, outputs=outputs)
    key_teacher, key_test = jax.random.split(key)
    empty = jnp.zeros((0, dim)), jnp.zeros((0, outputs))
    source = Teacher(network.init(key_teacher, neurons), network, noise_std, *empty)
    x_test, y_test = source.batch(key_test, 0, test_size)
    return dataclasses.replace(source, x_test=x_test, y_test=y_test)


@final
@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class GaussianRegression(AbstractSource):
    """Online linear regression, `x ~ N(0, C)`, `y = <optimum, x> + noise_std N(0, 1)`; see `gaussian_regression`.

    Args:
        root: lower Cholesky factor of the covariance C, (dim, dim).
        optimum: the coefficients, (dim,).
        noise_std: standard deviation of the label noise.
        isotropic: whether C is a multiple of the identity.
    """

    root: jax.Array
    optimum: jax.Array
    noise_std: float | jax.Array
    isotropic: bool = field(metadata={"static": True})

    outputs = 1

    @property
    def dim(self) -> int:
        """Length of one input."""
        return self.optimum.shape[0]

    def batch(self, key: jax.Array, step: int | jax.Array, batch_size: int) -> tuple[jax.Array, jax.Array]:
        """Draw `batch_size` fresh examples."""
        draws = jax.random.normal(jax.random.fold_in(key, step), (batch_size, self.dim + 1))
        x = self.root[0, 0] * draws[:, :-1] if self.isotropic else jnp.matmul(draws[:, :-1], self.root.T, precision="highest")
        # A sum of products, not a mat-vec: see CONTRIBUTING.md on what jax 0.10.2 does to those under vmap.
        signal = jnp.sum(x * self.optimum[None, :], axis=1)
        return x, (signal + self.noise_std * draws[:, -1])[:, None]


def gaussian_regression(dim: int, noise_std: float = 1.0, *, covariance=None, optimum=None) -> GaussianRegression:
    """Online linear regression with Gaussian inputs: `x ~ N(0, C)`, `y = <optimum, x> + noise_std N(0, 1)`.

    The inputs are NOT scaled to mean square norm 1: the covariance is what the theory of the recursion speaks of.

    Args:
        dim: length of an input.
        noise_std: standard deviation of the label noise, >= 0.
        covariance: C, a number > 0 (times the identity) or a symmetric positive definite matrix (dim, dim); default 1.
        optimum: coefficients (dim,); default 0, so that chains are their own distance from the optimum.

    Raises:
        ValueError: a size below 1, a negative `noise_std`, a covariance that is not symmetric positive definite.

    Examples:
        >>> data = gaussian_regression(2, covariance=[[2.0, 0.5], [0.5, 1.0]])
        >>> x, y = data.batch(jax.random.key(0), 0, 3)
        >>> x.shape, y.shape, data.isotropic
        ((3, 2), (3, 1), False)
    """
    _check.integer("dim", dim, at_least=1)
    noise_std = _standard_deviation(noise_std)
    given = _check.finite("covariance", 1.0 if covariance is None else covariance, ndim=(0, 2)).astype(np.float64)
    isotropic = given.ndim == 0
    matrix = given * np.eye(dim) if isotropic else given
    must = f"be a number > 0 or a symmetric positive definite matrix of shape ({dim}, {dim})"
    shape = _check.words(f"an array of shape {given.shape}")
    _check.require(matrix.shape == (dim, dim), "covariance", must, shape)
    symmetric = bool(np.allclose(matrix, matrix.T, rtol=1e-6, atol=0))
    lowest = float(np.linalg.eigvalsh(matrix)[0]) if symmetric else np.nan
    found = _check.words(f"one with the eigenvalue {lowest:g}" if symmetric else "not symmetric")
    _check.require(symmetric and lowest > 0, "covariance", must, found)
    centre = _check.finite("optimum", np.zeros(dim) if optimum is None else optimum, ndim=(1,))
    shape = _check.words(f"an array of shape {centre.shape}")
    _check.require(centre.shape == (dim,), "optimum", f"have shape ({dim},)", shape)
    _check.representable("optimum", centre)
    root = np.linalg.cholesky(matrix)
    held = bool(np.all((np.diag(root) >= _check.TINY) & (np.diag(root) <= _check.HUGE)))
    must = f"have standard deviations between {_check.TINY:g} and {_check.HUGE:g}, what float32 can hold"
    _check.require(held or bool(jax.config.read("jax_enable_x64")), "covariance", must, covariance)
    return GaussianRegression(jnp.asarray(root, float), jnp.asarray(centre, float), noise_std, isotropic)


def _standard_deviation(noise_std) -> float:
    _check.representable("noise_std", noise_std)
    return _check.number("noise_std", noise_std, "be a number >= 0", lambda v: v >= 0)


@final
@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class GaussianClasses(AbstractSource):
    """Online: `y = +-1` with probability 1/2 each, `x | y ~ N(0, (1 + y delta)^2 I_dim)`; see `gaussian_classes`."""

    delta: float | jax.Array
    x_test: jax.Array
    y_test: jax.Array

    outputs = 1

    @property
    def dim(self) -> int:
        """Length of one input."""
        return self.x_test.shape[1]

    @property
    def splits(self) -> dict[str, tuple[jax.Array, jax.Array]]:
        """The test sample."""
        return {"test": (self.x_test, self.y_test)}

    def batch(self, key: jax.Array, step: int | jax.Array, batch_size: int) -> tuple[jax.Array, jax.Array]:
        """Draw `batch_size` fresh examples."""
        key_y, key_x = jax.random.split(jax.random.fold_in(key, step))
        x = jax.random.normal(key_x, (batch_size, self.dim))
        y = jax.random.rademacher(key_y, (batch_size, 1), x.dtype)
        return (1 + y * self.delta) * x, y


def gaussian_classes(key: jax.Array, *, dim: int, delta: float, test_size: int = 10_000) -> GaussianClasses:
    """Two centred Gaussians that differ in scale alone, the isotropic example of Mei, Montanari and Nguyen.

    `y = +-1` with probability 1/2 each, `x | y ~ N(0, (1 + y delta)^2 I_dim)`, real targets. As in the paper the inputs are NOT
    scaled to mean square norm 1; give the network `init_scale` of order 1/sqrt(dim).

    Args:
        key: random key of the test sample.
        dim: length of an input.
        delta: in (0, 1).
        test_size: number of examples of the fixed test sample.

    Raises:
        ValueError: a size below 1, `delta` outside (0, 1), something that is not a key.

    Source: Mei, Montanari, Nguyen (2018), "centered isotropic Gaussians".

    Examples:
        >>> x, y = gaussian_classes(jax.random.key(0), dim=3, delta=0.8, test_size=1).batch(jax.random.key(1), 0, 5)
        >>> x.shape, sorted(set(y.ravel().tolist()))
        ((5, 3), [-1.0, 1.0])
    """
    _check.random_key("key", key)
    _check.integer("dim", dim, at_least=1)
    _check.integer("test_size", test_size, at_least=1)
    delta = _check.number("delta", delta, "lie in (0, 1)", lambda v: (v > 0) & (v < 1))
    source = GaussianClasses(delta, jnp.zeros((0, dim)), jnp.zeros((0, 1)))
    x_test, y_test = source.batch(key, 0, test_size)
    return dataclasses.replace(source, x_test=x_test, y_test=y_test)
