"""What mathematics predicts: pure float64 functions, every one with its source."""

from meanfield.theory import cloning, compressibility, designs, meanfield, network, recursion, stable

__all__ = ["cloning", "compressibility", "designs", "meanfield", "network", "recursion", "stable"]
