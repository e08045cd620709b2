"""The embedded tiny model and the embedded data."""
