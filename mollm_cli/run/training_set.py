"""The objects that a run trains with: a loss with its solver, and the rows of every role that it reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from mollm_cli.configuration.request import TrainRequest
from mollm_cli.core.errors import RequestError
from mollm_cli.core.solution import Solver
from mollm_cli.core.types import Encoded, Loss, Role
from mollm_cli.data.mixture import Share
from mollm_cli.data.ordinary import ORDINARY
from mollm_cli.data.reworded import REWORDED
from mollm_cli.gradients.direction_settings import Direction
from mollm_cli.losses.finetune import finetune
from mollm_cli.run.prepare import Prepared, finds_target


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """The loss with its solver, the rows per role, the sets that they are made of, and the role whose rows lead.

    beside: rows that have a fixed share of each of a role's steps, with that share.
    """

    loss: Loss
    solver: Solver
    direction: Direction
    rows: Mapping[str, list[Encoded]]
    shares: Mapping[str, Sequence[Share]]
    leader: str
    beside: Mapping[Role, tuple[list[Encoded], float]] = field(default_factory=dict)


def training_set(request: TrainRequest, prepared: Prepared) -> TrainingSet:
    """The training set of ``request``, whichever command it is of. Raises RequestError as that does."""
    return (finetuning_set if request.loss.name == finetune().name else unlearning_set)(request, prepared)


def unlearning_set(request: TrainRequest, prepared: Prepared) -> TrainingSet:
    """The loss the user picked, on the roles it reads.

    Raises RequestError where engine.keep has no target, or where rows that are read pairwise are not as many.
    """
    loss = request.loss
    _check_selection(request, prepared)
    rows, shares = {}, {}
    for role in loss.roles:
        rows[role], shares[role] = prepared.training(role)
    for objective in loss.objectives:
        if len({len(rows[role]) for role in objective.roles}) > 1:
            found = " and ".join(f"{len(rows[role])} of {role}" for role in objective.roles)
            raise RequestError(
                f"loss={loss.name} reads {', '.join(objective.roles)} row by row and needs as many of each, "
                f"found {found}. Give each forget row one other answer: +dataset@data.alternate=NAME "
                "data.alternate.answers=[...]"
            )
    leader = request.data.epoch if request.data.epoch in rows else loss.roles[0]
    ordinary = prepared.encoded.get(ORDINARY, [])
    beside = {"retain": (ordinary, prepared.ordinary_share)} if ordinary and "retain" in rows else {}
    beside |= _reworded(request, prepared)
    return TrainingSet(loss, request.solver, request.direction, rows, shares, leader, beside)


def _reworded(request: TrainRequest, prepared: Prepared) -> dict[Role, tuple[list[Encoded], float]]:
    """The forget rows in other manners, with their share. Raises RequestError where they have no place in a step."""
    rows = prepared.encoded.get(REWORDED, [])
    if not rows:
        return {}
    paired = next((o for o in request.loss.objectives if "forget" in o.roles and len(o.roles) > 1), None)
    if paired is not None:
        raise RequestError(
            f"data.forget.manners needs a loss that reads forget rows by themselves, found loss={request.loss.name}, "
            f"which reads {', '.join(paired.roles)} row by row. Set data.forget.manners=[], or another loss"
        )
    if request.engine.batch_size < 2:
        raise RequestError(
            "data.forget.manners needs room for both kinds of rows in a step, found engine.batch_size=1. Set "
            "engine.batch_size=2, or data.forget.manners=[]"
        )
    return {"forget": ([replace(row, reworded=True) for row in rows], request.data.forget.manners_share)}


def finetuning_set(request: TrainRequest, prepared: Prepared) -> TrainingSet:
    """Cross-entropy on all rows of ``train`` together, which the engine reads as the role ``retain``.

    Raises RequestError where they are not there, or where engine.keep looks for a forget target.
    """
    if request.engine.keep != "last":
        raise RequestError(
            f"engine.keep must be last in mollm-finetune, which forgets nothing, found {request.engine.keep}; "
            "leave it out"
        )
    missing = [role for role in request.train if role not in prepared.encoded]
    if missing:
        raise RequestError(
            f"train names '{missing[0]}', and data '{request.data.name}' has no such rows; "
            f"it has {', '.join(prepared.encoded)}"
        )
    rows, shares = prepared.training(*request.train)
    parts = request.loss, request.solver, request.direction
    return TrainingSet(*parts, {"retain": rows}, {"retain": shares}, "retain")


def _check_selection(request: TrainRequest, prepared: Prepared) -> None:
    engine, direction = request.engine, request.direction
    wanted = None if direction.paper else direction.forget_target
    target = isinstance(wanted, float) or (wanted == "auto" and finds_target(request, prepared))
    if engine.keep == "target" and not target:
        raise RequestError(
            "engine.keep=target needs a forget target, found none. Set direction.forget_target=P (a probability in "
            "(0, 1)) or data.holdout.path=FILE, with direction.paper=false; or engine.keep=last"
        )
    if engine.keep == "yardstick" and request.evaluation.oracle is None and not target:
        raise RequestError(
            "engine.keep=yardstick needs something to be near to, found no oracle and no forget target. Set "
            "evaluation.oracle=DIR, or direction.forget_target=P (a probability in (0, 1)), or engine.keep=last"
        )
