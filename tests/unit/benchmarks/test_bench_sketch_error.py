"""The error of a sketched Gram matrix is found, and is no larger than its bound."""

from __future__ import annotations

import numpy as np
import torch

from benchmarks import sketch_error
from benchmarks.workload import Workload
from mollm_cli.gradients.inner import grams
from mollm_cli.gradients.matrix_sketch import MatrixSketch
from mollm_cli.gradients.taps import Taps

SMALL = Workload("25m", batch=2, tokens=24, answer=8, small=True)


def test_errors_are_found_and_fall_with_the_buckets():
    model, rows = sketch_error.gradients(SMALL)
    parameters = list(model.parameters())
    exact, matrices = grams(rows, parameters)[0], Taps(model, parameters).matrices
    assert np.diag(exact).min() > 0, "all objectives are live"
    found = []
    for buckets in (64, 4096):
        made = [
            MatrixSketch([p.shape for p in parameters], matrices, buckets, torch.device("cpu"), seed=k)
            for k in range(8)
        ]
        found.append(sketch_error.error(made, rows, exact))
    assert found[1][0] < 0.5 * found[0][0]
    assert found[1][1] < 0.5 * found[0][1]


def test_the_table_is_printed(capsys, monkeypatch):
    monkeypatch.setattr(sketch_error, "Workload", lambda size: SMALL)
    sketch_error.main(["--draws", "2", "--buckets", "64"])
    assert "blocks" in capsys.readouterr().out
