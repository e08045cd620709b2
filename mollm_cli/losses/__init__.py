"""One loss a file: an ordered table of objectives."""
