"""Resume points on disk: the state from which the engine goes on bit for bit, whole or not there at all.

A point is a folder, resume/step-NNNNNNNN, of safetensors and JSON. It is written under another name, brought to the
disk and renamed. Then it is read back, and only if it holds what its manifest says is the point before it removed.
"""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np
import torch

from mollm_cli.core.atomic import whole
from mollm_cli.core.errors import RequestError, RunError
from mollm_cli.core.owned_folder import opened
from mollm_cli.core.read_back import read_mapping, reading_back
from mollm_cli.engine.step import Stepper
from mollm_cli.gradients.trained import Trained
from mollm_cli.optimizers.optimizer_state import named_state, restore
from mollm_cli.resume.intact import damage, write_manifest
from mollm_cli.resume.shards import Shards

STATE, TENSORS = "state.json", "tensors.safetensors"
FILES = (STATE, TENSORS)
DEPTH = 2
"""The last parts of a path to resume/ that may be no links: the folder itself, and its run directory."""
SHAPE = {
    "step": int, "solver": dict, "optimizer": dict, "extra": {"inputs?": dict, "total_steps?": (int, NoneType)},
    "python_random": list, "numpy_random": list,
}  # fmt: skip
"""The shape of state.json."""
KEPT = "kept-{step:08d}.safetensors"
"""The trainable parameters of an evaluation that may become the checkpoint (engine.keep)."""


def save(folder: Path, step: int, stepper: Stepper, extra: dict[str, Any]) -> Path:
    """Write trainable parameters, optimizer, the solver's state and random generators to ``folder``/step-NNNNNNNN.

    extra: JSON of the caller's own.

    The point is read back from the disk before others are removed. Of several processes the first one writes; where
    they hold shards, all have to call this. Raises OSError, and RunError where the point does not read back as it was
    written; older points are untouched then.
    """
    from safetensors.torch import save_file

    final, parts = folder / f"step-{step:08d}", Shards(stepper.trained)
    # A whole point of this step stays: the state after a step is a function of the run.
    wanted = parts.agreed(damage(final, FILES) is not None)
    if wanted and not parts.writes:
        _tensors(stepper, parts)  # gathering shards takes every process
    if not parts.writes:
        return final
    if wanted:
        with whole(_there(final), DEPTH, anew=True) as temporary:
            temporary.mkdir()
            tensors, scalars = _tensors(stepper, parts)
            save_file(tensors, str(temporary / TENSORS))
            state = {"step": step, "solver": stepper.remembered, "optimizer": scalars, "extra": extra}
            state |= _plain_generators()
            (temporary / STATE).write_text(json.dumps(state), encoding="utf-8")
            write_manifest(temporary, final.name, FILES)
        if (found := damage(final, FILES)) is not None:
            raise RunError(
                f"a resume point must read back as it was written, found that of {final}, {found}; the point before "
                "it stays. Check the disk, then go on with resume=RUN_DIR"
            )
    _remove(folder, [other.name for other in _all(folder) if other != final])
    return final


def points(folder: Path, tell: Callable[[str], None] = lambda text: None) -> list[Path]:
    """The resume points in ``folder`` that are whole, oldest first; ``tell`` hears of the faults of others."""
    found = []
    for point in _all(folder):
        problem = damage(point, FILES)
        if problem is None:
            found.append(point)
        else:
            tell(f"warning: the resume point {point.name} is passed over: {problem}")
    return found


def load(
    folder: Path, stepper: Stepper, accept: Callable[[int, dict[str, Any]], None] = lambda step, extra: None
) -> tuple[int, dict[str, Any]]:
    """Put a resume point back into model, optimizer, solver and generators; returns (step, extra).

    folder: a point, or the folder of points, of which the newest whole one is taken.
    accept: raises, before anything is put back, where the run must not go on from this point.

    Raises RequestError where there is no point, or another model's.
    """
    from safetensors.torch import load_file

    found = [folder] if (folder / STATE).is_file() else points(folder)
    if not found:
        raise RequestError(f"{folder} holds no resume point to go on from; start the run again without resume.")
    with reading_back(found[-1] / STATE, "Remove that point, or start the run again without resume"):
        state = read_mapping(found[-1] / STATE, SHAPE)
    accept(int(state["step"]), state["extra"])
    tensors = load_file(str(found[-1] / TENSORS))
    _put_back(stepper.trained, tensors, found[-1])
    restore(stepper.optimizer, Shards(stepper.trained).shared_out(tensors), state["optimizer"])
    _set_generators(_device(stepper), Shards(stepper.trained), tensors, state)
    stepper.remembered.update(state["solver"])
    _carry_on(stepper, tensors)
    return int(state["step"]), state["extra"]


