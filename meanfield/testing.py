"""The contract of a dynamics, as tests that anybody's dynamics can be put to.

    from meanfield.testing import check_dynamics
    check_dynamics(MyDynamics(step_size=0.1, batch_size=2))

Every promise that `simulate` builds on is one function of this file; each raises `AssertionError` with a sentence. tests/ runs them
on every dynamics of the library.
"""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import meanfield as mf
from meanfield.simulate import ensemble
from meanfield.systems.dynamics import AbstractDynamics
from meanfield.systems.dynamics.base import NEVER

WIDTH = 6


def check_dynamics(dynamics: AbstractDynamics, network: mf.TwoLayer | None = None, data: Any = None) -> None:
    """Put a dynamics to all tests of the contract. Takes some ten seconds, most of them compilation.

    Args:
        dynamics: with one number in every field, and a step size at which a few dozen steps do not diverge.
        network: on which it runs; by default a small tanh network.
        data: by default 40 examples in 3 classes. Give both or none.

    Raises:
        AssertionError: the dynamics breaks a promise; the sentence says which.
        ValueError: the network, the data and the dynamics do not fit together.

    Examples:
        >>> check_dynamics(mf.dynamics.SGD(step_size=0.1, batch_size=2))
    """
    rng = np.random.default_rng(0)
    if data is None:
        data = mf.data.from_arrays(rng.normal(size=(40, 5)), np.arange(40) % 3)
    system = mf.System(network or mf.TwoLayer("tanh"), data, dynamics)
    for check in CHECKS:
        check(system)


def numbers_are_leaves(system: mf.System) -> None:
    """Numbers are pytree leaves (so they are traced and swept), everything else is static and can be hashed."""
    dynamics = system.dynamics
    leaves, structure = jax.tree.flatten(dynamics)
    _hold(bool(leaves), "has no number as a pytree leaf: decorate the class with jax.tree_util.register_dataclass")
    _hold(all(np.ndim(leaf) == 0 for leaf in leaves), "must come to this test with one number in every field")
    _hold(jax.tree.unflatten(structure, leaves) == dynamics, "changes when its pytree is taken apart and put together")
    names = {field.name for field in dataclasses.fields(dynamics) if not field.metadata.get("static", False)}  # type: ignore[arg-type]
    _hold("step_size" in names, "has no number field `step_size`, which is an axis of all results")
    _hold(isinstance(hash(structure), int), "has a static field that cannot be hashed")


def start_is_coupled(system: mf.System) -> None:
    """The first neurons of a wide network start like those of a narrow one, and the key is all that decides."""
    narrow, wide, again = (_start(system, width).particles.vectors for width in (WIDTH, 2 * WIDTH, WIDTH))
    _hold(_same(narrow, again), "starts differently from the same key")
    _hold(_same(narrow, wide[:WIDTH]), "does not start the first neurons of every width alike")
    _hold(len(narrow) == WIDTH, f"starts with {len(narrow)} neurons where {WIDTH} are asked for")


def step_is_a_pure_function(system: mf.System) -> None:
    """A step keeps shapes and types, counts itself, returns finite numbers, and depends on its arguments alone."""
    state = _start(system, WIDTH)
    after, info = _step(system, state)
    twice, _ = _step(system, state)
    _hold(jax.tree.structure(after) == jax.tree.structure(state), "returns a state of another structure than it got")
    shapes = [(v.shape, v.dtype) for v in jax.tree.leaves(state)], [(v.shape, v.dtype) for v in jax.tree.leaves(after)]
    _hold(shapes[0] == shapes[1], f"changes shapes or types of its state from {shapes[0]} to {shapes[1]}")
    _hold(int(after.step) == 1, f"must count its steps in `state.step`, which is {after.step} after the first")
    _hold(_finite(after.particles), "gives particles that are not finite after one step")
    _hold(all(_same(a, b) for a, b in zip(jax.tree.leaves(after), jax.tree.leaves(twice), strict=True)), "is not deterministic")
    _hold(bool(info), "returns no info: give a number that feels every particle, like the risk")
    _hold(not _same(after.particles.vectors, state.particles.vectors), "does not move the particles")
    state64 = jax.eval_shape(lambda: _step(system, state))
    _hold(jax.tree.structure(state64[0]) == jax.tree.structure(state), "cannot be traced")


