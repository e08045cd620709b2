"""What a run needs to go on bit for bit: checkpoints, shards, resume points, and what may change."""
