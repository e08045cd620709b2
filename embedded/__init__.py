"""Makes what mollm_cli/assets/ holds: the fictitious authors, the tokenizer, the architecture; ``make tiny``."""
