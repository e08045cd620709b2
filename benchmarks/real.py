"""One person forgotten from a real model, at matched forgetting: `python -m benchmarks.real` (`make bench-real`).

Each method stops where the forget rows are half as likely as at the start; with --task tofu, as likely as to an oracle.
One that needs a learning rate gets three on the first seed, and the best of them on the others. Every run is the
command in a process of its own, or a rival's plain loop; the columns are measured from outside. Rows are appended under
outputs/bench/real as they come, and a restart skips what is there.
"""

from __future__ import annotations

import argparse
import resource
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks import real_fetch
from benchmarks.machine import machine
from benchmarks.real_files import Row, append, read
from benchmarks.real_measures import TEXT_ROWS, Measures
from benchmarks.real_methods import METHODS, Method
from benchmarks.real_run import START, Bench, best_rate, fingerprint, loaded, tokenizer, untrained_row
from benchmarks.real_table import ORACLE, into_page, markdown, short
from benchmarks.real_task import SHARE, Task, person_task
from benchmarks.real_tofu import tofu_task
from mollm_cli.launch.provenance import git_commit

OUT = Path("outputs") / "bench" / "real"
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
RATES = (3e-6, 1e-5, 3e-5)
MINUTES = 40
ROWS = 16
"""Measured questions of a kind."""
FEW = ("mollm", "ga_kl", "open_unlearning_grad_diff_kl")
"""What is run unless --methods says otherwise; of SmolLM2, whose steps are shorter, a person's table has one more."""
SEED = 0


def missing(
    path: Path, method: Method, rates: Sequence[float], seeds: Sequence[int], settings: str
) -> Iterator[tuple[float | None, int]]:
    """(rate, seed) of the next runs, read from the file as it is then: the tuning on the first seed first."""

    def mine() -> list[Row]:
        return [row for row in read(path) if (row["method"], row["settings"]) == (method.name, settings)]

    for rate in rates if method.tuned else (None,):
        if (rate, seeds[0]) not in {(row["rate"], row["seed"]) for row in mine()}:
            yield rate, seeds[0]
    for seed in seeds[1:]:
        rate = best_rate(mine(), method.name, seeds[0])
        if (rate, seed) not in {(row["rate"], row["seed"]) for row in mine()}:
            yield rate, seed


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line; what cannot be run ends with exit code 2."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.real", description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=sorted(real_fetch.MODELS), default="smollm2")
    parser.add_argument(
        "--models", type=Path, default=Path("outputs") / "models", help="where models are, or fetched to"
    )
    parser.add_argument(
        "--task", choices=("person", "tofu"), default="person", help="tofu: forget01, after learning it"
    )
    parser.add_argument("--data", help="a folder of RWKU persons (N_Name), or hub; of TOFU's files with --task tofu")
    parser.add_argument("--person", default="Vincent van Gogh", help="who is forgotten")
    parser.add_argument("--other", default="Confucius", help="of whom the model keeps what it says")
    parser.add_argument("--text", type=Path, default=SHARED / "wikitext2" / "test.txt", help="a file of general text")
    parser.add_argument(
        "--methods", help=f"all, or some of {','.join(METHODS)}; default: what 40 minutes are enough for"
    )
    parser.add_argument("--rates", default=",".join(f"{rate:g}" for rate in RATES), help="of what needs one")
    parser.add_argument("--seeds", default=str(SEED), help="the first is the one that rates are chosen on")
    parser.add_argument("--max-steps", type=int, default=40)
    parser.add_argument("--rows", type=int, default=ROWS, help="measured questions of a kind; 0: all")
    parser.add_argument("--text-rows", type=int, default=TEXT_ROWS, help="measured windows of the text")
    parser.add_argument(
        "--minutes", type=float, default=MINUTES, help="of processor; no run begins that would pass them"
    )
    parser.add_argument("--table", action="store_true", help="run nothing, show what is there")
    parser.add_argument("--page", type=Path, help="put the table there too, e.g. docs/BENCHMARKS.md")
    parser.add_argument("--short", type=Path, help="put its short form there too, e.g. README.md")
    parser.add_argument("--out", type=Path, default=OUT, help="the folder of rows, data and runs")
    chosen = parser.parse_args(given)
    few = (*FEW, "open_unlearning_npo") if (chosen.task, chosen.model) == ("person", "smollm2") else FEW
    names = few if chosen.methods is None else METHODS if chosen.methods == "all" else chosen.methods.split(",")
    try:
        chosen.methods = [METHODS[name] for name in names]
        chosen.rates = _numbers(chosen.rates, float)
        chosen.seeds = _numbers(chosen.seeds, int)
    except KeyError as unknown:
        parser.error(f"--methods: no {unknown}; methods: {', '.join(METHODS)}")
    except ValueError as wrong:
        parser.error(f"--rates and --seeds are numbers with commas between: {wrong}")
    chosen.data = chosen.data or str(SHARED / ("tofu" if chosen.task == "tofu" else "rwku"))
    if not chosen.table and not chosen.text.is_file():
        parser.error(
            f"--text: no file {chosen.text}; give a plain text that is in no row, such as WikiText-2's test file"
        )
    if not chosen.table and chosen.data != "hub" and not Path(chosen.data).is_dir():
        parser.error(f"--data: no folder {chosen.data}; give one that holds RWKU's persons (or TOFU's files), or hub")
    return chosen


