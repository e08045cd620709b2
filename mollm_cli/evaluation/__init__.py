"""Scoring models: the suite of named metrics, the oracle, generation."""
