"""The level of every confidence interval of `measure`."""

LEVEL = 0.95
