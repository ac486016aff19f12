"""The contract of a dynamics, as tests that anybody's dynamics can be put to.

    from meanfield.testing import check_dynamics
    check_dynamics(MyDynamics(step_size=0.1, batch_size=2))

Every promise that `simulate` builds on is one function of this file; each raises `AssertionError` with a sentence. tests/ runs them
on every dynamics of the library, and on dynamics that break one promise each.
"""

import dataclasses
import math
import re
from collections.abc import Callable
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import meanfield as mf
from meanfield import _check
from meanfield.simulate import program as programs
from meanfield.simulate.grid import DATA, INIT, NOISE, Grid, make_grid
from meanfield.systems.data import AbstractSource
from meanfield.systems.dynamics import AbstractDynamics
from meanfield.systems.dynamics.base import NEVER, State, state_and_info
from meanfield.systems.networks import TwoLayer

WIDTH = 7  # odd, so that a neuron and its twin, WIDTH places behind, differ in parity
_FEW = 64  # cases of one step that a program takes at WIDTH
# Cases at 2 WIDTH. Random keys are fixed, so a verdict never changes by chance.
_MANY = 1024
_NOISE, _DATA, _STEP, _BOTH = np.split(np.arange(_MANY), (128, 256, 384))  # what changes from case to case
_SIGMAS = 5.0


def check_dynamics(dynamics: AbstractDynamics, network: mf.TwoLayer | None = None, data: AbstractSource | None = None) -> None:
    """Run all tests of the contract on a dynamics. Takes some ten seconds, most of them compilation.

    Args:
        dynamics: with one number in every field, and a step size at which a few dozen steps do not diverge.
        network: on which it runs; by default a small tanh network.
        data: by default 40 examples in 3 classes. Give both or none.

    Raises:
        AssertionError: the dynamics breaks a promise; the sentence says which.
        ValueError: the dynamics is a sweep; or the network, the data and the dynamics do not fit together.

    Examples:
        >>> check_dynamics(mf.dynamics.SGD(step_size=0.1, batch_size=2))
    """
    bench = _Bench(dynamics, network, data)
    for check in CHECKS:
        check(bench)


class _Steps:
    """One `draw` and one `step` in many cases at once, compiled when they are first taken."""

    def __init__(self, system: mf.System, source: Any, cases: int, width: int):
        self.system, self.source, self.cases, self.width = system, source, cases, width
        self.compiled: jax.stages.Compiled | None = None

    def lower(self, *arguments: Any) -> jax.stages.Lowered:
        """The program, traced anew."""

        def one(source, dynamics, state, data_key, noise_key):
            batch = dynamics.draw(source, data_key, state.step, self.width)
            after, info = dynamics.step(jax.random.fold_in(noise_key, state.step), state, batch)
            return after, info, _prints(batch, lambda width: dynamics.draw(source, data_key, state.step, width))

        return jax.jit(jax.vmap(one, in_axes=(None, 0, 0, 0, 0))).lower(self.source, *arguments)

    def __call__(self, dynamics: AbstractDynamics, states: State, data_keys: jax.Array, noise_keys: jax.Array) -> "_Stepped":
        """Take the step; axis 0 of every array is the case."""
        if self.compiled is None:
            self.compiled = _compiled(self.lower(dynamics, states, data_keys, noise_keys))
        after, info, prints = self.compiled(self.source, dynamics, states, data_keys, noise_keys)
        return _Stepped(_numpy(states), _numpy(after), _numpy(info), np.asarray(prints, np.float64))


@dataclasses.dataclass(frozen=True)
class _Stepped:
    """The states before and after a step, its info, and what tells its data from others; numpy, axis 0 is the case."""

    before: State
    after: State
    info: dict[str, np.ndarray]
    prints: np.ndarray

    @property
    def moves(self) -> np.ndarray:
        """Displacements, (cases, neurons, components)."""
        return np.asarray(self.after.particles.vectors, np.float64) - np.asarray(self.before.particles.vectors, np.float64)

    @property
    def slack(self) -> np.ndarray:
        """What rounding may do to them."""
        moves, vectors = np.abs(self.moves), np.abs(self.after.particles.vectors)
        epsilon = 16 * np.finfo(self.after.particles.w.dtype).eps
        return 1e-3 * (moves + np.median(moves, axis=(1, 2), keepdims=True)) + epsilon * (1 + vectors)


