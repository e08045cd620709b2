"""How far a sketched Gram matrix is from the exact one: `python -m benchmarks.sketch_error`.

The gradients of MOLLM's three objectives on one batch, sketched by maps of their own in every draw: element by element
(``CountSketch``), and as the engine does it, matrices as blocks (``MatrixSketch``). Root mean square over draws of
(s(g_i).s(g_j) - g_i.g_j) / |g_i||g_j|, the largest of i = j and the largest of i != j.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.contender import filled
from benchmarks.shapes import SHAPES
from benchmarks.workload import Workload, move
from mollm_cli.core.solution import Array
from mollm_cli.engine.batch_losses import BatchLosses, Forwards, role_groups
from mollm_cli.gradients.inner import GradientRow, grams
from mollm_cli.gradients.matrix_sketch import MatrixSketch
from mollm_cli.gradients.sketch import CountSketch
from mollm_cli.gradients.taps import Taps
from mollm_cli.losses.mollm import mollm
from mollm_cli.models.reference import Reference


def gradients(workload: Workload) -> tuple[torch.nn.Module, list[GradientRow]]:
    """(the model, a row an objective)."""
    model, loss = workload.model(), mollm()
    reference = Reference(model, "cache", filled(model, workload, loss, 1))
    move(model)
    batches = {role: [workload.batch_of(workload.rows(role, 0))] for role in loss.roles}
    losses = BatchLosses(Forwards(model, reference, loss), batches)
    rows: list[GradientRow] = [[] for _ in loss.objectives]
    for group in role_groups(loss.objectives):
        for values in losses.of(group):
            for k, (i, value) in enumerate(values):
                value.backward(retain_graph=k < len(values) - 1)
                rows[i] = [p.grad for p in model.parameters()]
                model.zero_grad(set_to_none=True)
    return model, rows


def error(sketches: Sequence[CountSketch], rows: Sequence[GradientRow], exact: Array) -> tuple[float, float]:
    """(of i = j, of i != j), over ``sketches``."""
    lengths, off = np.sqrt(np.diag(exact)), []
    for sketch in sketches:
        totals = torch.zeros((len(rows), sketch.buckets), dtype=torch.float64)
        for i, row in enumerate(rows):
            for k, part in enumerate(row):
                if part is not None:
                    sketch.add(totals[i], k, part)
        off.append(((totals @ totals.T).numpy() - exact) / np.outer(lengths, lengths))
    found = np.sqrt(np.mean(np.square(off), axis=0))
    return float(found.diagonal().max()), float((found - np.diag(found.diagonal())).max())


def main(given: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sketch_error", description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SHAPES, default="25m", help="parameters of the model")
    parser.add_argument("--buckets", type=int, nargs="+", default=[16_384, 65_536, 262_144])
    parser.add_argument("--draws", type=int, default=20)
    chosen = parser.parse_args(given)
    torch.set_num_threads(1)
    model, rows = gradients(Workload(chosen.size))
    parameters = list(model.parameters())
    exact, matrices = grams(rows, parameters)[0], Taps(model, parameters).matrices
    table = Table("buckets", "map", "i = j", "i != j", title=f"Gram matrix of {chosen.size}, {chosen.draws} draws")
    for buckets in chosen.buckets:
        for name, tapped in (("elements", frozenset[int]()), ("blocks", matrices)):
            made = [
                MatrixSketch([p.shape for p in parameters], tapped, buckets, torch.device("cpu"), seed=seed)
                for seed in range(chosen.draws)
            ]
            same, other = error(made, rows, exact)
            table.add_row(f"{buckets:,}", name, f"{same:.2%}", f"{other:.2%}")
    Console().print(table)


if __name__ == "__main__":
    main()
