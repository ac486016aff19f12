"""What is read off arrays; knows nothing of networks or simulations. float64 numpy inside, whatever the input."""

from meanfield.measure import chaos, distances, mechanisms, pruning, rates, tails

__all__ = ["chaos", "distances", "mechanisms", "pruning", "rates", "tails"]
