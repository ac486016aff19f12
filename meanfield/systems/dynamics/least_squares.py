"""SGD on least squares: millions of independent chains."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import final

import jax
import jax.numpy as jnp
import numpy as np

from meanfield import _check
from meanfield.systems import random
from meanfield.systems._arrays import Array, Float, Int, Integer, Key
from meanfield.systems.data.base import AbstractSource
from meanfield.systems.data.online import GaussianRegression
from meanfield.systems.dynamics.base import AbstractDynamics, State, per_particle, warn_unstable
from meanfield.systems.dynamics.chains import check_chains, check_plain_step, largest_eigenvalue
from meanfield.systems.networks import AbstractNetwork, Particles
from meanfield.systems.scaling import Number
from meanfield.theory import recursion


@final
@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class LinearRecursion(AbstractDynamics):
    """SGD on least squares, every particle a chain of its own with its own mini-batches.

        x <- ((1 - eta lam) I - (eta/b) H) x + q,    H = sum_(i<=b) a_i a_i',   q = (eta/b) sum_(i<=b) a_i y_i

    with eta = `step_size`, lam = `weight_decay`, b = `batch_size`; `coupled` adds `eta lam mean(x)`, so that the ridge pulls to the
    mean of the chains instead of 0: particles in mean-field interaction.

    On `mf.data.gaussian_regression` a step draws dim + 1 numbers instead of batch_size (dim + 1) (`reduced`): with inputs L g,
    g ~ N(0, I), v = L'(x - optimum) and c = sqrt(|v|^2 + noise_std^2), the sum of the gradients of a mini-batch has, given x, the law

        sum_(i<=b) a_i (<a_i, x> - y_i)  ~  L (Q v + sqrt(Q) (noise_std xi_par + c xi_perp)),   Q ~ chi^2_b, xi ~ N(0, I)

    independent, xi_par and xi_perp the parts of xi along v and orthogonal to it. (The residuals are c u with u ~ N(0, I_b); regress
    the g_i on them; Q = |u|^2.) The law of every chain is exact; what it gives up in dim >= 2 are common DATA: chains of the same
    key and index from two starts are then not moved by the same H and q.

    Args:
        step_size: eta > 0.
        batch_size: b; mini-batches of a finite set are drawn with replacement.
        weight_decay: lam >= 0.
        coupled: whether the ridge pulls to the mean of the chains.
        reduced: whether steps on Gaussian regressions are drawn from the law above (many times faster) or by their mini-batches.

    Raises:
        ValueError: a number outside its range.

    Run it on `mf.dynamics.chains()` with `mf.data.gaussian_regression(...)` (online) or any regression set. Beyond the largest
    step size with a stationary law a `StabilityWarning` names it: for isotropic Gaussian inputs the zero of the Lyapunov exponent
    (`mf.theory.recursion.maximal_step_size`); otherwise the step beyond which already the mean of a chain diverges.

    Source: Gurbuzbalaban, Simsekli, Zhu (2021); finite data: Pavasovic, Durmus, Simsekli (2023). The coupled form and the reduced
    law are ours.

    Examples:
        >>> import meanfield as mf
        >>> system = mf.System(mf.dynamics.chains(), mf.data.gaussian_regression(1), LinearRecursion(step_size=[0.5, 0.8], batch_size=1))
        >>> results = mf.simulate(system, widths=1000, steps=30, seeds=1, key=jax.random.key(0))
        >>> results.particles[1000].w.shape
        (2, 1, 1000, 1)
    """

    step_size: Number
    batch_size: int = field(metadata={"static": True})
    weight_decay: Number = 0.0
    coupled: bool = field(default=False, metadata={"static": True})
    reduced: bool = field(default=True, metadata={"static": True})

    def __post_init__(self):
        super().__post_init__()
        check_plain_step(self.step_size)
        _check.nonnegative("weight_decay", self.weight_decay)
        for name in ("coupled", "reduced"):
            value = getattr(self, name)
            _check.require(isinstance(value, bool), name, "be True or False", value)

    def check(self, network: AbstractNetwork, data: AbstractSource) -> None:
        """Refuse what is not a regression by chains; warn beyond the stability limit."""
        super().check(network, data)
        check_chains(network, data)
        epochs = data.epochs
        _check.require(
            not epochs, "data", "be sampled with replacement for this dynamics", _check.words("data sampled in epochs")
        )
        eta, lam = (np.asarray(v, float) for v in (self.step_size, self.weight_decay))
        for ridge in np.unique(lam):
            worst = float(eta.max())
            if isinstance(data, GaussianRegression) and data.isotropic:
                sigma = float(data.root[0, 0])
                if self.coupled:
                    # A law without a mean cannot hold chains together by their mean; and the mean itself moves by 1 - eta sigma^2.
                    limit = recursion.step_size_for(1.0, self.batch_size, data.dim, sigma, float(ridge))
                    limit, what = min(limit, 2 / sigma**2), "the law has no mean, which holds coupled chains together"
                else:
                    limit = recursion.maximal_step_size(self.batch_size, data.dim, sigma, float(ridge))
                    what = "the Lyapunov exponent is positive and the chains have no stationary law"
            else:
                limit = 2 / (largest_eigenvalue(data) + float(ridge))
                what = "already the mean of a chain diverges"
            if worst > limit:
                warn_unstable("step_size", limit, worst, what)

    def draw(
        self, source: AbstractSource, key: Key[Array, ""], step: Int[Array, ""], width: int
    ) -> "_Recipe | tuple[jax.Array, jax.Array]":
        """A mini-batch of every chain's own: inputs (width, batch_size, dim), targets (width, batch_size, 1).

        With `reduced`, of a Gaussian regression, a recipe: what `step` needs to draw its few numbers in the registers.
        """
        key = jax.random.fold_in(key, step)
        if self.reduced and type(source) is GaussianRegression:  # a subclass has another law
            return _Recipe.of(source, key, self.batch_size)
        return per_particle(key, width, lambda own: source.batch(own, 0, self.batch_size))

    def step(
        self, key: Key[Array, ""], state: State, batch: "_Recipe | tuple[jax.Array, jax.Array]"
    ) -> tuple[State, dict[str, Float[Array, ""]]]:
        """One step; `key` is not used."""
        x = state.particles.w
        eta, lam = (jnp.asarray(v, x.dtype) for v in (self.step_size, self.weight_decay))
        centre = jnp.mean(x, axis=0, keepdims=True) if self.coupled else jnp.zeros_like(x[:1])
        if isinstance(batch, _Recipe):
            move = lambda x, first: x - eta * (batch.gradient(x, first, self.batch_size) + lam * (x - centre))  # noqa: E731
            # On a CPU the numbers of a block of chains stay in its cache. An accelerator wants all chains at once, and on a mesh every
            # block would be gathered from all devices.
            size = batch.block if jax.sharding.get_abstract_mesh().empty else len(x)
            moved = jax.lax.platform_dependent(x, cpu=lambda x: in_blocks(move, x, size), default=lambda x: move(x, 0))
        else:
            a, y = batch
            residual = jnp.sum(a * x[:, None, :], axis=2) - y[:, :, 0]
            gradient = jnp.mean(a * residual[:, :, None], axis=1)
            moved = x - eta * (gradient + lam * (x - centre))
        return State(Particles(moved, None), state.step + 1, state.network), {"mean": jnp.mean(moved)}

    @property
    def conditional(self) -> bool:
        """Chains have noise of their own."""
        return False

    def limit(self) -> "LinearRecursion":
        """Itself: chains do not interact, or, coupled, through their mean alone, which N particles replace by their own.

        Coupled chains have this limit where the law has a mean, tail index above 1.
        """
        return self

    @property
    def references(self) -> tuple[str, ...]:
        """BibTeX keys."""
        return ("Gurbuzbalaban2021", "Pavasovic2023")


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class _Recipe:
    """How a step draws from the reduced law: pair j of random words of chain i is `fold_words(streams[j], i)`.

    That is `key_data(fold_in(fold_in(fold_in(key, step), j), i))`: the same whatever the number of chains and their blocks.
    """

    root: Float[Array, "dim dim"]
    optimum: Float[Array, " dim"]
    noise_std: Float[Array, ""]
    streams: tuple[Integer[Array, " pair"], Integer[Array, " pair"]]
    isotropic: bool = field(metadata={"static": True})

    @staticmethod
    def of(data: GaussianRegression, key: Key[Array, ""], batch_size: int) -> "_Recipe":
        normals, uniforms = _pairs(data.dim, batch_size)
        # The barrier is for jaxlib 0.12.0.1, which does not finish to compile a hash of a hash in one fusion.
        streams = random.fold_words(random.key_words(key), jnp.arange(normals + uniforms, dtype=jnp.uint32))
        streams = jax.lax.optimization_barrier(streams)
        return _Recipe(data.root, data.optimum, jnp.asarray(data.noise_std), streams, data.isotropic)

    @property
    def block(self) -> int:
        """Chains whose numbers fit the cache of a CPU."""
        return max(128, 2**16 // len(self.streams[0]))

    def numbers(
        self, chain: Integer[Array, " chain"], batch_size: int
    ) -> tuple[Float[Array, "dim chain"], Float[Array, "1 chain"]]:
        """Normal numbers (dim, chains) and a chi^2_b (1, chains) of the chains of these numbers.

        Chains are on the last axis: short vectors of numbers make slow loops.
        """
        dim = len(self.optimum)
        normals, uniforms = _pairs(dim, batch_size)
        # Left to itself, XLA computes a pair anew for each of its numbers and for every use of one. It does not across the end of a
        # loop, nor for the halves of a complex number. (A loop of one turn it removes: in one dimension a step is one fusion.)
        draw = lambda _, stream: (None, jax.lax.complex(*random.normal_pair(random.fold_words(stream, chain))))  # noqa: E731
        _, pairs = jax.lax.scan(draw, None, (self.streams[0][:normals], self.streams[1][:normals]))
        xi = jnp.concatenate([pairs.real, pairs.imag])
        q = xi[dim : dim + 1] ** 2 if batch_size % 2 else jnp.zeros_like(xi[:1])
        if uniforms:
            one, two = random.fold_words((self.streams[0][normals:, None], self.streams[1][normals:, None]), chain[None, :])
            # -2 log u ~ chi^2_2, and the product of two is at least 2^-66. The last pair of an odd number of uniforms is a single.
            single = jnp.arange(uniforms)[:, None] == batch_size // 4
            both = random.uniform(one) * jnp.where(single, 1.0, random.uniform(two))
            q = q - 2 * jnp.sum(jnp.log(both), axis=0, keepdims=True)
        return xi[:dim], q

    def gradient(
        self, x: Float[Array, "chain dim"], first: int | Integer[Array, ""], batch_size: int
    ) -> Float[Array, "chain dim"]:
        """Gradients (chains, dim) of the chains x (chains, dim) of numbers `first`, `first` + 1, ..."""
        chain = jnp.arange(len(x), dtype=jnp.uint32) + jnp.asarray(first).astype(jnp.uint32)
        xi, q = (v.astype(x.dtype) for v in self.numbers(chain, batch_size))
        s, optimum, root = (v.astype(x.dtype) for v in (self.noise_std, self.optimum, self.root))
        v = (x - optimum[None, :]).T
        v = root[0, 0] * v if self.isotropic else jnp.matmul(root.T, v, precision="highest")
        if x.shape[1] == 1:
            total = q * v + jnp.sqrt(q) * s * xi
        else:
            # s xi_par + c xi_perp = c xi - <v, xi> v / (c + s), in units of the largest number: its square could overflow.
            unit = jnp.maximum(jnp.max(jnp.abs(v), axis=0, keepdims=True), jnp.maximum(s, jnp.finfo(x.dtype).tiny))
            v, s = v / unit, s / unit
            c = jnp.sqrt(jnp.sum(v * v, axis=0, keepdims=True) + s * s)
            along = q - jnp.sqrt(q) * jnp.sum(v * xi, axis=0, keepdims=True) / jnp.maximum(c + s, 1)  # c >= 1, or v = s = 0
            total = unit * (along * v + jnp.sqrt(q) * c * xi)
        total = root[0, 0] * total if self.isotropic else jnp.matmul(root, total, precision="highest")
        return total.T / batch_size


def _pairs(dim: int, batch_size: int) -> tuple[int, int]:
    """Pairs of random words of a chain and step for normal numbers and for uniform ones.

    Normal are dim, and one whose square is a chi^2_1 if batch_size is odd; every uniform makes a chi^2_2. In two dimensions one
    pair of normals could be enough, but see `numbers`: its loop must have two turns.
    """
    return max((dim + batch_size % 2 + 1) // 2, min(dim, 2)), (batch_size // 2 + 1) // 2


def in_blocks(
    move: Callable[[jax.Array, int | jax.Array], jax.Array], x: Float[Array, "row dim"], size: int
) -> Float[Array, "row dim"]:
    """`move(x, 0)` for a `move(rows, number of the first row)` that treats rows one by one, in place, `size` rows at a time.

    Examples:
        >>> number = lambda rows, first: rows + jnp.asarray(first + jnp.arange(len(rows)), float)[:, None]
        >>> in_blocks(number, jnp.zeros((5, 1)), 2).ravel().tolist()
        [0.0, 1.0, 2.0, 3.0, 4.0]
    """
    if len(x) <= size:
        return move(x, 0)

    def body(i, x):
        first = jnp.minimum(i * size, len(x) - size)
        rows = jax.lax.dynamic_slice_in_dim(x, first, size)
        done = first + jnp.arange(size) < i * size  # the last block overlaps the one before
        return jax.lax.dynamic_update_slice_in_dim(x, jnp.where(done[:, None], rows, move(rows, first)), first, 0)

    return jax.lax.fori_loop(0, -(-len(x) // size), body, x)
