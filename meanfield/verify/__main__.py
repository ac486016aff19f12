"""python -m meanfield.verify [CLAIM ...] [--quick | --full] --out DIR."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console

from meanfield import _check
from meanfield.verify import CLAIMS, report


@dataclass(frozen=True)
class Config:
    """Put theorems to the test. Exit status 1: something was refuted; 2: a wrong argument."""

    claims: tyro.conf.Positional[tuple[str, ...]] = ()
    """Names of claims; none: all."""
    out: Path = Path("out/verify")
    """Directory for the results; made if it is not there."""
    budget: Annotated[Literal["quick", "full"], tyro.conf.arg(aliases=["-b"])] = "full"
    """How much is spent: seconds a claim, or what it needs to see the deviations it declares."""
    seed: int = 0
    """Of all experiments."""


def main(config: Config) -> int:
    """Run, write and print."""
    for name in config.claims:
        _check.choice("claims", name, tuple(CLAIMS))
    console = Console(width=max(150, Console().width))
    chosen = [CLAIMS[name] for name in dict.fromkeys(config.claims or CLAIMS)]
    evidence = report.run(
        chosen,
        config.out,
        config.seed,
        config.budget,
        told=lambda claim, one: console.print(f"{one.seconds:5.1f} s  {claim.name}: {claim.statement}", highlight=False),
    )
    console.print(report.table(evidence))
    console.print(f"Written to {config.out}: report.json, data/")
    return int(report.refuted(evidence))


if __name__ == "__main__":
    arguments = ["--budget=" + a[2:] if a in ("--quick", "--full") else a for a in sys.argv[1:]]
    try:
        sys.exit(main(tyro.cli(Config, args=arguments, prog="python -m meanfield.verify")))
    except _check.ArgumentError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
