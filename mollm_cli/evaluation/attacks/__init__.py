"""One attack per file: another question, tampered weights, or two models compared; and what the attack yields."""