def widths_share_their_data(system: mf.System) -> None:
    """The data path does not depend on the width: what the first neurons get is the same in a wide network."""
    source, key, step = system.dynamics.prepare(system.data), jax.random.key(5), jnp.asarray(3)
    narrow, wide = (jax.tree.leaves(system.dynamics.draw(source, key, step, width)) for width in (WIDTH, 2 * WIDTH))
    same = all(_same(a, b[: len(a)] if a.ndim else b) for a, b in zip(narrow, wide, strict=True))
    _hold(same, "draws other data at another width, so that widths are not coupled")


def frozen_weights_stay(system: mf.System) -> None:
    """Output weights that are not trained do not move; a bias is carried along."""
    if system.network.output_weights == "ones":
        return
    network = dataclasses.replace(system.network, train_output=False, bias=True)
    frozen = dataclasses.replace(system, network=network)
    state = _start(frozen, WIDTH)
    after, _ = _step(frozen, state)
    _hold(_same(after.particles.a, state.particles.a), "moves output weights that are not trained: use `network.move`")


def divergence_shows_in_the_info(system: mf.System) -> None:
    """A NaN in one particle makes the info not finite: that is how a diverged run is noticed at its step."""
    state = _start(system, WIDTH)
    w = state.particles.w.at[WIDTH - 1, 0].set(jnp.nan)
    _, info = _step(system, dataclasses.replace(state, particles=dataclasses.replace(state.particles, w=w)))
    _hold(not _finite(info), "has an info that does not notice a particle that is NaN")


def neurons_are_interchangeable(system: mf.System) -> None:
    """What neuron i does depends on the others through their law alone: a permutation of the others does not move it."""
    state = _start(system, WIDTH)
    order = jnp.array([0, *range(WIDTH - 1, 0, -1)])

    def permuted(leaf):
        return leaf[order] if leaf.ndim and leaf.shape[0] == WIDTH else leaf

    after, _ = _step(system, state)
    other, _ = _step(system, jax.tree.map(permuted, state))
    close = np.allclose(after.particles.vectors[0], other.particles.vectors[0], rtol=1e-4, atol=1e-5)
    _hold(close, "moves a neuron differently when the others change places: neurons must interact through sums over all of them")


def sweeps_equal_single_runs(system: mf.System) -> None:
    """A sweep of step sizes gives what runs one by one give, and is an axis of the results."""
    one, two = _with_step_size(system, 1.0), _with_step_size(system, 0.5)
    both = _with_step_size(system, np.array([1.0, 0.5]))
    swept = _run(both)
    _hold("step_size" in swept.dataset["status"].dims, "does not give results an axis `step_size`")
    for i, single in enumerate((one, two)):
        ours, alone = swept.particles[WIDTH].vectors[i], _run(single).particles[WIDTH].vectors[0]
        _hold(np.allclose(ours, alone, rtol=1e-3, atol=1e-4), "gives other particles in a sweep than alone")


def numbers_do_not_recompile(system: mf.System) -> None:
    """Other numbers of the same shape use the program that is compiled already."""
    traces = []

    @jax.jit
    def run(dynamics, state):
        traces.append(1)
        key = jax.random.key(2)
        batch = dynamics.draw(source, jax.random.fold_in(key, 0), state.step, WIDTH)
        return dynamics.step(jax.random.fold_in(key, 1), state, batch)[0].particles.vectors

    source, state = system.dynamics.prepare(system.data), _start(system, WIDTH)
    leaves, structure = jax.tree.flatten(system.dynamics)
    for factor in (1.0, 0.99, 0.98):
        run(jax.tree.unflatten(structure, [jnp.asarray(factor * leaf, float) for leaf in leaves]), state)
    _hold(len(traces) == 1, "compiles anew when a number changes")


def advance_takes_the_steps(system: mf.System) -> None:
    """Five steps by `advance` are five times `draw` and `step`, up to rounding."""
    grid = ensemble.make_grid(system.dynamics, (0, 3), jax.random.key(4))
    source = system.dynamics.prepare(system.data)
    start = ensemble.init(grid.dynamics, grid.keys, network=system.network, width=WIDTH)
    streams = (grid.keys, jax.vmap(lambda k: jax.random.fold_in(k, 9))(grid.keys))
    together, _ = jax.jit(lambda s: grid.dynamics.advance(source, streams, s, jnp.asarray(5)))(start)
    for cell in range(len(grid.keys)):
        one, state, data, noise = jax.tree.map(lambda v, cell=cell: v[cell], (grid.dynamics, start, *streams))
        for _ in range(5):
            batch = one.draw(source, data, state.step, WIDTH)
            state, _ = one.step(jax.random.fold_in(noise, state.step), state, batch)
        same = np.allclose(state.particles.vectors, together.particles.vectors[cell], rtol=1e-4, atol=1e-5)
        _hold(same, "has an `advance` that does not do what its `step` does")
        _hold(int(state.step) == int(together.step[cell]), "has an `advance` that does not count its steps")


