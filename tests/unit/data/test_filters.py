from __future__ import annotations

import pytest

from mollm_cli.data.filters import keeps


@pytest.mark.parametrize(
    ("rule", "kept", "removed"),
    [
        (False, [False, "False", "false "], [True, "True", None, "no"]),
        (3, [3, "3"], [4, "4", ""]),
        ("a", ["a"], ["A", "ab", None]),
        (["a", 2], ["a", 2, "2"], ["b", 3]),
        (None, [None], ["", 0]),
        ({"matches": r"\bLily\b"}, ["so Lily went"], ["Lilypad", "lily", None]),
        ({"not_matches": r"\bLily\b"}, ["Lilypad", None], ["so Lily went"]),
        ({"min": 2, "max": 4}, [2, "3", 4.0], [1.9, "5"]),
    ],
)
def test_each_rule_keeps_what_it_says(rule, kept, removed):
    assert [value for value in kept + removed if keeps(rule, value)] == kept


def test_a_bound_needs_a_number():
    with pytest.raises(ValueError, match=r"min needs a number, found str"):
        keeps({"min": 1}, "many")
