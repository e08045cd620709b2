"""Destinations of logged numbers: train.jsonl always, trackers by choice."""
