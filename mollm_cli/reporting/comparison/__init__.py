"""Comparison of runs: rows, groups over seeds, comparability, the Pareto front; as text and as a page."""
