"""A constraint with a rate: by hand in two parameters, equal to a slow twin, and heeded before what opposes it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mollm_cli.gradients.descent import guarded, who_counts


def corrected(step, rows, rates, live=None, metric=1.0):
    """(Delta', what was found) for a step and rows."""
    before, parameter = torch.zeros(len(step)), torch.nn.Parameter(torch.tensor(step, dtype=torch.float64))
    held = np.ones(len(rows), dtype=bool) if live is None else np.array(live)
    parts = [[torch.tensor(row, dtype=torch.float64)] for row in rows]
    norms = np.linalg.norm(np.array(rows), axis=1)
    found = guarded([parameter], [before.double()], parts, norms, held, lambda k: metric, None, None, np.array(rates))
    return parameter.detach().numpy(), found


@pytest.mark.parametrize(
    ("step", "rows", "rates", "after"),
    [
        ((0.0, 0.0), [(2.0, 0.0)], [0.4], (-0.2, 0.0)),  # the optimizer rests: the correction is the step
        ((-1.0, 1.0), [(2.0, 0.0)], [0.4], (-1.0, 1.0)),  # falls by more already
        ((-0.1, 1.0), [(2.0, 0.0)], [0.4], (-0.2, 1.0)),  # falls, by too little
        ((-0.1, 1.0), [(2.0, 0.0), (0.0, -1.0)], [0.4, 0.0], (-0.2, 1.0)),  # another row is content
        ((-0.1, -1.0), [(2.0, 0.0), (0.0, -1.0)], [0.4, 0.0], (-0.2, 0.0)),  # and here it would rise
        ((0.5, 0.0), [(1.0, 0.0), (-1.0, 0.0)], [0.1, 0.0], (-0.1, 0.0)),  # opposite rows: the bound has its way
        ((0.0, 0.0), [(1.0, 0.0), (3.0, 0.0)], [0.1, 0.1], (-0.1, 0.0)),  # rows that agree: one serves both
    ],
)
def test_by_hand(step, rows, rates, after):
    found, descent = corrected(step, rows, rates)
    assert found == pytest.approx(after, abs=1e-9)
    assert descent.realised[0] <= -rates[0] + 1e-3 * rates[0]


def twin(step, rows, rates):
    """The projection of ``step`` onto {x: g_i . x <= -rate_i}, by Dykstra's method over single half-spaces."""
    x, kept = np.array(step), [np.zeros(len(step)) for _ in rows]
    for _ in range(20_000):
        for i, (row, rate) in enumerate(zip(rows, rates, strict=True)):
            y = x + kept[i]
            x = y - max(0.0, (row @ y + rate) / (row @ row)) * row
            kept[i] = y - x
    return x


@pytest.mark.parametrize("seed", range(6))
def test_it_is_the_nearest_step_that_falls_fast_enough(seed):
    drawn = np.random.default_rng(seed)
    step, rates = drawn.normal(size=5), drawn.uniform(0.1, 1.0, 3)
    rows = drawn.normal(size=(3, 5))
    found, _ = corrected(step, [tuple(r) for r in rows], rates)
    assert found == pytest.approx(twin(step, rows, rates), abs=2e-3 * float(rates.max()))


def test_rows_without_a_rate_are_heeded_until_that_costs_too_much():
    def heeded(cosine):
        matrix = np.array([[1.0, cosine], [cosine, 1.0]])
        return who_counts([3, 4], matrix, np.array([0, 0, 0, 0.0, 0.0]), np.array([0, 0, 0, 0.1, 0.0]))[0]

    assert [heeded(c) for c in (0.5, 0.0, -0.5, -0.999)] == [[3, 4], [3, 4], [3, 4], [3]]
