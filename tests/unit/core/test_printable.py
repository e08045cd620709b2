from __future__ import annotations

import pytest

from mollm_cli.core.printable import printable


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\x1b[1;31mb\x1b[0m", r"a\x1b[1;31mb\x1b[0m"),
        ("a\x1b]0;title\x07b", r"a\x1b]0;title\x07b"),
        ("a\x1b]0;no end. Remedy", r"a\x1b]0;no end. Remedy"),
        ("a\x1bMb\x07\x00\x9b", r"a\x1bMb\x07\x00\x9b"),
        ("a\u202eb\u200bc\ud800d\ue000e\U000e0001", r"a\u202eb\u200bc\ud800d\ue000e\U000e0001"),
        ("a\n\tb\r", "a\n\tb\\r"),
        ("a\r\nb", "a\nb"),
        ("\x1b\x1b[31m\x1b", r"\x1b\x1b[31m\x1b"),
        ("é 你好", "é 你好"),
    ],
)
def test_what_moves_a_terminal_is_shown_and_not_obeyed(text: str, expected: str) -> None:
    assert printable(text) == expected


def test_one_line() -> None:
    assert printable("a\n\t b\u2028c\x0bd", one_line=True) == "a b c d"


def test_what_is_no_text_is_spelled() -> None:
    assert printable(3) == "3"


def test_many_escapes_take_no_more_than_linear_time() -> None:
    assert printable("\x1b]x" * 200_000) == r"\x1b]x" * 200_000