class _Bench:
    """A dynamics with what the checks share: states, and programs that are compiled once."""

    def __init__(self, dynamics: AbstractDynamics, network: mf.TwoLayer | None, data: AbstractSource | None):
        is_dynamics = isinstance(dynamics, AbstractDynamics)
        _check.require(is_dynamics, "dynamics", "be a dynamics, an instance of a subclass of `AbstractDynamics`", dynamics)
        for name, leaf in zip(dynamics.names(), jax.tree.leaves(dynamics), strict=True):
            if np.ndim(leaf) > 0:
                swept = _check.words(f"a sweep of {np.size(leaf)} numbers in `{name}`")
                _check.require(False, "dynamics", "have one number in every field to be checked", swept)
        if data is None:
            data = mf.data.from_arrays(np.random.default_rng(0).normal(size=(40, 5)), np.arange(40) % 3)
        self.dynamics, self.system = dynamics, mf.System(network or mf.TwoLayer("tanh"), data, dynamics)

    @cached_property
    def source(self) -> Any:
        """What `draw` reads."""
        return self.dynamics.prepare(self.system.data)

    @cached_property
    def grid(self) -> Grid:
        """Two step sizes, two seeds."""
        law, two = self.dynamics.step_size, np.array([1.0, 0.5])
        sizes = dataclasses.replace(law, gamma=law.gamma * two) if isinstance(law, mf.scaling.StepSizeLaw) else law * two
        swept = dataclasses.replace(self.dynamics, step_size=sizes)  # type: ignore[type-var]
        return make_grid(swept, (0, 3), jax.random.key(4))

    @cached_property
    def starts(self) -> tuple[State, State]:
        """The states of the grid at step 0, with WIDTH and with 2 WIDTH neurons."""
        given = self.grid.dynamics, self.grid.streams
        lower = lambda width: programs.init.lower(*given, network=self.system.network, width=width)  # noqa: E731
        return _compiled(lower(WIDTH))(*given), _compiled(lower(2 * WIDTH))(*given)

    @cached_property
    def advance(self) -> Callable[[State, int], tuple[State, np.ndarray]]:
        """`programs.advance` on the grid: takes states, when they were seen not finite, and a number of steps."""
        grid, bad = self.grid, jnp.full(self.grid.cells, NEVER, jnp.int32)
        given = grid.dynamics, self.source, grid.streams
        program = _compiled(programs.advance.lower(*given, self.starts[0], bad, jnp.asarray(1)))

        def advance(states: State, steps: int) -> tuple[State, np.ndarray]:
            states = jax.tree.map(jnp.array, states)  # the program takes the memory of what it gets
            states, bad, _ = program(*given, states, jnp.full(grid.cells, NEVER, jnp.int32), jnp.asarray(steps))
            return _numpy(states), np.asarray(bad)

        return advance

    @cached_property
    def per_neuron(self) -> Any:
        """Which arrays of a state have a row for every neuron."""
        return jax.tree.map(lambda a, b: a.shape != b.shape, *self.starts)

    @cached_property
    def few(self) -> _Steps:
        """The step of WIDTH neurons."""
        return _Steps(self.system, self.source, _FEW, WIDTH)

    @cached_property
    def path(self) -> list[State]:
        """The states of the grid at steps 0, ..., 5, taken one by one."""
        grid, turn = self.grid, np.arange(_FEW) % self.grid.cells
        data, noise = (keys[turn] for keys in grid.streams[DATA:])
        dynamics, states = jax.tree.map(lambda v: np.asarray(v)[turn], (grid.dynamics, self.starts[0]))
        path = [states]
        for _ in range(5):
            path.append(self.few(dynamics, path[-1], data, noise).after)
        return [jax.tree.map(lambda v: v[: grid.cells], states) for states in path]

    @cached_property
    def state(self) -> State:
        """A state in the middle of a run, where a memory is not what it was at the start."""
        return jax.tree.map(lambda v: v[0], self.path[3])

    @cached_property
    def variants(self) -> _Stepped:
        """A step from `state`: twice as it is, with the others of every neuron in two other orders, with every neuron NaN.

        Then the first cases of groups _NOISE and _STEP of `twins`.
        """
        states = [self.state, self.state, *map(self._reordered, self._orders()), *self._spoilt()]
        states += [self.state] * (_FEW - len(states))
        keys = np.full((2, _FEW), 1)
        step = np.full(_FEW, self.state.step)
        for place, case in zip(range(_FEW - 16, _FEW), (*_NOISE[:8], *_STEP[:8]), strict=True):
            keys[:, place], step[place] = self._seeds[:, case], self._counts[case]
        together = jax.tree.map(lambda *v: np.stack(v), *states)
        together = dataclasses.replace(together, step=step.astype(together.step.dtype))
        return self.few(_repeated(self.dynamics, _FEW), together, *map(_keys, keys))

    def _orders(self) -> list[np.ndarray]:
        """For every neuron two orders of the others."""
        rng, orders = np.random.default_rng(0), []
        for neuron in range(WIDTH):
            others = np.delete(np.arange(WIDTH), neuron)
            orders += [np.insert(v, neuron, neuron) for v in (np.roll(others, 1), rng.permutation(others))]
        return orders

    def _reordered(self, order: np.ndarray) -> State:
        return jax.tree.map(lambda v, own: v[order] if own else v, self.state, self.per_neuron)

    def _spoilt(self) -> list[State]:
        """States with one number of one neuron NaN."""
        leaves, structure = jax.tree.flatten(self.state.particles)
        spoilt = []
        for i, leaf in enumerate(leaves):
            for neuron in range(WIDTH):
                bad = leaf.copy()
                bad[(neuron, *[0] * (leaf.ndim - 1))] = np.nan
                particles = jax.tree.unflatten(structure, [*leaves[:i], bad, *leaves[i + 1 :]])
                spoilt.append(dataclasses.replace(self.state, particles=particles))
        return spoilt

    @cached_property
    def _seeds(self) -> np.ndarray:
        """Seeds of the data and of the noise of all cases of `twins`."""
        cases = np.arange(_MANY)
        return np.stack([1000 + cases * np.isin(cases, [*group, *_BOTH]) for group in (_DATA, _NOISE)])

    @cached_property
    def _counts(self) -> np.ndarray:
        """Step counters of all cases of `twins`."""
        return np.asarray(self.state.step) + np.arange(_MANY) * np.isin(np.arange(_MANY), [*_STEP, *_BOTH[::2]])

    @cached_property
    def twins(self) -> _Stepped:
        """A step from `state` with every neuron there twice, so that all means over the neurons are the same."""
        return self.step_of_twins(self.system, self.source)

    def step_of_twins(self, system: mf.System, source: Any) -> _Stepped:
        """`twins` of another dynamics on the same particles; it must have a state of the same make."""
        dynamics, law = system.dynamics, system.dynamics.step_size  # type: ignore[attr-defined]
        if isinstance(law, mf.scaling.StepSizeLaw):  # the width enters through gamma N^(beta - 1) alone
            law = dataclasses.replace(law, gamma=float(law.gamma * 2 ** (1 - law.beta)))  # type: ignore[operator]
            dynamics = dataclasses.replace(dynamics, step_size=law)  # type: ignore[type-var]
        double = jax.tree.map(lambda v, own: np.concatenate([v, v]) if own else v, self.state, self.per_neuron)
        states = _repeated(double, _MANY)
        states = dataclasses.replace(states, step=self._counts.astype(states.step.dtype))
        steps = _Steps(system, source, _MANY, 2 * WIDTH)
        return steps(_repeated(dynamics, _MANY), states, *map(_keys, self._seeds))


