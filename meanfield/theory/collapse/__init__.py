"""Lyapunov exponent of a small neuron: whether neurons of a two-layer network collapse to 0, given the residuals.

A neuron theta = (w, a) near 0, both layers trained, moves by random maps that are homogeneous of degree 1 given the residuals
r_i = dl/df(x_i). For ReLU that is the whole step, `network.relu_steps`. A smooth activation with act(0) = 0 has, with c = act'(0),

    w <- (1 - eta lam) w - (eta/b) c sum_i <a, r_i> x_i,    a <- (1 - eta lam) a - (eta/b) c sum_i <w, x_i> r_i.

|theta| grows or decays like exp(gamma n). gamma is the Lyapunov exponent per step, and 0 attracts the neuron if gamma < 0.

- **Mini-batches** are drawn with replacement. Whether neurons share them does not matter here: the law of the maps of one neuron, and
  so gamma, is the same.
- **Dead neurons.** A ReLU neuron that is off on every example decays by the ridge alone, and no step revives it. Other neurons fall
  into this cone, so that in the long run the exponent of all neurons would be that of dead ones. `exponent` is that of a neuron given
  that it is alive, `death_rate` the rate at which such neurons die, `dead_exponent` the exponent of dead ones.
- **Several exponents.** ReLU maps can have several cones that no neuron leaves, with an exponent each. `exponent` is then a mean over
  random directions at the start, and `bias` of the `Estimate` is the standard deviation of the exponents. Where the two largest
  exponents of the maps are equal, as in one dimension with residuals that are symmetric, the solver converges like steps^(-1/2) only.
- **Residuals are given.** Those of one moment usually have a mean gradient, which lets small neurons grow. For a run at rest use the
  mean residuals of many moments, as for `network.tail_index`, or the residuals of many moments, each with its input. With shared
  mini-batches and large steps the residuals answer to the last mini-batches, are not independent of the next map, and the prediction
  need not even have the right sign.
- **Momentum** is that of `optax.sgd`, with the ridge in the gradient: `v <- momentum v + gradient + lam theta`,
  `theta <- theta - eta v`. That is `optax.chain(optax.add_decayed_weights(lam), optax.sgd(eta, momentum))` in `dynamics.Optax`.
  Its velocity can bring back a neuron that is off on every example. Only a neuron that stays off for ever counts as dead.

With one input component and one output everything is a sum over mini-batches. The lines spanned by (w, a) = (1, 1) and (1, -1) are
mapped onto themselves, with the factors `1 - eta lam -+ (eta/b) c sum_i r_i x_i`.

Source: products of random maps: Furstenberg, Kesten (1960), Kesten (1973). Collapse by noise: Chen, Kunin, Yamamura, Ganguli (2023),
whose criterion is `diffusion_criterion`. The sums, the conditioning on being alive and the boundary are ours.
"""

from meanfield.theory.collapse.growth import boundary, death_rate, exponent
from meanfield.theory.collapse.lines import diffusion_criterion, half_line_exponents, origin_index
from meanfield.theory.collapse.quadratic import quadratic_exponent
from meanfield.theory.collapse.steps import dead_exponent, steps_near_zero

__all__ = [
    "boundary",
    "dead_exponent",
    "death_rate",
    "diffusion_criterion",
    "exponent",
    "half_line_exponents",
    "origin_index",
    "quadratic_exponent",
    "steps_near_zero",
]
