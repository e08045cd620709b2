"""The table of plans and peaks."""

from __future__ import annotations

import pytest

from benchmarks.plan import main, show


def test_the_table_and_what_is_no_row(capsys):
    row = {
        "name": "mollm",
        "model": "tiny",
        "phase": "step",
        "plan_seconds": 1.0,
        "planned_bytes": 2**21,
        "measured_bytes": 2**20,
    }
    show({"rows": [row], "ratios": {"plan:mollm@tiny": 2.0}})
    assert "2.000" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["--rows", "unknown"])
    assert "no row 'unknown'" in capsys.readouterr().err