def numbers_are_leaves(bench: _Bench) -> None:
    """Numbers are pytree leaves (so they are traced and swept), everything else is static and can be hashed."""
    dynamics = bench.dynamics
    leaves, structure = jax.tree.flatten(dynamics)
    registered = bool(leaves) and leaves[0] is not dynamics
    _hold(registered, "has no number as a pytree leaf: decorate its class with jax.tree_util.register_dataclass")
    _hold(jax.tree.unflatten(structure, leaves) == dynamics, "changes when its pytree is taken apart and put together")
    fields = dataclasses.fields(dynamics)  # type: ignore[arg-type]
    names = {field.name for field in fields if not field.metadata.get("static", False)}
    _hold("step_size" in names, "has no number field `step_size`, which is an axis of all results")
    for name in {field.name for field in fields} - names:
        _hold(not isinstance(getattr(dynamics, name), float), f"has the number `{name}` in a static field, which cannot be swept")
    try:
        hash(structure)
    except TypeError as error:
        raise AssertionError(f"The dynamics has a static field that cannot be hashed ({error}).") from None
    others = jax.tree.unflatten(structure, [0.99 * leaf for leaf in leaves])
    same = jax.tree.structure(others) == structure
    _hold(same, "compiles anew when a number changes: a static field depends on the value of a number")


