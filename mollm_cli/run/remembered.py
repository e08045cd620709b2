"""The starting model as it is remembered, in memory only: a later model is held against what it said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mollm_cli.core.doing import doing
from mollm_cli.data.chat_template import is_chat
from mollm_cli.data.encoder import Encoder
from mollm_cli.data.ordinary import ORDINARY, TOKENS, measured_prompts
from mollm_cli.evaluation.drift import Drift, usable
from mollm_cli.evaluation.generation import generate
from mollm_cli.evaluation.same_answer import says_same
from mollm_cli.evaluation.start_kl import Likeliest, kl_to, likeliest
from mollm_cli.evaluation.suite import Suite
from mollm_cli.run.prepare import Prepared

NO_CHAT = "the model has no chat template"
NO_ANSWERS = "the starting model's own answers to plain questions tell too little to compare with"
LONGEST = 1024
"""Tokens of a plain question with its template and answer; none is as long."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """A starting model's likeliest tokens on unseen rows, by set, and its greedy answers to plain prompts.

    None of it is kept on disk: it is as confidential as the rows. Every process has all of it.
    """

    suite: Suite
    prepared: Prepared
    likeliest: Mapping[str, Likeliest]
    prompts: Sequence[str]
    answers: Sequence[str]

    @classmethod
    def of(cls, model: Any, prepared: Prepared, suite: Suite, unseen: Sequence[str]) -> Remembered:
        """The memory of ``model`` at its start: of the first rows of the ``unseen`` sets."""
        most = suite.kept_rows
        rows = {name: prepared.encoded[name][:most] for name in unseen}
        found = measured_prompts(prepared.loaded["forget"]).examples if is_chat(prepared.tokenizer, "auto") else []
        prompts = [example.prompt for example in found][:most]
        with doing("measuring the start", len(prompts)):
            answers = _answers(model, prepared, suite, prompts)
            encoder = Encoder(prepared.tokenizer)
            said = [(prompt, answer) for prompt, answer in zip(prompts, answers, strict=True) if answer]
            if said:
                rows[ORDINARY] = [encoder.encode_answer(*each, "auto", LONGEST, ORDINARY) for each in said]
            known = {name: likeliest(model, some, prepared.pad_id, suite.batch_size) for name, some in rows.items()}
        return cls(suite, prepared, known, prompts, answers)

    def against(self, model: Any) -> Drift:
        """The drift of ``model`` from it."""
        size, pad_id = self.suite.batch_size, self.prepared.pad_id
        with doing("measuring the drift", len(self.prompts)):
            kl = {name: kl_to(model, start, pad_id, size) for name, start in self.likeliest.items()}
            later = _answers(model, self.prepared, self.suite, self.prompts)
        same = usable([says_same(*each) for each in zip(self.prompts, self.answers, later, strict=True)])
        left_out = "" if same else NO_ANSWERS if self.prompts else NO_CHAT
        return Drift(kl, same, left_out)


def _answers(model: Any, prepared: Prepared, suite: Suite, prompts: Sequence[str]) -> list[str]:
    if not prompts:
        return []
    asked, ends = Encoder(prepared.tokenizer).asking(prompts, "auto", "ordinary prompts")
    return generate(model, asked, prepared.tokenizer, TOKENS, suite.batch_size, ends)
