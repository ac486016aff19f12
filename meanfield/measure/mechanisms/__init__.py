"""Which mechanism shrinks a pruning error as the width grows, how much of it, and what the law of the neurons is made of."""

from meanfield.measure.mechanisms.census import Census, Fate, census, dead, duplicates, fates
from meanfield.measure.mechanisms.limit import Limit, limit
from meanfield.measure.mechanisms.parts import PARTS, Decomposition, decompose

__all__ = ["PARTS", "Census", "Decomposition", "Fate", "Limit", "census", "dead", "decompose", "duplicates", "fates", "limit"]
