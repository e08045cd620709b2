"""What people read: console table, HTML report, model card."""
