"""One objective per file: a pure tensor function, with no model inside."""
