"""Pages and tables for people: console table, HTML report, model card, comparison of runs."""
