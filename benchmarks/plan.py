"""The memory plan against what is measured: `python -m benchmarks.plan [--sizes 5m,25m] [--tokens 192,512]`.

Per row and workload: the bytes of a step above model and optimizer, predicted from the configuration alone
(mollm_cli/engine/planner.py) and measured over the first two steps, so that what a stepper keeps for itself counts.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.contender import EVERY_ROW
from benchmarks.machine import machine
from benchmarks.memory import peak_on_cpu, peak_on_cuda
from benchmarks.report import write
from benchmarks.rows import FACTORS, ROWS, SKETCH
from benchmarks.shapes import SHAPES
from benchmarks.workload import Workload
from mollm_cli.core.solution import Solver
from mollm_cli.core.types import Loss
from mollm_cli.engine.engine_settings import Engine
from mollm_cli.engine.facts import Asking, Facts, Shape
from mollm_cli.engine.memory import tensor_bytes
from mollm_cli.engine.planner import plan
from mollm_cli.gradients.direction_settings import Direction
from mollm_cli.launch.provenance import git_commit
from mollm_cli.losses.ga import ga
from mollm_cli.losses.ga_kl import ga_kl
from mollm_cli.losses.mollm import mollm
from mollm_cli.models.model_settings import Model
from mollm_cli.models.reference import Kind
from mollm_cli.optimizers.rules import AdamW
from mollm_cli.solvers.dual_space_mgda import DualSpaceMGDA
from mollm_cli.solvers.weighted_sum import WeightedSum


@dataclass(frozen=True, slots=True)
class Planned:
    """What a row of benchmarks.rows is to the planner."""

    loss: Callable[[], Loss]
    reference: Kind = "none"
    solver: Callable[[], Solver] = WeightedSum
    direction: Direction = EVERY_ROW
    lora: bool = False

    def facts(self, workload: Workload) -> Facts:
        """The facts of one step of ``workload``."""
        loss = self.loss()
        shape = Shape(workload.batch, workload.tokens, workload.batch * workload.answer)
        model = Model(
            "random",
            dtype="bfloat16" if workload.precision == "bf16" else "float32",
            adapter="lora" if self.lora else "none",
        )
        engine = Engine(batch_size=workload.batch, precision="bf16" if workload.autocast else "float32")
        shapes = dict.fromkeys(loss.roles, shape)
        asking = Asking(workload.batch, workload.tokens, workload.batch * workload.answer, 0)
        return Facts(
            model, workload.config(), loss, self.solver(), self.direction, AdamW(), engine, shapes, asking,
            self.reference, "cuda" if workload.device.startswith("cuda") else "cpu",
        )  # fmt: skip


PLANNED = {
    "ga": Planned(ga),
    "ga_kl": Planned(ga_kl, "cache"),
    "ga_kl_copy": Planned(ga_kl, "copy"),
    "mollm": Planned(mollm, "cache", DualSpaceMGDA),
    "mollm_copy": Planned(mollm, "copy", DualSpaceMGDA),
    "mollm_sketch": Planned(mollm, "cache", DualSpaceMGDA, SKETCH),
    "mollm_factors": Planned(mollm, "cache", DualSpaceMGDA, FACTORS),
    "ga_kl_lora": Planned(ga_kl, "adapter_off", lora=True),
    "mollm_lora": Planned(mollm, "adapter_off", DualSpaceMGDA, lora=True),
}


def predicted_bytes(name: str, workload: Workload) -> int:
    """Of the step of row ``name``: reference, gradients, logits, activations; not what a card's allocator loses."""
    step = plan(PLANNED[name].facts(workload)).phases[0]
    return sum(term.size for term in step.terms if term.name not in ("weights", "optimizer state", "CUDA"))


def measured_bytes(name: str, workload: Workload) -> int:
    """The same, as allocated: reference, and the peak of two steps without the optimizer's state."""
    (row,) = [row for row in ROWS if row.name == name]
    contender = row.build(workload, 2)
    batches = [workload.batches(turn) for turn in range(2)]

    def steps() -> None:
        for each in batches:
            contender.step(each)

    peak = (peak_on_cuda if workload.cuda else peak_on_cpu)(steps)
    state = [x for kept in contender.optimizer.state.values() for x in kept.values() if isinstance(x, torch.Tensor)]
    return contender.reference_bytes + peak - tensor_bytes(state)


def compared(name: str, workload: Workload) -> dict[str, Any]:
    """One line of the table."""
    return {
        "name": name,
        "size": workload.size,
        "tokens": workload.tokens,
        "predicted_bytes": predicted_bytes(name, workload),
        "measured_bytes": measured_bytes(name, workload),
    }


def show(result: dict[str, Any]) -> None:
    """Print the table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="A step above model and optimizer", title_justify="left")
    for heading in ("row", "size", "tokens", "predicted MiB", "measured MiB", "predicted/measured"):
        table.add_column(heading, justify="left" if heading == "row" else "right")
    for row in result["rows"]:
        sizes = [f"{row[key] / 2**20:.1f}" for key in ("predicted_bytes", "measured_bytes")]
        table.add_row(row["name"], row["size"], str(row["tokens"]), *sizes, f"{result['ratios'][key_of(row)]:.3f}")
    Console(width=100).print(table)


def key_of(row: dict[str, Any]) -> str:
    """The name of a row's ratio."""
    return f"plan:{row['name']}@{row['size']}x{row['tokens']}"


def main(given: Sequence[str] | None = None) -> None:
    """Predict, measure, print the table, write outputs/bench/plan.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plan", description=__doc__)
    parser.add_argument("--rows", default=",".join(PLANNED), help=f"some of {','.join(PLANNED)}")
    parser.add_argument("--sizes", default="5m,25m", help=f"some of {','.join(SHAPES)}")
    parser.add_argument("--tokens", default="192,512")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--out", type=Path, default=Path("outputs/bench/plan.json"))
    chosen = parser.parse_args(given)
    if unknown := [name for name in chosen.rows.split(",") if name not in PLANNED]:
        parser.error(f"--rows: no row '{unknown[0]}'; rows: {', '.join(PLANNED)}")
    rows = [
        compared(name, Workload(size, tokens=int(tokens), device=chosen.device, precision=chosen.precision))
        for size in chosen.sizes.split(",")
        for tokens in chosen.tokens.split(",")
        for name in chosen.rows.split(",")
    ]
    ratios = {key_of(row): row["predicted_bytes"] / row["measured_bytes"] for row in rows}
    result = {"machine": machine(chosen.device), "commit": git_commit(), "rows": rows, "ratios": ratios}
    show(result)
    write(result, chosen.out)


if __name__ == "__main__":
    main()
