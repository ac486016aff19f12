"""The toy claims that tests of the report share."""

import dataclasses
import json
import math
from pathlib import Path

import jax
import numpy as np

from meanfield import verify
from meanfield.verify import Check, Claim, Hypothesis, Row


def plot(ax, data, parameters):
    ax.hist(data["x"], 20)
    ax.set_xlabel(r"$x_\infty$ & <more>")


def rows(predicted=0.0, detects=0.2, measured=lambda data, parameters: verify.mean(data["x"])):
    """The mean, held against a number and against bounds."""
    return lambda parameters: [
        Row(name, prediction, lambda data: measured(data, parameters), detects, detects)
        for name, prediction in (("mean", predicted), ("above", (-0.2, math.inf)))
    ]


def toy(name="toy", predicted=0.0, detects=0.2, holds=True, **changes) -> Claim:
    """The mean of a thousand normal numbers is 0; the first prediction is a number, the second is bounds."""
    claim = Claim(
        name=name,
        statement="The mean of numbers <x> is m & no other.",
        formula=r"\mathbb E\Big(x\Big)^2 < \|m\| \sim \tfrac12\sqrt{\mathrm{err}}\ \text{for } x^\star",
        source="ours",
        parameters={"scale": 1.0, "widths": (16, 64), "kind": "normal"},
        rows=rows(predicted, detects),
        experiment=lambda key, size, p: {"x": p["scale"] * np.asarray(jax.random.normal(key, (size,)), np.float64)},
        sizes=(1000, 4000),
        hypotheses=(Hypothesis("It holds.", lambda data, parameters: Check(holds, "0.3 standard errors from 0.")),),
        controls={"off": {"rows": rows(0.5, detects)}},
        plot=plot,
    )
    return dataclasses.replace(claim, **changes)


def four() -> list[Claim]:
    """One of each verdict."""
    return [
        toy("b consistent", source="A (2001)"),
        toy("c refuted", predicted=0.3, source="C (2003)", formula=r"\nosuch"),
        toy("d small", detects=0.01, source="B (2002)"),
        toy("a violated", predicted=0.3, holds=False, source="D (2004)", plot=None),
    ]


def strictly(path: Path) -> dict:
    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    return json.loads(path.read_text(), parse_constant=refuse)
