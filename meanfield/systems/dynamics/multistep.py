"""Several steps of SGD in one trip through the particles.

A step with a mini-batch that all neurons share changes the input weights by a product of rank b, `W <- c W - S X`: S (N, b) holds
what every neuron takes from every example, X (b, dim) the examples. The examples of the next K steps are known in advance, so
the pre-activations of all of them come from ONE product with the weights, and what the steps in between change is a product of
Gram numbers:

    W_t = c^t W_0 - sum_(s<t) c^(t-1-s) S_s X_s,     W_t x = c^t W_0 x - sum_(s<t) c^(t-1-s) S_s (X_s x).

The weights are read twice and written once in K steps, by matrix products of inner dimension M = K b, instead of once a step by
products of inner dimension b: a memory-bound step becomes a compute-bound one. It is the same arithmetic in another order, exact
up to rounding; the price is 2 M^2 dim + 2 M^2 N flops a window beside 4 M N dim.

The way of the weights is that of blocked factorisations in LAPACK (a panel, then an update of rank M).
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec as P

from meanfield.systems._arrays import Array, Float, Int, Key, Real
from meanfield.systems.dynamics.base import NEVER, State
from meanfield.systems.dynamics.gradient import AbstractGradientDynamics
from meanfield.systems.networks import Particles, TwoLayer, losses
from meanfield.systems.scaling import per_neuron

_einsum = partial(jnp.einsum, precision="highest")  # see networks/two_layer.py
_slice, _write = jax.lax.dynamic_slice_in_dim, jax.lax.dynamic_update_slice_in_dim


class Plan(NamedTuple):
    """How a run is cut: `steps` a window, `group` steps whose pre-activations are corrected together, `block` neurons an update.

    `group` divides `steps`.
    """

    steps: int
    group: int
    block: int


def plan(width: int, batch_size: int, dim: int) -> Plan:
    """The plan for one run, from timings on two cores (benchmarks/README.md); on other devices it is correct, and has not been timed.

    About 96 rows a window: a third of that costs up to half of the speed where the weights are read from memory (N = 65536, d = 784,
    b = 1), and at twice as many the Gram products catch up. In small dimensions they do so earlier: 32 rows at d = 64. Up to 4
    examples a step, groups of 8 rows spare a step the trip through all of z: 1.7 times faster at N = 4096, b = 1, nothing at b = 10.
    From 65 examples on, a window is one step. Weights of up to 4096 neurons stay in the cache and are updated at once.
    """
    rows = min(96, max(32, dim // 2))
    steps, group = max(1, round(rows / batch_size)), max(1, 8 // batch_size)
    if steps <= group:
        group = 1
    return Plan(steps - steps % group, group, width if width <= 4096 else 2048)


def cells_together(cells: int, size: int) -> int:
    """How many cells of `size` bytes go through a window together: a divisor of `cells`.

    As many as stay in the cache of a core, 1.25 MiB. From timings of 16 and 64 cells at d = 64: 1.3 to 1.7 times as fast as all at once
    from N = 256 to 2048, and not slower elsewhere. On a GPU all.
    """
    if jax.default_backend() != "cpu":
        return cells
    return max(n for n in range(1, cells + 1) if cells % n == 0 and (n == 1 or n * size <= 5 * 2**18))


def advance(
    sgd: AbstractGradientDynamics,
    source: Any,
    streams: tuple[Key[Array, "*run"], Key[Array, "*run"]],
    states: State,
    steps: Int[Array, ""],
) -> tuple[State, Int[Array, "*run"]]:
    """`AbstractDynamics.advance` of SGD with shared mini-batches on a `TwoLayer`: several steps in one pass over the particles.

    Windows start at multiples of their length, whatever the chunk: steps before and after the chunk are steps of size 0. A run
    whose pre-activations overflow is lost as a whole window: its first bad step may be up to a window early.
    """
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty:
        return _in_groups(sgd, source, streams, states, steps, states.particles.w.shape[1], None)
    # By hand, because a window goes through the neurons block by block: every device through its own.
    names = [axis if mesh.shape.get(axis, 1) > 1 else None for axis in ("replicas", "particles")]
    width, cell, neuron = states.particles.w.shape[1], P(names[0]), P(*names)
    placed = jax.tree.map(lambda v: neuron if v.ndim > 1 else cell, states)
    part = lambda sgd, source, streams, states, steps: _in_groups(sgd, source, streams, states, steps, width, names[1])  # noqa: E731
    return jax.shard_map(part, in_specs=(cell, P(), cell, placed, P()), out_specs=(placed, cell), check_vma=False)(
        sgd, source, streams, states, steps
    )


def _in_groups(
    sgd: AbstractGradientDynamics,
    source: Any,
    streams: tuple[Key[Array, "*run"], Key[Array, "*run"]],
    states: State,
    steps: Int[Array, ""],
    width: int,
    axis: str | None,
) -> tuple[State, Int[Array, "*run"]]:
    """`advance` on the neurons of one device; `axis` is that of the mesh over which they are spread, `width` their number in all.

    Cells go in groups that fit into the cache, each through all the steps.
    """
    cells = states.step.shape[0]
    together = cells_together(cells, sum(v.size * v.dtype.itemsize for v in jax.tree.leaves(states.particles)) // cells)
    if together == cells:
        return _in_windows(sgd, source, streams, states, steps, width, axis)

    def group(number, carry):
        take = lambda v: jax.lax.dynamic_slice_in_dim(v, number * together, together)  # noqa: E731
        put = lambda v, part: jax.lax.dynamic_update_slice_in_dim(v, part, number * together, 0)  # noqa: E731
        one, keys, part = jax.tree.map(take, (sgd, streams, carry[0]))
        return jax.tree.map(put, carry, _in_windows(one, source, keys, part, steps, width, axis))

    return jax.lax.fori_loop(0, cells // together, group, (states, jnp.full(cells, NEVER, jnp.int32)))


def _in_windows(
    sgd: AbstractGradientDynamics,
    source: Any,
    streams: tuple[Key[Array, "*run"], Key[Array, "*run"]],
    states: State,
    steps: Int[Array, ""],
    width: int,
    axis: str | None,
) -> tuple[State, Int[Array, "*run"]]:
    """`_in_groups` for one group."""
    network, (cells, _, dim) = cast(TwoLayer, states.network), states.particles.w.shape
    cut = plan(width, sgd.batch_size, dim)
    begin = states.step[0]
    end = begin + steps.astype(begin.dtype)
    dtype = states.particles.w.dtype
    decay = jnp.broadcast_to(jnp.asarray(sgd.weight_decay, dtype), (cells,))

    def body(number, carry):
        particles, bad = carry
        at = number * cut.steps + jnp.arange(cut.steps, dtype=begin.dtype)
        happens = (begin <= at) & (at < end)

        def prepared(one, key):
            x, y = jax.vmap(lambda t: one.draw(source, key, t, width))(at)
            eta = jax.vmap(lambda t: jnp.asarray(per_neuron(one.step_size, width, t), dtype))(at)
            return x, y, jnp.where(happens, eta, jnp.zeros_like(eta))

        x, y, eta = jax.vmap(prepared)(sgd, streams[0])
        particles, risks = run(network, particles, x, y, eta, decay, cut, axis)
        lost = jnp.min(jnp.where(happens[None] & ~jnp.isfinite(risks), at[None] + 1, NEVER), axis=1)
        return particles, jnp.minimum(bad, lost.astype(jnp.int32))

    start = states.particles, jnp.full(cells, NEVER, jnp.int32)
    particles, bad = jax.lax.fori_loop(begin // cut.steps, -(-end // cut.steps), body, start)
    return dataclasses.replace(states, particles=particles, step=states.step + (end - begin)), bad


def run(
    network: TwoLayer,
    particles: Particles,
    x: Real[Array, "cell step example dim"],
    y: Real[Array, "cell step example *target"],
    step_size: Float[Array, "cell step"],
    decay: Float[Array, " cell"],
    plan: Plan,
    axis: str | None = None,
) -> tuple[Particles, Float[Array, "cell step"]]:
    """K steps of SGD in all cells.

        theta_i <- theta_i - step_size_t * (N dR_batch/dtheta_i + decay * theta_i),     t = 0, ..., K - 1

    Args:
        network: the architecture.
        particles: the neurons of all cells; axis 0 is the cell, here and everywhere below.
        x, y: the mini-batches, (cells, K, b, dim) and (cells, K, b) or (cells, K, b, outputs).
        step_size: step size of one neuron in every step, (cells, K); a step of size 0 does not happen.
        decay: ridge coefficient, (cells,).
        plan: its `steps` is K.
        axis: of the mesh, under `shard_map`, over which the neurons are spread. A step then sums b x outputs numbers over the devices,
            which is all that they say to each other.

    Returns:
        The particles, and the risk of every mini-batch before its step, (cells, K).
    """
    cells, dim = particles.w.shape[0], particles.w.shape[2]
    steps, batch, size = plan.steps, x.shape[2], x.shape[1] * x.shape[2]
    dtype = particles.w.dtype
    x = x.reshape(cells, size, dim).astype(dtype)
    keep = 1 - step_size * decay[:, None]
    before, after = _decay_products(keep)
    z = _pre_activations(particles.w, x, plan.block)
    if particles.bias is not None:  # one more input, the number 1
        z = z + particles.bias[:, None, :]
    # Neurons on the last axis, where they are many: XLA vectorises that one.
    a = None if particles.a is None else jnp.swapaxes(particles.a, 1, 2)
    window = _Window(z, a, jnp.zeros((cells, steps), dtype))

    def step(at, window, first, factors):
        """Step `at`, whose rows in z start at `first`: its pre-activations are replaced by gradient coefficients."""
        at_this = lambda v: jax.lax.dynamic_index_in_dim(v, at, 1, keepdims=False)  # noqa: E731
        rows = window.z if factors is None else _current_pre_activations(window.z, factors, first, batch)
        coefficients, a, risk = _forward_and_gradient(
            network, rows, window.a, at_this(y), at_this(step_size), at_this(keep), axis
        )
        return _Window(_write(window.z, coefficients, first, 1), a, _write(window.risks, risk[:, None], at, 1))

    if steps == 1:
        window = step(0, window, 0, None)
    else:
        rows = plan.group * batch
        between_groups, within_group = _factors(x, before, rows, particles.bias is not None)

        def group(number, window):
            """Rows of several steps are brought up to date by one product, and within the group by a small one per step."""
            first = number * rows
            within = _slice(_slice(within_group, first, rows, 1), first, rows, 2)
            inner = _Window(_current_pre_activations(window.z, between_groups, first, rows), window.a, window.risks)
            one = lambda t, inner: step(number * plan.group + t, inner, t * batch, within)  # noqa: E731
            inner = jax.lax.fori_loop(0, plan.group, one, inner)
            return _Window(_write(window.z, inner.z, first, 1), inner.a, inner.risks)

        single = lambda t, window: step(t, window, t * batch, between_groups)  # noqa: E731
        window = jax.lax.fori_loop(0, steps // plan.group, single if plan.group == 1 else group, window)
    kept, weights = after[:, 0], jnp.repeat(after[:, 1:], batch, axis=1)
    bias = particles.bias
    if bias is not None:
        bias = kept[:, None] * bias - _einsum("cm,cmn->cn", weights, window.z)
    a = particles.a if window.a is None or not network.train_output else jnp.swapaxes(window.a, 1, 2)
    w = _update(particles.w, window.z, kept, weights[:, :, None] * x, plan.block)
    return Particles(w, a, bias), window.risks


class _Window(NamedTuple):
    """The numbers that change within a window.

    Args:
        z: (cells, M, N). z[:, m] belongs to one example: before its step, its pre-activations under the weights at the start of
            the window; after its step, the gradient coefficients that were applied.
        a: output weights, (cells, outputs, N), or None.
        risks: of the mini-batches of the steps taken, (cells, K).
    """

    z: Float[Array, "cell row neuron"]
    a: Float[Array, "cell output neuron"] | None
    risks: Float[Array, "cell step"]


def _decay_products(
    keep: Float[Array, "cell step"],
) -> tuple[Float[Array, "cell step step+1"], Float[Array, "cell step+1"]]:
    """Decay of the weights at the start (column 0) and of the update of step s (column 1 + s): the product of c in between.

    (cells, K) -> before every step (cells, K, 1 + K), and after the last (cells, 1 + K); 1 before s is taken.
    """
    numbers = jnp.arange(1 + keep.shape[1])[None]

    def step(left, at):
        number, c = at
        return left * jnp.where(numbers <= number, c[:, None], 1), left

    start = jnp.ones((keep.shape[0], numbers.shape[1]), keep.dtype)
    after, before = jax.lax.scan(step, start, (numbers[0, :-1], jnp.swapaxes(keep, 0, 1)))
    return jnp.swapaxes(before, 0, 1), after


def _factors(
    x: Float[Array, "cell row dim"], before: Float[Array, "cell step step+1"], rows: int, bias: bool
) -> tuple[Float[Array, "cell row row"], Float[Array, "cell row row"]]:
    """Matrices (cells, M, M) that bring rows of z up to date.

    `between_groups` keeps a row's pre-activations and adds the updates of the groups of `rows` rows before it. `within_group` keeps
    the row and adds the updates of the steps before it in its group. In groups of one step `between_groups` is enough.
    """
    gram = _einsum("cmd,cld->cml", x, x)
    size, batch = x.shape[1], x.shape[1] // before.shape[1]
    spread = lambda v: jnp.repeat(jnp.repeat(v, batch, axis=1), batch, axis=2)  # noqa: E731
    taken = (gram + 1 if bias else gram) * spread(before[:, :, 1:])
    own = jnp.eye(size, dtype=x.dtype)[None]
    step, group = (jnp.arange(size) // n for n in (batch, rows))
    earlier = lambda v: (v[:, None] > v[None, :])[None]  # noqa: E731
    between_groups = jnp.repeat(before[:, :, 0], batch, axis=1)[:, :, None] * own - jnp.where(earlier(group), taken, 0)
    return between_groups, own - jnp.where(earlier(step), taken, 0)


def _current_pre_activations(
    z: Float[Array, "cell row neuron"], factors: Float[Array, "cell row row"], first: int | Int[Array, ""], count: int
) -> Float[Array, "cell {count} neuron"]:
    """Pre-activations of `count` rows with the weights of now.

    The rows' own pre-activations are part of the product: a sum of a slice of z and a product would make XLA copy all of z in
    every step, because the slice would still be wanted when z is written.
    """
    return _einsum("cml,cln->cmn", _slice(factors, first, count, 1), z)


def _forward_and_gradient(
    network: TwoLayer,
    z: Float[Array, "cell example neuron"],
    a: Float[Array, "cell output neuron"] | None,
    y: Real[Array, "cell example *target"],
    eta: Float[Array, " cell"],
    c: Float[Array, " cell"],
    axis: str | None,
) -> tuple[Float[Array, "cell example neuron"], Float[Array, "cell output neuron"] | None, Float[Array, " cell"]]:
    """One step, given the pre-activations (cells, b, N): gradient coefficients of the examples, output weights, risk.

    The same formulas, for one step of one run, are in `TwoLayer.gradient`.
    """
    moves = (eta > 0)[:, None, None]
    h = network.act.value(z)
    width, f = z.shape[2], jnp.sum(h, axis=2, keepdims=True) if a is None else _einsum("cbn,ckn->cbk", h, a)
    if axis is not None:
        width, f = width * jax.lax.axis_size(axis), jax.lax.psum(f, axis)
    f = f / width
    loss = losses.loss(network.loss)
    risks, residuals = jax.vmap(loss.value)(f, y), jax.vmap(loss.residuals)(f, y)
    residuals = residuals * (eta / z.shape[1])[:, None, None]
    pull = residuals if a is None else _einsum("cbk,ckn->cbn", residuals, a)
    # `where`, not a factor 0: a step that does not happen must not turn an infinite number into NaN.
    coefficients = jnp.where(moves, pull * network.act.slope(z), 0)
    if a is not None and network.train_output:
        a = c[:, None, None] * a - _einsum("cbk,cbn->ckn", jnp.where(moves, residuals, 0), h)
    return coefficients, a, jnp.mean(risks, axis=1)


def _by_blocks(
    part: Callable[[jax.Array, int | jax.Array, int], jax.Array], result: Float[Array, "*shape"], width: int, block: int
) -> Float[Array, "*shape"]:
    """`part(result, first, count)` for blocks of neurons, one after the other."""
    block = min(block, width)
    result = jax.lax.fori_loop(0, width // block, lambda i, result: part(result, i * block, block), result)
    return part(result, width - width % block, width % block) if width % block else result


def _pre_activations(
    w: Float[Array, "cell neuron dim"], x: Float[Array, "cell row dim"], block: int
) -> Float[Array, "cell row neuron"]:
    """Rows `w x` of all examples, (cells, M, N), in blocks of neurons: a product packs its factors, and would pack all of w."""

    def part(z, first, count):
        return _write(z, _einsum("cmd,cnd->cmn", x, _slice(w, first, count, 1)), first, 2)

    if w.shape[1] <= block:
        return _einsum("cmd,cnd->cmn", x, w)
    return _by_blocks(part, jnp.zeros((x.shape[0], x.shape[1], w.shape[1]), w.dtype), w.shape[1], block)


def _update(
    w: Float[Array, "cell neuron dim"],
    coefficients: Float[Array, "cell row neuron"],
    kept: Float[Array, " cell"],
    x: Float[Array, "cell row dim"],
    block: int,
) -> Float[Array, "cell neuron dim"]:
    """`kept * w - coefficients' x`, in blocks of neurons: each is written in place, so no second copy of w is made."""

    def part(w, first, count):
        change = _einsum("cmn,cmd->cnd", _slice(coefficients, first, count, 2), x)
        return _write(w, kept[:, None, None] * _slice(w, first, count, 1) - change, first, 1)

    return _by_blocks(part, w, w.shape[1], block)
