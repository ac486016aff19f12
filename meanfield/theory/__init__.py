"""What mathematics predicts: pure float64 functions, every one with its source."""

from meanfield.theory import cloning, compressibility, meanfield, recursion, stable

__all__ = ["cloning", "compressibility", "meanfield", "recursion", "stable"]
