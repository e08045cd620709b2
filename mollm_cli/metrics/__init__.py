"""One metric a file: per-example records in, one value out.

``Metric.needs`` says which sets a metric is for. evaluation/plan.py reads these words:

"prompt"       rows with a prompt (questions and answers)
"text"         rows without one (plain text)
"generation"   a greedy continuation of each prompt; implies "prompt"
"perturbed"    rows with perturbed answers
"forget_side"  forget, forget_test and holdout only; "retain_side": every other set
"oracle"       the oracle's scores of the same rows; only on forget
"""
