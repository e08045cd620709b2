"""One metric per file (membership inference is one table): records of examples in, one value out.

``Metric.needs`` says which sets a metric is for and what must be known of their rows. evaluation/metric_plan.py reads
these words:

"prompt"        rows with a prompt (questions and answers)
"text"          rows without one (plain text)
"generation"    a greedy continuation of each prompt; implies "prompt"
"samples"       continuations drawn from the model, where a set is sampled (evaluation/attacks/sampling.py)
"perturbed"     rows with perturbed answers
"moments"       mean and standard deviation of log p at each answer token
"gradient_norm" one backward pass per row
"fluency"       the generation's log p under the reference; implies "generation"
"judged"        a judge's score of the generation (evaluation.judges); implies "generation"
"forget_side"   sets of the forget set's kind; "retain_side": every other set
"oracle"        the oracle's scores of the same rows; only on forget

A metric that is a plain mean of one value per example extends ``aggregate.MeanMetric`` and defines ``value``. A metric
with ``limited``, names of sets, is measured on those sets alone. A metric over several sets has ``sets``, ``required``
and ``compute_across`` (core/types.SetsMetric) in place of ``compute``.
"""
