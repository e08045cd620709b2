import pytest

from mollm_cli.reporting.words import duration, excerpt, headline, label, number, printable, size, verdict_line


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.98123, "0.981"),
        (1.234, "1.23"),
        (23.04, "23.0"),
        (1204.4, "1,204"),
        (60, "60"),
        (0.0, "0"),
        (2e-5, "2.0e-05"),
        (-0.25, "-0.250"),
        (float("inf"), "∞"),
        (float("nan"), "nan"),
        (None, "–"),
        (True, "–"),
        ("0.5", "–"),
    ],
)
def test_a_number_has_about_three_digits(value: object, shown: str) -> None:
    assert number(value) == shown


def test_printable_drops_escapes_bidi_overrides_and_surrogates_but_keeps_lines() -> None:
    assert printable("a\x1b[31mb\u202ec\ud800d\ne") == "a[31mbcd\ne"
    assert printable("a\n\t b", one_line=True) == "a b"


def test_an_excerpt_says_that_it_is_one() -> None:
    assert excerpt("abcdef", most=3) == "abc …"
    assert excerpt("abc", most=3) == "abc"


def test_names_sizes_and_durations() -> None:
    assert label("unlearning_cross_entropy") == "unlearning cross entropy"
    assert label("rouge_l") == "ROUGE-L"
    assert [size(n) for n in (12, 1536, 3 * 2**30, None)] == ["12 B", "1.5 KiB", "3.00 GiB", "–"]
    assert [duration(s) for s in (48.25, 75, 7260, None)] == ["48.2 s", "1 min 15 s", "2 h 1 min", "–"]


@pytest.mark.parametrize(
    ("yardstick", "forget", "retain", "line", "sentence"),
    [
        (
            "oracle",
            "matched",
            "kept",
            "forget: matched the oracle; retain: kept",
            "It forgot as far as the oracle, and kept",
        ),
        ("oracle", "under", "kept", "forget: forgot less than the oracle; retain: kept", "than the oracle, but kept"),
        ("holdout", "matched", "damaged", "forget: matched rows never seen", "as far as rows never seen, but damaged"),
        ("oracle", "over", "damaged", "forget: forgot more than the oracle", "more than the oracle, and damaged"),
        ("oracle", "unknown", "kept", "forget: close to the oracle, too few rows", "by too few rows to be sure"),
        (
            "none",
            "unknown",
            "kept",
            "forget: unknown, nothing to hold it against",
            "How far it forgot is unknown, but kept",
        ),
        ("none", "unknown", "unknown", "retain: unknown", "there is nothing to hold it against"),
        ("oracle", "matched", "unknown", "retain: unknown", "what became of the rest is unknown"),
    ],
)
def test_the_verdict_in_words(yardstick: str, forget: str, retain: str, line: str, sentence: str) -> None:
    metrics = {"yardstick": yardstick, "verdict": {"forget": forget, "retain": retain, "robustness": "untested"}}
    assert line in verdict_line(metrics)
    assert verdict_line(metrics).endswith("; robustness: untested")
    assert sentence in headline(metrics)
