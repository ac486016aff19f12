"""How fast it is, beside the machine's limits and other people's way of doing it: `make bench`, or `python -m benchmarks.run`."""
