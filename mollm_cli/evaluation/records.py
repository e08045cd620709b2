"""What the run directory keeps of an evaluation: the content of metrics.json and the rows of samples.jsonl."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mollm_cli.core.privacy import KeepText, shows_text
from mollm_cli.evaluation.attacks.robustness_verdict import robustness
from mollm_cli.evaluation.measuring import measured
from mollm_cli.evaluation.metric_plan import better
from mollm_cli.evaluation.suite import decoding
from mollm_cli.evaluation.verdict import judge

if TYPE_CHECKING:
    from mollm_cli.core.types import Example
    from mollm_cli.data.load_dataset import Loaded
    from mollm_cli.evaluation.measuring import Evaluation
    from mollm_cli.evaluation.suite import Suite


TEXTS = ("prompt", "answer", "generation")
"""What a row of samples.jsonl says in words, at any depth."""


def metrics_record(
    before: Evaluation | None,
    after: Evaluation,
    oracle: Evaluation | None,
    suite: Suite,
    sets: Mapping[str, Loaded],
    attacks: Mapping[str, dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """The content of metrics.json: values before, after, of the oracle; the verdict; what each name means.

    attacks: what each was and came to (evaluation/attacks/outcome.py).
    """
    yardstick, verdict = judge(before, after, oracle, suite)
    verdict["robustness"] = robustness({name: entry["verdict"] for name, entry in (attacks or {}).items()})
    moments = {"before": before, "after": after, "oracle": oracle}
    there = {moment: evaluation for moment, evaluation in moments.items() if evaluation is not None}
    return {
        **{moment: None if evaluation is None else evaluation.values for moment, evaluation in moments.items()},
        "intervals": {moment: _lists(evaluation.intervals) for moment, evaluation in there.items()},
        "details": {moment: evaluation.details for moment, evaluation in there.items()},
        "yardstick": yardstick,
        "verdict": verdict,
        "metrics": _meanings(suite, sets, oracle is not None),
        "decoding": decoding(suite),
        "attacks": dict(attacks or {}),
    }


def _lists(intervals: Mapping[str, tuple[float, float]]) -> dict[str, list[float]]:
    return {flat: list(interval) for flat, interval in intervals.items()}


def _meanings(suite: Suite, sets: Mapping[str, Loaded], oracle: bool) -> dict[str, dict[str, Any]]:
    return {
        flat: {
            "metric": metric.name,
            "set": name,
            "unit": metric.unit,
            "better": better(metric, name),
            "version": metric.version,
        }
        for flat, (name, metric) in measured(suite, sets, oracle).items()
    }


def sample_rows(
    before: Evaluation | None,
    after: Evaluation,
    oracle: Evaluation | None,
    sets: Mapping[str, Loaded],
    keep_text: KeepText,
) -> Iterator[dict[str, Any]]:
    """The rows of samples.jsonl, one an example: id, hash, and its value of every metric before, after, of the oracle.

    TEXTS only where ``keep_text`` shows the set's content (core/privacy.py).
    """
    for name, scored in after.scored.items():
        with_text = shows_text(sets[name].content, keep_text)
        for row, example in enumerate(s.example for s in scored):
            yield {
                "set": name,
                "id": example.id,
                "sha256": sha256(example),
                **({"prompt": example.prompt, "answer": example.answer} if with_text else {}),
                "before": _values(before, name, row, with_text),
                "after": _values(after, name, row, with_text),
                "oracle": _values(oracle, name, row, with_text),
            }


def sha256(example: Example) -> str:
    """The hash of prompt, line break and answer in UTF-8: names a row without showing it."""
    return hashlib.sha256(f"{example.prompt}\n{example.answer}".encode(errors="surrogatepass")).hexdigest()


def _values(evaluation: Evaluation | None, name: str, row: int, with_text: bool) -> dict[str, Any] | None:
    """One example's values by metric, and its generation where text is kept and one was made."""
    if evaluation is None:
        return None
    values: dict[str, Any] = {metric: column[row] for metric, column in evaluation.per_example[name].items()}
    generation = evaluation.scored[name][row].generation
    return {**values, "generation": generation} if with_text and generation is not None else values
