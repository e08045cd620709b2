"""Many runs: what they are, who starts them, what became of each, what was found."""
