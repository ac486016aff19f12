"""Theorems put to the test: a claim goes in, a verdict with its evidence comes out."""

from meanfield._keys import generator
from meanfield.verify import domain
from meanfield.verify.claim import Check, Claim, Comparison, Estimate, Evidence, Hypothesis, Row, Verdict, compare, holm, mean
from meanfield.verify.claims import CLAIMS
from meanfield.verify.claims.founding import founding

__all__ = [
    "CLAIMS",
    "Check",
    "Claim",
    "Comparison",
    "Estimate",
    "Evidence",
    "Hypothesis",
    "Row",
    "Verdict",
    "compare",
    "domain",
    "founding",
    "generator",
    "holm",
    "mean",
]