def keep(folder: Path, step: int, trained: Trained) -> Path:
    """Write the trainable parameters, as they are after ``step`` steps, to a file in ``folder``. Raises OSError.

    Of several processes the first one writes; where they hold shards, all have to call this.
    """
    from safetensors.torch import save_file

    final, parts = folder / KEPT.format(step=step), Shards(trained)
    tensors = parts.gathered(_parameters(trained))
    if parts.writes:
        with whole(_there(final), DEPTH) as temporary:
            save_file(tensors, str(temporary))
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


def put_back(folder: Path, step: int, trained: Trained) -> None:
    """Give ``trained`` the weights that ``keep`` wrote after ``step`` steps. Raises RequestError."""
    from safetensors.torch import load_file

    file = kept(folder, step)
    _put_back(trained, load_file(str(file)), file)


def keep_only(folder: Path, steps: Collection[int]) -> None:
    """Remove the files that ``keep`` wrote after other steps than ``steps``."""
    names = {KEPT.format(step=step) for step in steps}
    _remove(folder, [file.name for file in folder.glob("kept-*.safetensors") if file.name not in names])


def _all(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("step-*") if path.is_dir())


def _there(final: Path) -> Path:
    """``final``, its folder made if need be. The run directory is not made: one that was removed stays away."""
    with opened(final.parent, DEPTH, make=1):
        return final


def _remove(folder: Path, names: Sequence[str]) -> None:
    """Remove files that nobody needs; if the disk refuses, they stay until the next time."""
    with contextlib.suppress(OSError), opened(folder, DEPTH) as held:
        for name in names:
            with contextlib.suppress(OSError):
                held.remove(name)


def _tensors(stepper: Stepper, parts: Shards) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The tensors of a point, by name, and the scalars of the optimizer."""
    tensors, scalars = named_state(stepper.optimizer)
    tensors |= _parameters(stepper.trained) | _carried(stepper)
    return parts.gathered(tensors) | parts.generators(_generators(_device(stepper))), scalars


def _parameters(trained: Trained) -> dict[str, torch.Tensor]:
    named = zip(trained.names, trained.parameters, strict=True)
    return {f"model.{name}": p.detach().contiguous() for name, p in named}


def _put_back(trained: Trained, tensors: dict[str, torch.Tensor], source: Path) -> None:
    for k, name in enumerate(trained.names):
        stored = tensors.get(f"model.{name}")
        if stored is None or stored.shape != trained.whole[k].shape:
            raise RequestError(f"{source}: parameter {name} is missing or of another shape; same model and adapter?")
        with torch.no_grad():
            trained.parameters[k].copy_(trained.share(k, stored))
    trained.renew()


def _carried(stepper: Stepper) -> dict[str, torch.Tensor]:
    """The rows that the solver carries: "carried.NAME.K" for the K-th parameter, absent where nothing reached it."""
    rows = zip(stepper.solver.carries, stepper.carried, strict=True)
    return {f"carried.{name}.{k}": x.contiguous() for name, row in rows for k, x in enumerate(row) if x is not None}


def _carry_on(stepper: Stepper, tensors: dict[str, torch.Tensor]) -> None:
    """Give the solver the rows that it carries."""
    for name, row in zip(stepper.solver.carries, stepper.carried, strict=True):
        for k, parameter in enumerate(stepper.parameters):
            stored = tensors.get(f"carried.{name}.{k}")
            own = None if stored is None else stepper.trained.share(k, stored)
            # In memory of its own: the last bits of a product depend on how its factors are aligned.
            row[k] = None if own is None else torch.empty_like(parameter.detach()).copy_(own)


def _device(stepper: Stepper) -> torch.device:
    return stepper.parameters[0].device


def _generators(device: torch.device) -> dict[str, torch.Tensor]:
    """The states of the generators that a run on ``device`` draws from."""
    states = {"cpu": torch.get_rng_state()}
    return states | ({"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {})


def _plain_generators() -> dict[str, Any]:
    """Python's and NumPy's generators as JSON; nothing of ours draws from them, but a user's own parts may."""
    name, keys, *rest = np.random.get_state(legacy=True)
    return {"python_random": random.getstate(), "numpy_random": [name, [int(key) for key in keys], *rest]}


def _set_generators(
    device: torch.device, parts: Shards, tensors: dict[str, torch.Tensor], state: dict[str, Any]
) -> None:
    torch.set_rng_state(parts.generator(tensors, "cpu"))
    if "rng.cuda" in tensors and device.type == "cuda":
        torch.cuda.set_rng_state(parts.generator(tensors, "cuda"), device)
    version, numbers, drawn = state["python_random"]
    random.setstate((version, tuple(numbers), drawn))
    np.random.set_state(tuple(state["numpy_random"]))
