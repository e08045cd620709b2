"""Peak memory of every objective at V = 128k, T = 512: `python -m benchmarks.loss_memory`, part of `make bench`.

Chunked, as the engine does it, against plain: the same objective on float32 logits [T, V] that are computed whole. What
is measured is the loss alone, forward and backward: what enters the head and the head's weight are there before it, and
their gradients, which both forms leave behind, are not counted. Every number comes from a process of its own.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.alone import alone
from benchmarks.machine import machine
from benchmarks.memory import peak_on_cpu, peak_on_cuda
from benchmarks.report import merge
from mollm_cli.core.chunked import LinearHead
from mollm_cli.core.outputs import Outputs
from mollm_cli.core.target_states import TargetStates
from mollm_cli.core.types import Objective
from mollm_cli.launch.provenance import git_commit
from mollm_cli.losses.ceu import ceu
from mollm_cli.losses.dpo import dpo
from mollm_cli.losses.ga import ga
from mollm_cli.losses.mollm import mollm
from mollm_cli.losses.mollm_pair import mollm_pair
from mollm_cli.losses.npo import npo
from mollm_cli.losses.pdu import pdu
from mollm_cli.losses.satimp import satimp
from mollm_cli.losses.simnpo import simnpo
from mollm_cli.losses.undial import undial
from mollm_cli.losses.wga import wga

VOCABULARY = 128_000
TARGETS = 512
HIDDEN = 64
"""Small, to be quick: what is counted does not depend on it but for [T, H]."""
FORMS = ("plain", "chunked")
HEADS = ("trained", "frozen")
RATIO = "memory:loss_chunked/loss_plain"
TABLES = (
    ga(), mollm(), mollm_pair(), npo(), simnpo(), dpo(), undial(), ceu(), wga(), satimp(), pdu(eps=1.0),
)  # fmt: skip
OBJECTIVES: dict[str, Objective] = {o.name: o for table in TABLES for o in table.objectives}
"""Every objective that reads logits."""


def leaves(head: str, device: str, seed: int, targets: int, vocabulary: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Random states [targets, H] and a random head [vocabulary, H] that may get gradients."""
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(targets, HIDDEN, generator=generator).to(device)
    weight = torch.randn(vocabulary, HIDDEN, generator=generator).to(device)
    return hidden.div_(HIDDEN).requires_grad_(), weight.requires_grad_(head == "trained")


def outputs(
    objective: Objective, form: str, model: torch.Tensor, frozen: torch.Tensor, weight: torch.Tensor
) -> Outputs:
    """One role's outputs, of four sequences; plain: with logits [targets, vocabulary], also of the reference."""
    said, reference = TargetStates(model, LinearHead(weight)), TargetStates(frozen, LinearHead(weight.detach()))
    targets, device = len(model), model.device
    labels = torch.arange(targets, device=device) * 97 % len(weight)
    sequence = torch.arange(targets, device=device) * 4 // targets
    if form == "chunked":
        return Outputs(said, labels, sequence, 4, reference if objective.reference else None)
    return Outputs(said.logits, labels, sequence, 4, reference.logits if objective.reference else None)


def loss_peak_bytes(
    name: str, form: str, head: str, device: str, targets: int = TARGETS, vocabulary: int = VOCABULARY
) -> int:
    """The peak of one objective's forward and backward, beyond the gradients that it leaves."""
    objective = OBJECTIVES[name]
    given = [leaves(head, device, seed, targets, vocabulary) for seed, _ in enumerate(objective.roles)]
    frozen = torch.zeros(targets, HIDDEN, device=device)

    def step() -> None:
        read = {
            role: outputs(objective, form, hidden, frozen, weight)
            for role, (hidden, weight) in zip(objective.roles, given, strict=True)
        }
        objective.function(read)[0].backward()

    peak = (peak_on_cuda if device.startswith("cuda") else peak_on_cpu)(step)
    left = [leaf.grad for pair in given for leaf in pair if leaf.grad is not None]
    return peak - sum(gradient.numel() * gradient.element_size() for gradient in left)


def loss_peak_bytes_alone(name: str, form: str, head: str, device: str) -> int:
    """loss_peak_bytes in a process of its own. Raises RuntimeError where that fails, with the reason."""
    try:
        return alone(loss_peak_bytes, name, form, head, device)
    except Exception as error:
        raise RuntimeError(f"the memory of objective '{name}' could not be measured: {error}") from error


def rows(device: str = "cpu") -> list[dict[str, Any]]:
    """A line an objective and kind of head, with the bytes of both forms and their ratio."""
    lines = []
    for name in OBJECTIVES:
        for head in HEADS:
            chunked, plain = (loss_peak_bytes_alone(name, form, head, device) for form in ("chunked", "plain"))
            lines.append({"name": name, "head": head, "loss_chunked": chunked, "loss_plain": plain})
            lines[-1]["ratio"] = chunked / plain
    return lines


def ratios(lines: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The largest of all objectives and heads."""
    return {RATIO: max(line["ratio"] for line in lines)}


def main(given: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loss_memory", description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--out", type=Path, default=Path("outputs/bench/speed.json"))
    chosen = parser.parse_args(given)
    lines = rows(chosen.device)
    for line in lines:
        sizes = (f"{form} {line[f'loss_{form}'] / 2**20:7.1f} MiB" for form in FORMS)
        print(f"{line['name']:28} head {line['head']:8} {'  '.join(sizes)}  ratio {line['ratio']:.3f}")
    facts = {"machine": machine(chosen.device), "commit": git_commit(), "targets": TARGETS, "vocabulary": VOCABULARY}
    merge(chosen.out, "loss_memory", facts | {"rows": lines}, ratios(lines))
    print(chosen.out)


if __name__ == "__main__":
    main()
