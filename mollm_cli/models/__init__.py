"""Model and tokenizer, adapters, the frozen reference."""
