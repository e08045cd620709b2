"""The prediction against the measurement, on a CPU."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.plan import PLANNED, compared, main, show
from benchmarks.rows import ROWS
from benchmarks.workload import Workload
from mollm_cli.gradients import descent


def test_rows_are_rows_of_the_benchmark():
    assert set(PLANNED) <= {row.name for row in ROWS}


@pytest.mark.parametrize("name", ["ga", "ga_kl", "mollm", "mollm_sketch", "mollm_factors", "mollm_lora"])
def test_a_tiny_step_is_predicted_within_ten_percent(name):
    line = compared(name, Workload("tiny", batch=2, tokens=24, answer=8))
    assert line["predicted_bytes"] == pytest.approx(line["measured_bytes"], rel=0.1)


def test_a_step_that_the_guard_corrects_is_predicted_to_the_kilobyte(monkeypatch):
    """Its temporaries are of one parameter, and of a few blocks; here one parameter is half of the model."""
    monkeypatch.setattr(descent, "SLACK", -np.inf)
    monkeypatch.setattr(descent, "smallest_correction", lambda matrix, now: np.full(len(now), 1e-12))
    line = compared("mollm", Workload("tiny", batch=1, tokens=24, answer=4, vocabulary=20_000))
    assert line["predicted_bytes"] == pytest.approx(line["measured_bytes"], abs=1024)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ga", "ga_kl", "mollm", "mollm_sketch", "mollm_factors"])
@pytest.mark.parametrize(("size", "batch", "tokens"), [("5m", 4, 192), ("5m", 2, 512), ("25m", 2, 192)])
def test_a_step_is_predicted_within_ten_percent(name, size, batch, tokens):
    line = compared(name, Workload(size, batch=batch, tokens=tokens))
    assert line["predicted_bytes"] == pytest.approx(line["measured_bytes"], rel=0.1)


def test_the_table_and_what_is_no_row(capsys):
    row = {"name": "ga", "size": "5m", "tokens": 192, "predicted_bytes": 2**20, "measured_bytes": 2**21}
    show({"rows": [row], "ratios": {"plan:ga@5mx192": 0.5}})
    assert "0.500" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["--rows", "unknown"])
    assert "no row 'unknown'" in capsys.readouterr().err