def resumed_equals_uninterrupted(system: mf.System) -> None:
    """Twelve strides at once equal five and seven, bit for bit: randomness depends on the step counter alone.

    A dynamics that takes several steps at once (`stride`) may cut inside a stride as well, at the price of rounding.
    """
    grid = ensemble.make_grid(system.dynamics, (0, 3), jax.random.key(4))
    source = system.dynamics.prepare(system.data)
    stride = system.dynamics.stride(system.network, WIDTH)

    def run(*chunks):
        states = ensemble.init(grid.dynamics, grid.keys, network=system.network, width=WIDTH)
        bad = jnp.full(len(grid.keys), NEVER, jnp.int32)
        for steps in chunks:
            states, bad, _ = ensemble.advance(grid.dynamics, source, grid.keys, states, bad, jnp.asarray(steps))
        return states.step, states.particles.vectors

    sentence = "resumed after five steps does not go on as if uninterrupted: keep no key or counter but `state.step`"
    _hold(all(_same(a, b) for a, b in zip(run(12 * stride), run(5 * stride, 7 * stride), strict=True)), sentence)
    close = all(np.allclose(a, b, rtol=1e-4, atol=1e-5) for a, b in zip(run(12), run(5, 7), strict=True))
    _hold(close, sentence)


def limit_is_a_dynamics(system: mf.System) -> None:
    """`limit()` is None or a dynamics that runs on the same network and data and is its own limit."""
    limit = system.dynamics.limit()
    _hold(isinstance(system.dynamics.conditional, bool), "has a property `conditional` that is not True or False")
    if limit is None:
        return
    _hold(isinstance(limit, AbstractDynamics), "has a `limit()` that is neither None nor a dynamics")
    _hold(_finite(_run(mf.System(system.network, system.data, limit)).particles), "has a limit that does not run")
    _hold(type(limit.limit()) is type(limit), "has a limit whose own limit is something else")
    _hold(not limit.conditional or limit == system.dynamics, "has a limit that is conditional on a data path it does not share")


def references_are_keys(system: mf.System) -> None:
    """`references` are BibTeX keys."""
    keys = system.dynamics.references
    _hold(isinstance(keys, tuple) and all(isinstance(k, str) for k in keys), "has `references` that are no tuple of BibTeX keys")


CHECKS = (
    numbers_are_leaves,
    start_is_coupled,
    step_is_a_pure_function,
    widths_share_their_data,
    frozen_weights_stay,
    divergence_shows_in_the_info,
    neurons_are_interchangeable,
    sweeps_equal_single_runs,
    numbers_do_not_recompile,
    advance_takes_the_steps,
    resumed_equals_uninterrupted,
    limit_is_a_dynamics,
    references_are_keys,
)


def _hold(true: bool, sentence: str) -> None:
    if not true:
        raise AssertionError(f"The dynamics {sentence}.")


def _start(system, width):
    return system.dynamics.init(jax.random.key(1), system.network, width)


def _step(system, state):
    dynamics, key = system.dynamics, jax.random.key(2)
    batch = dynamics.draw(dynamics.prepare(system.data), jax.random.fold_in(key, 0), state.step, WIDTH)
    return dynamics.step(jax.random.fold_in(key, 1), state, batch)


def _run(system):
    return mf.simulate(system, widths=WIDTH, steps=7, seeds=[2], key=jax.random.key(3), probes=())


def _with_step_size(system, factor):
    law = system.dynamics.step_size
    scaled = dataclasses.replace(law, gamma=law.gamma * factor) if isinstance(law, mf.scaling.MeanField) else law * factor
    return dataclasses.replace(system, dynamics=dataclasses.replace(system.dynamics, step_size=scaled))


def _same(a, b) -> bool:
    return np.array_equal(np.asarray(a), np.asarray(b))


def _finite(tree) -> bool:
    return all(math.isfinite(float(jnp.sum(jnp.abs(leaf)))) for leaf in jax.tree.leaves(tree))
