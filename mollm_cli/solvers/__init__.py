"""One solver per file: Gram matrix in, weights out."""
