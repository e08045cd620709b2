"""One run of the real benchmark: the command in a process of its own, or a plain loop; what it left is measured."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import real_rivals
from benchmarks.quality_run import composed
from benchmarks.real_files import Row
from benchmarks.real_measures import Measures
from benchmarks.real_methods import Method
from benchmarks.real_models import Said, Shell
from benchmarks.real_task import Task
from mollm_cli.configuration.request import TrainRequest, request
from mollm_cli.run.prepare import prepare

START = "start"
"""The method of the row that says what the untouched model does."""
LEAST = 1e-12
"""A probability below it counts as this: the logarithm of what a ruined model says must exist."""
SAID = 3
"""Plain questions whose answers are shown."""


@dataclass(frozen=True, slots=True)
class Bench:
    """A task, where its runs go, what forgetting is matched at, at most how many steps.

    measured: what else the columns of its rows hang on, in words.
    """

    task: Task
    out: Path
    target: float
    max_steps: int
    measured: str = ""

    def typed(self, method: Method, rate: float | None, seed: int) -> list[str]:
        """What follows mollm-unlearn, but for the directory."""
        goal = [f"direction.forget_target={self.target:.4g}", f"engine.max_steps={self.max_steps}", f"seed={seed}"]
        rates = [] if rate is None else [f"optimizer.lr={rate:g}"]
        return [f"model.path={self.task.model}", *self.task.typed, *goal, *method.typed, *rates]

    def settings(self, method: Method) -> str:
        """A hash of what is typed (rate and seed apart) and of the rows: a run under others is another run."""
        words = " ".join(self.typed(method, None, 0))
        for place, name in ((self.task.model, "MODEL"), (self.task.data, "DATA")):
            words = words.replace(str(place), name)
        return fingerprint(self.task, f"{words} {self.measured}")

    def run(self, method: Method, rate: float | None, seed: int, measures: Measures, before: Row) -> Row:
        """The row of one run. Raises RuntimeError with the last words of a command that fails."""
        way = self._looped if method.objective else self._commanded
        row = _head(method.name, rate, seed) | way(method, rate, seed, measures)
        row["drift"] = drift(row["columns"], before["columns"], self.task.held_out)
        return row

    def _commanded(self, method: Method, rate: float | None, seed: int, measures: Measures) -> Row:
        place = self.out / f"{method.name}-{seed}-{'auto' if rate is None else f'{rate:g}'}-{self.settings(method)}"
        words = [*self.typed(method, rate, seed), f"run_dir={place}", "resume=auto"]
        said = Shell(Path.cwd(), self.task.model.parent).run("unlearn", *words)
        if said.code != 0:
            raise RuntimeError(f"{said.line}\nended with exit code {said.code}:\n{said.err[-2000:]}")
        manifest = json.loads((place / "manifest.json").read_text(encoding="utf-8"))
        row = ended(manifest, said) | look(measures, loaded(place / "checkpoint"))
        shutil.rmtree(place)  # weights of a run that is measured: gigabytes, soon
        return row

    def _looped(self, method: Method, rate: float | None, seed: int, measures: Measures) -> Row:
        """The same rows, read as the command reads them, in a loop of its own."""
        assert method.objective is not None and rate is not None
        asked = request(composed(self.typed(method, rate, seed)), "unlearn")
        assert isinstance(asked, TrainRequest)
        prepared = prepare(asked)
        retain, _ = prepared.training("retain")
        looked = prepared.sample("forget", asked.engine.evaluate_limit)
        rows = real_rivals.Rows(
            prepared.encoded["forget"], retain, looked, prepared.pad_id, asked.engine.rows, self.target, self.max_steps
        )
        model = loaded(self.task.model)
        went = real_rivals.forget(model, measures.start, rows, real_rivals.OBJECTIVES[method.objective], rate, seed)
        return went | look(measures, model)


def ended(manifest: Mapping[str, Any], said: Said) -> Row:
    """How the run went, as its manifest says; seconds: of processor, with loading and its own evaluations."""
    reached = manifest["stopped_because"] == "forget_target"
    return {
        "commit": manifest["git_commit"],
        "reached": reached,
        "stopped": manifest["stopped_because"],
        "steps": manifest["steps"],
        "seconds": said.processor,
    }


def fingerprint(task: Task, words: str = "") -> str:
    """A hash of the model's name, of all rows and of ``words``."""
    state = hashlib.sha256(f"{task.model.name} {words}".encode())
    for file in sorted(task.data.rglob("*.jsonl")):
        state.update(file.read_bytes())
    return state.hexdigest()[:12]


def untrained_row(name: str, measures: Measures, model: Any, settings: str) -> Row:
    """The row of a model that no run has made: the start, an oracle."""
    return _head(name, None, None) | look(measures, model) | {"drift": 0.0, "settings": settings}


def look(measures: Measures, model: Any) -> Row:
    """The columns of ``model``, and what it answers."""
    return {"columns": measures(model), "said": measures.told(model, SAID)}


def loaded(folder: Path) -> Any:
    """The model of a folder in float32, for measuring."""
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True).eval()


def tokenizer(folder: Path) -> Any:
    """The tokenizer of a folder."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


def drift(columns: Mapping[str, float], start: Mapping[str, float], held_out: Sequence[str]) -> float:
    """KL on unseen text + the largest |log(p / p of the start)| of the ``held_out`` columns, nats."""
    return columns["kl"] + max(abs(math.log(max(columns[name], LEAST) / start[name])) for name in held_out)


def best_rate(rows: Sequence[Row], method: str, seed: int) -> float | None:
    """The rate of the tuning seed that reached the target with the least drift; else the one that forgot most.

    Ties go to the lower rate. None where there are no rows.
    """
    mine = [row for row in rows if (row["method"], row["seed"]) == (method, seed)]

    def merit(row: Row) -> tuple[float, ...]:
        return not row["reached"], row["drift"] if row["reached"] else row["columns"]["forget"], row["rate"]

    return min(mine, key=merit)["rate"] if mine else None


def _head(method: str, rate: float | None, seed: int | None) -> Row:
    return {"method": method, "rate": rate, "seed": seed}
