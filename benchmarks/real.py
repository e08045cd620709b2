"""One person forgotten from a real model, at matched forgetting: `python -m benchmarks.real` (`make bench-real`).

Each method stops where the forget rows are half as likely as at the start. One that needs a learning rate gets three on
the first seed, and the best of them on the others. Every run is the command in a process of its own, or a rival's plain
loop; the columns are measured from outside. Rows are appended to outputs/bench/real as they come, and a restart skips
what is there.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks import real_fetch, real_person
from benchmarks.machine import machine
from benchmarks.real_measures import Measures
from benchmarks.real_methods import METHODS, Method
from benchmarks.real_run import START, Bench, Row, best_rate, fingerprint, loaded, start_row
from benchmarks.real_table import into_page, markdown
from mollm_cli.launch.provenance import git_commit

OUT = Path("outputs") / "bench" / "real"
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
RATES = (3e-6, 1e-5, 3e-5)
SHARE = 0.5
"""Of the start's probability on the forget rows: where forgetting is matched."""
DEFAULT = ("mollm", "ga_kl", "npo", "open_unlearning_grad_diff_kl", "open_unlearning_npo")


def read(path: Path) -> list[Row]:
    """The rows of a file of JSON Lines; a last line that was cut off is left out. No rows where there is no file."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def append(path: Path, row: Row) -> None:
    """Add a row by a rename: a run that is cut off loses nothing that was there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text("".join(json.dumps(found) + "\n" for found in [*read(path), row]), encoding="utf-8")
    part.replace(path)


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
    parser.add_argument("--data", default=str(SHARED / "rwku"), help="a folder of RWKU persons (N_Name), or hub")
    parser.add_argument("--person", default="Vincent van Gogh", help="who is forgotten")
    parser.add_argument("--other", default="Confucius", help="of whom the model keeps what it says")
    parser.add_argument("--text", type=Path, default=SHARED / "wikitext2" / "test.txt", help="a file of general text")
    parser.add_argument("--methods", default=",".join(DEFAULT), help=f"some of {','.join(METHODS)}")
    parser.add_argument("--rates", default=",".join(f"{rate:g}" for rate in RATES), help="of what needs one")
    parser.add_argument("--seeds", default="0,1", help="the first is the one that rates are chosen on")
    parser.add_argument("--max-steps", type=int, default=60)
    parser.add_argument("--table", action="store_true", help="run nothing, show what is there")
    parser.add_argument("--page", type=Path, help="put the table there too, e.g. docs/BENCHMARKS.md")
    parser.add_argument("--out", type=Path, default=OUT, help="the folder of rows, data and runs")
    chosen = parser.parse_args(given)
    try:
        chosen.methods = [METHODS[name] for name in chosen.methods.split(",")]
        chosen.rates, chosen.seeds = _numbers(chosen.rates, float), _numbers(chosen.seeds, int)
    except KeyError as unknown:
        parser.error(f"--methods: no {unknown}; methods: {', '.join(METHODS)}")
    except ValueError as wrong:
        parser.error(f"--rates and --seeds are numbers with commas between: {wrong}")
    if not chosen.table and not chosen.text.is_file():
        parser.error(
            f"--text: no file {chosen.text}; give a plain text that is in no row, such as WikiText-2's test file"
        )
    if not chosen.table and chosen.data != "hub" and not Path(chosen.data).is_dir():
        parser.error(f"--data: no folder {chosen.data}; give one that holds RWKU's persons, or --data hub")
    return chosen


def _numbers(text: str, kind: Any) -> list[Any]:
    return [kind(number) for number in text.split(",")]


def person(name: str, data: str) -> real_person.Person:
    """The person of that name. Raises ValueError where the folder has none, or more than one."""
    if data == "hub":
        return real_person.from_hub(name)
    wanted = f"_{name.replace(' ', '_')}"
    found = [folder for folder in sorted(Path(data).iterdir()) if f"_{folder.name}".endswith(wanted)]
    if len(found) != 1:
        raise ValueError(f"{data} must hold one folder of '{name}' (N{wanted}), found {[f.name for f in found]}")
    return real_person.from_folder(found[0])


def go(chosen: argparse.Namespace, rows: Path, place: Path) -> None:
    """Run what is missing; a line on stderr for each run."""
    stamp = {"commit": git_commit(), "machine": machine("cpu"), "command": " ".join(sys.argv[1:])}
    model, data = real_fetch.fetched(chosen.model, chosen.models.resolve()), (place / "data").resolve()
    real_person.write(person(chosen.person, chosen.data), person(chosen.other, chosen.data), data)
    measures = Measures.of(loaded(model), tokenizer(model), data / "measured", chosen.text, retain="others")
    seen = fingerprint(model, data)
    begun = next((row for row in read(rows) if (row["method"], row["settings"]) == (START, seen)), None)
    if begun is None:
        begun = start_row(measures) | {"settings": seen} | stamp
        append(rows, begun)
    target = SHARE * begun["columns"]["forget"]
    bench = Bench(model, data, place.resolve(), target, chosen.max_steps)
    for method in chosen.methods:
        settings = bench.settings(method)
        for rate, seed in missing(rows, method, chosen.rates, chosen.seeds, settings):
            row = bench.run(method, rate, seed, measures, begun)
            append(rows, stamp | row | {"settings": settings, "target": target})
            how = f"{row['stopped']} after {row['steps']} steps, drift {row['drift']:.4f}"
            print(f"{method.name} seed {seed} rate {rate or 'auto'}: {how}", file=sys.stderr, flush=True)


def tokenizer(folder: Path) -> Any:
    """The tokenizer of a folder."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


def state(rows: Sequence[Row], title: str) -> str:
    """What was measured where, in words: target, commits, machine."""
    runs = [row for row in rows if row["method"] != START]
    commits = ", ".join(sorted({str(row["commit"])[:10] for row in runs or rows}))
    facts = ", ".join(f"{key} {value}" for key, value in rows[-1]["machine"].items() if key != "load_average")
    goal = f"Matched at a forget probability of {runs[-1]['target']:.4f}; {len(runs)} runs." if runs else "No runs."
    where = f"### {title}\n\nCommit {commits}; {facts}. Probabilities are per token, KL in nats per token."
    return f"{where} {goal}"


def main(given: Sequence[str] | None = None) -> None:
    """Run what is missing, print, write."""
    chosen = arguments(given)
    torch.set_num_threads(1)
    name = f"{chosen.model}-{chosen.person.lower().replace(' ', '-')}"
    place = chosen.out / name
    rows = chosen.out / f"{name}.jsonl"
    if not chosen.table:
        go(chosen, rows, place)
    found = read(rows)
    if not any(row["method"] == START for row in found):
        sys.exit(f"{rows} holds no row of the start; run it without --table first")
    title = f"{real_fetch.MODELS[chosen.model].folder}, {chosen.person} forgotten"
    text = "\n\n".join([state(found, title), markdown(found, list(METHODS), chosen.seeds[0])])
    print(text)
    if chosen.page:
        into_page(chosen.page, name, text)


if __name__ == "__main__":
    main()
