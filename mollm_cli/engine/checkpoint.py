"""resume/: what the engine needs to go on bit for bit. Safetensors and JSON, written whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch

from mollm_cli.core.errors import RequestError
from mollm_cli.engine.optimizer_state import named_state, restore
from mollm_cli.engine.step import Stepper

STATE, TENSORS = "state.json", "tensors.safetensors"
KEPT = "kept-{step:08d}.safetensors"
"""The trainable parameters of an evaluation that may become the checkpoint (engine.keep)."""


def save(folder: Path, step: int, stepper: Stepper, extra: dict[str, Any]) -> Path:
    """Write trainable parameters, optimizer, what the solver keeps and random generators to ``folder``/step-NNNNNNNN.

    A temporary name, fsync, rename; older points are removed after that. ``extra`` is JSON of the caller's own.
    """
    from safetensors.torch import save_file

    final = folder / f"step-{step:08d}"
    temporary = folder / f".step-{step:08d}.{os.getpid()}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    tensors, scalars = named_state(stepper.optimizer)
    tensors |= {f"model.{name}": p.detach().contiguous() for name, p in _trainable(stepper.model)}
    tensors |= {f"rng.{name}": value for name, value in _generators(_device(stepper)).items()}
    tensors |= _carried(stepper)
    save_file(tensors, str(temporary / TENSORS))
    state = {"step": step, "solver": stepper.state, "optimizer": scalars, "extra": extra}
    (temporary / STATE).write_text(json.dumps(state))
    for path in temporary.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    if final.exists():
        shutil.rmtree(final)
    temporary.rename(final)
    for old in points(folder):
        if old != final:
            shutil.rmtree(old, ignore_errors=True)
    return final


def points(folder: Path) -> list[Path]:
    """The resume points in ``folder``, oldest first."""
    return sorted(p for p in folder.glob("step-*") if (p / STATE).is_file() and (p / TENSORS).is_file())


def load(folder: Path, stepper: Stepper) -> tuple[int, dict[str, Any]]:
    """Put the newest resume point back into model, optimizer, solver and generators; returns (step, extra).

    Raises RequestError where there is none, or where it belongs to another model.
    """
    from safetensors.torch import load_file

    found = points(folder)
    if not found:
        raise RequestError(f"{folder} holds no resume point to go on from; start the run again without resume.")
    state = json.loads((found[-1] / STATE).read_text())
    tensors = load_file(str(found[-1] / TENSORS))
    _put_back(stepper.model, tensors, found[-1])
    restore(stepper.optimizer, tensors, state["optimizer"])
    torch.set_rng_state(tensors["rng.cpu"])
    device = _device(stepper)
    if "rng.cuda" in tensors and device.type == "cuda":
        torch.cuda.set_rng_state(tensors["rng.cuda"], device)
    stepper.state.update(state["solver"])
    _carry_on(stepper, tensors)
    return int(state["step"]), state["extra"]


def keep(folder: Path, step: int, model: Any) -> Path:
    """Write the trainable parameters, as they are after ``step`` steps, to a file in ``folder``, by a rename."""
    from safetensors.torch import save_file

    final = folder / KEPT.format(step=step)
    temporary = folder / f".{final.name}.{os.getpid()}"
    folder.mkdir(parents=True, exist_ok=True)
    save_file({f"model.{name}": p.detach().contiguous() for name, p in _trainable(model)}, str(temporary))
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.rename(final)
    return final


def kept(folder: Path, step: int) -> Path:
    """The file that ``keep`` wrote after ``step`` steps. Raises RequestError where it is gone."""
    file = folder / KEPT.format(step=step)
    if not file.is_file():
        raise RequestError(
            f"{folder} must hold the weights after step {step}, which engine.keep chose, found no {file.name}; "
            "start the run again without resume, or go on with engine.keep=last"
        )
    return file


def put_back(folder: Path, step: int, model: Any) -> None:
    """Give ``model`` the weights that ``keep`` wrote after ``step`` steps. Raises RequestError."""
    from safetensors.torch import load_file

    file = kept(folder, step)
    _put_back(model, load_file(str(file)), file)


def keep_only(folder: Path, steps: Collection[int]) -> None:
    """Remove what ``keep`` wrote after other steps than ``steps``."""
    names = {KEPT.format(step=step) for step in steps}
    for file in folder.glob("kept-*.safetensors"):
        if file.name not in names:
            file.unlink()


def _put_back(model: Any, tensors: dict[str, torch.Tensor], source: Path) -> None:
    with torch.no_grad():
        for name, parameter in _trainable(model):
            stored = tensors.get(f"model.{name}")
            if stored is None or stored.shape != parameter.shape:
                raise RequestError(
                    f"{source}: parameter {name} is missing or of another shape; same model and adapter?"
                )
            parameter.copy_(stored)


def _carried(stepper: Stepper) -> dict[str, torch.Tensor]:
    """The rows that the solver carries: "carried.NAME.K" for the K-th parameter, absent where nothing reached it."""
    rows = zip(stepper.solver.carries, stepper.carried, strict=True)
    return {f"carried.{name}.{k}": x.contiguous() for name, row in rows for k, x in enumerate(row) if x is not None}


def _carry_on(stepper: Stepper, tensors: dict[str, torch.Tensor]) -> None:
    """Copied to memory of its own: a product's last bits depend on how its factors are aligned."""
    for name, row in zip(stepper.solver.carries, stepper.carried, strict=True):
        for k, parameter in enumerate(stepper.parameters):
            stored = tensors.get(f"carried.{name}.{k}")
            row[k] = None if stored is None else torch.empty_like(parameter.detach()).copy_(stored)


def _trainable(model: Any) -> list[tuple[str, torch.nn.Parameter]]:
    return [(name, p) for name, p in model.named_parameters() if p.requires_grad]


def _device(stepper: Stepper) -> torch.device:
    device: torch.device = next(stepper.model.parameters()).device
    return device


def _generators(device: torch.device) -> dict[str, torch.Tensor]:
    """The states of the generators that a run on ``device`` draws from."""
    states = {"cpu": torch.get_rng_state()}
    return states | ({"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {})
