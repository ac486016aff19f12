"""Compressibility: parts with known laws and a coupled recursion (compressible_laws), and trained networks (compressible_networks)."""

from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure
from rich.table import Table

from . import _figures, _job, compressible_laws, compressible_networks


@dataclass(frozen=True, kw_only=True)
class Config(compressible_laws.Config):
    """Pruning errors: where they vanish, how fast, and what they do to the function and the bound."""

    out: _job.Out = Path("out/compressibility")

    @property
    def networks(self) -> compressible_networks.Config:
        """The config of the networks; `python -m sims.compressible_networks` has options for it."""
        made = compressible_networks.Config(out=self.out, key=self.key, quick=self.quick)
        return made.sized() if self.quick else made

    def record(self):
        """The fields, and those of the networks."""
        return super().record() | {"networks": self.networks.record()}


def run(config: Config) -> dict:
    """All parts, in the order of the panels (a) to (f)."""
    return _job.together([compressible_laws.run(config), compressible_networks.run(config.networks)])


def tables(summary: dict) -> list[Table]:
    """Predictions beside measurements."""
    return [*compressible_laws.tables(summary), *compressible_networks.tables(summary)]


def plot(summary: dict) -> Figure:
    """Curves on their limits; error against N; the synthetic study; the combined statement; function against parameters; bounds."""
    figure, axes = _figures.panels(13.5, 8.2, rows=2)
    compressible_laws.draw(axes[:4], summary)
    compressible_networks.draw(axes[4:], summary, "ef")
    return figure


main = _job.Job(Config, run, tables, plot)

if __name__ == "__main__":
    main.command()
