"""mollm-unlearn: unlearn a forget set from a causal language model, keep the rest, and hold the evidence."""

__version__ = "0.2.0"
