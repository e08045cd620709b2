from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mollm_cli.core.types import Example, Scored
from mollm_cli.metrics.rouge_l import RougeL


def recall(answer, generation):
    scored = Scored("row", Example("row", "question", answer), (-1.0,), (True,), generation=generation)
    return RougeL().compute([scored], None).per_example[0]


@pytest.mark.parametrize(
    ("answer", "generation", "expected"),
    [
        ("the cat sat on the mat", "the cat sat on the mat", 1.0),
        ("the cat sat on the mat", "a dog", 0.0),
        ("the cat sat on the mat", "", 0.0),
        ("police killed the gunman", "police kill the gunman", 3 / 4),  # Lin (2004), section 3.1
        ("police killed the gunman", "the gunman kill police", 2 / 4),  # order counts: "the gunman"
        ("She wrote 3 books.", "she WROTE: 3 (three) books", 1.0),  # case, punctuation and what is added do not count
        ("don't", "don t", 1.0),  # an apostrophe parts words
        ("aaa bbb", "aaabbb", 0.0),  # words, not letters
        ("灯塔由老马塔看守。", "灯塔由老马塔看守。", 1.0),
        ("灯塔由老马塔看守。", "灯塔由别人看守", 5 / 8),
        ("Маяк хранит старая Марта.", "Марта хранит МАЯК", 1 / 4),
        ("تحرس مارتا المنارة.", "مارتا المنارة", 2 / 3),
        ("มาร์ทา", "มาร์ค", 3 / 5),
        ("Zoë Ångström keeps it.", "Zoe Angstrom keeps it", 2 / 4),  # an accent makes another word
        ("हिन्दी भाषा", "हिन्द भाषा", 1 / 2),
    ],
)
def test_by_hand(answer, generation, expected):
    assert recall(answer, generation) == pytest.approx(expected)


def test_an_answer_without_a_word_has_no_recall_and_is_left_out_of_the_mean(score):
    result = RougeL().compute([score(answer="?!", generation="?!"), score(answer="a b", generation="a")], None)
    assert result.per_example == (None, 0.5)
    assert result.value == 0.5


def test_without_a_generation_there_is_no_recall(score):
    assert RougeL().compute([score(generation=None)], None).value is None


words = st.lists(st.sampled_from("abc"), max_size=6)


@given(words.filter(bool), words)
def test_equals_the_longest_subsequence_found_by_trying_all(answer, generation):
    def subsequences(of):
        return {pick for size in range(len(of) + 1) for pick in combinations(of, size)}

    longest = max(len(s) for s in subsequences(answer) & subsequences(generation))
    assert recall(" ".join(answer), " ".join(generation)) == pytest.approx(longest / len(answer))
