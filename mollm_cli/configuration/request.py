"""A request as cheap objects, checked as a whole before anything is read or loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mollm_cli.configuration.fit import fit
from mollm_cli.configuration.nodes import construct, refuse_unknown
from mollm_cli.configuration.root_values import VALUES
from mollm_cli.configuration.said import require_said
from mollm_cli.configuration.targets import TARGET
from mollm_cli.core.budget import Budget
from mollm_cli.core.errors import RequestError, nearest
from mollm_cli.core.nonnegative import MOST_ROWS
from mollm_cli.core.printable import printable
from mollm_cli.core.secrets import redacted
from mollm_cli.core.solution import Solver
from mollm_cli.core.types import ROLES, Loss
from mollm_cli.data.pairing import Pairing, called, present
from mollm_cli.engine.engine_settings import Engine
from mollm_cli.engine.parallel import check_parallel
from mollm_cli.evaluation.gates import Gate, parse
from mollm_cli.evaluation.suite import Suite
from mollm_cli.gradients.direction_settings import Direction
from mollm_cli.losses.finetune import finetune
from mollm_cli.models.compilation import check_compiled
from mollm_cli.models.model_settings import Model
from mollm_cli.optimizers.eight_bit import AdamW8bit
from mollm_cli.optimizers.rules import SGD, AdamW
from mollm_cli.optimizers.updates import check_update, settled
from mollm_cli.solvers.weighted_sum import WeightedSum

_EVALUATE = {"limits": Budget, "model": Model, "data": Pairing, "evaluation": Suite}
_FINETUNE = _EVALUATE | {"optimizer": object, "engine": Engine, "tracker": object}
NODES: dict[str, dict[str, Any]] = {
    "unlearn": _FINETUNE | {"loss": Loss, "solver": object, "direction": Direction},
    "finetune": _FINETUNE,
    "evaluate": _EVALUATE,
}
"""Per command: the root nodes that are built, with what comes out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One run: every object is cheap, nothing has been read from disk.

    resume: the run directory to go on with, or None for a fresh run. names: the chosen option per group,
    {"loss": "mollm", "solver": "dual_space_mgda", "dataset@data.forget": ...}. gates: in the order they were given.
    junit, github_summary: files to tell the gates in, or None (see reporting/gate_reports.py).
    """

    model: Model
    data: Pairing
    evaluation: Suite
    seed: int
    run_name: str
    output_root: str
    gates: tuple[Gate, ...]
    names: Mapping[str, str]
    limits: Budget = field(default_factory=Budget)
    resume: str | None = None
    junit: str | None = None
    github_summary: str | None = None


class EvaluateRequest(Request):
    """The request of ``mollm-evaluate``, which asks for nothing beyond what every command asks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainRequest(Request):
    """The request of ``mollm-unlearn`` or ``mollm-finetune``, which has a loss of its own.

    train: the roles, in fine-tuning also sets, whose rows are trained on.
    force: whether an unlearning goes on that has nothing to forget.
    """

    loss: Loss
    solver: Solver
    direction: Direction
    optimizer: AdamW | SGD | AdamW8bit
    engine: Engine
    tracker: Any
    train: tuple[str, ...]
    force: bool = False


def request(config: Mapping[str, Any], command: str) -> EvaluateRequest | TrainRequest:
    """The request that a resolved ``config`` (plain dicts and lists, plus ``names``) makes of ``command``.

    command: "unlearn", "finetune" or "evaluate". Raises RequestError with the key, what was found and what to do.
    """
    require_said(config)
    nodes, values = NODES[command], VALUES[command]
    names = config.get("names", {})
    refuse_unknown(config, {**nodes, **values, "names": None}, "")
    built = {key: _node(config, key, kind) for key, kind in nodes.items()}
    built |= {key: _value(config, key, kind) for key, kind in values.items()} | {"names": names}
    built.pop("run_dir")
    _check_seed(built["seed"])
    _check_name(built["run_name"])
    built["gates"] = _gates(built["gates"])
    if command == "evaluate":
        return EvaluateRequest(**built)
    if command == "finetune":
        _check_roles(built["train"], built["data"])
        built |= {"loss": finetune(), "solver": WeightedSum(), "direction": Direction(forget_target=None)}
    else:
        built["train"] = built["loss"].roles
    built["optimizer"] = _settled(built["optimizer"], built["model"])
    asked = TrainRequest(**built)
    _check_training(asked)
    if command == "unlearn":
        _check_solver(asked.loss, asked.solver, names)
    _check_fed(asked.data, asked.train)
    return asked