def references_are_keys(bench: _Bench) -> None:
    """`references` are BibTeX keys."""
    keys = bench.dynamics.references
    _hold(isinstance(keys, tuple) and all(isinstance(k, str) for k in keys), "has `references` that are no tuple of BibTeX keys")


def a_step_can_be_traced(bench: _Bench) -> None:
    """A step returns a state and info, and never asks for the value of a number: numbers are traced."""
    network, source, grid = bench.system.network, bench.source, bench.grid

    def one(dynamics, key):
        state = dynamics.init(key, network, WIDTH)
        return state_and_info(dynamics, state, dynamics.step(key, state, dynamics.draw(source, key, state.step, WIDTH)))

    try:
        jax.eval_shape(jax.vmap(one), grid.dynamics, grid.streams[NOISE])
    except jax.errors.JAXTypeError as error:
        sentence = "asks for the value of a number that is traced (`if`, `float`, `int`, numpy), so that it would compile anew"
        raise AssertionError(f"The dynamics {sentence} for every number.") from error


def sweeps_are_axes(bench: _Bench) -> None:
    """A sweep of step sizes is an axis of the results."""
    _hold("step_size" in bench.grid.sweeps, "does not give results an axis `step_size`")


def start_is_coupled(bench: _Bench) -> None:
    """The first neurons of a wide network start like those of a narrow one, and the key is all that decides."""
    narrow, wide = bench.starts
    grid, network = bench.grid, bench.system.network

    def text():
        start = jax.vmap(lambda one, key: one.init(key, network, WIDTH))
        return jax.jit(start).lower(grid.dynamics, grid.streams[INIT]).as_text()

    _hold(text() == text(), "starts differently from the same key: its `init` depends on more than its arguments")
    for leaf in jax.tree.leaves(narrow):
        key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) or leaf.dtype.kind == "u"
        whole = not key and leaf.dtype.kind == "i" and not _same(leaf[0], leaf[1])
        _hold(
            not (key or whole), "carries a random key in its state: draw from the key of the step, or runs cannot be told apart"
        )
    narrow, wide = (np.asarray(states.particles.vectors) for states in (narrow, wide))
    _hold(narrow.shape[1] == WIDTH, f"starts with {narrow.shape[1]} neurons where {WIDTH} are asked for")
    alike = np.allclose(narrow, wide[:, :WIDTH], rtol=1e-6, atol=1e-6)
    _hold(alike, f"does not start the first neurons of every width alike: {_far(narrow, wide[:, :WIDTH])}")
    w = np.asarray(bench.starts[0].particles.w)
    ignored = _same(w[0], w[1]) and not _same(w[0, 0], w[0, 1])
    _hold(not ignored, "starts with the same random neurons from every key: its `init` ignores the key")


