"""Types and axis letters, masking, errors, seeding."""
