"""Can heavy tails and learning meet? Networks whose noise is multiplicative, beside the tail index that theory gives them.

A network whose neurons enter with degree 2, f = mean of F(theta_i), |F| ~ |theta|^2, has multiplicative gradient noise, and a limit
only if its tail index is above 2. Four experiments, each a program with options:

1. sims.quadratic_network: its index is known; measured beside predicted, and how long it lives near 2, against the width;
2. sims.relu_networks: digits, trained as usual; index, accuracy, and whether the law moves;
3. sims.relu_residuals: neurons with independent noise, for which theory predicts the index from the residuals;
4. sims.stable_networks: tanh with injected stable noise, where f is bounded and any index will do.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from rich.table import Table

from meanfield import _check

from . import _figures, _job, _two_wall, quadratic_network, relu_networks, relu_residuals, stable_networks

EXPERIMENTS: tuple[Any, ...] = (quadratic_network, relu_networks, relu_residuals, stable_networks)


@dataclass(frozen=True, kw_only=True)
class Config(_job.Base):
    """Tail index against accuracy for networks with multiplicative noise: the four experiments at their default sizes."""

    out: _job.Out = Path("out/index_two_wall")
    seeds: int = 4
    """Independent runs."""

    @property
    def experiments(self) -> list[Any]:
        """A config for each experiment; --quick makes theirs small."""
        shared = {"out": self.out, "seeds": self.seeds, "key": self.key, "quick": self.quick}
        made = [one.Config(**shared) for one in EXPERIMENTS]
        return [one.sized() for one in made] if self.quick else made

    def record(self):
        """The fields, and those of the experiments."""
        names = (one.__name__.rpartition(".")[2] for one in EXPERIMENTS)
        return super().record() | dict(zip(names, (one.record() for one in self.experiments), strict=True))


def run(config: Config) -> dict:
    """All experiments. Takes some minutes at full size."""
    _check.integer("seeds", config.seeds, at_least=2)
    summaries = [one.run(part) for one, part in zip(EXPERIMENTS, config.experiments, strict=True)]
    verdict = [statement for summary in summaries for statement in summary["verdict"]]
    return _job.together(summaries) | {"verdict": verdict}


def tables(summary: dict) -> list[Table]:
    """The tables of the experiments, and one verdict."""
    return [*(table for one in EXPERIMENTS for table in one.tables(summary)[:-1]), _two_wall.verdict(summary)]


def plot(summary: dict) -> Figure:
    """Predicted against measured index; blow-ups against width; accuracy against index; condensation."""
    figure, (first, second, third, fourth) = _figures.panels(12.5, 7.6, rows=2, columns=2)
    kinds = {"quadratic": "quadratic, noise", "predicted": "ReLU, digits", "stable": "tanh, stable noise"}
    _two_wall.draw_predicted(first, "(a) predicted and measured", {label: summary[part] for part, label in kinds.items()})
    quadratic_network.draw_lifetimes(second, "(b) blow-ups", summary["lifetimes"])
    relu_networks.draw(third, "(c) accuracy against index", summary["relu"]["cells"])
    relu_residuals.draw_condensation(fourth, "(d) condensation", summary["condensation"])
    return figure


main = _job.Job(Config, run, tables, plot)

if __name__ == "__main__":
    main.command()
