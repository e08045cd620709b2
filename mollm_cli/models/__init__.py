"""The model with its tokenizer, adapters, and the frozen reference."""
