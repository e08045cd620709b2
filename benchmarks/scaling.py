"""Two processes at one step, beside two that know nothing of each other: `make bench-scaling`.

  torchrun --nproc-per-node 2 -m benchmarks.scaling

In every round, in an order that rotates: one process takes the step of the whole batch (the others wait), all take a
step of their part alone, all take the step of the whole batch together (engine.parallel=ddp). One thread a process,
fresh rows a round, the same for all three. Two that never communicate share memory and caches: what they reach together
is the most that two that do can reach.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from benchmarks.contender import EVERY_ROW, filled
from benchmarks.machine import machine
from benchmarks.report import show_grid, write
from benchmarks.shapes import SHAPES
from benchmarks.workload import CLIP_NORM, LR, Workload, move
from mollm_cli.core.solution import Solver
from mollm_cli.core.types import Loss
from mollm_cli.core.world import ALONE, World, join, leave
from mollm_cli.engine.step import Stepper
from mollm_cli.gradients.direction_settings import Direction
from mollm_cli.gradients.trained import Trained
from mollm_cli.launch.provenance import git_commit
from mollm_cli.losses.ga_kl import ga_kl
from mollm_cli.losses.mollm import mollm
from mollm_cli.models.reference import Reference
from mollm_cli.optimizers.rules import AdamW
from mollm_cli.solvers.dual_space_mgda import DualSpaceMGDA
from mollm_cli.solvers.weighted_sum import WeightedSum

LONGEST = 1800.0
"""Seconds that processes wait for one another: building comes before the first step."""


@dataclass(frozen=True)
class Watched(World):
    """A world that counts: bytes given to sums, and seconds in which the step waited for them."""

    spent: dict[str, float] = field(default_factory=lambda: {"seconds": 0.0, "bytes": 0.0})

    def sum_(self, tensor: torch.Tensor) -> torch.Tensor:
        self.begin_sum(tensor)()
        return tensor

    def begin_sum(self, tensor: torch.Tensor) -> Callable[[], None]:
        self.spent["bytes"] += tensor.numel() * tensor.element_size()
        began = time.perf_counter()
        wait = World.begin_sum(self, tensor)
        self.spent["seconds"] += time.perf_counter() - began

        def watched() -> None:
            began = time.perf_counter()
            wait()
            self.spent["seconds"] += time.perf_counter() - began

        return watched


@dataclass(frozen=True, slots=True)
class Variant:
    """A kind of step."""

    name: str
    loss: Callable[[], Loss]
    solver: Callable[[], Solver]
    direction: Direction


SKETCH = Direction(kl_budget=0.0, live_threshold=0.0, forget_target=None, gram="sketch")
VARIANTS = (
    Variant("mollm", mollm, DualSpaceMGDA, EVERY_ROW),
    Variant("mollm, gram=sketch", mollm, DualSpaceMGDA, SKETCH),
    Variant("ga_kl", ga_kl, WeightedSum, EVERY_ROW),
)


def stepping(variant: Variant, workload: Workload, turns: int, world: World) -> dict[str, Callable[[int], None]]:
    """By name ("one" where it is the first, "apart", "together"), what takes step number ``turn`` in this process."""
    cache = filled(workload.model(), workload, variant.loss(), turns)

    def stepper(world: World) -> Stepper:
        model = workload.model()
        reference = Reference(model, "cache", cache)
        move(model)
        trained, rule = Trained.of(model, world), AdamW().build(model.parameters())
        return Stepper(
            model, reference, variant.loss(), variant.solver(), variant.direction, rule, None, CLIP_NORM,
            workload.autocast, trained=trained,
        )  # fmt: skip

    def taking(stepper: Stepper, rank: int, size: int) -> Callable[[int], None]:
        def take(turn: int) -> None:
            parts = {role: [workload.batch_of(workload.rows(role, turn)[rank::size])] for role in ("forget", "retain")}
            stepper(parts, LR)

        return take

    named = {"apart": taking(stepper(ALONE), world.rank, world.size)}
    named["together"] = taking(stepper(world), world.rank, world.size)
    return named | ({"one": taking(stepper(ALONE), 0, 1)} if world.first else {})


def measure(variant: Variant, workload: Workload, rounds: int, world: Watched) -> list[dict[str, Any]]:
    """A line for each of "one", "apart" and "together", from the times of all processes; the first step warms up."""
    steps, kinds = stepping(variant, workload, rounds + 1, world), ["one", "apart", "together"]
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    waited: list[float] = []
    for turn in range(rounds + 1):
        for kind in kinds[turn % 3 :] + kinds[: turn % 3]:
            world.barrier()
            before, began = dict(world.spent), time.perf_counter()
            steps.get(kind, lambda turn: None)(turn)
            elapsed = time.perf_counter() - began
            if turn:
                seconds[kind].append(elapsed)
            if turn and kind == "together":
                waited.append(world.spent["seconds"] - before["seconds"])
                sent = world.spent["bytes"] - before["bytes"]
    everyone = world.everyones({"seconds": seconds, "waited": waited})
    tokens = 2 * workload.batch * workload.tokens
    lines = [_line(variant, kind, [each["seconds"][kind] for each in everyone], tokens) for kind in kinds]
    shares = [w / s for w, s in zip(waited, seconds["together"], strict=True)]
    lines[-1] |= {"communication_share": statistics.median(shares), "bytes_a_step": int(sent)}
    return lines


def _line(variant: Variant, kind: str, seconds: Sequence[Sequence[float]], tokens: int) -> dict[str, Any]:
    """seconds: of each process and round. The step has ended when the last process has; apart, rates add up."""
    if kind == "one":
        rates = [tokens / s for s in seconds[0]]
    elif kind == "apart":
        rates = [sum(tokens / len(seconds) / s for s in of_round) for of_round in zip(*seconds, strict=True)]
    else:
        rates = [tokens / max(of_round) for of_round in zip(*seconds, strict=True)]
    best, median = max(rates), statistics.median(rates)
    return {"name": variant.name, "kind": kind, "tokens_per_second": best, "median_tokens_per_second": median}


def ratios(lines: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Of the best rounds "NAME: together/apart" and "NAME: together/one", of medians "median:..."."""
    found = {}
    for prefix, key in (("", "tokens_per_second"), ("median:", "median_tokens_per_second")):
        rates = {(line["name"], line["kind"]): line[key] for line in lines}
        for name, kind in rates:
            if kind == "together":
                for other in ("apart", "one"):
                    found[f"{prefix}{name}: together/{other}"] = rates[name, kind] / rates[name, other]
    return found


