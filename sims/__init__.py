"""Simulations, one file per figure: a frozen `Config`, `run`, `tables`, `plot`, and `main`, which joins them.

    python -m sims.NAME --out DIR

writes into DIR config.json, summary.json, figure.png (width_scaling and its results.nc), and prints tables. --help lists the options.
"""
