"""What is held is live above its bound, and nowhere else; the bound is the start's own loss."""

from __future__ import annotations

import numpy as np
import pytest

from mollm_cli.gradients.direction_settings import Direction
from mollm_cli.gradients.liveness import Liveness
from mollm_cli.losses.mollm import mollm
from mollm_cli.solvers.dual_space_mgda import DualSpaceMGDA
from mollm_cli.solvers.normalized_sum import NormalizedSum

STARTS = np.array([np.nan, 2.0, np.nan])
HOLD = {"hold_margin": 0.05, "kl_budget": 0.02}


def rule(retain="hold", solver=DualSpaceMGDA, **direction):
    return Liveness.of(mollm().objectives, solver(), Direction(retain=retain, **HOLD, **direction))


@pytest.mark.parametrize(
    ("cross_entropy", "kl", "live", "excess"),
    [
        (1.5, 0.0, [True, False, False], [0, 0, 0]),  # better than the start: not taught further
        (2.1, 0.02, [True, False, False], [0, 0, 0]),  # at the bounds
        (2.3, 0.02, [True, True, False], [0, 0.2, 0]),
        (1.5, 0.05, [True, False, True], [0, 0, 0.03]),
    ],
)
def test_live_above_the_bound_only(cross_entropy, kl, live, excess):
    losses = np.array([0.5, cross_entropy, kl])
    assert rule().live(np.ones(3), losses, 0.9, STARTS).tolist() == live
    assert rule().excess(losses, STARTS) == pytest.approx(excess)
    assert rule("descend").live(np.ones(3), losses, 0.9, STARTS).tolist() == [True, True, kl > 0.02]
    assert not rule("descend").excess(losses, STARTS).any()


def test_who_holds():
    for solver, retain, held in (
        (DualSpaceMGDA, "auto", True),
        (NormalizedSum, "auto", False),
        (NormalizedSum, "hold", True),
        (DualSpaceMGDA, "descend", False),
    ):
        assert rule(retain, solver).held.tolist() == [False, held, held]
    assert not rule(paper=True).held.any()


def test_without_a_kl_row_there_is_no_start_to_hold():
    assert [o.start is None for o in mollm(kl_weight=0).objectives] == [True, True]
