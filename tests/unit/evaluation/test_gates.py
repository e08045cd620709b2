import subprocess
import sys

import pytest

from mollm_cli.evaluation.gates import GateResult, check_names, parse

RECORD = {
    "before": {"retain_probability": 0.8, "forget_probability": 0.9},
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
    with pytest.raises(ValueError, match=r"a gate must read NAME OP NUMBER or NAME OP \[NUMBER\*\]\(before\|oracle\)"):
        parse(text)


def test_a_missing_value_or_bound_never_holds():
    assert parse("forget_quality>=0.05").check(RECORD) == GateResult("forget_quality>=0.05", None, 0.05, False)
    assert not parse("unmeasured<=1").check(RECORD).held
    without = {**RECORD, "before": None, "oracle": None}
    assert parse("retain_probability>=0.5*before").check(without) == GateResult(
        "retain_probability>=0.5*before", 0.77, None, False
    )
    assert not parse("retain_probability>=oracle").check(without).held


def test_a_gate_on_an_unmeasured_metric_is_refused_with_the_nearest_name():
    gates = [parse("forget_probability<=1"), parse("forget_probabilty<=1")]
    with pytest.raises(ValueError, match="found 'forget_probabilty'; did you mean 'forget_probability'"):
        check_names(gates, ["forget_probability", "text_perplexity"])
    check_names(gates[:1], ["forget_probability"])


def test_gates_are_read_without_torch():
    code = "import sys, mollm_cli.evaluation.gates; print([m for m in ('torch', 'numpy', 'scipy') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
