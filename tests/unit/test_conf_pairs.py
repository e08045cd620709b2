"""Every loss of conf/ with every solver of conf/: they compose, and what does not go together is refused by name."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from mollm_cli.configuration.choices import choices, config_dir
from mollm_cli.configuration.nodes import construct
from mollm_cli.configuration.request import request
from mollm_cli.core.errors import RequestError
from mollm_cli.core.types import Loss
from tests.support.composed import composed, configuration
from tests.support.needed import NEEDED
from tests.support.solvers import ABSENT, SIDED, SOLVERS

LOSSES, SOLVED = choices("loss", [config_dir()]), choices("solver", [config_dir()])
EVERY_SOLVER = tuple(f"+solver@solvers.{name}={name}" for name in SOLVED)
"""Beside one another, in one composition."""


def test_every_solver_has_its_file() -> None:
    assert set(SOLVED) == SOLVERS.keys() | ABSENT


def _paired(loss: str, solver: str) -> dict[str, Any]:
    """The loss's configuration with the solver's node, which is all that typing both changes (see the next test)."""
    config = configuration(f"loss={loss}", *NEEDED.get(loss, []))
    config["solver"] = dict(composed("config", *EVERY_SOLVER)["solvers"][solver])
    config["names"]["solver"] = solver
    return config


MEETINGS = list(zip(itertools.cycle(LOSSES), SOLVED, strict=False))
"""Every solver with some loss, composed together; three of them in every run of the tests."""


@pytest.mark.parametrize(
    ("loss", "solver"),
    [pytest.param(*pair, marks=() if k < 3 else pytest.mark.slow) for k, pair in enumerate(MEETINGS)],
)
def test_what_is_typed_wins_over_what_a_loss_brings(loss: str, solver: str) -> None:
    typed = composed("config", f"solver={solver}", f"loss={loss}", *NEEDED.get(loss, []))
    assert (typed["names"]["loss"], typed["names"]["solver"]) == (loss, solver)
    assert typed == _paired(loss, solver)


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_with_every_solver(loss: str) -> None:
    for solver in SOLVED:
        config = _paired(loss, solver)
        if refused := _refused(construct(config["loss"], "loss"), solver):
            with pytest.raises(RequestError, match=refused):
                request(config, "unlearn")
        else:
            built = request(config, "unlearn").solver
            assert built is not None and built.name == solver


def _refused(loss: Loss, solver: str) -> str | None:
    """What is said of a solver that ``loss`` does not allow, that cannot take it, or that is not installed."""
    if loss.solvers is not None and solver not in loss.solvers:
        return "does not allow the solver"
    if solver in ABSENT:
        return "found no .* installed; run pip install"
    if solver == "primal_dual" and all(o.bound is None for o in loss.objectives):
        return "needs an objective with a bound"
    if solver in SIDED and len({"forget" in o.roles for o in loss.objectives}) == 1:
        return "needs an objective that reads forget and one that does not"
    return None
