"""What a run did to a real model, measured from outside: on rows, probes, neighbours and text that it never saw.

    measures = Measures.of(start, tokenizer, folder, text)
    before, after = measures(start), measures(model)

No number comes from the run itself.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import torch

from benchmarks.real_files import spaced
from mollm_cli.core.types import IGNORE, Encoded
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
TEXT = "text"
"""The name of the general text among what the KL is measured on."""
ANSWER = 16
"""New tokens in which a plain question must be answered."""
TEXT_ROWS = 12
"""Rows of ``TOKENS`` tokens that KL and perplexity are measured on, unless another number is asked for."""
BATCH, AT_ONCE = 12, 4
"""Rows in a forward pass: of probabilities, and of whole distributions."""


@dataclass(frozen=True)
class Measures:
    """The columns of one model: {"forget": .12, ..., "kl": .004, "perplexity": 25.5, "plain": 1.0}.

    sets: rows whose mean answer probability is a column.
    text: rows of general text; retain: the set on which the KL is measured too (None: on none).
    asked: prompts of the plain questions that ``start`` answers, with the answers that count; questions: in words.
    before: log p of the start at every target of the text and of ``retain``, [n, V] float32 for four rows each.
    """

    tokenizer: Any
    sets: Mapping[str, list[Encoded]]
    text: list[Encoded]
    start: Any
    asked: Sequence[tuple[list[int], Sequence[str]]]
    questions: Sequence[str] = ()
    retain: str | None = None
    before: Mapping[str, Sequence[torch.Tensor]] = field(default_factory=dict)

    @classmethod
    def of(
        cls, start: Any, tokenizer: Any, folder: Path, text: Path, retain: str | None = None,
        text_rows: int = TEXT_ROWS, template: str = "auto",
    ) -> Measures:  # fmt: skip
        """Rows of the .jsonl files in ``folder`` (columns text, or prompt and answer), and ``text``, a plain file."""
        found = {file.stem: load(_dataset(file, template), file.stem) for file in sorted(folder.glob("*.jsonl"))}
        sets = {name: encode_all(each, name, tokenizer) for name, each in found.items()}
        general = Dataset("text", path=str(text), kind="text", text_field="text", windows=True, max_tokens=TOKENS)
        rows = spaced(encode_all(load(general, "text"), "text", tokenizer), text_rows)
        questions = [json.loads(line) for line in QUESTIONS.read_text(encoding="utf-8").splitlines()]
        prompts, _ = Encoder(tokenizer).asking([q["question"] for q in questions], "auto", "questions")
        asked = [(ids, q["answers"]) for ids, q in zip(prompts, questions, strict=True)]
        right = [k for k, well in enumerate(cls(tokenizer, sets, rows, start, asked).right(start)) if well]
        words, pad = [questions[k]["question"] for k in right], Encoder(tokenizer).pad_id
        drifting = {TEXT: rows} | ({} if retain is None else {retain: sets[retain]})
        before = {name: [log_p for log_p, _ in log_probs(start, each, pad)] for name, each in drifting.items()}
        return cls(tokenizer, sets, rows, start, [asked[k] for k in right], words, retain, before)

    def __call__(self, model: Any) -> dict[str, float]:
        """The columns of ``model``; plain: of what the start answers rightly, the share that it still does (else 1)."""
        pad, device, retain = Encoder(self.tokenizer).pad_id, torch.device("cpu"), {}
        if self.retain is not None:
            kl, _, probability = self._drift(model, self.retain, self.sets[self.retain], pad)
            retain = {self.retain: probability, "kl_retain": kl}
        found = {
            name: retain[name] if name in retain else mean_probability(model, rows, pad, BATCH, device)
            for name, rows in self.sets.items()
        }
        kl, nll, _ = self._drift(model, TEXT, self.text, pad)
        right = [] if model is self.start else self.right(model)
        plain = sum(right) / len(right) if right else 1.0
        return found | retain | {"kl": kl, "perplexity": math.exp(nll), "plain": plain}

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

    def _drift(self, model: Any, name: str, rows: Sequence[Encoded], pad: int) -> tuple[float, float, float]:
        """On ``rows``: KL(start || model) and -log p, nats per token, and the mean probability of a row."""
        kl, nll = 0.0, []
        for q, (p, labels) in zip(self.before[name], log_probs(model, rows, pad), strict=True):
            kl += float((q.exp() * (q - p)).sum())
            nll += (-p.gather(-1, labels[:, None])[:, 0]).tolist()
        ends = list(accumulate((row.targets for row in rows), initial=0))
        means = [math.fsum(nll[a:b]) / (b - a) for a, b in pairwise(ends)]
        return kl / len(nll), math.fsum(nll) / len(nll), math.fsum(math.exp(-mean) for mean in means) / len(means)


@torch.no_grad()
def log_probs(model: Any, rows: Sequence[Encoded], pad: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """For four rows after the other: log p at their targets, [n, V], and the labels there, [n]."""
    for k in range(0, len(rows), AT_ONCE):
        batch = collate(rows[k : k + AT_ONCE], pad)
        on = batch.labels[:, 1:] != IGNORE
        logits = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits
        yield logits[:, :-1][on].log_softmax(-1), batch.labels[:, 1:][on]


def _dataset(file: Path, template: str) -> Dataset:
    text = "text" in json.loads(file.read_text(encoding="utf-8").splitlines()[0])
    if text:
        return Dataset(file.stem, path=str(file), kind="text", text_field="text", max_tokens=TOKENS)
    how = Dataset(file.stem, path=str(file), prompt_field="prompt", answer_field="answer", max_tokens=2 * TOKENS)
    return replace(how, template=template)
