"""Simulations, one file per figure: a frozen `Config`, `run`, `tables`, `plot`, and `main`, which joins them.

    python -m sims.NAME --out DIR

writes into DIR config.json, summary.json, figure.png, and prints tables; mechanisms and width_scaling keep their
arrays, too (.nc). --help lists the options.
"""
