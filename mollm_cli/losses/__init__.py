"""One loss per file: an ordered table of objectives."""
