"""The run directory's record of an evaluation: the content of metrics.json and the rows of samples.jsonl."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mollm_cli.core.endings import NOTHING
from mollm_cli.core.privacy import KeepText, row_hash, shows_text
from mollm_cli.evaluation.attacks.robustness_verdict import robustness
from mollm_cli.evaluation.drift import Drift
from mollm_cli.evaluation.measuring import measured
from mollm_cli.evaluation.metric_plan import better
from mollm_cli.evaluation.suite import decoding
from mollm_cli.evaluation.verdict import judge

if TYPE_CHECKING:
    from mollm_cli.data.load_dataset import Loaded
    from mollm_cli.evaluation.measuring import Evaluation
    from mollm_cli.evaluation.suite import Suite


TEXTS = ("prompt", "answer", "generation")
"""The keys of samples.jsonl that hold text, at any depth."""


def metrics_record(
    before: Evaluation | None,
    after: Evaluation,
    oracle: Evaluation | None,
    suite: Suite,
    sets: Mapping[str, Loaded],
    attacks: Mapping[str, dict[str, Any]] | None = None,
    nothing: Mapping[str, Any] | None = None,
    drift: Drift | None = None,
) -> dict[str, Any]:
    """The content of metrics.json: values before, after and of the oracle, verdict, grounds, the meaning of each name.

    attacks: each attack's entry (evaluation/attacks/outcome.py).
    nothing: where the forget rows stood from the start, if there was nothing to forget; that is the verdict then.
    drift: of the model from its start, where that was measured.
    """
    yardstick, verdict, grounds = judge(before, after, oracle, suite, mixed_into_retain(sets), drift)
    if nothing is not None:
        verdict["forget"] = NOTHING
    verdict["robustness"] = robustness({name: entry["verdict"] for name, entry in (attacks or {}).items()})
    moments = {"before": before, "after": after, "oracle": oracle}
    there = {moment: evaluation for moment, evaluation in moments.items() if evaluation is not None}
    return {
        **{moment: None if evaluation is None else evaluation.values for moment, evaluation in moments.items()},
        "intervals": {moment: _lists(evaluation.intervals) for moment, evaluation in there.items()},
        "details": {moment: evaluation.details for moment, evaluation in there.items()},
        "rows": {moment: _lists(evaluation.rows) for moment, evaluation in there.items()},
        "yardstick": yardstick,
        "verdict": verdict,
        "grounds": grounds,
        NOTHING: None if nothing is None else dict(nothing),
        "metrics": _meanings(suite, sets, oracle is not None),
        "decoding": decoding(suite),
        "attacks": dict(attacks or {}),
    }


def mixed_into_retain(sets: Mapping[str, Loaded]) -> set[str]:
    """The names of the sets that are trained on beside ``retain``."""
    return {name for name, rows in sets.items() if "mixed_into" in rows.fingerprint}


def _lists(pairs: Mapping[str, tuple[float, float]]) -> dict[str, list[float]]:
    return {flat: list(pair) for flat, pair in pairs.items()}


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
    """The rows of samples.jsonl, one per example: id, hash, and each metric's value before, after and of the oracle.

    TEXTS are left out unless ``keep_text`` shows the set's content (core/privacy.py).
    """
    for name, scored in after.scored.items():
        with_text = shows_text(sets[name].content, keep_text)
        for row, example in enumerate(s.example for s in scored):
            yield {
                "set": name,
                "id": example.id,
                "sha256": row_hash(example),
                **({"prompt": example.prompt, "answer": example.answer} if with_text else {}),
                "before": _values(before, name, row, with_text),
                "after": _values(after, name, row, with_text),
                "oracle": _values(oracle, name, row, with_text),
            }


def _values(evaluation: Evaluation | None, name: str, row: int, with_text: bool) -> dict[str, Any] | None:
    """One example's values by metric, and its generation if it has one and text is kept."""
    if evaluation is None:
        return None
    values: dict[str, Any] = {metric: column[row] for metric, column in evaluation.per_example[name].items()}
    generation = evaluation.scored[name][row].generation
    return {**values, "generation": generation} if with_text and generation is not None else values
