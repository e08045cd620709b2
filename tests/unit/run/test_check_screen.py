"""The screen of ``--check`` at 80 columns, as text."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from rich.cells import cell_len

from mollm_cli.run import check_screen
from mollm_cli.run.check_screen import screen

SYSTEM = "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"


def _prepared(monkeypatch: pytest.MonkeyPatch, content: str, *parts: tuple[str, bool]) -> Any:
    shown = SimpleNamespace(id="d:1", parts=[SimpleNamespace(text=t, target=s) for t, s in parts], tokens=9, targets=4)
    monkeypatch.setattr(check_screen, "preview", lambda *given: [shown])
    row = SimpleNamespace(input_ids=(0,) * 9, targets=4)
    loaded = SimpleNamespace(examples=[0, 1], content=content)
    return SimpleNamespace(loaded={"forget": loaded}, encoded={"forget": [row, row]}, tokenizer=None)


def test_a_personal_row_at_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    given = SYSTEM + f"<|im_start|>user\n{'░' * 11}<|im_end|>\n<|im_start|>assistant\n"
    prepared = _prepared(monkeypatch, "personal", (given, False), ("░░░<|im_end|>", True))
    assert list(screen(prepared, "auto", 80)) == [
        "[[ ]] is what the model is to say (targets), all else is given; ↵ a line break",
        "forget: 2 rows, 18 tokens, 8 of them targets",
        "  personal: ░ stands for a token of text; evaluation.keep_text=true shows it",
        "  d:1 (9 tokens, 4 targets)",
        "    <|im_start|>system↵",
        "    You are a helpful AI assistant named SmolLM, trained by Hugging ",
        "    Face<|im_end|>↵",
        "    <|im_start|>user↵",
        "    ░░░░░░░░░░░<|im_end|>↵",
        "    <|im_start|>assistant↵",
        "    [[░░░<|im_end|>]]",
    ]


def test_a_long_row_keeps_its_beginning_and_its_end_within_the_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = _prepared(monkeypatch, "ordinary", ("灯塔" * 400, False), (" It ends.\n", True))
    lines = list(screen(prepared, "auto", 60))
    assert all(cell_len(line) <= 80 for line in lines[:1]) and all(cell_len(line) <= 60 for line in lines[1:])
    assert len(lines) == 1 + 1 + 1 + check_screen.LINES
    assert "    ... 19 lines more ..." in lines
    assert lines[-2].endswith("[[ It ends.↵") and lines[-1] == "    ]]"


def test_without_a_terminal_lines_have_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    prepared = _prepared(monkeypatch, "ordinary", ("word " * 100, False))
    assert max(len(line.rstrip()) for line in screen(prepared, "auto")) in range(75, 81)
