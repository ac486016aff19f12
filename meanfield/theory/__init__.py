"""What mathematics predicts: pure float64 functions, every one with its source."""

from meanfield.theory import (
    bounds,
    collapse,
    compressibility,
    least_squares,
    network,
    random_products,
    recursion,
    solvable,
    stable,
)

__all__ = [
    "bounds",
    "collapse",
    "compressibility",
    "least_squares",
    "network",
    "random_products",
    "recursion",
    "solvable",
    "stable",
]
