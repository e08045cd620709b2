"""Running what has been checked, in a directory that nobody else has."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import hydra
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict, read_write

from mollm_cli.configuration.choices import config_dir
from mollm_cli.configuration.compose import composing, plain
from mollm_cli.configuration.request import request
from mollm_cli.core.atomic import write_text
from mollm_cli.core.endings import INTERRUPTED, end_by, tell
from mollm_cli.core.errors import OutputError, RequestError
from mollm_cli.core.privacy import FOLDER, as_asked
from mollm_cli.core.secrets import shown_override
from mollm_cli.launch.processes import to_start
from mollm_cli.launch.rank import RunSpec, run_here
from mollm_cli.launch.spawner import spawned

_WORST_FIRST = (*INTERRUPTED, 1, 2, 3)


def worst(codes: Iterable[int]) -> int:
    """The exit code of a sweep: interrupted before failed before refused before gate failed before done."""
    found = set(codes)
    return next((code for code in _WORST_FIRST if code in found), 1 if found - {0} else 0)


def claim(directory: Path, again: bool = False) -> Path:
    """Make ``directory`` for this run alone. again: it may exist. Raises RequestError."""
    try:
        with as_asked():  # the folders above it; a run may be shared
            directory.mkdir(mode=FOLDER, parents=True, exist_ok=again)
    except FileExistsError as taken:
        raise RequestError(
            f"the run directory must be new, found '{directory}'; no run writes into another's: leave hydra.run.dir "
            f"and hydra.sweep.dir out, or go on with resume={shlex.quote(str(directory))}"
        ) from taken
    except OSError as refused:
        raise RequestError(
            f"output_root must be a folder that can be written to, found '{directory}': {refused.strerror}; "
            "set output_root=DIR"
        ) from refused
    return directory.absolute()


def run_one(command: str, config: Mapping[str, Any], run_dir: Path, resume: str | None = None) -> int:
    """One run and its exit code; whatever goes wrong is said on stderr and never raised."""
    try:
        count = to_start(request(config, command))
        job = RunSpec(command, config, str(run_dir), resume, list(sys.argv))
        return spawned(count, job) if count > 1 else run_here(job)
    except BaseException as error:
        return tell(f"mollm-{command}", error).code


@dataclass(frozen=True, slots=True)
class _Composed:
    """In place of Hydra's loader of configurations: the one there is."""

    config: DictConfig

    def load_configuration(self, **_: Any) -> DictConfig:
        """Whatever is asked for."""
        return self.config


def launch(command: str, config_name: str, config: DictConfig, directory: Path) -> int:
    """Run ``config``, composed with its ``hydra`` node, as one job of Hydra's in ``directory``; returns the exit code.

    Hydra's own main composes once to see whether the job is one or many, and once more to run it.
    """
    outcome: list[int] = []
    with read_write(config.hydra), open_dict(config.hydra):
        config.hydra.run.dir, config.hydra.mode = str(directory), RunMode.RUN

    def task(cfg: DictConfig) -> None:
        outcome.append(_job(command, cfg, HydraConfig.get()))

    try:
        with composing():
            hydra_ = GlobalHydra.instance().hydra
            assert hydra_ is not None
            hydra_.config_loader = cast(ConfigLoader, _Composed(config))
            hydra_.run(config_name, task, [])
    except KeyboardInterrupt as stopped:
        outcome.append(end_by(stopped).code)
    except HydraException as refused:
        print(f"mollm-{command}: {refused}", file=sys.stderr)
        outcome.append(2)
    finally:
        _leave_no_empty(directory)
    return worst(outcome or [1])


def _leave_no_empty(directory: Path) -> None:
    """Remove a directory where nothing was written, a request refused before its first file, unless it is in use."""
    from mollm_cli.run.lock import held

    with held(directory) as alone, contextlib.suppress(OSError):
        if alone is not False:
            directory.rmdir()


def hide_secrets(file: Path) -> None:
    """Hydra writes what was typed into a file of the sweep, before its first job."""
    if file.is_file():
        lines = file.read_text(encoding="utf-8").splitlines()
        plain = (
            f"{dash}{shown_override(text)}" for dash, text in (re.findall(r"^(\s*- |)(.*)$", line)[0] for line in lines)
        )
        write_text(file, "".join(f"{line}\n" for line in plain))


def _job(command: str, cfg: DictConfig, settings: Any) -> int:
    try:
        config = plain(cfg, settings.runtime.choices)
    except RequestError as refused:
        return tell(f"mollm-{command}", refused).code
    return run_one(command, config, Path(settings.runtime.output_dir))


def hydra_main(task: Callable[[DictConfig], None], config_name: str, arguments: Sequence[str]) -> None:
    """Hydra's own main on our configuration folder; it reads sys.argv, and here it raises instead of exiting with 1."""
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.argv = [sys.argv[0], *arguments]
    hydra.main(version_base="1.3", config_path=str(config_dir()), config_name=config_name)(task)()


def exit_code(run_dir: Path) -> int:
    """What the manifest of ``run_dir`` says; 1 where there is none, or where the run has not ended."""
    try:
        code = json.loads((run_dir / "manifest.json").read_text(encoding="utf-8")).get("exit_code")
    except (OSError, ValueError):
        return 1
    return code if isinstance(code, int) else 1


@contextlib.contextmanager
def stdout_kept_for(directory: Path) -> Iterator[None]:
    """stdout carries ``directory``, once, at the end; whatever else is printed inside goes to stderr."""
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        if directory.is_dir():
            try:
                print(directory, flush=True)
            except OutputError as refused:  # how it ended is decided
                print(" ".join(filter(None, (str(directory), str(refused)))), file=sys.stderr)
