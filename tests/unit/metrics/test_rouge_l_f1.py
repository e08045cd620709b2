import pytest
from hypothesis import given
from hypothesis import strategies as st

from mollm_cli.core.words import words
from mollm_cli.metrics.bootstrap import mean_interval
from mollm_cli.metrics.rouge import f1, recall
from mollm_cli.metrics.rouge_l_f1 import RougeLF1


@pytest.mark.parametrize(
    ("answer", "generation", "expected"),
    [
        ("the cat sat", "the cat sat", 1.0),
        ("the cat sat", "a dog", 0.0),
        ("the cat sat", "", 0.0),
        ("police killed the gunman", "police kill the gunman", 3 / 4),  # Lin (2004), section 3.1
        ("the cat", "the cat sat on the mat", 2 * 2 / 8),  # precision 2/6, recall 1: what is added counts
        ("the cat sat on the mat", "the cat", 2 * 2 / 8),
    ],
)
def test_by_hand(score, answer, generation, expected):
    assert RougeLF1().compute([score(answer=answer, generation=generation)], None).value == pytest.approx(expected)


def test_rows_without_a_generation_or_a_word_are_left_out(score):
    rows = [score(generation=None), score(answer="?!", generation="a"), score(answer="a", generation="a")]
    rows.append(score(answer="a b", generation=" "))
    result = RougeLF1().compute(rows, None)
    assert result.per_example == (None, None, 1.0, 0.0)
    assert (result.value, result.interval) == (0.5, mean_interval([1.0, 0.0]))


tokens = st.lists(st.sampled_from("abc"), max_size=6)


@given(tokens.filter(bool), tokens.filter(bool))
def test_it_is_the_harmonic_mean_of_precision_and_recall(answer, said):
    r, p = recall(said, answer), recall(answer, said)
    assert f1(said, answer) == pytest.approx(2 * p * r / (p + r) if p + r else 0)
    assert f1(said, answer) == f1(answer, said)


def test_words_are_runs_of_letters_and_digits():
    assert words("Don't  STOP: 3.5%") == ["don", "t", "stop", "3", "5"]
