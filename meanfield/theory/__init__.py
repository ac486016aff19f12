"""What mathematics predicts: pure float64 functions, every one with its source."""

from meanfield.theory import bounds, cloning, compressibility, designs, meanfield, network, recursion, stable

__all__ = ["bounds", "cloning", "compressibility", "designs", "meanfield", "network", "recursion", "stable"]