def step_is_a_pure_function(bench: _Bench) -> None:
    """A step keeps shapes and types, counts itself, returns finite numbers, and depends on its arguments alone."""
    turn = np.arange(_FEW) % bench.grid.cells
    dynamics, states = jax.tree.map(lambda v: v[turn], (bench.grid.dynamics, bench.starts[0]))
    arguments = dynamics, states, *(keys[turn] for keys in bench.grid.streams[DATA:])
    first, second = bench.few.lower(*arguments), bench.few.lower(*arguments)
    after, info, _ = first.out_info
    _hold(jax.tree.structure(after) == jax.tree.structure(states), "returns a state of another structure than it got")
    kinds = [[f"{v.dtype}{list(v.shape[1:])}" for v in jax.tree.leaves(tree)] for tree in (states, after)]
    changed = [f"{a} to {b}" for a, b in zip(*kinds, strict=True) if a != b]
    _hold(not changed, f"changes shapes or types of its state from {', '.join(changed)}")
    _hold(bool(info), "returns no info: give a number that feels every particle, like the risk")
    _hold(all(v.ndim == 1 for v in jax.tree.leaves(info)), "returns an info that does not hold scalars alone")
    text = first.as_text()
    half = re.search(r"[<x](b?f16)>", text)
    _hold(half is None, f"computes in {half and half[1]}, which keeps three digits: the device computes in float32")
    _hold(text == second.as_text(), "is not deterministic: a step depends on more than its arguments (a global, numpy's random)")
    bench.few.compiled = _compiled(first)
    path = bench.path
    _hold(_finite(path[1].particles), "gives particles that are not finite after one step")
    variants = bench.variants
    for name, value in jax.tree.map(lambda v: v[0], variants.info).items():
        _hold(bool(np.isfinite(value)), f"has an info `{name}` that is {value} though nothing has diverged")
    taken = [np.asarray(states.step)[0] for states in path]
    first, second = taken[1:3]
    steps = {step - n for n, step in enumerate(taken)} | set(np.asarray(variants.after.step - variants.before.step - 1))
    counts = f"is {first} after the first and {second} after the second"
    _hold(steps == {0}, f"must count its steps in `state.step`, which {counts}")
    one, two = (jax.tree.map(lambda v, i=i: v[i], variants.after) for i in (0, 1))
    _hold(_all_same(one, two), "is not deterministic: the same state, data and key give two different states")
    _hold(bool(np.any(bench.variants.moves[0])), "does not move the particles")


def widths_share_their_data(bench: _Bench) -> None:
    """The data path is a function of the data key and the step: it changes with both, and with nothing else."""
    variants, twins = bench.variants.prints[-16:], bench.twins.prints[[*_NOISE[:8], *_STEP[:8]]]
    scale = np.abs(variants[..., :1]) + 1e-30
    same = variants.shape == twins.shape and bool(np.all(np.abs(variants - twins) <= 1e-4 * scale))
    _hold(same, "draws other data at another width, so that widths are not coupled")
    repeated = {}
    for name, group in (("key", _DATA), ("step", _STEP)):
        prints = bench.twins.prints[group]
        repeated[name] = np.mean(np.all(prints[1:] == prints[:-1], axis=(1, 2)))
    share = np.mean(list(repeated.values()))
    chance = _SIGMAS * math.sqrt(2 * share * (1 - share) / (len(_DATA) - 1))
    often = lambda name: f"{repeated[name]:.0%} of the time"  # noqa: E731
    by_step = repeated["step"] <= repeated["key"] + chance
    _hold(by_step, f"draws the same data in two steps that follow each other, {often('step')}: `draw` must depend on `step`")
    by_key = repeated["key"] <= repeated["step"] + chance
    _hold(by_key, f"draws the same data from two keys, {often('key')}: `draw` must depend on `key`, or seeds are not independent")


def divergence_shows_in_the_info(bench: _Bench) -> None:
    """A NaN in any particle makes the info not finite: that is how a diverged run is noticed at its step."""
    first = 2 + len(bench._orders())
    for i in range(len(bench._spoilt())):
        infos = [v[first + i] for v in jax.tree.leaves(bench.variants.info)]
        seen = not all(math.isfinite(v) for v in infos)
        _hold(
            seen,
            f"has an info that does not notice that particle {i % WIDTH} of {WIDTH} is NaN: give the risk, or a mean over all",
        )


def neurons_are_interchangeable(bench: _Bench) -> None:
    """What neuron i does depends on the others through their law alone: a permutation of the others does not move it."""
    moves, slack = bench.variants.moves, bench.variants.slack
    for case in range(2 * WIDTH):
        i = case // 2
        off = np.abs(moves[2 + case, i] - moves[0, i])
        sentence = f"moves neuron {i} differently when the others change places, {_times(off, moves[0, i])}"
        _hold(bool(np.all(off <= slack[0, i])), f"{sentence}: neurons must interact through means over all of them")


