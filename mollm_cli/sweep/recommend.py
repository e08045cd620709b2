"""The outcome of a sweep: the best values by the rule of conf/sweep, as an experiment file for the next run."""

from __future__ import annotations

import re
import shlex
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mollm_cli.core.atomic import write_text
from mollm_cli.core.errors import RequestError
from mollm_cli.core.manifest import Manifest
from mollm_cli.core.printable import printable
from mollm_cli.core.safe_yaml import load_yaml
from mollm_cli.core.secrets import redacted
from mollm_cli.evaluation.verdict import DRIFTED
from mollm_cli.reporting.run_files import read_run
from mollm_cli.sweep.spec import SweepSpec

ENDED = ("completed", "gate_failed")
EXPERIMENT = "experiment"
STOPS = ("engine.max_steps", "engine.keep", "engine.stop_at_target")
"""Keys that a recommendation sets beside the parameters."""


@dataclass(frozen=True, slots=True)
class SweepTrial:
    """One job. values: of the parameters; others: what else was swept, but the seed. selection: its manifest's.

    drifted: its verdict says that the rest has moved, or that the forget rows can be had by asking otherwise.
    """

    values: tuple[tuple[str, Any], ...]
    others: tuple[tuple[str, Any], ...]
    experiment: str | None
    target: float | None
    selection: Mapping[str, Any]
    drifted: bool = False

    @property
    def reached(self) -> bool:
        """True if the kept evaluation is at or below the forget target."""
        forget = self.selection.get("forget_probability")
        return self.target is not None and forget is not None and forget <= self.target


@dataclass(frozen=True, slots=True)
class Setting:
    """The jobs that differ in the seed alone."""

    trials: tuple[SweepTrial, ...]

    @property
    def name(self) -> str:
        """``optimizer.lr=0.0001``."""
        return " ".join(f"{key}={value}" for key, value in self.trials[0].values)

    @property
    def reached(self) -> int:
        """The number of its jobs that reached the target."""
        return sum(trial.reached for trial in self.trials)

    @property
    def steps(self) -> int:
        """The latest stopping point of its jobs."""
        return max(int(trial.selection["step"]) for trial in self.trials)

    @property
    def retain(self) -> float | None:
        """The mean retain probability where all its jobs reached the target (0 without retain rows), else None."""
        if self.reached < len(self.trials):
            return None
        return statistics.mean(trial.selection["retain_probability"] or 0.0 for trial in self.trials)

    @property
    def drifted(self) -> bool:
        """True if one of its jobs has: such a setting is chosen where there is no other."""
        return any(trial.drifted for trial in self.trials)

    def told(self) -> str:
        """One line: "optimizer.lr=0.0001: reached the target in 2 of 2 runs, retain 0.981, by step 90"."""
        reached = f"{self.name}: reached the target in {self.reached} of {len(self.trials)} runs"
        return reached if self.retain is None else f"{reached}, retain {self.retain:.4f}, by step {self.steps}"


def trials(sweep_dir: Path, sweep: SweepSpec, swept: Sequence[str]) -> list[SweepTrial]:
    """The jobs in ``sweep_dir``, in their order; ``swept``: every key that had several values."""
    found = []
    for folder in sorted((p for p in sweep_dir.iterdir() if p.name.isdigit()), key=lambda p: int(p.name)):
        try:
            config = load_yaml((folder / "config.yaml").read_text(encoding="utf-8"), str(folder / "config.yaml"))
        except (OSError, ValueError, RequestError):
            continue
        manifest = Manifest.read(folder)
        others = [key for key in swept if key not in sweep.params and key != "seed"]
        selection = manifest.get("selection", {}) if manifest.get("status") in ENDED else {}
        found.append(
            SweepTrial(
                tuple((key, _value(config, key)) for key in sweep.params),
                tuple((key, _value(config, key)) for key in others),
                config["names"].get(EXPERIMENT),
                manifest.get("forget_target"),
                selection,
                _drifted(folder),
            )
        )
    return found


