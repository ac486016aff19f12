"""What mathematics predicts: pure float64 functions, every one with its source."""

from meanfield.theory import compressibility, meanfield, recursion, stable

__all__ = ["compressibility", "meanfield", "recursion", "stable"]
