"""Several steps of SGD in one trip through the particles.

A step with a mini-batch that all neurons share changes the input weights by a product of rank b, `W <- c W - S X`: S (N, b) holds
what every neuron takes from every example, X (b, dim) the examples. The examples of the next K steps are known in advance, so
the pre-activations of all of them come from ONE product with the weights, and what the steps in between change is a product of
Gram numbers:

    W_t = c^t W_0 - sum_(s<t) c^(t-1-s) S_s X_s,     W_t x = c^t W_0 x - sum_(s<t) c^(t-1-s) S_s (X_s x).

The weights are read twice and written once in K steps, by matrix products of inner dimension M = K b, instead of once a step by
products of inner dimension b: a memory-bound step becomes a compute-bound one. It is the same arithmetic in another order, exact
up to rounding; the price is 2 M^2 dim + M^2 N flops a window beside 4 M N dim.

The way of the weights is that of blocked factorisations in LAPACK (a panel, then an update of rank M).
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from meanfield.systems.network import LOSSES, Particles, TwoLayer

_einsum = partial(jnp.einsum, precision="highest")  # see network.py
_slice, _write = jax.lax.dynamic_slice_in_dim, jax.lax.dynamic_update_slice_in_dim


class Plan(NamedTuple):
    """How a run is cut: `steps` a window, `group` steps whose pre-activations are corrected together, `block` neurons an update.

    `steps` and `group` are powers of two, `group` divides `steps`.
    """

    steps: int
    group: int
    block: int


def plan(width: int, batch_size: int, dim: int) -> Plan:
    """The plan for one run."""
    rows = 64  # M, at most
    steps = 1
    while 2 * steps * batch_size <= rows:
        steps *= 2
    group = 1
    while 2 * group * batch_size <= 8:
        group *= 2
    return Plan(steps, group if steps > group else 1, 4096)


def run(
    network: TwoLayer,
    particles: Particles,
    x: jax.Array,
    y: jax.Array,
    step_size: jax.Array,
    decay: jax.Array,
    plan: Plan,
    axis: str | None = None,
) -> tuple[Particles, jax.Array]:
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
    gram, z = _einsum("cmd,cld->cml", x, x), _einsum("cmd,cnd->cmn", x, particles.w)
    if particles.bias is not None:  # one more input, the number 1
        gram, z = gram + 1, z + particles.bias[:, None, :]

    def step(at, now, first, gram):
        """Step `at`, whose rows in z and gram start at `first`: pre-activations are replaced by what the neurons take."""
        eta, c = (jax.lax.dynamic_index_in_dim(v, at, 1, keepdims=False) for v in (step_size, keep))
        target = jax.lax.dynamic_index_in_dim(y, at, 1, keepdims=False)
        take, a, risk = _respond(network, _rows(now, gram, first, batch), now.a, target, eta, c, axis)
        risks = _write(now.risks, risk[:, None], at, 1)
        past = _write(now.past * c[:, None], jnp.ones((cells, batch), dtype), first, 1)
        return _Now(_write(now.z, take, first, 1), a, past, now.whole * c, risks)

    def group(number, now):
        """Steps whose rows are brought up to date by one product, and among themselves by a small one a step."""
        rows = plan.group * batch
        first = number * rows
        inner = _Now(_rows(now, gram, first, rows), now.a, *_nothing(cells, rows, dtype), now.risks)
        near = _slice(_slice(gram, first, rows, 1), first, rows, 2)
        inner = jax.lax.fori_loop(0, plan.group, lambda t, s: step(number * plan.group + t, s, t * batch, near), inner)
        past = _write(now.past * inner.whole[:, None], inner.past, first, 1)
        return _Now(_write(now.z, inner.z, first, 1), inner.a, past, now.whole * inner.whole, inner.risks)

    # Neurons on the last axis, where they are many: XLA vectorises that one.
    a = None if particles.a is None else jnp.swapaxes(particles.a, 1, 2)
    now = _Now(z, a, *_nothing(cells, size, dtype), jnp.zeros((cells, steps), dtype))
    if plan.group == 1:
        now = jax.lax.fori_loop(0, steps, lambda t, s: step(t, s, t * batch, gram), now)
    else:
        now = jax.lax.fori_loop(0, steps // plan.group, group, now)
    bias = particles.bias
    if bias is not None:
        bias = now.whole[:, None] * bias - _einsum("cm,cmn->cn", now.past, now.z)
    a = particles.a if now.a is None or not network.train_output else jnp.swapaxes(now.a, 1, 2)
    return Particles(_update(particles.w, now, x, plan.block), a, bias), now.risks


class _Now(NamedTuple):
    """Where a window stands.

    Args:
        z: rows of steps to come: pre-activations with the weights at the start; of steps taken: what the neurons took, (cells, M, N).
        a: output weights, (cells, outputs, N), or None.
        past: what is left of every row's take, the product of c over the steps since; 0 for steps to come, (cells, M).
        whole: what is left of the weights at the start, the product of c over all steps taken, (cells,).
        risks: of the steps taken, (cells, K).
    """

    z: jax.Array
    a: Any
    past: jax.Array
    whole: jax.Array
    risks: jax.Array


def _nothing(cells, size, dtype):
    """`past` and `whole` before the first step."""
    return jnp.zeros((cells, size), dtype), jnp.ones(cells, dtype)


def _rows(now, gram, first, count):
    """Pre-activations of `count` rows with the weights of now.

    The rows' own pre-activations are part of the product: a sum of a slice of z and a product would make XLA copy all of z in
    every step, because the slice would still be wanted when z is written.
    """
    factors = _slice(gram, first, count, 1) * -now.past[:, None, :]
    own = now.whole[:, None, None] * jnp.eye(count, dtype=gram.dtype)[None]
    return _einsum("cml,cln->cmn", _write(factors, own, first, 2), now.z)


def _respond(network, z, a, y, eta, c, axis):
    """One step, given the pre-activations (cells, b, N): what the neurons take from the examples, output weights, risk."""
    batch = z.shape[1]
    moves = (eta > 0)[:, None, None]
    h = network.act.value(z)
    width, f = z.shape[2], jnp.sum(h, axis=2, keepdims=True) if a is None else _einsum("cbn,ckn->cbk", h, a)
    if axis is not None:
        width, f = width * jax.lax.axis_size(axis), jax.lax.psum(f, axis)
    f = f / width
    losses, residuals = jax.vmap(LOSSES[network.loss])(f, y)
    residuals = residuals * (eta / batch)[:, None, None]
    pull = residuals if a is None else _einsum("cbk,ckn->cbn", residuals, a)
    # `where`, not a factor 0: a step that does not happen must not turn an infinite number into NaN.
    take = jnp.where(moves, pull * network.act.derivative(z), 0)
    if a is not None and network.train_output:
        a = c[:, None, None] * a - _einsum("cbk,cbn->ckn", jnp.where(moves, residuals, 0), h)
    return take, a, jnp.mean(losses, axis=1)


def _update(w, now, x, block):
    """`whole * w - sum_rows past * take * x`, in blocks of neurons: each is written in place, so no second copy of w is made."""
    x = now.past[:, :, None] * x

    def part(w, first, count):
        change = _einsum("cmn,cmd->cnd", _slice(now.z, first, count, 2), x)
        return _write(w, now.whole[:, None, None] * _slice(w, first, count, 1) - change, first, 1)

    width = w.shape[1]
    block = min(block, width)
    w = jax.lax.fori_loop(0, width // block, lambda i, w: part(w, i * block, block), w)
    return part(w, width - width % block, width % block) if width % block else w
