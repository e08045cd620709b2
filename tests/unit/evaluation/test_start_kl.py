"""The KL to the start: that of the whole vocabulary where all of it is kept, an estimate of it otherwise."""

from __future__ import annotations

import pytest
import torch

from mollm_cli.core import chunked
from mollm_cli.core.types import IGNORE, Encoded
from mollm_cli.evaluation import start_kl
from mollm_cli.evaluation.start_kl import kl_to, likeliest
from tests.support.tiny import llama

ROWS = [
    Encoded("a", (3, 4, 5, 6, 7), (IGNORE, IGNORE, 5, 6, 7)),
    Encoded("b", (8, 9, 10), (IGNORE, 9, 10)),
    Encoded("none", (8,), (IGNORE,)),
]


def whole(start: torch.nn.Module, later: torch.nn.Module, row: Encoded) -> float:
    """By hand: log-softmax of all logits, position by position."""
    with torch.no_grad():
        p, q = (m(input_ids=torch.tensor([row.input_ids])).logits[0].log_softmax(-1) for m in (start, later))
    kls = (p.exp() * (p - q)).sum(-1)
    places = [place - 1 for place, label in enumerate(row.labels) if label != IGNORE]
    return float(kls[places].mean())


def moved(seed: int = 0, by: float = 0.1) -> torch.nn.Module:
    model = llama()
    torch.manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(by * torch.randn_like(p))
    return model


@pytest.mark.parametrize("chunks", [False, True])
def test_it_is_that_of_the_whole_vocabulary(chunks: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if chunks:  # two tokens at a time
        monkeypatch.setattr(chunked, "CHUNK_BYTES", 2 * 4 * 48)
    start, later = llama(), moved()
    known = likeliest(start, ROWS, 0, 2)
    assert [row.id for row in known.rows] == ["a", "b"]  # what has no target tells nothing
    found = kl_to(later, known, 0, 2)
    assert found == pytest.approx([whole(start, later, row) for row in ROWS[:2]], rel=1e-4)
    assert min(found) > 0.01
    assert kl_to(start, known, 0, 2) == pytest.approx([0, 0], abs=1e-6)


def test_of_some_tokens_it_is_near_and_exactly_nothing_where_nothing_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    """48 tokens of which 20 are kept: the others are drawn, many times, so that chance is small."""
    start, later = llama(), moved()
    every = kl_to(later, likeliest(start, ROWS, 0, 2), 0, 2)
    monkeypatch.setattr(start_kl, "TOP", 20)
    monkeypatch.setattr(start_kl, "DRAWN", 4000)
    known = likeliest(start, ROWS, 0, 2)
    assert kl_to(later, known, 0, 2) == pytest.approx(every, rel=0.1)
    assert kl_to(start, known, 0, 2) == pytest.approx([0, 0], abs=1e-6)


def test_only_the_beginning_of_a_long_row_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start_kl, "TARGETS", 2)
    known = likeliest(llama(), ROWS, 0, 2)
    assert known.rows[0] == Encoded("a", (3, 4, 5, 6), (IGNORE, IGNORE, 5, 6))
    assert [tuple(table.shape) for table in known.tables] == [(2, 3 * 48), (2, 3 * 48)]