def _check_training(asked: TrainRequest) -> None:
    """Refuse settings that do not go together."""
    check_parallel(asked.engine, asked.model, asked.optimizer)
    if asked.engine.compile:
        check_compiled(asked.loss)
    _check_direction(asked.direction, asked.loss, asked.solver, asked.optimizer)
    _check_factors(asked.direction, asked.engine)


def _check_factors(direction: Direction, engine: Engine) -> None:
    """Refuse to keep the factors of gradients where the layers that have them run in another way."""
    for refused, found in (
        (engine.compile, "engine.compile=true"),
        (engine.parallel == "fsdp", "engine.parallel=fsdp"),
    ):
        if direction.gram == "factors" and refused:
            raise RequestError(
                f"direction.gram=factors keeps what goes in and out of whole linear layers, found {found}; "
                "set direction.gram=sketch"
            )


def _node(config: Mapping[str, Any], key: str, kind: Any) -> Any:
    node = _given(config, key, "NAME")
    if not isinstance(node, Mapping) or TARGET not in node:
        raise RequestError(f"{key} must be a mapping with its {TARGET}, found {node!r}; choose one: {key}=NAME")
    return fit(construct(node, key), kind, key)


def _value(config: Mapping[str, Any], key: str, kind: Any) -> Any:
    return fit(construct(_given(config, key, "VALUE"), key), kind, key)


def _given(config: Mapping[str, Any], key: str, what: str) -> Any:
    if key not in config:
        raise RequestError(f"{key} is required, found nothing; set {key}={what}")
    return config[key]


def _check_seed(seed: int) -> None:
    if not 0 <= seed < 2**63:
        raise RequestError(f"seed must be in [0, 2**63), found {seed}")


def _check_name(name: str) -> None:
    """The run directory is called after it: a name leads nowhere else."""
    if not name or set("/\\\n\t") & set(name) or printable(name) != name or redacted(name) != name:
        raise RequestError(
            f"run_name must be a name without / and control characters, and no secret, found {name!r}; "
            "set run_name=NAME, and output_root=DIR for another place"
        )


def _check_roles(train: Sequence[str], data: Pairing) -> None:
    if not train:
        raise RequestError("train must name at least one role, found []; e.g. train=[retain]")
    known = (*ROLES, *data.sets)
    for role in train:
        if role not in known:
            raise RequestError(f"train must name roles or sets, found '{role}'; {nearest(role, known)}")


def _check_solver(loss: Loss, built: Solver, names: Mapping[str, str]) -> None:
    solver = names.get("solver", "")
    if loss.solvers is not None and solver not in loss.solvers:
        raise RequestError(
            f"loss={loss.name} does not allow the solver '{solver}'; set solver=NAME, {nearest(solver, loss.solvers)}"
        )
    try:
        built.bind(loss.objectives)
    except ValueError as refused:
        raise RequestError(str(refused)) from refused


def _settled(optimizer: Any, model: Model) -> Any:
    """``optimizer`` with an update that is for the weights of ``model``; one of the user's own has no ``update``."""
    if not isinstance(optimizer, AdamW | SGD | AdamW8bit):
        return optimizer
    check_update(optimizer.update, model.dtype, model.adapter)
    return replace(optimizer, update=settled(optimizer.update, model.dtype, model.adapter))


def _check_direction(direction: Direction, loss: Loss, solver: Solver, optimizer: Any) -> None:
    if "gram" not in solver.needs:
        return
    if direction.metric == "adam" and not isinstance(optimizer, AdamW):
        raise RequestError(
            "direction.metric=adam is the metric of optimizer=adamw, found another optimizer; "
            "set optimizer=adamw, or direction.metric=euclidean"
        )
    if direction.metric == "adam" and optimizer.update != "plain":
        raise RequestError(
            "direction.metric=adam takes AdamW's step itself, in the type of the weights, found optimizer.update="
            f"{optimizer.update}; set optimizer.update=plain, or direction.metric=euclidean"
        )
    try:
        direction.check_carries(solver.name, solver.carries)
    except ValueError as refused:
        raise RequestError(str(refused)) from refused
    if direction.guard and len(loss.objectives) > MOST_ROWS:
        raise RequestError(
            f"direction.guard takes at most {MOST_ROWS} objectives, found {len(loss.objectives)} in loss={loss.name}; "
            "set direction.guard=false"
        )


def _check_fed(data: Pairing, roles: Sequence[str]) -> None:
    fed = {called(place) for place in present(data)}
    for role in roles:
        if role not in fed:
            raise RequestError(
                f"data.{role} must have rows, because the role '{role}' is trained on; found {', '.join(fed)} only. "
                f"Add +dataset@data.{role}=NAME"
            )


def _gates(texts: Sequence[str]) -> tuple[Gate, ...]:
    try:
        return tuple(parse(text) for text in texts)
    except ValueError as refused:
        raise RequestError(str(refused)) from refused
