"""Resume points of several processes: whole tensors, which any number of processes goes on with."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from safetensors import safe_open

from mollm_cli.core.world import ALONE, World
from mollm_cli.losses.grad_diff import grad_diff
from mollm_cli.models.sharding import gathered
from mollm_cli.resume import checkpoint
from mollm_cli.solvers.projected_forget import ProjectedForget
from tests.support.processes import together
from tests.support.shares import Case, difference, numbers, stepper, through

CASE = Case(loss=grad_diff, solver=ProjectedForget)
"""AdamW's moments and a row that the solver carries."""


def saved(folder: Path, parallel: str, world: World):
    """Two steps, a point and kept weights, two more steps."""
    taken = stepper(CASE, world, parallel)
    lines = through(taken, CASE, world, 0, 2)
    if world.first or parallel == "fsdp":
        checkpoint.save(folder, 2, taken, {"mine": 1})
        checkpoint.keep(folder, 2, taken.trained)
    world.barrier()
    return lines + through(taken, CASE, world, 2, 4)


def gone_on(folder: Path, parallel: str, world: World):
    taken = stepper(CASE, world, parallel)
    through(taken, CASE, world, 4, 5)  # another state, which must leave no trace
    step, extra = checkpoint.load(folder, taken)
    assert (step, extra) == (2, {"mine": 1})
    lines = through(taken, CASE, world, 2, 4)
    checkpoint.put_back(folder, 2, taken.trained)
    model = gathered(taken.model)
    return {"lines": lines, "kept": None if model is None else numbers(model)}


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["ddp", pytest.param("fsdp", marks=pytest.mark.slow)])
def test_a_point_goes_on_with_as_many_processes_and_with_others(tmp_path, parallel):
    alone = tmp_path / "alone"
    whole = saved(alone, "none", ALONE)
    lines = together(2, partial(saved, tmp_path / "two", parallel))[0]
    assert difference(whole, lines) < 1e-10
    again = together(2, partial(gone_on, tmp_path / "two", parallel))[0]
    assert again["lines"] == lines[2:]
    one, three = gone_on(tmp_path / "two", "none", ALONE), together(3, partial(gone_on, alone, parallel))[0]
    for other in (one, three):
        assert difference(whole[2:], other["lines"]) < 1e-10
        assert difference(other["kept"], again["kept"]) < 1e-12


def test_shards_are_written_as_whole_tensors(tmp_path):
    saved(tmp_path / "alone", "none", ALONE)
    together(2, partial(saved, tmp_path / "two", "fsdp"))
    shapes = []
    for folder in ("alone", "two"):
        with safe_open(tmp_path / folder / "step-00000002" / "tensors.safetensors", "pt") as file:
            shapes.append({name: file.get_slice(name).get_shape() for name in file.keys()})  # noqa: SIM118
    assert shapes[1].pop("rng.cpu.1") == shapes[0]["rng.cpu"]
    assert shapes[0] == shapes[1]
    assert not list(tmp_path.glob("two/.*"))
