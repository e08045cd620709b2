"""Every loss at matched forgetting, with the same budget: `python -m benchmarks.quality` (`make bench-quality`).

Each contender gets three learning rates on seed 0; the best one is run on the other seeds. What is kept is read where
forgetting first reaches the oracle's, on two axes. Rows are appended to docs/benchmarks/quality.json as they come: a
restart skips what is there under the same settings and the same sources.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks import quality_tasks as tasks
from benchmarks.machine import machine
from benchmarks.quality_oracles import band, oracle
from benchmarks.quality_rows import append, best_rate, key, read, versions
from benchmarks.quality_run import Yardstick, composed, overrides, run, yardstick
from benchmarks.quality_table import into_page, markdown, pareto, table_lines
from benchmarks.quality_tasks import CONTENDERS, TUNING_SEED, VARIANTS, Contender, Task
from mollm_cli.launch.provenance import git_commit

BEST = 6
"""How many losses of the embedded table go on to Lily."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be run on one task, and where its rows are; tuned: whether the tuning seed is part of it."""

    task: Task
    contenders: tuple[Contender, ...]
    seeds: tuple[int, ...]
    out: Path
    any_code: bool = False
    tuned: bool = True

    def missing(self, contender: Contender, stamp: Mapping[str, str]) -> Iterator[tuple[int, float]]:
        """(seed, learning rate) of the next runs, read from the file as it is then: the tuning first."""
        if self.tuned:
            yield from ((TUNING_SEED, lr) for lr in self.task.rates if not self._there(contender, stamp, 0, lr))
        rate = best_rate(read(self.out)["rows"], self.task, contender.name)
        if rate is None:
            raise ValueError(f"{contender.name} has no row of seed {TUNING_SEED}; run it without --judge first")
        yield from ((seed, rate) for seed in self.seeds if not self._there(contender, stamp, seed, rate))

    def _there(self, contender: Contender, stamp: Mapping[str, str], seed: int, rate: float) -> bool:
        wanted = {"task": self.task.name, "loss": contender.name, "seed": seed, "learning_rate": rate, **stamp}
        known = {key(row, self.any_code) for row in read(self.out)["rows"]}
        return key(wanted, self.any_code) in known

    def cost(self, stamps: Mapping[str, Mapping[str, str]]) -> str:
        """What is ahead, at the most, in words."""
        runs = 0
        for contender in self.contenders:
            stamp, tries = stamps[contender.name], self.task.rates if self.tuned else ()
            runs += sum(not self._there(contender, stamp, TUNING_SEED, rate) for rate in tries)
            runs += sum(not any(self._there(contender, stamp, s, r) for r in self.task.rates) for s in self.seeds)
        steps = composed(overrides(self.task, self.contenders[0], 0, self.task.learning_rate))["engine"]["max_steps"]
        whole = len(self.contenders) * (self.tuned * len(self.task.rates) + len(self.seeds))
        return f"{runs} of {whole} runs are ahead, of at most {steps} steps each: at most {runs * steps} steps"


def go(plan: Plan, marks: Yardstick, stamps: Mapping[str, Mapping[str, str]], facts: Mapping[str, Any]) -> None:
    """Run what is missing, contender by contender; a line on stderr for each run."""
    for contender in plan.contenders:
        for seed, rate in plan.missing(contender, stamps[contender.name]):
            rows, _ = run(plan.task, contender, seed, rate, marks)
            append(plan.out, facts, "rows", [row | dict(stamps[contender.name]) for row in rows])
            for row in rows:
                found = f"{row['steps']:g} steps, {plan.task.compared} {row[plan.task.compared]:.4f}"
                said = found if row["reached"] else f"not reached in {found}"
                print(f"{contender.name} seed {seed} lr {rate:g}: {row['axis']}: {said}", file=sys.stderr, flush=True)


def tell(plan: Plan, page: Path | None) -> None:
    """Print the table; with ``page`` put it there, with the plot beside the page."""
    whole = read(plan.out)
    lines = table_lines(plan.task, CONTENDERS, whole["rows"], plan.seeds)
    others = table_lines(plan.task, (CONTENDERS[0], *VARIANTS), whole["rows"], plan.seeds)
    text, said = markdown(plan.task, lines), band(whole["oracles"], plan.task)
    more = markdown(plan.task, others) if len(others) > 1 else ""
    print(text, more, said, sep="\n\n")
    if page is None:
        return
    parts = [state(plan, lines), text, said and f"Seeds make oracles differ: {said}."]
    parts += [more and "The objectives of mollm under other solvers and settings, on the same seeds:", more]
    if any(line.complete(plan.task) for line in lines):
        plot = page.parent / f"quality-{plan.task.name}.svg"
        plot.write_text(pareto(plan.task, lines), encoding="utf-8")
        parts.append(f"![What is kept against what still leaks, of the losses that compete]({plot.name})")
    into_page(page, plan.task, "\n\n".join(part for part in parts if part))


def state(plan: Plan, lines: Sequence[Any]) -> str:
    """How much of the table there is, in words."""
    there = [line.loss for line in lines if len(line.seeds) == len(plan.seeds)]
    absent = [c.name for c in plan.contenders if c.name not in there]
    missing = f"; missing or incomplete: {', '.join(absent)}" if absent else ""
    return f"Seeds {plan.seeds[0]} to {plan.seeds[-1]}; complete: {len(there)} losses{missing}."