def width_enters_through_means(bench: _Bench) -> None:
    """With every neuron there twice, the first half moves as it does alone: draws do not depend on the width, sums are means.

    A dynamics without a `limit()` may move all neurons by one factor more or less (clipping by the norm of the whole gradient);
    its noise must keep its direction.
    """
    cases = [*_NOISE[:8], *_STEP[:8]]
    alone, among = bench.variants.moves[-16:], bench.twins.moves[cases, :WIDTH]
    if bench.dynamics.limit() is None:
        alone, among = (v[1:8] - v[:7] for v in (alone, among))
        noisy = np.abs(alone) > bench.variants.slack[-15:-8]
        cosine = np.sum(alone * among) / max(math.sqrt(np.sum(alone**2) * np.sum(among**2)), 1e-30)
        coupled = not noisy.any() or cosine > 0.9
        _hold(
            coupled, "draws other noise for the first neurons at another width: `mf.dynamics.per_particle` draws neuron by neuron"
        )
        return
    off = np.abs(alone - among)
    worst = tuple(np.unravel_index(np.argmax(off / bench.variants.slack[-16:]), off.shape))
    sentence = f"moves neuron {worst[1]} differently when every neuron is there twice, {_times(off, alone, worst)}"
    fair = bool(np.all(off <= bench.variants.slack[-16:]))
    _hold(fair, f"{sentence}: draws must not depend on the width, and neurons must interact through means over all of them")


def neurons_are_treated_alike(bench: _Bench) -> None:
    """A neuron and its twin at another place move alike, or, with noise of their own, in the same law.

    Twins have the same state, so of their moves either is the larger with equal probability, whatever the law of the noise; and
    so for the distances of their moves from the median. Counted over 640 pairs of keys.
    """
    moves, slack = bench.twins.moves[_BOTH], bench.twins.slack[_BOTH][:, :WIDTH]
    first, second = moves[:, :WIDTH], moves[:, WIDTH:]
    centre = np.median(np.concatenate([first, second]), axis=0)
    signs = np.stack([_sign(first - second, slack), _sign(np.abs(first - centre) - np.abs(second - centre), slack)])
    sums = np.sum(signs, axis=1)
    z = np.abs(sums) / np.sqrt(np.maximum(np.sum(signs != 0, axis=1), 1))
    what, i, c = np.unravel_index(np.argmax(z), z.shape)
    share = np.mean(signs[what, :, i, c] == np.sign(sums[what, i, c]))
    pair = f"of two in the same state, {i} and {i + WIDTH}, the same one {('moves up', 'moves further')[what]}"
    how = "a step must not read the index of a neuron, and must draw from its `key`"
    _hold(bool(z[what, i, c] < _SIGMAS), f"does not treat neurons alike: {pair} in {share:.0%} of draws: {how}")


def noise_is_each_neurons_own(bench: _Bench) -> None:
    """Given the data path neurons are independent: what they share is drawn in `draw`, from the stream of the data.

    Over 128 keys of the step and all pairs of 14 neurons, the signs of their moves about the median agree as often as not, and
    so do those of the sizes of their moves.
    """
    common = _common(bench.twins, _NOISE)
    sentence = f"moves all neurons together by what it draws from the key of the step (sign correlation {common:.2f})"
    _hold(common < 0.3, f"{sentence}: what neurons share is data, and belongs into `draw`")
    moves, slack = bench.twins.moves[_NOISE], bench.twins.slack[_NOISE]
    off = np.where(np.abs(moves - np.median(moves, axis=0)) > slack, moves - np.median(moves, axis=0), 0.0)
    sizes = np.sum(np.abs(off), axis=-1, keepdims=True)
    for what, values in (("moves", off), ("sizes of the moves", sizes - np.median(sizes, axis=0))):
        sign = np.sign(values)
        both = np.einsum("cid,cjd->cij", sign, sign)  # a case by itself: components of a neuron may depend on each other
        z = np.abs(np.sum(both, axis=0)) / np.sqrt(np.maximum(np.sum(both**2, axis=0), 1))
        i, j = np.unravel_index(np.argmax(np.triu(z, 1)), z.shape)
        sentence = f"correlates the {what} of neurons {i} and {j} by what it draws from the key of the step"
        how = "draw neuron by neuron (`mf.dynamics.per_particle`), and what neurons share in `draw`"
        _hold(bool(z[i, j] < _SIGMAS), f"{sentence}, by {z[i, j]:.0f} standard errors: {how}")


