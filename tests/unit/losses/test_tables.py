"""The table of every loss: names, roles, units, weights as published; options that are refused."""

from __future__ import annotations

from typing import Any

import pytest

from mollm_cli.core.types import Loss
from mollm_cli.losses.ceu import ceu
from mollm_cli.losses.dpo import dpo
from mollm_cli.losses.ga_mismatch_kl import ga_mismatch_kl
from mollm_cli.losses.grad_diff import grad_diff
from mollm_cli.losses.mollm import mollm
from mollm_cli.losses.mollm_pair import mollm_pair
from mollm_cli.losses.pdu import pdu
from mollm_cli.losses.rmu import rmu
from mollm_cli.losses.satimp import satimp
from mollm_cli.losses.simnpo import simnpo
from mollm_cli.losses.undial import undial
from mollm_cli.losses.wga import wga

Row = tuple[str, tuple[str, ...], str, bool, float]
CE: Row = ("cross_entropy", ("retain",), "token", False, 1.0)
TABLES: dict[str, tuple[Loss, list[Row]]] = {
    "grad_diff": (grad_diff(), [("gradient_ascent", ("forget",), "token", False, 1.0), CE]),
    "simnpo": (simnpo(), [("simple_negative_preference", ("forget",), "sequence", False, 0.125), CE]),
    "dpo": (dpo(), [("preference", ("forget", "alternate"), "sequence", True, 1.0), CE]),
    "undial": (undial(), [("adjusted_distillation", ("forget",), "token", True, 1.0)]),
    "undial with retain": (undial(retain_weight=1.0), [("adjusted_distillation", ("forget",), "token", True, 1.0), CE]),
    "ceu": (ceu(), [("label_excluded_cross_entropy", ("forget",), "token", False, 1.0)]),
    "wga": (wga(), [("weighted_gradient_ascent", ("forget",), "token", False, 1.0), CE]),
    "satimp": (satimp(), [("saturation_importance", ("forget",), "token", False, 0.1), CE]),
    "mollm_pair": (
        mollm_pair(),
        [
            ("unlearning_cross_entropy", ("forget",), "token", False, 1.0),
            ("cross_entropy_and_kl", ("retain",), "token", True, 8.0),
        ],
    ),
    "ga_mismatch_kl": (
        ga_mismatch_kl(),
        [
            ("gradient_ascent", ("forget",), "token", False, 0.5),
            ("alternate_cross_entropy", ("alternate",), "token", False, 1.0),
            ("forward_kl", ("retain",), "token", True, 1.0),
        ],
    ),
    "pdu": (pdu(eps=0.3), [("logit_spread", ("forget",), "token", False, 1.0), (*CE[:4], 100.0)]),
    "rmu": (
        rmu(),
        [
            ("hidden_steering", ("forget",), "token", False, 1.0),
            ("hidden_distance", ("retain",), "token", True, 1200.0),
        ],
    ),
    "mollm with alternate": (
        mollm(alternate_weight=0.5),
        [
            ("unlearning_cross_entropy", ("forget",), "token", False, 1.0),
            ("cross_entropy", ("retain",), "token", False, 8.0),
            ("forward_kl", ("retain",), "token", True, 1.0),
            ("alternate_cross_entropy", ("alternate",), "token", False, 0.5),
        ],
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_the_table(name: str) -> None:
    loss, rows = TABLES[name]
    assert [(o.name, o.roles, o.unit, o.reference, o.weight) for o in loss.objectives] == rows
    assert loss.name == name.split()[0]


def test_without_its_weight_a_row_is_not_there() -> None:
    assert mollm().roles == ("forget", "retain")
    assert undial().roles == ("forget",)
    assert not mollm(kl_weight=0.0).needs_reference


def test_only_a_kl_to_the_starting_model_is_held_by_a_budget() -> None:
    held = [o.name for loss, _ in TABLES.values() for o in loss.objectives if o.divergence]
    assert held == ["forward_kl", "forward_kl"]


def test_pdu_is_a_constraint_that_its_solver_holds() -> None:
    loss = pdu(eps=0.25)
    assert [o.bound for o in loss.objectives] == [None, 0.25]
    assert loss.solvers == ("primal_dual",)


def test_rmu_reads_its_layer_and_names_what_it_trains() -> None:
    loss = rmu(layer=4)
    assert [o.layer for o in loss.objectives] == [4, 4]
    assert loss.trainable is not None and "(2|3|4)" in loss.trainable
    first = rmu(layer=0).trainable
    assert first is not None and "(0)" in first


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (simnpo, {"beta": 0.0}, r"loss\.beta must be > 0, found 0"),
        (dpo, {"beta": float("nan")}, r"loss\.beta must be > 0, found nan"),
        (undial, {"beta": -1.0}, r"loss\.beta must be >= 0, found -1"),
        (ceu, {"skip": -1}, r"loss\.skip must be >= 0, found -1"),
        (wga, {"beta": -0.5}, r"loss\.beta must be >= 0, found -0.5"),
        (satimp, {"beta1": -5.0}, r"loss\.beta1 and loss\.beta2 must be >= 0, found -5.0 and 1.0"),
        (satimp, {"beta2": -1.0}, r"found 5.0 and -1.0"),
        (mollm_pair, {"kl_share": -1.0}, r"loss\.kl_share must be >= 0, found -1"),
        (pdu, {}, r"loss\.eps must be > 0.* found None; set loss\.eps=NUMBER, somewhat above the loss\.cross_entropy"),
        (pdu, {"eps": 0.0}, r"loss\.eps must be > 0"),
        (rmu, {"layer": -1}, r"loss\.layer must be >= 0, found -1"),
        (grad_diff, {"forget_weight": -1.0}, r"weight must be >= 0 \(the sign belongs to the objective\), found -1"),
        (ceu, {"forget_weight": 0.0}, r"loss 'ceu': at least one weight must be > 0, found none"),
    ],
)
def test_refusals(make: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**options)
