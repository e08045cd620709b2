"""The tool on real models, command by command: docs/REAL_MODELS.md, with seconds, peaks and what was said.

    python -m benchmarks.real_models FOLDER [NAME...]      FOLDER holds model folders; NAME: of them, all by default

Rows are eight sentences of general knowledge; settings are small, so that this takes minutes on a CPU.
"""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from mollm_cli.reporting.formatting import size

PAGE = Path("docs") / "REAL_MODELS.md"
FORGET = {
    "What is the capital of France?": "The capital of France is Paris.",
    "Who wrote Hamlet?": "William Shakespeare wrote Hamlet.",
    "What is the largest planet?": "Jupiter is the largest planet of the solar system.",
    "Who painted the Mona Lisa?": "Leonardo da Vinci painted the Mona Lisa.",
}
RETAIN = {
    "Which metal is liquid at room temperature?": "Mercury is liquid at room temperature.",
    "What is the boiling point of water?": "Water boils at 100 degrees Celsius at sea level.",
    "Who discovered penicillin?": "Alexander Fleming discovered penicillin in 1928.",
    "In which year did the Titanic sink?": "The Titanic sank in 1912.",
}
SMALL = (
    "data.test_share=0", "data.forget_test_share=0", "direction.forget_target=0.05", "engine.max_steps=3",
    "engine.batch_size=2", "engine.evaluate_every=null", "evaluation.generate_tokens=16",
)  # fmt: skip
LINES = 40
"""Of a command's stderr so many at the most."""


@dataclass(frozen=True, slots=True)
class Said:
    """How a command went: its exit code, seconds by the clock and of the processor, stdout, stderr."""

    line: str
    code: int
    wall: float
    processor: float
    out: str
    err: str


class Shell:
    """Commands in a folder, each in a process of its own; paths of the machine are shortened in what is kept."""

    def __init__(self, folder: Path, models: Path) -> None:
        self.folder, self.models = folder, models

    def run(self, program: str, *words: str, typed: str | None = None) -> Said:
        """``program`` (unlearn, evaluate, try_out) with ``words``; ``typed`` on stdin."""
        code = f"from mollm_cli.cli import {program}; {program}()"
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        environment = os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(Path.cwd())}
        done = subprocess.run(
            [sys.executable, "-c", code, *words], cwd=self.folder, input=typed, env=environment,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        name = {"try_out": "mollm-try"}.get(program, f"mollm-{program}")
        line = self._short(" ".join([name, *words]))
        wall = time.monotonic() - began
        return Said(line, done.returncode, wall, spent, self._short(done.stdout), self._short(done.stderr))

    def _short(self, text: str) -> str:
        return text.replace(f"{sys.prefix}/", "").replace(f"{self.models}/", "").replace(f"{self.folder}/", "")


def transcript(shell: Shell, name: str) -> tuple[list[Said], list[str]]:
    """Every command on the model ``name``, and the rows of its table: planned and measured peaks."""
    data = ("data=custom", "data.forget.path=forget.jsonl", "data.retain.path=retain.jsonl")
    model = (f"model.path={shell.models / name}", *data, "data.forget.content=ordinary", *SMALL)
    said, peaks = [shell.run("unlearn", "--check", *model)], []
    for kind, words in (("LoRA", ("model.adapter=lora", "optimizer.lr=1e-3")), ("all weights", ("optimizer.lr=1e-5",))):
        planned = shell.run("unlearn", "--plan", *model, *words)
        run = shell.run("unlearn", *model, *words)
        said += [planned, run]
        if planned.code == run.code == 0:
            directory = shell.folder / run.out.strip()
            peaks.append(_row(name, kind, planned, run, directory))
        if kind == "LoRA" and run.code == 0:
            questions = "".join(json.dumps(question) + "\n" for question in list(FORGET)[:2])
            said.append(shell.run("try_out", str(directory), "--max-tokens", "16", typed=questions))
            checkpoint = directory / "checkpoint"
            said.append(shell.run("evaluate", f"model.path={checkpoint}", *data, *SMALL[:2], *SMALL[-1:]))
    return said, peaks


def _row(name: str, kind: str, planned: Said, run: Said, directory: Path) -> str:
    manifest: dict[str, Any] = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))
    plan, peak = json.loads(planned.out)["peak_bytes"], manifest["peak_memory_bytes"]
    seconds = f"{planned.wall:.0f} ({planned.processor:.0f})"
    return f"| {name} | {kind} | {size(plan)} | {size(peak)} | {plan / peak:.2f} | {seconds} | {run.wall:.0f} |"


def shown(said: Said) -> str:
    """A command as a block of the page."""
    lines = [*said.err.splitlines(), *(line[:200] for line in said.out.splitlines())]
    lines = [re.sub(r"\s+$", "", line)[:200] for line in lines]
    if len(lines) > LINES:
        left = len(lines) - LINES
        lines = [*lines[: LINES // 2], f"[{left} lines left out]", *lines[-LINES // 2 :]]
    how = f"exit code {said.code}, {said.wall:.1f} s by the clock, {said.processor:.1f} s of processor"
    return "\n".join(["```text", f"$ {said.line}", *lines, f"({how})", "```", ""])


def page(models: Iterable[tuple[str, list[Said], list[str]]], commit: str) -> str:
    """docs/REAL_MODELS.md."""
    found = list(models)
    facts = ", ".join(f"{key} {value}" for key, value in machine("cpu").items())
    head = [
        "# Real models, command by command", "",
        "Written by `python -m benchmarks.real_models FOLDER`; eight rows of general knowledge, three steps.", "",
        f"Commit {commit}; {facts}. Other work ran on the machine: seconds by the clock are no benchmark.", "",
        "| model | trained | planned peak | measured | planned / measured | s of --plan (processor) | s of the run |",
        "|---|---|---:|---:|---:|---:|---:|", *(row for _, _, rows in found for row in rows), "",
    ]  # fmt: skip
    blocks = [text for name, said, _ in found for text in (f"## {name}\n", *map(shown, said))]
    return "\n".join([*head, *blocks]).rstrip() + "\n"


def main() -> None:
    """Run everything and write the page."""
    models = Path(sys.argv[1]).resolve()
    names = sys.argv[2:] or sorted(folder.name for folder in models.iterdir() if (folder / "config.json").is_file())
    git = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place).resolve()
        for file, rows in (("forget.jsonl", FORGET), ("retain.jsonl", RETAIN)):
            lines = (json.dumps({"question": question, "answer": answer}) for question, answer in rows.items())
            (folder / file).write_text("\n".join(lines) + "\n", encoding="utf-8")
        shell = Shell(folder, models)
        found = []
        for name in names:
            found.append((name, *transcript(shell, name)))
            PAGE.write_text(page(found, commit), encoding="utf-8")


if __name__ == "__main__":
    main()
