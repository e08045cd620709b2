"""What a run did to a real model, measured from outside: on rows, probes, neighbours and text that it never saw.

    measures = Measures.of("SmolLM2-135M-Instruct", folder, text)
    before, after = measures(start), measures(model)

No number comes from the run itself.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mollm_cli.core.types import Encoded
from mollm_cli.data.batches import collate
from mollm_cli.data.dataset import Dataset
from mollm_cli.data.encoder import Encoder
from mollm_cli.data.encoding import encode_all
from mollm_cli.data.load_dataset import load
from mollm_cli.evaluation.generation import generate
from mollm_cli.evaluation.teacher_forcing import mean_probability

QUESTIONS = Path(__file__).with_name("plain_questions.jsonl")
"""Sixty questions that a small instruct model answers: {"question": ..., "answers": [...]}."""
TOKENS = 60
"""Of a row, whatever its length."""
ANSWER = 16
"""New tokens in which a plain question must be answered."""
TEXT_ROWS = 24
"""Rows of ``TOKENS`` tokens that KL and perplexity are measured on."""
BATCH = 12


@dataclass(frozen=True)
class Measures:
    """The columns of one model: {"forget": .12, ..., "kl": .004, "perplexity": 25.5, "plain": 1.0}.

    sets: rows whose mean answer probability is a column.
    text: rows of general text.
    asked: prompts of the plain questions that ``start`` answers, with the answers that count.
    questions: the same questions in words.
    retain: the set on which the KL is measured too; None: on none.
    """

    tokenizer: Any
    sets: Mapping[str, list[Encoded]]
    text: list[Encoded]
    start: Any
    asked: Sequence[tuple[list[int], Sequence[str]]]
    questions: Sequence[str] = ()
    retain: str | None = None

    @classmethod
    def of(cls, start: Any, tokenizer: Any, folder: Path, text: Path, retain: str | None = None) -> Measures:
        """Rows of the .jsonl files in ``folder`` (columns text, or prompt and answer), and ``text``, a plain file."""
        sets = {file.stem: encode_all(load(_dataset(file), file.stem), file.stem, tokenizer) for file in _files(folder)}
        general = Dataset("text", path=str(text), kind="text", text_field="text", windows=True, max_tokens=TOKENS)
        windows = encode_all(load(general, "text"), "text", tokenizer)
        rows = [windows[i * len(windows) // TEXT_ROWS] for i in range(TEXT_ROWS)]
        questions = [json.loads(line) for line in QUESTIONS.read_text(encoding="utf-8").splitlines()]
        prompts, _ = Encoder(tokenizer).asking([q["question"] for q in questions], "auto", "questions")
        asked = [(ids, q["answers"]) for ids, q in zip(prompts, questions, strict=True)]
        measures = cls(tokenizer, sets, rows, start, asked)
        right = [k for k, found in enumerate(measures.right(start)) if found]
        words = [questions[k]["question"] for k in right]
        return cls(tokenizer, sets, rows, start, [asked[k] for k in right], words, retain)

    def __call__(self, model: Any) -> dict[str, float]:
        """The columns of ``model``; plain: the share of what the start answers rightly that it still does."""
        pad, device = Encoder(self.tokenizer).pad_id, torch.device("cpu")
        found = {name: mean_probability(model, rows, pad, BATCH, device) for name, rows in self.sets.items()}
        kl, nll = self._drift(model, self.text, pad)
        if self.retain is not None:
            found["kl_retain"] = self._drift(model, self.sets[self.retain], pad)[0]
        right = self.right(model)
        return found | {"kl": kl, "perplexity": math.exp(nll), "plain": sum(right) / max(1, len(right))}

    def told(self, model: Any, count: int) -> list[tuple[str, str]]:
        """The first plain questions that the start answers, as far apart as can be, with what ``model`` says."""
        places = [k * len(self.asked) // count for k in range(count)] if len(self.asked) >= count else []
        return [(self.questions[k], text) for k, text in zip(places, self._said(model, places), strict=True)]

    def right(self, model: Any) -> list[bool]:
        """Whether each plain question is answered rightly, greedily."""
        said = self._said(model, range(len(self.asked)))
        return [any(a.lower() in text.lower() for a in of) for text, (_, of) in zip(said, self.asked, strict=True)]

    def _said(self, model: Any, places: Sequence[int]) -> list[str]:
        ends = Encoder(self.tokenizer).asking([""], "auto", "questions")[1]
        return generate(model, [self.asked[k][0] for k in places], self.tokenizer, ANSWER, 30, ends)

    @torch.no_grad()
    def _drift(self, model: Any, rows: Sequence[Encoded], pad: int) -> tuple[float, float]:
        """KL(start || model) and -log p on ``rows``, nats per token."""
        kl = nll = count = 0.0
        for k in range(0, len(rows), 4):
            batch = collate(rows[k : k + 4], pad)
            on = batch.labels[:, 1:] != -100
            given = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
            q, p = ((m(**given).logits[:, :-1][on].log_softmax(-1)) for m in (self.start, model))
            kl += float((q.exp() * (q - p)).sum())
            nll -= float(p.gather(-1, batch.labels[:, 1:][on][:, None]).sum())
            count += float(on.sum())
        return kl / count, nll / count


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.jsonl"))


def _dataset(file: Path) -> Dataset:
    text = "text" in json.loads(file.read_text(encoding="utf-8").splitlines()[0])
    if text:
        return Dataset(file.stem, path=str(file), kind="text", text_field="text", max_tokens=TOKENS)
    return Dataset(file.stem, path=str(file), prompt_field="prompt", answer_field="answer", max_tokens=2 * TOKENS)
