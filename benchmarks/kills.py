"""The embedded run, killed at random: `python -m benchmarks.kills` (`make kills`).

Rounds of ten SIGKILL and SIGTERM, at random steps, in starts and while a resume point is written, each round from the
first step to the last, the same command (`resume=auto run_dir=DIR`) typed again after every kill; the parameters at the
end are compared with those of a run that is left alone, byte by byte. Four rounds on one process; one on two processes,
of which one is killed. With --folder a round that is done is not done again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.report import show_grid, write
from benchmarks.soak import INTERVAL, KILLED, LINE, lived, rows, same
from benchmarks.soak_process import WHENS, planned

STEPS = 120
KILLS = 10
ROUNDS = {1: 4, 2: 1}
"""Number of processes -> rounds."""
EMBEDDED = tuple(text for text in LINE if not text.startswith("model.weights"))
LOST = (1, 143)
"""Exit codes of a run that has lost one of its processes by SIGKILL, and of one of which one was told to end."""


def command(processes: int) -> list[str]:
    """What is typed, but for the directory."""
    several = [f"engine.processes={processes}"] if processes > 1 else []
    return ["-m", "mollm_cli", "resume=auto", f"engine.max_steps={STEPS}", *EMBEDDED, *several]


def alone(processes: int, folder: Path) -> float:
    """The run that nothing happens to, in ``folder``/alone; how long it takes to its first step, in seconds."""
    file = folder / "alone.json"
    if not file.is_file():
        (life,) = lived(command(processes), folder / "alone", (), folder, 0.0)
        file.write_text(json.dumps(life.started or 1.0), encoding="utf-8")
    return float(json.loads(file.read_text(encoding="utf-8")))


def killed(processes: int, number: int, folder: Path) -> dict[str, Any]:
    """Round ``number``: its kills, and whether it came to the same."""
    file = folder / f"round-{number}.json"
    if not file.is_file():
        usual, run_dir = alone(processes, folder), folder / f"round-{number}"
        kills = planned(KILLS, STEPS, number, processes)
        lives = lived(command(processes), run_dir, kills, folder, usual, KILLED if processes == 1 else LOST)
        told = [row | {"rank": kill.rank} for row, kill in zip(rows(kills, lives), kills, strict=False)]
        found = {"rows": told, "identical": same(folder / "alone", run_dir)}
        file.write_text(json.dumps(found, indent=1), encoding="utf-8")
    result: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return result


def summary(rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The figures of the rounds of one number of processes."""
    told = [row for each in rounds for row in each["rows"]]
    return {
        "rounds": len(rounds),
        "kills_survived": len(told),
        "by_signal": {name: sum(row["signal"] == name for row in told) for name in ("SIGKILL", "SIGTERM")},
        "by_moment": {when: sum(row["when"] == when for row in told) for when in WHENS},
        "half_written_points": sum(row["half_written"] for row in told),
        "most_steps_lost": max((row["steps_lost"] for row in told), default=0),
        "seconds_to_end": statistics.median(row["seconds_to_end"] for row in told),
        "identical": {key: all(each["identical"][key] for each in rounds) for key in rounds[0]["identical"]},
    }


def failures(found: dict[str, dict[str, Any]]) -> list[str]:
    """What was to be shown and was not."""
    problems = []
    for processes, told in found.items():
        least = ROUNDS[int(processes)] * KILLS
        problems += [f"{processes}: {name} not the same" for name, holds in told["identical"].items() if not holds]
        if told["kills_survived"] < least:
            problems.append(f"{processes}: {told['kills_survived']} kills, must be {least}")
        if told["most_steps_lost"] > INTERVAL:
            problems.append(f"{processes}: {told['most_steps_lost']} steps lost at once, must be at most {INTERVAL}")
    return problems


def main() -> None:
    """Kill, print, write outputs/bench/kills.json (see --out); exit code 1 where something did not hold."""
    from benchmarks.machine import machine
    from mollm_cli.launch.provenance import git_commit

    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--folder", type=Path, help="where the runs stay, to go on with; default: nowhere")
    given.add_argument("--seconds", type=float, default=1e9, help="no other round begins after so long")
    given.add_argument("--out", type=Path, default=Path("outputs/bench/kills.json"))
    asked = given.parse_args()
    began, found, done = time.monotonic(), {}, []
    with tempfile.TemporaryDirectory() as name:
        for processes, count in ROUNDS.items():
            folder = (asked.folder or Path(name)).absolute() / f"processes-{processes}"
            folder.mkdir(parents=True, exist_ok=True)
            rounds = []
            for number in range(count):
                if time.monotonic() - began > asked.seconds:
                    raise SystemExit("not done yet: the same line goes on")
                rounds.append(killed(processes, number, folder))
            found[str(processes)] = summary(rounds)
            done += [row | {"processes": processes} for each in rounds for row in each["rows"]]
    problems = failures(found)
    write({"machine": machine("cpu"), "commit": git_commit(), "rows": done, "summary": found, "ratios": {}}, asked.out)
    for processes, told in found.items():
        show_grid(f"{processes} process(es)", ("figure", "value"), [(key, json.dumps(v)) for key, v in told.items()])
    if problems:
        raise SystemExit("; ".join(problems))


if __name__ == "__main__":
    main()
