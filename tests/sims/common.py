"""All simulations, by name."""

import importlib
from pathlib import Path

FOLDER = Path(__file__).parent.parent.parent / "sims"
JOBS = {path.stem: importlib.import_module(f"sims.{path.stem}") for path in sorted(FOLDER.glob("[!_]*.py"))}
PARTS = {  # a figure that joins others, and the programs whose numbers it shows
    "compressibility": ("compressible_laws", "compressible_networks"),
    "index_two_wall": ("quadratic_network", "relu_networks", "relu_residuals", "stable_networks"),
}
