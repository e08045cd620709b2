"""Per-objective gradients, their Gram matrix, and the direction written to .grad."""
