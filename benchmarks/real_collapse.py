"""Does the command collapse a model? `python -m benchmarks.real_collapse`: 20 short runs with no rate typed.

The same line, `mollm-unlearn model.path=... data=custom` and data files, on four models from 656,000 to 270 million
parameters, adapters and full weights, persons and seeds: a row a run. Rows are kept; a restart skips what is there.

A run collapsed where its numbers stopped being finite, where KL to the start on unseen text is beyond KL nats a token,
or where less than PLAIN of the plain questions that the start answers are still answered rightly.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks import real_fetch
from benchmarks.machine import machine
from benchmarks.real_collapse_data import Files, authors, person, stories
from benchmarks.real_files import Row, append, read
from benchmarks.real_measures import Measures
from benchmarks.real_models import Said, Shell
from benchmarks.real_run import loaded, tokenizer
from benchmarks.real_table import into_page, table
from benchmarks.real_task import SETTINGS
from mollm_cli.assets.locate import resolve
from mollm_cli.core.errors import NonFiniteError, RunError
from mollm_cli.engine.stopping import Stop
from mollm_cli.launch.provenance import git_commit

KL, PLAIN = 0.5, 0.8
ASKED = 20
"""Plain questions that a start must answer for its model to be judged by them."""
SHARED = Path(__file__).resolve().parents[2] / "shared"
OUT = Path("outputs") / "bench" / "collapse"
NOT_FINITE, REFUSED = "not finite", 2


@dataclass(frozen=True, slots=True)
class Case:
    """A run: the model's name, LoRA or all weights, what is forgotten, the seed."""

    model: str
    adapter: str
    forgets: str
    seed: int

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.model}-{self.adapter}-{self.forgets.lower().replace(' ', '-')}-{self.seed}"


PERSONS = ("Vincent van Gogh", "Confucius")
SUBJECTS: Mapping[str, tuple[tuple[str, ...], tuple[int, ...]]] = {
    "tiny": (("authors",), (0, 1)),
    "stories": (("Lily",), (0, 1)),
    "smollm2": (PERSONS, (0, 1)),
    "gemma": (PERSONS, (0,)),
}
"""By model, what it forgets and with which seeds."""
CASES = [
    Case(model, adapter, subject, seed)
    for model, (subjects, seeds) in SUBJECTS.items()
    for subject in subjects
    for adapter in ("lora", "none")
    for seed in seeds
]


def typed(model: Path | str, files: Files, case: Case, steps: int) -> list[str]:
    """What follows mollm-unlearn, but for the directory: small batches, and neither a rate nor a target."""
    own = [f"model.adapter={case.adapter}", f"engine.max_steps={steps}", f"seed={case.seed}"]
    return [f"model.path={model}", *SETTINGS, *files.typed, *own]


def settings(words: Sequence[str], files: Files) -> str:
    """A hash of what is typed and of the rows; folders apart."""
    state = hashlib.sha256(" ".join(word.rpartition("/")[2] for word in words).encode())
    for file in sorted(files.folder.rglob("*.*")):
        state.update(file.read_bytes())
    return state.hexdigest()[:12]


def run(case: Case, words: Sequence[str], place: Path, measures: Measures, start: Mapping[str, float]) -> Row:
    """The row of one run. Raises RuntimeError with the last words of one that failed, but for its numbers."""
    shutil.rmtree(place, ignore_errors=True)
    said = Shell(Path.cwd(), place.parent).run("unlearn", *words, f"run_dir={place}", "resume=auto")
    row = {"model": case.model, "adapter": case.adapter, "forgets": case.forgets, "seed": case.seed}
    row |= {"start": start["forget"], "seconds": round(said.processor, 1), "asked": len(measures.asked)}
    row |= how(said, place) | dict.fromkeys(("after", "ratio", "kl", "plain"))
    if said.code == 0:
        try:
            row |= columns(measures(loaded(place / "checkpoint")), start)
        except NonFiniteError as broken:
            row["stopped"] = NOT_FINITE
            print(broken, file=sys.stderr)
    shutil.rmtree(place, ignore_errors=True)
    return row | {"collapsed": collapsed(row)}


def how(said: Said, place: Path) -> Row:
    """steps, target, reached, stopped: as the manifest says, or that it was refused, or that it diverged."""
    if said.code == 0:
        manifest = json.loads((place / "manifest.json").read_text(encoding="utf-8"))
        stopped = manifest["stopped_because"]
        reached = stopped == "forget_target"
        return {"steps": manifest["steps"], "target": manifest["forget_target"], "stopped": stopped, "reached": reached}
    if said.code == RunError.exit_code and "finite" in _last(said.err):
        return {"steps": None, "target": None, "stopped": NOT_FINITE, "reached": False}
    if said.code == REFUSED:
        return {"steps": None, "target": None, "stopped": f"refused: {_last(said.err)}", "reached": False}
    raise RuntimeError(f"{said.line}\nended with exit code {said.code}:\n{said.err[-2000:]}")


def columns(after: Mapping[str, float], start: Mapping[str, float]) -> Row:
    """What became of the forget rows, of the rest (the share that moved furthest), of text and plain questions."""
    shares = [after[name] / start[name] for name in after if name.startswith(("others", "general"))]
    ratio = max(shares, key=lambda share: max(share, 1 / max(share, 1e-12)))
    return {"after": after["forget"], "ratio": ratio, "kl": after["kl"], "plain": after["plain"]}


def collapsed(row: Row) -> bool:
    """Whether this run ruined the model."""
    if row["stopped"] in (NOT_FINITE, Stop.RETAIN_COLLAPSED):
        return True
    if row["kl"] is None:
        return False
    plain = row["asked"] >= ASKED and row["plain"] < PLAIN
    return plain or not row["kl"] <= KL  # NaN is beyond it too


