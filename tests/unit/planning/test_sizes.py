"""From rows to the largest batches; and rows whose tokens are assumed."""

from __future__ import annotations

import pytest

from mollm_cli.core.errors import RequestError
from mollm_cli.core.types import Encoded
from mollm_cli.data.batches import Stream
from mollm_cli.data.dataset import Dataset
from mollm_cli.data.pairing import Pairing
from mollm_cli.engine.engine_settings import Engine
from mollm_cli.planning import assumed as room
from mollm_cli.planning.assumed import assumed
from mollm_cli.planning.sizes import Scoring, Shape, scoring_shape, training_shape


def row(length: int, targets: int) -> Encoded:
    return Encoded("x", (1,) * length, (-100,) * (length - targets) + (1,) * targets)


ROWS = [row(4, 2), row(9, 3), row(6, 5)]


def drawn(size: int, steps: int = 9, **engine) -> Shape:
    settings = Engine(batch_size=size, **engine)
    return training_shape(Stream(ROWS, size, 0, 0), settings, steps, compared=True)


def test_the_largest_batch_is_one_that_the_run_draws():
    assert drawn(3) == Shape(3, 9, 10, padded=True, compared=10)
    assert drawn(1) == Shape(1, 9, 5, padded=False, compared=10)
    first = ROWS[Stream(ROWS, 1, 0, 0).rows(0)[0]]
    assert drawn(1, steps=1) == Shape(1, len(first.input_ids), first.targets, padded=False, compared=10)


def test_pieces_and_processes_share_the_rows():
    assert drawn(4, micro_batch=2).rows == drawn(4, processes=2).rows == 2
    assert drawn(4, micro_batch="auto") == Shape(1, 9, 5, compared=10)


def test_an_evaluation_has_no_more_rows_than_there_are():
    asked = Scoring(32, 0, 0, 7)
    assert scoring_shape([ROWS, []], 1, asked) == Scoring(3, 9, 15, 7)
    assert scoring_shape([ROWS], 20, asked).rows == 32


def pairing(**retain) -> Pairing:
    forget = Dataset("f", embedded="authors/forget.jsonl", prompt_field="question", answer_field="answer")
    given = {"embedded": "authors/retain.jsonl", "prompt_field": "question", "answer_field": "answer"}
    return Pairing("p", forget, Dataset("r", **(given | retain)), test_share=0.0)


def unasked(rows, role):
    return rows


def test_without_a_tokenizer_texts_are_measured_in_characters():
    found = assumed(pairing(max_tokens=30), 0, unasked)
    first = found.loaded["forget"].examples[0]
    given = room.AROUND + len(first.prompt) // room.BYTES
    assert len(found.encoded["forget"][0].input_ids) == given + 1 + len(first.answer) // room.BYTES
    assert found.encoded["forget"][0].targets == 1 + len(first.answer) // room.BYTES
    assert max(len(row.input_ids) for row in found.encoded["retain"]) == 30
    assert "3 bytes of text are assumed to be a token" in found.why


def test_rows_of_a_hub_that_is_not_there_have_the_most_tokens(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    found = assumed(pairing(embedded=None, hub="nobody/nothing", split="train", max_tokens=20, limit=5), 0, unasked)
    assert [(len(row.input_ids), row.targets) for row in found.encoded["retain"]] == [(20, 19)] * 5
    assert "data.<role>.max_tokens" in found.why and not found.loaded


def test_a_file_that_is_wrong_is_refused_all_the_same():
    with pytest.raises(RequestError, match=r"data\.retain"):
        assumed(pairing(embedded=None, path="no/such/file.jsonl"), 0, unasked)
