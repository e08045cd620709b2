"""docs/ERRORS.md holds every error message of the source, and every one says what to do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.error_table import PAGE, messages, page, split, without_remedy
from tests.support.error_texts import NEAREST, REMEDY, sources
from tests.support.without_remedy import WITHOUT


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "docs/ERRORS.md is out of date; run make errors"


def test_every_message_says_what_to_do() -> None:
    assert [(message.place, message.text) for message in without_remedy(messages())] == []


def test_no_exception_is_left_over() -> None:
    assert set(WITHOUT) - {message.place for message in messages() if not message.remedy} == set()


def test_what_is_not_read_is_what_was_caught() -> None:
    """A text that is only a hole is one that stands at the place where it was raised first."""
    assert {source.argument for source in sources() if source.opaque} <= {"str(refused)", "str(problem)", "str(error)"}


@pytest.mark.parametrize(
    ("text", "said", "remedy"),
    [
        ("… must be a file, found none. Set …=FILE to one", "… must be a file, found none", "Set …=FILE to one"),
        ("optimizer.lr must be > 0, found …", None, "set optimizer.lr (it must be > 0)"),
        (f"model must be a choice, found '…'; {NEAREST}", "model must be a choice, found '…'", NEAREST),
        (f"the rows cannot be loaded (…). {REMEDY}", "the rows cannot be loaded (…)", REMEDY),
        ("the gradient is not finite; the optimizer has not moved. Lower optimizer.lr.", None, "Lower optimizer.lr"),
        ("the disk is not there", None, ""),
    ],
)
def test_a_message_is_split_where_it_begins_to_say_what_to_do(text: str, said: str | None, remedy: str) -> None:
    found = split(text)
    assert found[1] == remedy
    assert said is None or found[0] == said


SOURCE = """
from package.words import hint
LEAST = 3

class OwnError(Exception):
    pass

class Thing:
    def check(self, n, refused):
        if n:
            raise OwnError(f"n must be >= {LEAST}, found {n}" + ("; set n" if n else f"; {hint(n)}"))
        raise package.ValueError(str(refused))

    def _size_problem(self):
        return "too | large"
"""


def test_texts_are_read_with_their_alternatives(tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "thing.py").write_text(SOURCE)
    (package / "words.py").write_text('def hint(n) -> str:\n    return "no n" if n else f"leave {n} out"\n')
    found = sources(package)
    assert [(source.function, source.error) for source in found] == [
        ("Thing.check", "OwnError"),
        ("Thing.check", "ValueError"),
        ("Thing._size_problem", "ValueError"),
    ]
    assert found[0].texts == tuple(f"n must be >= 3, found …; {end}" for end in ("set n", "no n", "leave … out"))
    assert found[1].opaque
    assert {message.remedy for message in messages(found)} == {"set n", "leave … out", "set n (it must be >= 3)", ""}
    assert [message.text for message in without_remedy(messages(found))] == ["too | large"]


def test_the_page_is_a_table_that_markdown_reads() -> None:
    rows = [line for line in page().splitlines() if line.startswith("| ")]
    assert len(rows) > 300
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {5}
