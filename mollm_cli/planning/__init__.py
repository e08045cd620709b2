"""Everything of --plan: what a run will hold, write and send, before a weight is loaded."""
