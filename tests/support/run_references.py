"""The reference of a run on tiny rows, in one line."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from mollm_cli.core.types import Encoded, Loss
from mollm_cli.data.batches import Stream
from mollm_cli.engine.engine_settings import Engine
from mollm_cli.gradients.direction_settings import Direction
from mollm_cli.losses.mollm import mollm
from mollm_cli.models.model_settings import Model
from mollm_cli.models.reference import Reference
from mollm_cli.run.run_reference import References
from mollm_cli.run.training_set import TrainingSet
from mollm_cli.solvers.dual_space_mgda import DualSpaceMGDA
from tests.support.references import rows_of
from tests.support.tiny import batch, llama

ROWS = {
    role: rows_of(batch(seed, rows=9, prefix=role))
    for seed, role in enumerate(("forget", "retain", "alternate"), start=1)
}
DEVICE = torch.device("cpu")


@dataclasses.dataclass
class Built:
    """A reference, its kind as foretold, what was said while it was built, the rows that went through the model."""

    reference: Reference
    foretold: str
    said: list[str]
    forwards: int


def build(
    loss: Loss | None = None,
    solver: Any = None,
    *,
    model: Any = None,
    steps: int = 100,
    rows: dict[str, list[Encoded]] | None = None,
    direction: Direction | None = None,
    loaded: Any = None,
    retained: Any = None,
    engine: Any = None,
    seed: int = 0,
    run_dir: Path = Path("none"),
    **description: Any,
) -> Built:
    """The reference of a run that draws 4 rows a step."""
    loss, rows, model = loss or mollm(), rows or ROWS, model or llama()
    settings = Engine(batch_size=4, **(engine or {}))
    streams = {role: Stream(rows[role], 4, seed, 0) for role in loss.roles}
    plan = TrainingSet(loss, solver or DualSpaceMGDA(), direction or Direction(), rows, {}, loss.roles[0])
    described = SimpleNamespace(cache=True, content="ordinary")
    prepared: Any = SimpleNamespace(pad_id=0, loaded=dict.fromkeys(rows, described) | (loaded or {}))
    prepared.sets_of = lambda role: (retained or {}).get(role, {role: 1.0})
    request: Any = SimpleNamespace(model=Model("a/b", **description), engine=settings)
    said: list[str] = []
    seen: list[int] = []
    hook = model.register_forward_pre_hook(
        lambda m, args, given: seen.append(len(given["input_ids"])), with_kwargs=True
    )
    references = References(request, plan, prepared, streams, steps, run_dir, said.append)
    foretold, reference = references.kind, references.of(model, DEVICE)
    hook.remove()
    return Built(reference, foretold, said, sum(seen))


def kept(folder: Path) -> list[Path]:
    """The files under ``folder``."""
    return sorted(file for file in folder.rglob("*") if file.is_file())
