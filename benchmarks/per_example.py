"""The suite against a loop over rows: `python -m benchmarks.per_example`, part of `make bench`.

Both do what mollm-unlearn does at the end of a run (evaluation=quick): the embedded model on its sets, generation
included, with the oracle's scores at hand. They take turns, the best of each counts, and their values must be equal.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import machine, now
from benchmarks.plain_evaluation import evaluate_by_row
from benchmarks.report import merge
from mollm_cli.configuration.compose import compose_job, composing, plain, without_hydra
from mollm_cli.configuration.request import Request, request
from mollm_cli.core.types import Scored
from mollm_cli.data.load_dataset import Loaded
from mollm_cli.evaluation.measuring import evaluate
from mollm_cli.launch.provenance import git_commit
from mollm_cli.models.load_model import LoadedModel, load_model
from mollm_cli.run.evidence import plain_model
from mollm_cli.run.prepare import prepare

RATIO = "evaluation/per_example"
TOLERANCE = 1e-4
"""Relative: values are means over rows of exponentials of float32 log-probabilities."""

Values = Mapping[str, float | None]


class UnequalValuesError(RuntimeError):
    """The two evaluations do not come to the same values: their times may not be compared."""


@dataclasses.dataclass(frozen=True, slots=True)
class Task:
    """A model with its tokenizer, the sets, and the oracle's scores of them."""

    asked: Request
    model: LoadedModel
    sets: Mapping[str, Loaded]
    oracle: Mapping[str, Sequence[Scored]]

    def batched(self) -> Values:
        """The suite's way."""
        loaded = self.model
        return evaluate(loaded.model, loaded.tokenizer, self.sets, self.asked.evaluation, self.oracle).values

    def by_row(self) -> Values:
        """The loop's way."""
        loaded = self.model
        return evaluate_by_row(loaded.model, loaded.tokenizer, self.sets, self.asked.evaluation, self.oracle)


def embedded(overrides: Sequence[str], device: str) -> Task:
    """The embedded model, authors and oracle under mollm-unlearn's own suite."""
    with composing():
        job = compose_job("config", ["data.cache=false", *overrides])
        asked = request(plain(without_hydra(job), job.hydra.runtime.choices), "unlearn")
    prepared, suite = prepare(asked), asked.evaluation
    assert suite.oracle is not None
    oracle, model = (load_model(plain_model(path, asked.model), 0) for path in (suite.oracle, asked.model.path))
    for loaded in (oracle, model):
        loaded.model.to(device)
    scores = evaluate(oracle.model, oracle.tokenizer, prepared.sets, suite).scored
    return Task(asked, model, prepared.sets, scores)


def require_equal(fast: Values, slow: Values) -> None:
    """Raise UnequalValuesError unless both hold the same names and values, to rounding."""
    odd = sorted(fast.keys() ^ slow.keys())
    odd += [name for name in fast.keys() & slow.keys() if not _equal(fast[name], slow[name])]
    if odd:
        found = ", ".join(f"{name} {fast.get(name)} and {slow.get(name)}" for name in odd)
        raise UnequalValuesError(f"batched and by row must come to the same values, found {found}")


def _equal(a: float | None, b: float | None) -> bool:
    return a == b or (a is not None and b is not None and math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=1e-8))


def interleaved(task: Task, rounds: int, device: str) -> dict[str, list[float]]:
    """Seconds per round of both, in turns, the order changing; every round's values are held against each other."""
    ways: dict[str, Callable[[], Values]] = {"evaluation": task.batched, "per_example": task.by_row}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds):
        values: dict[str, Values] = {}
        for name in sorted(ways, reverse=bool(turn % 2)):
            began = now(device)
            values[name] = ways[name]()
            seconds[name].append(now(device) - began)
        require_equal(values["evaluation"], values["per_example"])
    return seconds


def main(given: Sequence[str] | None = None) -> None:
    """Measure, print, and put the ratio beside the others."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.per_example", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--limit", type=int, help="rows per set, to try the benchmark out; default: all")
    parser.add_argument("--threads", type=int, default=1, help="of the CPU")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path("outputs/bench/speed.json"))
    chosen = parser.parse_args(given)
    if chosen.rounds < 1:
        parser.error(f"--rounds must be at least 1, found {chosen.rounds}")
    torch.set_num_threads(chosen.threads)
    task = embedded([] if chosen.limit is None else [f"evaluation.limit={chosen.limit}"], chosen.device)
    seconds = interleaved(task, chosen.rounds, chosen.device)
    best = {name: min(found) for name, found in seconds.items()}
    ratio = best["evaluation"] / best["per_example"]
    facts: dict[str, Any] = {"machine": machine(chosen.device), "commit": git_commit(), "limit": chosen.limit}
    merge(chosen.out, "evaluation", facts | {"seconds": seconds, "minimum_seconds": best}, {RATIO: ratio})
    print(f"{RATIO}: {best['evaluation']:.2f} s / {best['per_example']:.2f} s = {ratio:.3f}")


if __name__ == "__main__":
    main()
