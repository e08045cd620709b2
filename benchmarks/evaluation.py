"""Where the time of an evaluation goes: `python -m benchmarks.evaluation` (`make bench-evaluation`).

Two evaluations, each `mollm-evaluate` in a process of its own, as a user runs it: the whole suite on the embedded
model, its authors and its oracle; and TOFU's rows (400 to forget, 400 to keep, 100 real authors, 117 world facts) from
../shared on a random Llama of five million parameters with the tokenizer of TinyStories-656K. A random model hardly
ever ends a text, so that each of its generations has full length. What is not a pass or a metric (imports, loading,
tokenising, the report) is the rest.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from benchmarks.report import write
from mollm_cli.configuration.choices import choices, config_dir
from mollm_cli.launch.provenance import git_commit

SHARED = Path(__file__).parents[2] / "shared"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
SHAPE = {
    "hidden_size": 256, "intermediate_size": 688, "num_hidden_layers": 6, "num_attention_heads": 8,
    "num_key_value_heads": 8, "head_dim": 32,
}  # fmt: skip
REST = "rest"
COMMAND = "from mollm_cli.cli import evaluate; evaluate()"


@dataclass(frozen=True, slots=True)
class Task:
    """One evaluation: what it is called, and the overrides of mollm-evaluate."""

    name: str
    overrides: tuple[str, ...]


def embedded(suite: str) -> Task:
    """The defaults: the embedded model, authors and oracle."""
    return Task(f"embedded, {suite}", (f"evaluation={suite}",))


def tofu(suite: str, shared: Path, folder: Path) -> Task:
    """TOFU's evaluation without holdout rows, which the published one does not have."""
    data = shared / "data" / "tofu"
    paths = {
        "forget.path": data / "forget10.json",
        "forget.perturbed": data / "forget10_perturbed.json",
        "retain.path": data / "retain_perturbed.json",
        "retain.perturbed": "null",
        "sets.real_authors.path": data / "real_authors_perturbed.json",
        "sets.world_facts.path": data / "world_facts_perturbed.json",
    }
    overrides = [f"data.{key}={value}" for key, value in paths.items()]
    model = (f"model.path={folder}", "model.weights=random")
    without = ("~data.holdout", "evaluation.membership=false")
    return Task(f"TOFU, {suite}", (f"evaluation={suite}", "data=tofu", *without, *overrides, *model))


def five_million(source: Path, folder: Path) -> int:
    """Write a Llama's config.json with ``source``'s tokenizer into ``folder``; returns its number of parameters."""
    import shutil

    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(source, **SHAPE)
    config.save_pretrained(folder)
    for name in TOKENIZER_FILES:
        shutil.copy(source / name, folder / name)
    with torch.device("meta"):
        return sum(p.numel() for p in AutoModelForCausalLM.from_config(config).parameters())


def timed(task: Task, threads: int, device: str, extra: Sequence[str] = ()) -> tuple[float, dict[str, Any]]:
    """(seconds from the start of the process to its end, the run's manifest). Raises RuntimeError where it fails."""
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": str(threads)}
    if device == "cpu":
        environment["CUDA_VISIBLE_DEVICES"] = ""
    with tempfile.TemporaryDirectory() as root:
        typed = [*task.overrides, f"output_root={root}", "data.cache=false", *extra]
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", COMMAND, *typed], env=environment, capture_output=True, text=True, check=False
        )
        seconds = time.perf_counter() - began
        if done.returncode != 0:
            raise RuntimeError(f"'{task.name}' ended with {done.returncode}: {done.stderr.strip()[-2000:]}")
        return seconds, json.loads((Path(done.stdout.strip()) / "manifest.json").read_text())


def row(task: Task, seconds: float, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """A line of the table: seconds and share of each part, the longest first, the rest last."""
    parts = dict(sorted(manifest["evaluation_seconds"].items(), key=lambda item: -item[1]))
    parts[REST] = max(seconds - sum(parts.values()), 0.0)
    return {
        "name": task.name,
        "rows": {name: loaded["rows"] for name, loaded in manifest["datasets"].items()},
        "device": manifest["device"],
        "seconds": seconds,
        "parts": parts,
        "shares": {name: part / seconds for name, part in parts.items()},
    }


def ratios(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """part/whole of every evaluation, and the wholes over the first one's."""
    shares = {
        f"{line['name']}, {part}/{line['name']}": share for line in rows for part, share in line["shares"].items()
    }
    first = rows[0]
    return shares | {f"{line['name']}/{first['name']}": line["seconds"] / first["seconds"] for line in rows[1:]}


def show(result: Mapping[str, Any]) -> None:
    """Print a table an evaluation."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=100)
    for line in result["rows"]:
        counts = ", ".join(f"{name} {count}" for name, count in line["rows"].items())
        console.print(f"{line['name']}: {line['seconds']:.1f} s ({counts})", highlight=False)
        table = Table()
        for heading in ("part", "seconds", "share"):
            table.add_column(heading, justify="left" if heading == "part" else "right")
        for part, seconds in line["parts"].items():
            table.add_row(part, f"{seconds:.2f}", f"{line['shares'][part]:.1%}")
        console.print(table)


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line; unknown suites end with exit code 2."""
    suites = choices("evaluation", [config_dir()])
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evaluation", description=__doc__.splitlines()[0])
    parser.add_argument("--suite", default="full", help="evaluation=NAME of the embedded model; default: full")
    parser.add_argument("--tofu-suite", default="tofu", help="evaluation=NAME of TOFU's rows; default: tofu")
    parser.add_argument("--limit", type=int, help="rows per set, to try the benchmark out; default: all")
    parser.add_argument("--threads", type=int, default=2, help="of the CPU; default: 2")
    parser.add_argument("--device", choices=("cpu", "auto"), default="cpu", help="auto: a GPU where there is one")
    parser.add_argument("--out", type=Path, default=Path("outputs/bench/evaluation.json"))
    chosen = parser.parse_args(given)
    for name in (chosen.suite, chosen.tofu_suite):
        if name not in suites:
            parser.error(f"no evaluation '{name}'; evaluations: {', '.join(suites)}")
    return chosen


def main(given: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    chosen = arguments(given)
    extra = [] if chosen.limit is None else [f"evaluation.limit={chosen.limit}"]
    with tempfile.TemporaryDirectory() as folder:
        tasks = [embedded(chosen.suite)]
        parameters = None
        if SHARED.is_dir():
            parameters = five_million(SHARED / "models" / "TinyStories-656K", Path(folder))
            tasks.append(tofu(chosen.tofu_suite, SHARED, Path(folder)))
        else:
            print(f"TOFU is left out: its rows and the tokenizer are not at {SHARED}", file=sys.stderr)
        rows = [row(task, *timed(task, chosen.threads, chosen.device, extra)) for task in tasks]
    result = {
        "machine": machine(rows[0]["device"]) | {"threads": chosen.threads},
        "commit": git_commit(),
        "limit": chosen.limit,
        "tofu_parameters": parameters,
        "rows": rows,
        "ratios": ratios(rows),
    }
    show(result)
    write(result, chosen.out)
    print(chosen.out)


if __name__ == "__main__":
    main()
