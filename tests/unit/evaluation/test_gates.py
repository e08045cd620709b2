import subprocess
import sys

import pytest

from mollm_cli.evaluation.gates import GateResult, check_names, parse

RECORD = {
    "before": {"retain_probability": 0.8, "forget_probability": 0.9, "holdout_probability": 0.15},
    "after": {"retain_probability": 0.77, "forget_probability": 0.25, "forget_quality": None},
    "oracle": {"retain_probability": 0.8, "forget_probability": 0.2},
}


@pytest.mark.parametrize(
    ("text", "bound", "held"),
    [
        ("forget_probability<=0.25", 0.25, True),
        ("forget_probability<0.25", 0.25, False),
        ("forget_probability>=.25", 0.25, True),
        ("forget_probability>2.5e-1", 0.25, False),
        ("forget_probability==0.25", 0.25, True),
        ("forget_probability>=-1", -1.0, True),
        ("retain_probability>=0.95*before", 0.76, True),
        ("retain_probability>=before", 0.8, False),
        ("forget_probability<=oracle+0.1", 0.3, True),
        ("forget_probability<=oracle - 0.1", 0.1, False),
        ("forget_probability<=holdout", 0.15, False),
        ("forget_probability<=2*holdout-0.05", 0.25, True),
        (" forget_probability <= 2 * before - 1.7 ", 0.1, False),
    ],
)
def test_bound_and_outcome(text, bound, held):
    result = parse(text).check(RECORD)
    assert result.gate == text
    assert result.value == RECORD["after"][result.gate.split("_prob")[0].strip() + "_probability"]
    assert result.bound == pytest.approx(bound)
    assert result.held is held


@pytest.mark.parametrize(
    "text",
    [
        "forget_probability",
        "<=0.6",
        "forget_probability=0.6",
        "forget_probability<=",
        "forget_probability<=after",
        "forget_probability<=0.95*0.5",
        "forget_probability<=before*0.95",
        "forget_probability<=0.6 0.7",
        "forget_probability<=__import__('os').getpid()",
        "forget_probability<=nan",
        "",
    ],
)
def test_what_is_no_gate_is_refused_with_the_grammar(text):
    with pytest.raises(
        ValueError, match=r"a gate must read NAME OP NUMBER or NAME OP \[NUMBER\*\]\(before\|oracle\|holdout\)"
    ):
        parse(text)


@pytest.mark.parametrize(
    ("text", "record", "value", "bound", "why"),
    [
        ("forget_quality>=0.05", {}, None, 0.05, "forget_quality is null in 'after'"),
        ("unmeasured<=1", {}, None, 1.0, "unmeasured is not measured in 'after'"),
        ("retain_probability>=0.5*before", {"before": None}, 0.77, None, "there is no 'before' in this run"),
        ("retain_probability>=oracle", {"oracle": None}, 0.77, None, "there is no 'oracle' in this run"),
        ("forget_probability<=holdout", {"before": None}, 0.25, None, "there is no 'before' in this run"),
        ("forget_probability<=holdout", {"before": {}}, 0.25, None, "holdout_probability is not measured in 'before'"),
        ("forget_quality>=before", {}, None, None, "forget_quality is null in 'after'"),
        ("retain_probability>=0.95*oracle+0.5", {}, 0.77, 1.26, "0.77 is not >= 1.26"),
    ],
)
def test_why_a_gate_does_not_hold(text, record, value, bound, why):
    found = parse(text).check(RECORD | record)
    assert (found.gate, found.value, found.held, found.why) == (text, value, False, why)
    assert found.bound == pytest.approx(bound)


def test_a_gate_that_holds_needs_no_reason():
    assert parse("forget_probability<=1").check(RECORD) == GateResult("forget_probability<=1", 0.25, 1.0, True, "")


def test_only_forget_metrics_are_held_against_holdout_rows():
    with pytest.raises(
        ValueError, match=r"'retain_probability>=holdout' must name a forget_\.\.\. metric, because it is"
    ):
        check_names([parse("retain_probability>=holdout")], ["retain_probability", "holdout_probability"])
    assert parse("forget_not_forget_again<=holdout").beside == "holdout_not_forget_again"
    gate = parse("forget_probability<=holdout+0.1")
    check_names([gate], ["forget_probability", "holdout_probability"])
    with pytest.raises(
        ValueError, match="must name a metric of this run, found 'holdout_probability'; did you mean 'forget_"
    ):
        check_names([gate], ["forget_probability"])


def test_a_gate_on_an_unmeasured_metric_is_refused_with_the_nearest_name():
    gates = [parse("forget_probability<=1"), parse("forget_probabilty<=1")]
    with pytest.raises(ValueError, match="found 'forget_probabilty'; did you mean 'forget_probability'"):
        check_names(gates, ["forget_probability", "text_perplexity"])
    check_names(gates[:1], ["forget_probability"])


def test_gates_are_read_without_torch():
    code = "import sys, mollm_cli.evaluation.gates; print([m for m in ('torch', 'numpy', 'scipy') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


PARTIAL = RECORD | {
    "rows": {
        "before": {"retain_probability": [5, 5], "forget_probability": [4, 4], "holdout_probability": [2, 3]},
        "after": {"retain_probability": [5, 5], "forget_probability": [1, 4], "forget_quality": [0, 4]},
    }
}


@pytest.mark.parametrize(
    ("text", "held", "why"),
    [
        ("forget_probability<=0.6", False, "forget_probability has a value for 1 of 4 rows in 'after'; forget_prob"),
        ("forget_probability@partial<=0.6", True, ""),
        ("forget_probability<=0.6@partial", True, ""),
        ("forget_probability@partial<=0.1", False, "0.25 is not <= 0.1"),
        ("retain_probability>=0.95*before", True, ""),
        ("forget_probability@partial<=holdout+1", True, ""),
        ("forget_probability<=holdout+1", False, "forget_probability has a value for 1 of 4 rows"),
        ("forget_quality@partial>=0", False, "forget_quality is null in 'after'"),
    ],
)
def test_a_gate_on_a_part_of_the_rows_holds_only_where_it_says_so(text, held, why):
    found = parse(text).check(PARTIAL)
    assert (found.gate, found.held) == (text, held)
    assert found.why.startswith(why) and bool(found.why) is not held


def test_a_bound_that_is_made_of_a_part_of_the_rows_is_one_too():
    record = PARTIAL | {"after": {"forget_probability": 0.1}, "rows": {"before": PARTIAL["rows"]["before"]}}
    assert parse("forget_probability<=holdout").check(record).why == (
        "holdout_probability has a value for 2 of 3 rows in 'before'; forget_probability@partial lets that count"
    )
    assert parse("forget_probability@partial<=holdout").check(record).held