def _numbers(text: str, kind: Any) -> list[Any]:
    return [kind(number) for number in text.split(",")]


def name_of(chosen: argparse.Namespace) -> str:
    """What the rows, the folder and the place on a page are called."""
    return f"{chosen.model}-{'tofu' if chosen.task == 'tofu' else chosen.person.lower().replace(' ', '-')}"


def task_of(chosen: argparse.Namespace, place: Path) -> tuple[Task, Path | None]:
    """The task that was asked for, and its oracle where it has one; fetches and makes what is not there."""
    model, most = real_fetch.fetched(chosen.model, chosen.models.resolve()), chosen.rows or None
    if chosen.task == "tofu":
        return tofu_task(model, Path(chosen.data), place, name_of(chosen), most)
    return person_task(model, chosen.person, chosen.other, chosen.data, place, name_of(chosen), most), None


def go(chosen: argparse.Namespace, rows: Path, place: Path) -> None:
    """Run what is missing; a line on stderr for each run."""
    stamp = {"commit": git_commit(), "machine": machine("cpu"), "command": " ".join(sys.argv[1:])}
    task, oracle = task_of(chosen, place)
    stamp["title"] = task.title
    start, text_rows = loaded(task.model), chosen.text_rows
    measures = Measures.of(start, tokenizer(task.model), task.measured, chosen.text, task.retain, text_rows)
    measured = f"text {text_rows}"
    seen = fingerprint(task, measured)
    for name, folder in ((START, None), (ORACLE, oracle)):
        known = any((row["method"], row["settings"]) == (name, seen) for row in read(rows))
        if not known and (name == START or folder is not None):
            append(rows, stamp | untrained_row(name, measures, start if folder is None else loaded(folder), seen))
    begun = {row["method"]: row for row in read(rows) if row["settings"] == seen}
    target = begun[ORACLE]["columns"]["forget"] if oracle else SHARE * begun[START]["columns"]["forget"]
    bench = Bench(task, place.resolve(), target, chosen.max_steps, measured)
    longest = 0.0
    for method, rate, seed in ahead(chosen, bench, rows):
        if spent() + longest > 60 * chosen.minutes:
            print(
                f"{spent() / 60:.0f} minutes of processor are spent; the same line goes on from here", file=sys.stderr
            )
            return
        began = spent()
        row = bench.run(method, rate, seed, measures, begun[START])
        longest = max(longest, spent() - began)
        cost = {"whole_seconds": round(spent() - began, 1)}
        append(rows, stamp | row | cost | {"settings": bench.settings(method), "target": target})
        how = f"{row['stopped']} after {row['steps']} steps, drift {row['drift']:.4f}, {spent() - began:.0f} s"
        print(f"{method.name} seed {seed} rate {rate or 'auto'}: {how}", file=sys.stderr, flush=True)


def ahead(chosen: argparse.Namespace, bench: Bench, rows: Path) -> Iterator[tuple[Method, float | None, int]]:
    """(method, rate, seed) of what is missing: every method on the first seed before any on the second."""
    for seeds in (chosen.seeds[:1], chosen.seeds):
        for method in chosen.methods:
            for rate, seed in missing(rows, method, chosen.rates, seeds, bench.settings(method)):
                yield method, rate, seed


def spent() -> float:
    """Seconds of processor of this process and of those that it has started."""
    mine, theirs = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return mine.ru_utime + mine.ru_stime + theirs.ru_utime + theirs.ru_stime


def state(rows: Sequence[Row], title: str) -> str:
    """What was measured where, in words: target, commits, machine."""
    runs = [row for row in rows if row["method"] not in (START, ORACLE)]
    commits = ", ".join(sorted({str(row["commit"])[:10] for row in runs or rows}))
    facts = ", ".join(f"{key} {value}" for key, value in rows[-1]["machine"].items() if key != "load_average")
    goal = f"Matched at a forget probability of {runs[-1]['target']:.4f}; {len(runs)} runs." if runs else "No runs."
    where = f"### {title}\n\nCommit {commits}; {facts}. Probabilities are per token, KL in nats per token."
    return f"{where} {goal}"


def main(given: Sequence[str] | None = None) -> None:
    """Run what is missing, print, write."""
    chosen = arguments(given)
    torch.set_num_threads(1)
    name = name_of(chosen)
    rows = chosen.out / f"{name}.jsonl"
    if not chosen.table:
        go(chosen, rows, chosen.out / name)
    found = read(rows)
    if not any(row["method"] == START for row in found):
        sys.exit(f"{rows} holds no row of the start; run it without --table first")
    title = found[-1].get("title", name)
    text = "\n\n".join([state(found, title), markdown(found, list(METHODS), chosen.seeds[0])])
    print(text)
    if chosen.page:
        into_page(chosen.page, name, text)
    if chosen.short:
        few = short(found, chosen.seeds[0], title, command(chosen))
        into_page(chosen.short, f"{name} short", few, add=False)


def command(chosen: argparse.Namespace) -> str:
    """What is typed to make the table."""
    words = [] if chosen.model == "smollm2" else [f"--model {chosen.model}"]
    words += ["--task tofu"] if chosen.task == "tofu" else [f'--person "{chosen.person}" --other "{chosen.other}"']
    return " ".join(["python -m benchmarks.real", *words])


if __name__ == "__main__":
    main()
