"""Small faults put into the sources, one at a time, and whether a test notices: `python -m benchmarks.mutants`."""
