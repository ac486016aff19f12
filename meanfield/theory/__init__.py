"""What mathematics predicts: pure float64 functions, every one with its source."""

from meanfield.theory import compressibility

__all__ = ["compressibility"]
