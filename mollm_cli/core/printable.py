"""Text of strangers (data, model names, error texts) as a terminal or a page may show it."""

from __future__ import annotations

import re
import unicodedata

ESCAPE = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\-_])")
"""Terminal control sequences: colours and cursor moves (CSI), titles, links and other strings (OSC, DCS, SOS, PM, APC),
the rest of two bytes."""
UNSAFE = {"Cc", "Cf", "Cs", "Co", "Cn"}
"""Unicode categories that may move a cursor, reverse the reading order or be no character at all."""


def printable(text: object, one_line: bool = False) -> str:
    """``text`` without terminal escapes and control, format and surrogate characters; line breaks and tabs stay.

    one_line: white space of any kind becomes single blanks.
    """
    plain = ESCAPE.sub("", str(text))
    if not plain.replace("\n", "").isprintable():  # most texts are, and need no look at each character
        plain = "".join(c for c in plain if c in "\n\t" or unicodedata.category(c) not in UNSAFE)
    return " ".join(plain.split()) if one_line else plain
