"""One file per figure: a frozen Config, run(config), plot(results, config); `python -m sims.NAME`."""
