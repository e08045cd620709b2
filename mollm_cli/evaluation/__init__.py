"""Scoring models: the suite of metrics, generation, judges, attacks, gates."""
