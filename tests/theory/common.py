"""What tests of theory share: laws, shares of their sums, and how close a measured index must be."""

from scipy import special, stats

LAWS = {
    "uniform": stats.uniform(),
    "gauss": stats.norm(),
    "laplace": stats.laplace(),
    "ggd_half": stats.gennorm(0.5),
    "t1p5": stats.t(1.5),
    "t2p1": stats.t(2.1),
    "t25": stats.t(2.5),
    "t3": stats.t(3),
    "t4": stats.t(4),
    "t5": stats.t(5),
    "pareto2p5": stats.pareto(2.5),
    "pareto3": stats.pareto(3),
    "lomax3": stats.lomax(3),
    "lomax5": stats.lomax(5),
}


def gamma_sum(dim, kappa):
    shape = 0.3 * dim
    below = special.gammainc(shape + 1, special.gammainccinv(shape, kappa))
    return (dim * (1 - kappa) + shape * below) / (dim + shape)


def square_sum(dim, kappa):
    """Noncentral chi-square: x times its density is k times that of k + 2 and the noncentrality times that of k + 4 degrees."""
    s = special.chndtrix(1 - kappa, dim, 4.0 * dim)
    return (special.chndtr(s, dim + 2, 4.0 * dim) + 4 * special.chndtr(s, dim + 4, 4.0 * dim)) / 5


def close(found, exact, errors=4.0):
    """Within four standard errors, which are below 3 %."""
    return abs(found.value - exact) < errors * found.standard_error < 0.03 * errors * exact
