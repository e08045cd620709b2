"""The state from which a run goes on bit for bit: checkpoints, shards, resume points, and the keys that may change."""