def frozen_weights_stay(bench: _Bench) -> None:
    """Output weights that are not trained do not move; a bias is carried along."""
    network = bench.system.network
    if not isinstance(network, TwoLayer) or network.output_weights == "ones":
        return
    network = dataclasses.replace(network, train_output=False, bias=True)

    def weights(dynamics, source, key):
        """Before and after a step. Of the step is compiled what moves them, which should be nothing."""
        state = dynamics.init(key, network, WIDTH)
        after, _ = dynamics.step(key, state, dynamics.draw(source, key, state.step, WIDTH))
        return state.particles.a, after.particles.a

    dynamics = jax.tree.map(lambda v: jnp.asarray(v, float), bench.dynamics)
    given = dynamics, bench.source, jax.random.key(1)
    before, after = _compiled(jax.jit(weights).lower(*given))(*given)
    _hold(_same(before, after), "moves output weights that are not trained: use `network.move`")


def advance_takes_the_steps(bench: _Bench) -> None:
    """Five steps by `advance`, of a sweep, are five times `draw` and `step` of every run alone, up to rounding."""
    states, bad = bench.advance(bench.starts[0], 5)
    for cell in range(bench.grid.cells):
        ours, steps = (jax.tree.map(lambda v, cell=cell: v[cell], tree) for tree in (states, bench.path[5]))
        _hold(int(ours.step) == int(steps.step), f"has an `advance` that counts {int(ours.step)} steps where it takes 5")
        pairs = list(zip(jax.tree.leaves(ours), jax.tree.leaves(steps), strict=True))
        same = all(np.allclose(a, b, rtol=1e-4, atol=1e-5) for a, b in pairs)
        far = _far(*(tree.particles.vectors for tree in (steps, ours)))
        _hold(same, f"has an `advance` that does not do what its `step` does alone: after five steps of run {cell}, {far}")
    _hold(bool(np.all(bad == NEVER)), "has an `advance` that reports runs as diverged which are not")
    starts = bench.starts[0]
    particles = dataclasses.replace(starts.particles, w=starts.particles.w.at[2, WIDTH - 1, 0].set(jnp.nan))
    _, bad = bench.advance(dataclasses.replace(starts, particles=particles), 5)
    _hold(bool(bad[2] < NEVER), "has an `advance` that does not report a run as diverged whose info is not finite")
    _hold(bool(np.all(np.delete(bad, 2) == NEVER)), "has an `advance` by which one diverged run spoils the others")


def resumed_equals_uninterrupted(bench: _Bench) -> None:
    """Twelve strides at once equal five and seven, bit for bit: randomness depends on the step counter alone.

    A dynamics that takes several steps at once (`stride`) may cut inside a stride as well, at the price of rounding.
    """
    stride = bench.dynamics.stride(bench.system.network, WIDTH)
    for unit, equal in ((stride, _same), (1, lambda a, b: np.allclose(a, b, rtol=1e-4, atol=1e-5))):
        whole = bench.advance(bench.starts[0], 12 * unit)[0]
        parts = bench.advance(bench.advance(bench.starts[0], 5 * unit)[0], 7 * unit)[0]
        same = all(equal(a, b) for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(parts), strict=True))
        far = _far(whole.particles.vectors, parts.particles.vectors)
        sentence = f"resumed after {5 * unit} of {12 * unit} steps does not go on as if uninterrupted ({far})"
        _hold(same, f"{sentence}: keep no key or counter but `state.step`")


