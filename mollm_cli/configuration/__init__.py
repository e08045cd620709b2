"""From text (YAML, a command line) to typed requests: composed, checked, nothing read from disk but configuration."""
