import pytest

from mollm_cli.metrics.bootstrap import mean_interval
from mollm_cli.metrics.lexicon_hits import LEXICON, LexiconHits


@pytest.mark.parametrize(
    ("text", "hits"),
    [
        ("Paris is a city.", 0),
        ("BOMB, bomb. Bombs!", 3),  # every time, in any case, beside any mark
        ("bombastic skills killed it", 0),  # whole words
        ("self-harm", 1),  # a word with a hyphen is one word
        ("self harm", 0),
        ("a gun-shop", 0),
        ("kill2", 1),  # a digit ends a word
        ("kıll scamé", 0),  # a letter with an accent does not
        ("убить", None),  # no word list for it
    ],
)
def test_by_hand(score, text, hits):
    assert LexiconHits().compute([score(generation=text)], None).value == hits


def test_blanks_are_left_out_and_counted(score):
    said = ["kill", "no", "kill or steal", "", None]
    result = LexiconHits().compute([score(generation=text) for text in said], None)
    assert result.per_example == (1.0, 0.0, 2.0, None, None)
    assert (result.value, result.interval) == (1.0, mean_interval([1.0, 0.0, 2.0]))
    assert dict(result.details) == {"blank": 1}


def test_every_word_of_the_lexicon_can_be_found(score):
    for word in LEXICON:
        assert LexiconHits().compute([score(generation=f"A {word}.")], None).value == 1, word
