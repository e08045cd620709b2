"""The start is remembered before the first step, and a later model held against it; nothing of it reaches a file."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from mollm_cli.core.types import Encoded
from mollm_cli.evaluation.suite import Suite
from mollm_cli.run import remembered
from mollm_cli.run.remembered import NO_ANSWERS, NO_CHAT, Remembered
from tests.support.tiny import llama

ROWS = [Encoded(str(n), (3, 4 + n, 5, 6), (-100, 4 + n, 5, 6)) for n in range(8)]
QUESTIONS = ("What is the capital of Greece?", "What do bees make?", "How many legs has a spider?", "Who?", "When?")
ANSWERS = ("Athens is.", "Honey.", "Eight legs.", "Ada Lovelace.", "In 1815.")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """How the model is asked; "answers" are those that it gives."""
    said: dict[str, Any] = {"answers": list(ANSWERS), "chat": True}

    class Asking:
        def __init__(self, tokenizer: object) -> None: ...

        def asking(self, prompts: list[str], template: str, key: str) -> tuple[list[list[int]], list[int]]:
            return [[3]] * len(prompts), [2]

        def encode_answer(self, prompt: str, answer: str, *rest: Any) -> Encoded:
            return ROWS[0]

    monkeypatch.setattr(remembered, "Encoder", Asking)
    monkeypatch.setattr(remembered, "is_chat", lambda tokenizer, template: said["chat"])
    monkeypatch.setattr(remembered, "generate", lambda model, prompts, *rest: said["answers"][: len(prompts)])
    examples = [SimpleNamespace(prompt=prompt) for prompt in QUESTIONS]
    monkeypatch.setattr(remembered, "measured_prompts", lambda forget: SimpleNamespace(examples=examples))
    return said


def of(model: Any, rows: int = 32) -> Remembered:
    prepared: Any = SimpleNamespace(tokenizer=None, pad_id=0, encoded={"text": ROWS}, loaded={"forget": None})
    return Remembered.of(model, prepared, Suite(metrics={}, kept_rows=rows, limit=2), ["text"])


def test_a_model_is_held_against_its_start(asked: dict[str, Any]) -> None:
    model = llama()
    start = of(model)
    same = start.against(model)
    assert same.kl.keys() == {"text", "ordinary"} and same.same == [True] * 5 and same.left_out == ""
    assert same.kl["text"] == pytest.approx([0.0] * 8, abs=1e-6)  # kept_rows, and not evaluation.limit
    for p in model.parameters():
        p.data.add_(0.1)
    asked["answers"] = ["Athens", "Milk.", "8", "Grace Hopper", "In 1815"]
    later = start.against(model)
    assert later.same == [True, False, True, False, True] and min(later.kl["text"]) > 1e-3


def test_no_more_rows_than_asked_for(asked: dict[str, Any]) -> None:
    found = of(llama(), rows=3).against(llama())
    assert len(found.kl["text"]) == 3 and found.left_out == NO_ANSWERS  # three answers show nothing


def test_a_model_that_does_not_answer_questions_is_not_asked(asked: dict[str, Any]) -> None:
    asked["chat"] = False
    found = of(llama()).against(llama())
    assert found.kl.keys() == {"text"} and not found.same and found.left_out == NO_CHAT


def test_answers_that_tell_nothing_are_left_out(asked: dict[str, Any]) -> None:
    asked["answers"] = [""] * 5
    found = of(llama()).against(llama())
    assert found.kl.keys() == {"text"} and found.left_out == NO_ANSWERS