def six_best(out: Path) -> list[Contender]:
    """Of those that Lily has rows for, the losses that keep most on the embedded task."""
    embedded, lily = tasks.embedded(), tasks.lily()
    lines = table_lines(embedded, CONTENDERS, read(out)["rows"], embedded.seeds)
    names = [line.loss for line in lines if line.complete(embedded)]
    able = {c.name: c for c in CONTENDERS if c.typed(lily) is not None}
    return [able[name] for name in names if name in able][:BEST]


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line, with the plan; what cannot be run ends with exit code 2."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__.splitlines()[0])
    parser.add_argument("--task", choices=("embedded", "lily", "tofu"), default="embedded")
    names = ",".join(c.name for c in (*CONTENDERS, *VARIANTS))
    parser.add_argument("--losses", help=f"some of {names}; default: the losses (lily: the six best)")
    parser.add_argument("--variants", action="store_true", help="mollm and its objectives under other solvers instead")
    parser.add_argument("--seeds", help="default: 1,2,3,4,5 (lily: 1,2,3)")
    parser.add_argument("--judge", action="store_true", help="the fresh seeds 11-15, of mollm unless --losses; once")
    parser.add_argument("--any-code", action="store_true", help="take rows that other sources made for the same run")
    parser.add_argument("--oracles", default="", help="seeds of oracles to make and measure first (embedded), e.g. 1,2")
    parser.add_argument("--model", help="tofu: a model that has learnt TOFU's forget10 and retain90 (mollm-finetune)")
    parser.add_argument("--oracle", help="tofu: one that has learnt retain90 alone")
    parser.add_argument("--table", action="store_true", help="run nothing, show what is there")
    parser.add_argument("--page", type=Path, help="put table and plot there too, e.g. docs/BENCHMARKS.md")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks/quality.json"))
    chosen = parser.parse_args(given)
    try:
        chosen.oracles = [int(seed) for seed in chosen.oracles.split(",") if seed]
        chosen.plan = planned(chosen)
    except ValueError as refused:
        parser.error(str(refused))
    return chosen


def planned(chosen: argparse.Namespace) -> Plan:
    """The plan that the command line asks for. Raises ValueError."""
    if chosen.task != "embedded" and not tasks.SHARED.is_dir():
        raise ValueError(f"--task {chosen.task} reads {tasks.SHARED}, found no such folder; leave --task out")
    if chosen.task == "tofu" and not (chosen.model and chosen.oracle):
        raise ValueError("--task tofu needs --model DIR and --oracle DIR, two runs of mollm-finetune data=tofu")
    if chosen.oracles and chosen.task != "embedded":
        raise ValueError(f"--oracles are made for --task embedded alone, found --task {chosen.task}; leave it out")
    made = {"embedded": tasks.embedded, "lily": tasks.lily, "tofu": lambda: tasks.tofu(chosen.model, chosen.oracle)}
    task = made[chosen.task]()
    contenders = _contenders(chosen, task)
    if not contenders:
        raise ValueError("--task lily takes the six best of the embedded table, found none; set --losses, or run that")
    seeds = task.fresh_seeds if chosen.judge else task.seeds
    if chosen.seeds:
        seeds = tuple(int(seed) for seed in chosen.seeds.split(","))
    return Plan(task, tuple(contenders), seeds, chosen.out, chosen.any_code, not chosen.judge)


def _contenders(chosen: argparse.Namespace, task: Task) -> list[Contender]:
    names = chosen.losses.split(",") if chosen.losses else ["mollm"] if chosen.judge else None
    able = {c.name: c for c in (*CONTENDERS, *VARIANTS) if c.typed(task) is not None}
    if names is None and chosen.variants:
        names = [name for name, contender in able.items() if contender.variant or name == "mollm"]
    if names is None and task.name == "lily":
        return six_best(chosen.out)
    for name in names or ():
        if name not in able:
            raise ValueError(f"--losses: no '{name}' on task {task.name}; losses: {', '.join(able)}")
    return [able[name] for name in names or able if names or not able[name].variant]


def refuse_second_look(plan: Plan, stamps: Mapping[str, Mapping[str, str]]) -> None:
    """Fresh seeds are fresh once. Raises ValueError where other sources or settings have been judged on them."""
    for row in read(plan.out)["rows"]:
        fresh = row["task"] == plan.task.name and row["seed"] in plan.task.fresh_seeds
        stamp = stamps.get(row["loss"])
        if fresh and stamp is not None and {k: row[k] for k in stamp} != dict(stamp):
            raise ValueError(
                f"--judge looks at seeds {plan.task.fresh_seeds[0]} to {plan.task.fresh_seeds[-1]} once, found "
                f"{row['loss']} judged there by sources {row['code']}. Judge on other seeds (--seeds 21,22,23,24,25) "
                "and say so"
            )


def main(given: Sequence[str] | None = None) -> None:
    """Say what it costs, run what is missing, print, write."""
    chosen = arguments(given)
    plan: Plan = chosen.plan
    if not chosen.table:
        torch.set_num_threads(1)
        stamps = {c.name: versions(plan.task, c) for c in plan.contenders}
        if chosen.judge and not chosen.seeds:
            try:
                refuse_second_look(plan, stamps)
            except ValueError as refused:
                sys.exit(str(refused))
        facts = {"machine": machine("cpu"), "commit": git_commit()}
        print(plan.cost(stamps), file=sys.stderr, flush=True)
        known = {(row["task"], row["seed"]) for row in read(plan.out)["oracles"]}
        for seed in chosen.oracles:
            if (plan.task.name, seed) not in known:
                append(plan.out, facts, "oracles", [oracle(plan.task, seed)])
        go(plan, yardstick(plan.task), stamps, facts)
    tell(plan, chosen.page)


if __name__ == "__main__":
    main()
