"""Ten steps of one run by any number of processes, and what must be the same however many there are."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from mollm_cli.core.types import IGNORE, Encoded, Loss
from mollm_cli.core.world import World
from mollm_cli.data.batches import Stream
from mollm_cli.data.order import common_lengths
from mollm_cli.engine.pace import Pace
from mollm_cli.engine.step import Stepper
from mollm_cli.gradients.direction_settings import Direction
from mollm_cli.gradients.trained import Trained
from mollm_cli.losses.mollm import mollm
from mollm_cli.models.adapter import with_adapter
from mollm_cli.models.model_settings import Model
from mollm_cli.models.reference import Reference
from mollm_cli.models.sharding import gathered, shard
from mollm_cli.solvers.dual_space_mgda import DualSpaceMGDA
from tests.support.tiny import llama, opt

LR = 1e-4
AWAKE = {"kl_budget": 0.0, "live_threshold": 0.0, "forget_target": None}


def rows(role: str, count: int, seed: int) -> list[Encoded]:
    """Rows of 6 to 14 tokens, the second half of each is its target."""
    drawn = random.Random(seed)
    encoded = []
    for i in range(count):
        ids = [drawn.randint(3, 47) for _ in range(drawn.randint(6, 14))]
        labels = [IGNORE] * (len(ids) // 2) + ids[len(ids) // 2 :]
        encoded.append(Encoded(f"{role}{i}", tuple(ids), tuple(labels)))
    return encoded


ROWS = {"forget": rows("f", 11, 1), "retain": rows("r", 13, 2), "alternate": rows("a", 11, 3)}


@dataclass(frozen=True)
class Case:
    """A run in small: five rows a role and step, which no number of processes divides; pieces: rows in one of them."""

    adapter: str = "none"
    loss: Callable[[], Loss] = mollm
    solver: Callable[[], Any] = DualSpaceMGDA
    direction: dict[str, Any] = field(default_factory=dict)
    dtype: torch.dtype = torch.float64
    optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.AdamW
    steps: int = 10
    record: bool = True
    clip: float | None = 1.0
    target: float | None = None
    pieces: int | None = None
    lr: float = LR
    drift: float | None = None

    def model(self) -> Any:
        """OPT computes in float64 throughout, Llama in float32."""
        plain = opt(dtype=self.dtype) if self.dtype == torch.float64 else llama(dtype=self.dtype)
        if self.adapter == "none":
            return plain
        return with_adapter(plain, Model(path="none", adapter=self.adapter, lora_rank=2), 0)


def stepper(case: Case, world: World, parallel: str) -> Stepper:
    """What process ``world.rank`` steps with."""
    model, table = case.model(), case.loss()
    kind = "none" if not table.needs_reference else "copy" if case.adapter == "none" else "adapter_off"
    if parallel == "fsdp":
        shard(model, world)
    reference = Reference(model, kind)
    trained = Trained.of(model, world)
    return Stepper(
        model, reference, table, case.solver(), Direction(**AWAKE | case.direction),
        case.optimizer(trained.parameters), case.target, case.clip, trained=trained,
        pace=None if case.drift is None else Pace(case.drift),
    )  # fmt: skip


def streams(case: Case, batch_size: int = 5) -> dict[str, Stream]:
    """Roles that are read row by row together are aligned."""
    table = case.loss()
    joined = any(len(o.roles) > 1 for o in table.objectives)
    together = ("forget", "alternate") if joined else ()
    lengths = common_lengths(*([len(r.input_ids) for r in ROWS[x]] for x in together)) if joined else None
    return {x: Stream(ROWS[x], batch_size, 0, 0, lengths if x in together else None) for x in table.roles}


def steps(case: Case, world: World, parallel: str = "none") -> dict[str, Any]:
    """What ``case`` comes to: a line a step, and the parameters at the end, where this process gets them."""
    taken = stepper(case, world, parallel)
    lines = through(taken, case, world, 0, case.steps)
    model = gathered(taken.model)
    return {"lines": lines, "end": None if model is None else numbers(model)}


def through(taken: Stepper, case: Case, world: World, first: int, last: int) -> list[dict[str, Any]]:
    """The steps from ``first`` to before ``last``."""
    sources, lines = streams(case), []
    for step in range(first, last):
        batches = {role: x.batches(step, case.pieces, world.rank, world.size) for role, x in sources.items()}
        lines.append(line(taken(batches, case.lr, record=case.record)))
    return lines


def line(result: Any) -> dict[str, Any]:
    """Of one step everything that is told of it."""
    told = {"losses": result.losses, "weights": result.weights, "norm": result.gradient_norm, "gram": result.gram}
    if result.descent is not None:
        told |= {key: getattr(result.descent, key) for key in ("raw", "realised", "norm", "predicted", "correction")}
    plain = {key: value.tolist() if hasattr(value, "tolist") else value for key, value in told.items()}
    return plain | {"tokens": result.tokens, "probability": result.forget_probability, "status": str(result.status)}


def numbers(model: Any) -> dict[str, list[float]]:
    """All parameters by name."""
    return {name: p.detach().double().reshape(-1).tolist() for name, p in model.named_parameters()}


def difference(a: Any, b: Any, where: str = "") -> float:
    """The largest |a - b| / max(1, |a|) of all numbers in two equal structures."""
    if isinstance(a, dict):
        assert a.keys() == b.keys(), (where, a.keys() ^ b.keys())
        return max((difference(a[key], b[key], f"{where}.{key}") for key in a), default=0.0)
    if isinstance(a, list):
        assert len(a) == len(b), where
        return max((difference(x, y, where) for x, y in zip(a, b, strict=True)), default=0.0)
    if isinstance(a, float) and isinstance(b, float):
        return abs(a - b) / max(1.0, abs(a))
    assert a == b, (where, a, b)
    return 0.0
