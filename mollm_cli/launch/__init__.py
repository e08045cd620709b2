"""One door into a run: processes, ranks, signals, endings and exit codes."""
