"""Observables with a schedule of their own, reduced on the device.

A probe is a frozen, hashable dataclass: called with a `View` of one run it returns named arrays, whose axes and units `variables`
names; `coords` gives the values of the axes. Adding one is one class.
"""

import abc
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from meanfield import _check
from meanfield.systems.data import AbstractSource
from meanfield.systems.dynamics.base import AbstractDynamics, State
from meanfield.systems.networks import AbstractNetwork, Particles, TwoLayer, losses
from meanfield.systems.system import System

_BLOCK = 2**22  # numbers in one block of pre-activations when a whole data set is evaluated
_PARTS = ("w", "a", "bias")  # fields of `Particles`


class Variable(NamedTuple):
    """Axes (after width, sweeps, seed, step), long name and unit of one array that a probe returns.

    A run is marked as diverged when a number of it is not finite, unless `may_be_nan`.
    """

    dims: tuple[str, ...]
    long_name: str
    units: str = "1"
    may_be_nan: bool = False


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class View:
    """What a probe can see of one run.

    Args:
        state: the state, of which `particles`, `network` and the memory of a dynamics are parts.
        dynamics: with the numbers of this run.
        data: the data of the system.
        source: the form of the data that `draw` reads.
        streams: keys of the data and of the noise of the run.
    """

    state: State
    dynamics: AbstractDynamics
    data: AbstractSource
    source: Any
    streams: tuple[jax.Array, jax.Array]

    @property
    def particles(self) -> Particles:
        """The neurons."""
        return self.state.particles

    @property
    def network(self) -> AbstractNetwork:
        """The architecture."""
        return self.state.network

    @property
    def noise_key(self) -> jax.Array:
        """The key that the coming step gets for its noise."""
        return jax.random.fold_in(self.streams[1], self.state.step)

    @property
    def batch(self) -> Any:
        """The data of the coming step, as `draw` gives them."""
        return self.dynamics.draw(self.source, self.streams[0], self.state.step, len(self.particles.w))

    @property
    def info(self) -> dict[str, jax.Array]:
        """The info of the coming step, which is taken for it once more."""
        return self.dynamics.step(self.noise_key, self.state, self.batch)[1]


@dataclass(frozen=True)
class AbstractProbe(abc.ABC):
    """Something to look at along a run.

    Args:
        at: the steps at which to look; None: step 0, the last step, and ten more, equally spaced in the logarithm.
    """

    at: tuple[int, ...] | None = field(default=None, kw_only=True)

    def __post_init__(self):
        if self.at is not None:
            object.__setattr__(self, "at", tuple(sorted(_check.integers("at", self.at, at_least=0))))

    def schedule(self, steps: int) -> tuple[int, ...]:
        """The steps at which to look in a run of `steps` steps."""
        return log_spaced(steps) if self.at is None else tuple(s for s in self.at if s <= steps)

    @abc.abstractmethod
    def __call__(self, view: View) -> dict[str, jax.Array]:
        """Named arrays for one run."""

    @property
    @abc.abstractmethod
    def variables(self) -> dict[str, Variable]:
        """The axes, name and unit of every array."""

    def coords(self, data: AbstractSource) -> dict[str, list]:
        """Labels along the axes that the arrays add; none by default."""
        return {}


def log_spaced(steps: int, count: int = 12) -> tuple[int, ...]:
    """About `count` steps from 0 to `steps`, equally spaced in the logarithm.

    Examples:
        >>> log_spaced(1000, 5)
        (0, 1, 10, 100, 1000)
    """
    _check.integer("steps", steps, at_least=0)
    _check.integer("count", count, at_least=2)
    return tuple(int(s) for s in np.unique([0, *np.rint(np.geomspace(1, steps, count - 1)), steps])) if steps else (0,)


def _as_tuple(probe: AbstractProbe, name: str, must: str, inside) -> None:
    """Put different numbers for which `inside` holds in the place of a field: a tuple, which can be hashed, of floats."""
    value = getattr(probe, name)
    _check.numbers(name, value, must, lambda v: (v.ndim <= 1) & (np.unique(v).size == v.size) & inside(v))
    object.__setattr__(probe, name, tuple(np.atleast_1d(np.asarray(value, float)).tolist()))


