"""How fast, how far from the machine's limit, and against whom: `make bench`."""
