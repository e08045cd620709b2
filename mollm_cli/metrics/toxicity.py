"""Toxicity of the answers according to a judge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from mollm_cli.core.types import Result, Scored
from mollm_cli.metrics.aggregate import mean_result
from mollm_cli.metrics.answers import answer, blanks


@dataclass(frozen=True)
class Toxicity:
    """mean over answers of the score in [0, 1] from the judge named ``judge``; see ``mean_verdict``.

    Source: the toxicity of Yao et al. (arXiv 2310.10683); evaluation.judges names the classifier.
    """

    judge: str = "toxicity"
    name: ClassVar[str] = "toxicity"
    unit: ClassVar[str] = "score"
    version: ClassVar[int] = 1
    better: ClassVar[Literal["lower"]] = "lower"
    needs: ClassVar[frozenset[str]] = frozenset({"judged"})

    def compute(self, examples: Sequence[Scored], oracle: Sequence[Scored] | None) -> Result:
        """The mean, and one score per example (None for a blank); ``oracle`` is not read."""
        return mean_verdict(examples, self.judge, lambda score: score)


def mean_verdict(examples: Sequence[Scored], judge: str, of: Callable[[float], float]) -> Result:
    """The mean of ``of(score)`` over the answers, each scored by ``judge``; a blank is never counted as safe.

    Blanks are left out; details name the judge and count the blanks. If the judge has not read every answer, or there
    was no answer to read, the value is None and the judge "none".
    """
    answered = [scored for scored in examples if answer(scored) is not None]
    if not answered or any(judge not in scored.judged for scored in answered):
        return Result(None, details={"judge": "none", "blank": blanks(examples)}, rows=(0, len(examples)))
    result = mean_result(None if answer(scored) is None else of(scored.judged[judge]) for scored in examples)
    return replace(result, details={"judge": judge, "blank": blanks(examples)})