def _last(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), "")


def files_of(case: Case, chosen: argparse.Namespace, place: Path) -> Files:
    """The rows of a case, written to ``place``."""
    match case.model:
        case "tiny":
            return authors(place)
        case "stories":
            return stories(place, chosen.shared / "data" / "tinystories" / "tinystories.jsonl")
        case _:
            other = next(name for name in PERSONS if name != case.forgets)
            text = chosen.shared / "data" / "wikitext2" / "test.txt"
            return person(place, str(chosen.shared / "data" / "rwku"), case.forgets, other, text)


def model_of(name: str, chosen: argparse.Namespace) -> Path:
    """The folder of a model, fetched where it comes from the registry."""
    if name == "tiny":
        return resolve("embedded:tiny")
    return (
        chosen.shared / "models" / "TinyStories-656K" if name == "stories" else real_fetch.fetched(name, chosen.models)
    )


def go(chosen: argparse.Namespace, rows: Path) -> None:
    """Run what is missing; a line on stderr for each run. What runs share, start and rows, is loaded once."""
    stamp: Row = {"commit": git_commit(), "machine": machine("cpu")}
    shared: tuple[Any, ...] = ()
    for case in chosen.cases:
        place = (chosen.out / f"{case.model}-{case.forgets.lower().replace(' ', '-')}").resolve()
        if shared[:1] != (place,):
            files, model = files_of(case, chosen, place), model_of(case.model, chosen)
            shared = (place, files, model, None, None)
        words = typed(model, files, case, chosen.steps)
        seen = settings(words, files)
        if any((row["model"], row["settings"]) == (case.model, seen) for row in read(rows)):
            continue
        if shared[3] is None:
            start = loaded(model)
            folder, template = files.folder / "measured", files.template
            measures = Measures.of(start, tokenizer(model), folder, files.text, template=template)
            shared = (place, files, model, measures, measures(start))
        row = run(case, words, chosen.out.resolve() / case.name, *shared[3:])
        append(rows, stamp | row | {"settings": seen})
        print(f"{case.name}: {row['stopped']}, collapsed: {row['collapsed']}", file=sys.stderr, flush=True)


def markdown(rows: Sequence[Row]) -> str:
    """A line for each run, the last of each case, and how many collapsed."""
    last = {(row["model"], row["adapter"], row["forgets"], row["seed"]): row for row in rows}
    runs = [last[key] for case in CASES if (key := (case.model, case.adapter, case.forgets, case.seed)) in last]
    lines = [
        [
            row["model"], "LoRA" if row["adapter"] == "lora" else "all weights", row["forgets"], str(row["seed"]),
            *(_number(row[name], ".0f") for name in ("steps",)),
            *(_number(row[name], ".4f") for name in ("start", "after", "target")),
            "yes" if row["reached"] else row["stopped"].replace("|", "\\|")[:60],
            _number(row["ratio"], ".3f"), _number(row["kl"], ".4f"),
            _number(row["plain"] if row["asked"] >= ASKED else None, ".2f"), "**yes**" if row["collapsed"] else "no",
        ]
        for row in runs
    ]  # fmt: skip
    head = (
        "model", "trained", "forgets", "seed", "steps", "forget, start", "after", "target", "reached",
        "others, relative", "text KL", "plain questions", "collapsed",
    )  # fmt: skip
    commits = ", ".join(sorted({str(row["commit"])[:10] for row in runs}))
    reached, ruined = (sum(row[name] for row in runs) for name in ("reached", "collapsed"))
    said = f"{len(runs)} of {len(CASES)} runs, commit {commits}: {ruined} collapsed, {reached} reached their target."
    return f"{said}\n\n{table([head, *lines])}"


def _number(value: float | None, how: str) -> str:
    return "" if value is None else format(value, how)


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line; what cannot be run ends with exit code 2."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.real_collapse", description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(SUBJECTS), help="some of the models")
    parser.add_argument("--steps", type=int, default=8, help="of a run, at the most")
    parser.add_argument(
        "--models", type=Path, default=Path("outputs") / "models", help="where models are, or fetched to"
    )
    parser.add_argument("--shared", type=Path, default=SHARED, help="the folder of data/ and models/TinyStories-656K")
    parser.add_argument("--table", action="store_true", help="run nothing, show what is there")
    parser.add_argument("--page", type=Path, help="put the table there too, e.g. docs/BENCHMARKS.md")
    parser.add_argument("--out", type=Path, default=OUT, help="the folder of rows, data and runs")
    chosen = parser.parse_args(given)
    chosen.models = chosen.models.resolve()
    chosen.cases = [case for case in CASES if case.model in chosen.only.split(",")]
    if unknown := set(chosen.only.split(",")) - SUBJECTS.keys():
        parser.error(f"--only: no {', '.join(sorted(unknown))}; models: {', '.join(SUBJECTS)}")
    if not chosen.table and chosen.only != "tiny" and not (chosen.shared / "data").is_dir():
        parser.error(
            f"--shared: no folder {chosen.shared / 'data'}; give one that holds data/ and models/, or --only tiny"
        )
    return chosen


def main(given: Sequence[str] | None = None) -> None:
    """Run what is missing, print, write."""
    chosen = arguments(given)
    torch.set_num_threads(1)
    rows = chosen.out / "rows.jsonl"
    if not chosen.table:
        go(chosen, rows)
    found = read(rows)
    text = markdown(found)
    print(text)
    if chosen.page:
        into_page(chosen.page, "collapse", text)


if __name__ == "__main__":
    main()
