"""What a step costs, measured. `make bench` runs `benchmarks.speed`; docs/BENCHMARKS.md holds the numbers."""
