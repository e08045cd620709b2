"""Text of strangers (data, model names, error texts) as a terminal or a page may show it."""

from __future__ import annotations

import unicodedata

UNSAFE = {"Cc", "Cf", "Cs", "Co", "Cn"}
"""Unicode categories that may begin a control sequence, move a cursor, reverse the reading order or be no character."""


def printable(text: object, one_line: bool = False) -> str:
    r"""``text`` with control, format and surrogate characters spelled (``\x1b``); line breaks and tabs stay.

    one_line: white space of any kind becomes single blanks.
    """
    plain = str(text).replace("\r\n", "\n")
    if one_line:
        plain = " ".join(plain.split())
    if not plain.replace("\n", "").isprintable():  # most texts are, and need no look at each character
        plain = "".join(_spelled(c) for c in plain)
    return plain


def _spelled(character: str) -> str:
    if character in "\n\t" or unicodedata.category(character) not in UNSAFE:
        return character
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
