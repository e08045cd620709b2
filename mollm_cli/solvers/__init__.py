"""One solver a file: Gram matrix in, weights out."""
