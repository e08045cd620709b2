"""The prediction against the measurement, on a CPU."""

from __future__ import annotations

import pytest

from benchmarks.plan import PLANNED, compared, main, show
from benchmarks.rows import ROWS
from benchmarks.workload import Workload


def test_rows_are_rows_of_the_benchmark():
    assert set(PLANNED) <= {row.name for row in ROWS}


@pytest.mark.parametrize("name", ["ga", "ga_kl", "mollm", "mollm_sketch", "mollm_lora"])
def test_a_tiny_step_is_predicted_within_ten_percent(name):
    line = compared(name, Workload("tiny", batch=2, tokens=24, answer=8))
    assert line["predicted_bytes"] == pytest.approx(line["measured_bytes"], rel=0.1)


LARGER = [(name, "5m", 192) for name in ("ga", "ga_kl", "mollm", "mollm_sketch")]
LARGER += [("mollm", "5m", 512), ("ga_kl", "5m", 512)]  # most of it graphs that are kept, and logits
LARGER += [("mollm_sketch", "25m", 192), ("ga", "25m", 192)]  # most of it is as large as the weights


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size", "tokens"), LARGER)
def test_a_step_is_predicted_within_ten_percent(name, size, tokens):
    line = compared(name, Workload(size, tokens=tokens))
    assert line["predicted_bytes"] == pytest.approx(line["measured_bytes"], rel=0.1)


def test_the_table_and_what_is_no_row(capsys):
    row = {"name": "ga", "size": "5m", "tokens": 192, "predicted_bytes": 2**20, "measured_bytes": 2**21}
    show({"rows": [row], "ratios": {"plan:ga@5mx192": 0.5}})
    assert "0.500" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["--rows", "unknown"])
    assert "no row 'unknown'" in capsys.readouterr().err