def limit_is_a_dynamics(bench: _Bench) -> None:
    """`limit()` is None or a dynamics on the same network and data, its own limit, that moves particles as this one does on average."""
    dynamics, system = bench.dynamics, bench.system
    limit = dynamics.limit()
    _hold(isinstance(dynamics.conditional, bool), "has a property `conditional` that is not True or False")
    if limit is None:
        return
    _hold(
        isinstance(limit, AbstractDynamics),
        f"has a `limit()` that is neither None nor a dynamics, but of type {type(limit).__name__}",
    )
    _hold(type(limit.limit()) is type(limit), "has a limit whose own limit is something else")
    _hold(not limit.conditional or limit == dynamics, "has a limit that is conditional on a data path it does not share")
    twins = bench.twins
    if limit != dynamics:
        other = mf.System(system.network, system.data, limit)
        twins = bench.step_of_twins(other, limit.prepare(system.data))
        _hold(_finite(twins.after.particles), "has a limit that does not run: its first step is not finite")
        ours, theirs = bench.twins.moves[_BOTH], twins.moves[_BOTH]
        error = np.sqrt((np.var(ours, axis=0) + np.var(theirs, axis=0)) / len(_BOTH))
        off, mean = np.abs(np.mean(ours, axis=0) - np.mean(theirs, axis=0)), np.mean(ours, axis=0)
        fair = bool(np.all(off <= _SIGMAS * error + 0.1 * np.abs(mean) + bench.twins.slack[_BOTH].max(axis=0)))
        _hold(fair, f"has a limit that moves the same particles differently, {_times(off, mean)} on average")
    # A pool of fresh examples stands for an expectation, so only finite data tell.
    if not limit.conditional and system.data.size is not None:
        common = _common(twins, _DATA)
        sentence = (
            f"says that its limit is not conditional, but the data move all neurons together (sign correlation {common:.2f})"
        )
        _hold(common < 0.3, f"{sentence}: its limit is random, given the data path")


CHECKS = (
    numbers_are_leaves,
    references_are_keys,
    a_step_can_be_traced,
    sweeps_are_axes,
    start_is_coupled,
    step_is_a_pure_function,
    divergence_shows_in_the_info,
    neurons_are_interchangeable,
    frozen_weights_stay,
    widths_share_their_data,
    width_enters_through_means,
    neurons_are_treated_alike,
    noise_is_each_neurons_own,
    advance_takes_the_steps,
    resumed_equals_uninterrupted,
    limit_is_a_dynamics,
)


def _hold(true: bool, sentence: str) -> None:
    if not true:
        raise AssertionError(f"The dynamics {sentence}.")


def _compiled(lowered):
    """The program as quickly as can be: what takes the time of these tests is XLA's optimisation."""
    return lowered.compile(compiler_options={"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True})


def _prints(batch, draw):
    """Two sums of every array of the data of a step, of the first WIDTH rows where it has a row for every neuron."""
    prints = [jnp.zeros(2)]
    shapes = (jax.tree.leaves(jax.eval_shape(lambda width=width: draw(width))) for width in (WIDTH, 2 * WIDTH))
    for leaf, narrow, wide in zip(jax.tree.leaves(batch), *shapes, strict=True):
        v = jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf
        v = jnp.ravel(v if narrow.shape == wide.shape else v[:WIDTH]).astype(float)
        prints.append(jnp.stack([jnp.sum(jnp.abs(v)), jnp.sum(v * jnp.cos(jnp.arange(v.size, dtype=v.dtype)))]))
    return jnp.stack(prints)


def _common(twins, group):
    """How far what changes in these cases moves twins together: mean product of the signs of their moves about the median."""
    moves, slack = twins.moves[group], twins.slack[group]
    sign = _sign(moves - np.median(moves, axis=0), slack)
    both = sign[:, :WIDTH] * sign[:, WIDTH:]
    return float(np.sum(both) / max(np.sum(both != 0), len(group)))


def _sign(values, slack):
    """1, -1, or 0 where rounding may decide."""
    return np.sign(values) * (np.abs(values) > slack)


def _numpy(tree):
    return jax.tree.map(lambda v: v if jnp.issubdtype(v.dtype, jax.dtypes.prng_key) else np.asarray(v), tree)


def _repeated(tree, cases):
    return jax.tree.map(lambda v: np.repeat(np.asarray(v, None if hasattr(v, "dtype") else float)[None], cases, axis=0), tree)


def _keys(seeds):
    return jax.vmap(jax.random.key)(np.asarray(seeds, np.uint32))


def _times(off, moves, worst=None):
    """The largest difference, or that at a place, in units of a typical move."""
    far = np.max(off) if worst is None else off[worst]
    return f"by {far / max(float(np.median(np.abs(moves))), 1e-30):.2g} times a typical move"


def _far(a, b):
    return f"numbers differ by up to {np.max(np.abs(np.asarray(a, float) - np.asarray(b, float))):.2g}"


def _same(a, b) -> bool:
    return np.array_equal(np.asarray(a), np.asarray(b))


def _all_same(a, b) -> bool:
    return all(_same(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def _finite(tree) -> bool:
    return all(bool(np.all(np.isfinite(leaf))) for leaf in jax.tree.leaves(tree))
