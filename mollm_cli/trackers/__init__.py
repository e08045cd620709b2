"""Where logged numbers go: train.jsonl always, others by choice."""
