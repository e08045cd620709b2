"""Pure tensor functions, no model inside: one objective a file."""
