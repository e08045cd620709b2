"""Dataset description to examples to token ids and labels to batches per role."""
