"""One gradient per objective, their Gram matrix, and the direction that is written to .grad."""
