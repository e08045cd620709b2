import pytest

from mollm_cli.metrics.bootstrap import mean_interval
from mollm_cli.metrics.repetition import Repetition


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b c d", 0.0),
        ("a b c d e f g h", 0.0),
        ("a b c", None),
        ("a a a a a a", 1 - 1 / 3),  # three runs, all the same
        ("a b c d a b c d", 1 - 4 / 5),  # abcd bcda cdab dabc abcd
        ("A b! c A B ! C", 1 - 4 / 5),  # likewise: case does not count, a mark is a word
        ("看守看守看守", 1 - 2 / 3),  # 看守看守 守看守看 看守看守
    ],
)
def test_by_hand(score, text, expected):
    found = Repetition().compute([score(generation=text)], None).value
    assert found == (None if expected is None else pytest.approx(expected))


def test_the_mean_is_over_answers(score):
    said = ["a a a a a", "a b c d", "a", "", None]
    result = Repetition().compute([score(generation=text) for text in said], None)
    assert result.per_example == (0.5, 0.0, None, None, None)
    assert (result.value, result.interval) == (0.25, mean_interval([0.5, 0.0]))
    assert dict(result.details) == {"blank": 1}
