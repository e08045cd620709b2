"""Judges: they read a generation and score it, for harm or toxicity."""
