"""What mathematics predicts: pure float64 functions, every one with its source."""

from meanfield.theory import compressibility, recursion

__all__ = ["compressibility", "recursion"]