def _drifted(folder: Path) -> bool:
    try:
        verdict = (read_run(folder).metrics or {}).get("verdict") or {}
    except RequestError:  # what cannot be read says nothing
        return False
    return verdict.get("retain") in DRIFTED or verdict.get("forget") == "exposed"


def _value(config: Mapping[str, Any], key: str) -> Any:
    """The chosen option of a group, or the value at a dotted key."""
    if key in config["names"]:
        return config["names"][key]
    node: Any = config
    for part in key.split("."):
        node = node[part]
    return node


def recommend(sweep_dir: Path, sweep: SweepSpec, swept: Sequence[str], line: str) -> list[str]:
    """Write an experiment file for each combination of what else was swept; returns what there is to say, by line.

    line: what was typed and goes with any of them.
    """
    found = trials(sweep_dir, sweep, swept)
    said = []
    for others in dict.fromkeys(trial.others for trial in found):
        alike = [trial for trial in found if trial.others == others]
        settings = [
            Setting(tuple(t for t in alike if t.values == v)) for v in dict.fromkeys(trial.values for trial in alike)
        ]
        said += _judged(sweep_dir, sweep, settings, line)
    return said or [f"sweep={sweep.name} recommends nothing: no run has left its files in {sweep_dir}"]


def _judged(sweep_dir: Path, sweep: SweepSpec, settings: Sequence[Setting], line: str) -> list[str]:
    others = settings[0].trials[0].others
    told = [setting.told() for setting in settings]
    where = "".join(f"{key}={value}: " for key, value in others)
    good = [(setting.retain, setting) for setting in settings if setting.retain is not None]
    if not good:
        return [*told, f"{where}sweep={sweep.name} recommends nothing: no setting reached the forget target"]
    best = max(good, key=lambda pair: (not pair[1].drifted, pair[0]))[1]  # the first of equals
    name = re.sub(r"[^\w.=-]", "-", "_".join(("recommended", *(str(value) for _, value in others))))
    words = shlex.join((*_words(line), *(f"{key}={value}" for key, value in others)))
    command = f"mollm-unlearn --config-dir {shlex.quote(str(sweep_dir))} {EXPERIMENT}={name} {words}".rstrip()
    why = f"the highest retain probability of {len(good)} settings of {len(settings)} that reached the forget target"
    if any(setting.drifted for _, setting in good):
        why += ", all of them having drifted" if best.drifted else ", those that drifted left out"
    head = [f"{best.name} and {best.steps} steps, chosen by sweep={sweep.name}: {why}.", f"  {command}", *told]
    file = sweep_dir / EXPERIMENT / f"{name}.yaml"
    file.parent.mkdir(exist_ok=True)
    write_text(file, redacted(_experiment(best, head)), depth=2)
    return [*told, f"{where}sweep={sweep.name} recommends {best.name} engine.max_steps={best.steps}: {why}", command]


def _words(line: str) -> list[str]:
    """The words of what was typed: what sweep.json says of it may be anybody's."""
    try:
        return shlex.split(line)
    except ValueError:
        return [line]


def _experiment(best: Setting, head: Sequence[str]) -> str:
    """An experiment that repeats the best setting up to its stopping point, and keeps what it kept."""
    content: dict[str, Any] = {}
    parent = best.trials[0].experiment
    if parent is not None:
        content["defaults"] = [parent, "_self_"]
    stops = zip(STOPS, (best.steps, "target", False), strict=True)
    for key, value in (*best.trials[0].values, *stops):
        *path, last = key.split(".")
        node = content
        for part in path:
            node = node.setdefault(part, {})
        node[last] = value
    comment = "".join(f"# {' '.join(printable(text).splitlines())}\n" for text in head)
    return f"# @package _global_\n{comment}{yaml.safe_dump(content, sort_keys=False)}"