def checked(probe: AbstractProbe, system: System, source: Any, width: int, steps: int, key: jax.Array) -> None:
    """Refuse a probe that never looks, or whose arrays are not those that it describes; it is traced, not run."""
    about, coords, kind = probe.variables, probe.coords(system.data), type(probe).__name__
    looks = _check.words(f"{kind}(at={probe.at})")
    _check.require(bool(probe.schedule(steps)), "probes", f"look at a step from 0 to {steps}", looks)

    def look(key):
        dynamics = jax.tree.map(lambda v: jnp.ravel(jnp.asarray(v, float))[0], system.dynamics)
        first, data_key, noise_key = (jax.random.fold_in(key, number) for number in range(3))
        state = dynamics.init(first, system.network, width)
        return probe(View(state, dynamics, system.data, source, (data_key, noise_key)))

    for name, array in jax.eval_shape(look, key).items():
        found = _check.words(f"{kind}, which returns {name!r}")
        _check.require(name in about, "probes", f"return what they describe in `variables`, {list(about)}", found)
        sizes = [len(coords[axis]) if axis in coords else size for axis, size in zip(about[name].dims, array.shape, strict=False)]
        fits = len(about[name].dims) == array.ndim and tuple(sizes) == array.shape
        found = _check.words(f"{kind}, whose {name!r} has shape {array.shape}")
        _check.require(fits, "probes", f"return arrays with the axes {about[name].dims} and as long as `coords` says", found)