def show(lines: Sequence[dict[str, Any]], found: dict[str, float]) -> None:
    """Print the table."""
    grid = []
    for line in lines:
        share = f"{line['communication_share']:.0%}" if "communication_share" in line else ""
        sent = f"{line['bytes_a_step'] / 1e6:.1f}" if "bytes_a_step" in line else ""
        rates = [f"{line[key]:.0f}" for key in ("tokens_per_second", "median_tokens_per_second")]
        grid.append([line["name"], line["kind"], *rates, share, sent])
    show_grid("Two processes at one step", ["step", "processes", "tokens/s", "median", "waiting", "MB summed"], grid)
    show_grid("Ratios", ["pair", "tokens/s"], [[pair, f"{value:.2f}"] for pair, value in found.items()])


def main(given: Sequence[str] | None = None) -> None:
    """Measure, print, write; started by torchrun, in every process."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SHAPES, default="25m", help="parameters of the model")
    parser.add_argument("--batch", type=int, default=16, help="rows per role, over all processes")
    parser.add_argument("--tokens", type=int, default=192, help="tokens of a row")
    parser.add_argument("--answer", type=int, default=48, help="how many of them are targets")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--variants", default=",".join(str(k) for k in range(len(VARIANTS))), help="by number")
    parser.add_argument("--out", type=Path, default=Path("outputs/bench/scaling.json"))
    chosen = parser.parse_args(given)
    torch.set_num_threads(1)
    workload = Workload(chosen.size, chosen.batch, chosen.tokens, chosen.answer)
    joined = join(LONGEST)
    world = Watched(joined.rank, joined.size, joined.local_rank, joined.device)
    lines = [
        line for k in chosen.variants.split(",") for line in measure(VARIANTS[int(k)], workload, chosen.rounds, world)
    ]
    if world.first:
        found = ratios(lines)
        facts = {"machine": machine("cpu"), "commit": git_commit(), "workload": asdict(workload)}
        write(facts | {"processes": world.size, "rounds": chosen.rounds, "rows": lines, "ratios": found}, chosen.out)
        show(lines, found)
    leave(joined)


if __name__ == "__main__":
    main()
