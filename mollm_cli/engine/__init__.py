"""The one training engine: settings, loop, step, checkpoints, stopping."""
