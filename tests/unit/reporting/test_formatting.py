import pytest

from mollm_cli.reporting.formatting import (
    duration,
    excerpt,
    headline,
    label,
    mood,
    number,
    over,
    size,
    span,
    verdict_line,
    with_span,
)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.98123, "0.981"),
        (1.234, "1.23"),
        (23.04, "23.0"),
        (1204.4, "1,204"),
        (60, "60"),
        (0.0, "0"),
        (0.004, "0.004"),
        (0.0005, "0.001"),  # the last that three decimals show
        (0.0004, "4.0e-04"),
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


def test_an_excerpt_says_that_it_is_one() -> None:
    assert excerpt("abcdef", most=3) == "abc …"
    assert excerpt("abc", most=3) == "abc"


def test_names_sizes_and_durations() -> None:
    assert label("unlearning_cross_entropy") == "unlearning cross entropy"
    assert label("rouge_l") == "ROUGE-L"
    assert label("mia_min_k_plus_plus") == "MIA by Min-K++"
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
        (
            "oracle",
            "unknown",
            "kept",
            "forget: unknown beside the oracle, too few rows",
            "the oracle is open, too few rows",
        ),
        ("oracle", "matched", "taught", "retain: taught", "the oracle, but taught the rest, which is drift"),
        (
            "oracle",
            "matched",
            "kept_on_trained_rows_only",
            "retain: kept on trained rows only",
            "and kept the rows it was trained on; what became of others",
        ),
        (
            "none",
            "unknown",
            "kept",
            "forget: unknown, nothing to hold it against",
            "How far it forgot is unknown; it kept",
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


def test_what_is_exposed_is_told_with_the_probes_that_rose() -> None:
    probes = {
        "probes_in_blanks": {"ratio": 12.3, "rose": True},
        "probes_by_name": {"ratio": 9, "rose": False},
        "odd": 1,
    }
    metrics = {"yardstick": "oracle", "verdict": {"forget": "exposed", "retain": "kept"}, "grounds": {"probes": probes}}
    assert headline(metrics) == (
        "Asked in another manner, it says what it was to forget more readily than before "
        "(probes in blanks: 12.3 times); it kept the rest."
    )
    assert "forget: exposed, asked otherwise it says more" in verdict_line(metrics) and mood("forget", metrics) == "bad"


def test_too_few_rows_come_with_the_number_that_would_do() -> None:
    """The largest of the sets' numbers; a number that is none is left out."""
    sets = {"text": {"rows_needed": 40}, "retain_test": {"rows_needed": 1200}, "retain": {"rows_needed": None}}
    metrics = {
        "yardstick": "oracle",
        "verdict": {"forget": "unknown", "retain": "unknown"},
        "grounds": {"forget": {"rows_needed": 140}, "retain": sets},
    }
    line = verdict_line(metrics)
    assert "forget: unknown beside the oracle, too few rows to be sure (about 140 would do)" in line
    assert "retain: unknown, too few rows to be sure (about 1,200 would do)" in line
    assert "(about 140 would do)" in headline(metrics)


@pytest.mark.parametrize(
    ("interval", "shown"),
    [((0.15, 0.25), "0.150–0.250"), ((-99.8, -90.1), "-99.8 to -90.1"), ((1.0, 1.0), ""), (None, "")],
)
def test_an_interval_is_told_where_it_is_more_than_one_number(interval: tuple[float, float] | None, shown: str) -> None:
    assert span(interval) == shown
    assert with_span(0.2, interval) == (f"0.200 ({shown})" if shown else "0.200")


def test_what_attacks_brought_back_is_in_the_verdict_and_the_headline() -> None:
    verdict = {"forget": "matched", "retain": "kept", "robustness": "recovered: quantisation_4, relearning"}
    metrics = {"yardstick": "oracle", "verdict": verdict}
    assert verdict_line(metrics).endswith("robustness: recovered by quantisation 4, relearning")
    assert headline(metrics) == "It forgot as far as the oracle, and kept the rest; an attacker still gets it out."


@pytest.mark.parametrize(
    ("yardstick", "found"), [("oracle", ["good", "good", "good"]), ("none", ["open", "good", "open"])]
)
def test_no_tick_on_the_forget_side_without_a_yardstick(yardstick: str, found: list[str]) -> None:
    metrics = {"yardstick": yardstick, "verdict": {"forget": "matched", "retain": "kept", "robustness": "held"}}
    assert [mood(part, metrics) for part in ("forget", "retain", "robustness")] == found


def test_over_forgetting_is_no_success() -> None:
    metrics = {"yardstick": "oracle", "verdict": {"forget": "over"}}
    assert "no success" in over(metrics, 1e-9) and "forget quality is 1.0e-09" in over(metrics, 1e-9)
    assert "forget quality" not in over(metrics, None)
    assert mood("forget", metrics) == "bad"
    assert over({"yardstick": "oracle", "verdict": {"forget": "matched"}}, 1e-9) == ""


def test_nothing_to_forget_is_never_called_forgotten() -> None:
    found = {"forget_probability": 0.003, "target": 0.01, "of": "direction.forget_target"}
    verdict = {"forget": "nothing_to_forget", "retain": "kept", "robustness": "untested"}
    metrics = {"yardstick": "oracle", "verdict": verdict, "nothing_to_forget": found}
    assert verdict_line(metrics).startswith("forget: there was nothing to forget; retain: kept")
    assert headline(metrics) == (
        "There was nothing to forget: before the first step the forget rows scored 0.003, at or below 0.010, "
        "direction.forget_target; the run kept the rest."
    )
    assert mood("forget", metrics) == "open"
