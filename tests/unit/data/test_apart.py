"""Whose tokenizer is run without limits: ours, whatever folder it lies in, as long as nothing of it was changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from mollm_cli.assets.locate import resolve
from mollm_cli.data import apart


@pytest.fixture
def streamed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names of what went to a process with limits."""
    seen: list[str] = []
    monkeypatch.setattr(apart, "streamed", lambda what, *_, **__: seen.append(what) or iter(()))
    return seen


def test_ours_is_known_again_in_a_checkpoint_and_not_when_it_was_changed(tmp_path: Path, streamed: list[str]) -> None:
    ours = AutoTokenizer.from_pretrained(resolve("embedded:tiny"))
    ours.save_pretrained(tmp_path / "checkpoint")
    kept = AutoTokenizer.from_pretrained(tmp_path / "checkpoint")
    changed = AutoTokenizer.from_pretrained(tmp_path / "checkpoint", additional_special_tokens=["<new>"])
    for tokenizer, limited in ((ours, 0), (kept, 0), (changed, 1)):
        list(apart.apart(tokenizer, "data.forget", ["a"], lambda: iter(["done"])))
        assert len(streamed) == limited