def _outputs(network, particles, x):
    """`f_N` on a whole set, in blocks of examples so that the pre-activations of a wide network fit into memory."""
    n, block = x.shape[0], max(1, min(x.shape[0], _BLOCK // particles.w.shape[0]))
    blocks = -(-n // block)
    padded = jnp.pad(x, ((0, blocks * block - n), (0, 0))).reshape(blocks, block, x.shape[1])
    return jax.lax.map(lambda part: network.predict(particles, part), padded).reshape(blocks * block, -1)[:n]


@dataclass(frozen=True)
class Evaluation(AbstractProbe):
    """Risk, and accuracy for classification, on the fixed sets of the data (training set, test set).

    Args:
        examples: how many examples of each set at most, evenly spread over it; None: all. A whole set of 60 000 costs more than
            10 000 steps with small mini-batches.
    """

    examples: int | None = 2000

    def __post_init__(self):
        super().__post_init__()
        if self.examples is not None:
            _check.integer("examples", self.examples, at_least=1)

    def count(self, size: int) -> int:
        """Number of examples that are evaluated of a set of this size."""
        return size if self.examples is None else min(size, self.examples)

    def __call__(self, view):
        """Arrays "risk" and "accuracy" of shape (split,); none for data without fixed sets."""
        data = view.data
        if not data.splits:
            return {}
        # All sets together, and means at the end: one program to compile, not one for each set.
        chosen = [np.arange(self.count(len(y))) * len(y) // self.count(len(y)) for _, y in data.splits.values()]
        x, y = (
            jnp.concatenate([v[i] for v, i in zip(vs, chosen, strict=True)]) for vs in zip(*data.splits.values(), strict=True)
        )
        f = _outputs(view.network, view.particles, x)
        scores = {"risk": losses.loss(view.network.loss).value(f, y)}
        if data.classes:
            # argmax of NaN is class 0: without NaN a diverged network would score the share of that class.
            right = (jnp.argmax(f, axis=1).astype(y.dtype) == y).astype(f.dtype)
            scores["accuracy"] = jnp.where(jnp.all(jnp.isfinite(f), axis=1), right, jnp.nan)
        ends = np.cumsum([len(i) for i in chosen])[:-1]
        return {name: jnp.stack([jnp.mean(part) for part in jnp.split(score, ends)]) for name, score in scores.items()}

    @property
    def variables(self):
        """Risk and accuracy."""
        which = "all" if self.examples is None else f"at most {self.examples}"
        return {
            "risk": Variable(("split",), f"mean loss ({which} examples of each set)"),
            "accuracy": Variable(("split",), f"share classified right ({which} examples of each set)"),
        }

    def coords(self, data):
        """The names of the sets."""
        return {"split": list(data.splits)} if data.splits else {}


@dataclass(frozen=True)
class NormQuantiles(AbstractProbe):
    """Quantiles over the neurons of the Euclidean norm of (w_i, [bias_i,] a_i)."""

    levels: tuple[float, ...] = (0.1, 0.5, 0.9, 0.99)

    def __post_init__(self):
        super().__post_init__()
        _as_tuple(self, "levels", "be different numbers in [0, 1]", lambda v: (v >= 0) & (v <= 1))

    def __call__(self, view):
        """Array "norm_quantile" of shape (level,)."""
        return {"norm_quantile": jnp.quantile(_norms(view.particles), jnp.asarray(self.levels))}

    @property
    def variables(self):
        """Quantiles."""
        return {"norm_quantile": Variable(("level",), "quantile over neurons of |(w_i, a_i)|")}

    def coords(self, data):
        """The levels."""
        return {"level": list(self.levels)}


@dataclass(frozen=True)
class Moments(AbstractProbe):
    """L_p norms of the law of the neurons, `((1/N) sum_i |(w_i, a_i)|^p)^(1/p)`: moments in the unit of the weights.

    The largest norm is divided out before powers are taken, so that a heavy tail cannot overflow float32.
    """

    orders: tuple[float, ...] = (1.0, 2.0, 4.0)

    def __post_init__(self):
        super().__post_init__()
        _as_tuple(self, "orders", "be different numbers > 0", lambda v: v > 0)

    def __call__(self, view):
        """Array "norm_moment" of shape (order,)."""
        norms = _norms(view.particles)
        top = jnp.max(norms)
        ratio = norms / jnp.where(top > 0, top, 1)
        orders = jnp.asarray(self.orders, norms.dtype)
        return {"norm_moment": top * jnp.mean(ratio[None] ** orders[:, None], axis=1) ** (1 / orders)}

    @property
    def variables(self):
        """L_p norms."""
        return {"norm_moment": Variable(("order",), "(mean over neurons of |(w_i, a_i)|^p)^(1/p)")}

    def coords(self, data):
        """The orders."""
        return {"order": list(self.orders)}


@dataclass(frozen=True)
class Dead(AbstractProbe):
    """Share of ReLU neurons that no training example activates: when they die, through training.

    A neuron is dead where `max_x <w, x> + bias <= 0` over all examples of the training set (of the test sample of an endless source), as
    in `measure.mechanisms.dead`. Numbers of the device, float32, decide it.

    Raises:
        ValueError: a network of another activation, data without fixed sets.

    Examples:
        >>> import meanfield as mf
        >>> system = mf.System(mf.TwoLayer("relu"), mf.data.digits(), mf.dynamics.SGD(4.0, 1))
        >>> results = mf.simulate(system, widths=64, steps=200, seeds=1, key=jax.random.key(0), probes=[Dead(at=(0, 200))])
        >>> first, last = results.dataset["dead"].squeeze().to_numpy()
        >>> float(first), bool(last > 0.4)
        (0.0, True)
    """

    def __call__(self, view):
        """Array "dead" without axes."""
        relu = isinstance(view.network, TwoLayer) and view.network.activation == "relu"
        must = "have a `TwoLayer` of the activation 'relu' where `probes.Dead` looks"
        _check.require(relu, "system", must, _check.words(f"one with {view.network}"))
        _check.require(bool(view.data.splits), "data", "have examples where `probes.Dead` looks", view.data)
        w, bias = view.particles.w, view.particles.bias
        x, _ = view.data.splits.get("train", next(iter(view.data.splits.values())))
        block = max(1, min(len(x), _BLOCK // len(w)))
        short = -len(x) % block  # the last block takes the first example again, which changes nothing
        blocks = jnp.concatenate([x, jnp.repeat(x[:1], short, axis=0)]).reshape(-1, block, x.shape[1])
        offset = jnp.zeros((1, 1)) if bias is None else bias[None]
        # Truth values, not the largest product: XLA's program for that crashes on CPU (jax 0.10.1, 60 runs of 2048 neurons).
        alive = jax.lax.map(lambda part: jnp.any(part @ w.T + offset > 0, axis=0), blocks)
        return {"dead": 1 - jnp.mean(jnp.any(alive, axis=0))}

    @property
    def variables(self):
        """A share."""
        return {"dead": Variable((), "share of neurons that no training example activates")}


@dataclass(frozen=True)
class Subsample(AbstractProbe):
    """The vectors (w_i, [bias_i,] a_i) of the first `count` neurons: exchangeable, and the same neurons at every width."""

    count: int = 16

    def __post_init__(self):
        super().__post_init__()
        _check.integer("count", self.count, at_least=1)

    def __call__(self, view):
        """Array "particle" of shape (neuron, component); NaN for neurons that a narrow network does not have."""
        vectors = jax.tree.map(lambda v: v[: self.count], view.particles).vectors
        return {"particle": jnp.pad(vectors, ((0, self.count - vectors.shape[0]), (0, 0)), constant_values=jnp.nan)}

    @property
    def variables(self):
        """Vectors."""
        return {"particle": Variable(("neuron", "component"), "vector (w_i, a_i) of a neuron", may_be_nan=True)}

    def coords(self, data):
        """The neurons."""
        return {"neuron": list(range(self.count))}


@dataclass(frozen=True)
class Snapshot(AbstractProbe):
    """The whole particles at given steps; `Results.particles_at(step, width=...)` gives them with labels.

    They are kept in `Results.snapshots`, not in the dataset, because their size is that of the width. Every step takes as much memory
    of the host as the final particles do.

    Args:
        at: the steps, one or several different integers >= 0.

    Raises:
        ValueError: no steps are named.

    Examples:
        >>> import meanfield as mf
        >>> system = mf.System(mf.TwoLayer(), mf.data.digits(), mf.dynamics.SGD(0.1, 1))
        >>> run = {"widths": [8, 16], "steps": 20, "seeds": 2, "key": jax.random.key(0)}
        >>> results = mf.simulate(system, probes=[Snapshot(at=(0, 10))], **run)
        >>> dict(results.particles_at(10, width=16).sizes)
        {'step_size': 1, 'seed': 2, 'neuron': 16, 'component': 74}
    """

    def __post_init__(self):
        super().__post_init__()
        _check.require(self.at is not None, "at", "name the steps at which the whole particles are kept", self.at)

    def __call__(self, view):
        """The arrays of the particles: "snapshot_w" and, if there are any, "snapshot_a" and "snapshot_bias"."""
        parts = {f"snapshot_{name}": getattr(view.particles, name) for name in _PARTS}
        return {name: part for name, part in parts.items() if part is not None}

    @property
    def variables(self):
        """Parts of the particles."""
        axes = {"w": ("neuron", "input"), "a": ("neuron", "output"), "bias": ("neuron",)}
        return {f"snapshot_{name}": Variable(axes[name], f"{name} of all neurons", may_be_nan=True) for name in _PARTS}


def snapshots(seen: dict[str, dict[int, np.ndarray]], shape: tuple[int, ...]) -> dict[int, Particles]:
    """What `Snapshot` saw of one width, as particles by step in the shape of the grid; taken out of `seen`."""
    parts: dict[str, Any] = {name: seen.pop(f"snapshot_{name}", {}) for name in _PARTS}
    on_grid = lambda v: v.reshape(*shape, *v.shape[1:])  # noqa: E731
    found = {step: Particles(**{name: part.get(step) for name, part in parts.items()}) for step in parts["w"]}
    return jax.tree.map(on_grid, found)


def _norms(particles):
    """Norms of the neurons. The largest number is divided out first: a square overflows float32 from 2e19 on.

    Part by part and, on one device, block by block: `vectors` would be a second copy of the particles, their squares a third.
    """
    parts = [v.reshape(v.shape[0], -1) for v in jax.tree.leaves(particles)]
    top = jnp.max(jnp.stack([extreme for v in parts for extreme in (jnp.max(v), -jnp.min(v))]))
    scale = jnp.where(top > 0, top, 1)
    square = lambda row: jnp.sum((row / scale) ** 2)  # noqa: E731
    blocks = len(parts[0]) > 2048 and jax.sharding.get_abstract_mesh().empty
    each = partial(jax.lax.map, square, batch_size=2048) if blocks else jax.vmap(square)
    return top * jnp.sqrt(sum(each(v) for v in parts))


DEFAULT = (Evaluation(), NormQuantiles(), Moments(), Subsample())
