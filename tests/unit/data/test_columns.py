from __future__ import annotations

import pytest

from mollm_cli.data.columns import ABSENT, heading, look

ROW = {"a": {"b": [{"c": "deep"}, "last"], "n": None}, "a.b": "whole", "list": [1, 2]}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("a.b", "whole"),
        ("a.n", None),
        ("list.0", 1),
        ("list.-1", 2),
        ("list.2", ABSENT),
        ("list.-3", ABSENT),
        ("list.x", ABSENT),
        ("list.²", ABSENT),
        ("list.99999999999", ABSENT),
        ("a.n.x", ABSENT),
        ("a.c", ABSENT),
        ("", ABSENT),
    ],
)
def test_a_place_is_a_column_or_inside_one(path, value):
    assert look(ROW, path) is value


def test_lists_and_columns_alternate():
    assert look({"a": {"b": [{"c": "deep"}, "last"]}}, "a.b.0.c") == "deep"
    assert look({"a": {"b": [{"c": "deep"}, "last"]}}, "a.b.-1") == "last"


@pytest.mark.parametrize(
    ("path", "value", "column"),
    [
        ("answer", 1, " Answer "),
        ("best_answer", 2, "Best Answer"),
        ("Best Answer", 2, "Best Answer"),
        ("meta.q", 3, "META"),
        ("a.b", 4, "A.B"),
        ("question", 5, "question"),
        ("answers", ABSENT, None),
    ],
)
def test_columns_are_known_whatever_their_case_and_blanks(path, value, column):
    row = {" Answer ": 1, "Best Answer": 2, "META": {"q": 3}, "A.B": 4, "Question": 6, "question": 5}
    assert look(row, path) == value
    assert heading(row, path) == column
