from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from mollm_cli.core import errors
from mollm_cli.core.errors import MOST_CHOICES, nearest
from mollm_cli.core.masking import count_targets, target_positions
from mollm_cli.core.seeding import seed_everything
from mollm_cli.core.types import IGNORE, Encoded, Example, Loss, Objective, Scored


def test_positions_are_shifted_by_hand() -> None:
    """Logits at t predict the token at t + 1; a label on the first token has no predecessor and is no target."""
    labels = torch.tensor([[7, IGNORE, 8, 9], [IGNORE, 5, IGNORE, IGNORE]])
    sequence, position, target = target_positions(labels)
    assert (sequence.tolist(), position.tolist(), target.tolist()) == ([0, 0, 1], [1, 2, 0], [8, 9, 5])
    assert count_targets(labels) == 3
    assert Encoded("a", (7, 1, 8, 9), (7, IGNORE, 8, 9)).targets == 2


def test_no_targets_at_all() -> None:
    labels = torch.full((2, 3), IGNORE)
    assert [part.numel() for part in target_positions(labels)] == [0, 0, 0]
    assert count_targets(labels) == 0


def _drawn() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(()))


def test_one_seed_for_every_generator() -> None:
    seed_everything(3)
    first = _drawn()
    seed_everything(3)
    assert _drawn() == first
    seed_everything(4)
    assert all(one != other for one, other in zip(_drawn(), first, strict=True))
    seed_everything(2**63 - 1)  # beyond what NumPy takes


def test_exit_codes_of_the_tree() -> None:
    tree = {errors.RequestError: 2, errors.RunError: 1, errors.NonFiniteError: 1, errors.GateError: 3}
    assert {kind: kind("x").exit_code for kind in tree} == tree
    assert errors.InterruptionError("x", 143).exit_code == 143
    assert issubclass(errors.NonFiniteError, errors.RunError)
    assert all(issubclass(kind, errors.MollmError) for kind in [*tree, errors.InterruptionError])


def test_the_nearest_names_come_first() -> None:
    assert nearest("mollmm", ["ga", "mollm", "ga_kl"]) == "did you mean 'mollm'? choices: mollm, ga, ga_kl"
    assert nearest("zzz", ["b", "a"]) == "choices: a, b"
    many = [f"package.losses.{name}" for name in ("mollm", *map(str, range(MOST_CHOICES)))]
    told = nearest("package.losses.mollmm", many)
    assert "did you mean 'package.losses.mollm'" in told and "the nearest of 51: package.losses.mollm, " in told
    assert told.count(", ") == 4


def test_a_loss_knows_its_roles_in_order_and_whether_it_needs_the_reference() -> None:
    def function(outputs: object) -> tuple[torch.Tensor, int]:
        raise NotImplementedError

    rows = (
        Objective("b", ("retain",), function), Objective("a", ("forget", "retain"), function, reference=True),
    )  # fmt: skip
    assert Loss("x", rows).roles == ("retain", "forget")
    assert Loss("x", rows).needs_reference and not Loss("x", rows[:1]).needs_reference


def _row(name: str, role: str = "retain", weight: float = 1.0, layer: int | None = None) -> Objective:
    return Objective(name, (role,), lambda outputs: (torch.zeros(()), 1), weight=weight, layer=layer)


def test_an_objective_of_weight_0_is_no_row() -> None:
    loss = Loss("x", (_row("a", "forget"), _row("b", "retain", 0.0)))
    assert [o.name for o in loss.objectives] == ["a"]
    assert loss.roles == ("forget",)
    with pytest.raises(ValueError, match="loss 'x': at least one weight must be > 0, found none"):
        Loss("x", (_row("a", weight=0.0),))


def test_objectives_have_names_of_their_own() -> None:
    with pytest.raises(ValueError, match="loss 'x': objectives must have names of their own, found a, a"):
        Loss("x", (_row("a"), _row("a", "forget")))
    assert Loss("x", (_row("a"), _row("a", "forget", 0.0))).objectives[0].roles == ("retain",)


def test_a_role_is_read_in_one_way() -> None:
    loss = Loss("x", (_row("a", "forget", layer=3), _row("b", "retain")))
    assert (loss.layer("forget"), loss.layer("retain")) == (3, None)
    for other in (None, 2):
        with pytest.raises(ValueError, match="objectives on 'retain' must all read logits, or one hidden layer"):
            Loss("x", (_row("a", layer=3), _row("b", layer=other)))


def test_a_loss_knows_which_roles_it_compares_with_the_reference() -> None:
    both = Objective("c", ("forget", "alternate"), lambda outputs: (torch.zeros(()), 1), reference=True)
    loss = Loss("x", (both, _row("b")))
    assert [loss.compares(role) for role in ("forget", "alternate", "retain")] == [True, True, False]


def test_the_mean_log_probability_of_an_answer() -> None:
    scored = Scored("a", Example("a", "p", "q"), (-1.0, -3.0), (True, False))
    assert scored.answer_log_prob == pytest.approx(-2.0)
