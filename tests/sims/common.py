"""All simulations."""

from sims import (
    compressibility,
    compressible_laws,
    compressible_networks,
    index_two_wall,
    linear_recursion,
    propagation_of_chaos,
    quadratic_network,
    radial_pde,
    relu_networks,
    relu_residuals,
    shared_noise,
    stable_networks,
    stable_sgd,
    tail_index,
    transients,
    width_scaling,
)

JOBS = (
    *(compressibility, compressible_laws, compressible_networks, index_two_wall, linear_recursion, propagation_of_chaos),
    *(quadratic_network, radial_pde, relu_networks, relu_residuals, shared_noise, stable_networks, stable_sgd, tail_index),
    *(transients, width_scaling),
)
