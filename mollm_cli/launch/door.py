"""The one door into a run: fresh or gone on with, alone or with ranks, of a command line or of a sweep."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mollm_cli.core.allowed import Allowed, allowing
from mollm_cli.core.budget import spending
from mollm_cli.core.endings import AS_IT_WAS, NOTHING_KEPT, End, if_stopped
from mollm_cli.core.errors import OutputError, RequestError
from mollm_cli.core.privacy import FOLDER, as_asked
from mollm_cli.launch.ending import ended
from mollm_cli.launch.lock import held
from mollm_cli.launch.processes import to_start
from mollm_cli.launch.run_spec import RunSpec
from mollm_cli.launch.spawner import spawned

if TYPE_CHECKING:
    from mollm_cli.launch.process_group import ProcessGroup
    from mollm_cli.run.context import Body


def enter(spec: RunSpec) -> int:
    """Run ``spec``, in this process and those that are there with it or in processes of its own; the exit code.

    Whatever goes wrong is told on stderr and never raised. Where nothing was written, no directory is left.
    """

    def answer() -> int:
        with allowing(Allowed.from_plain(spec.allowed)):
            count = to_start(spec.request)
        return spawned(count, spec) if count > 1 else _here(spec)

    try:
        with typed(spec.typed):
            return ended(spec.program, _stoppable(spec, answer)).code
    finally:
        _leave_no_empty(Path(spec.run_dir))


def _here(spec: RunSpec) -> int:
    from mollm_cli.launch.process_group import company

    with company() as peers:
        if peers.world.size > 1:
            peers.world.from_first(spec.plain())
        return take_part(spec, peers).code


def take_part(spec: RunSpec, peers: ProcessGroup) -> End:
    """Run ``spec`` as one of ``peers``, who are told how it ended here."""

    def answer() -> int:
        from mollm_cli.launch.session import session

        with allowing(Allowed.from_plain(spec.allowed)), spending(spec.request.limits):
            run_dir, config = Path(spec.run_dir), dict(spec.config)
            return session(spec.request, run_dir, config, spec.command, _body(spec.command), peers)

    with typed(spec.typed):
        end = ended(spec.program, _stoppable(spec, answer))
    peers.tell("completed" if end.code == 0 else "failed", end.code, end.told or None)
    return end


def _stoppable(spec: RunSpec, answer: Callable[[], int]) -> Callable[[], int]:
    """``answer``, of which who stops it before the run directory is opened is told what there is."""

    def stoppable() -> int:
        with if_stopped(NOTHING_KEPT if spec.resume is None else AS_IT_WAS):
            return answer()

    return stoppable


def _body(command: str) -> Body:
    from mollm_cli import run

    bodies: dict[str, Body] = {"unlearn": run.unlearn, "finetune": run.finetune, "evaluate": run.evaluate}
    return bodies[command]


@contextlib.contextmanager
def typed(line: Sequence[str]) -> Iterator[None]:
    """Within the block sys.argv is the command line of the run, whose secrets are hidden and whose words are kept."""
    before, sys.argv = sys.argv, list(line)
    try:
        yield
    finally:
        sys.argv = before


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


def _leave_no_empty(directory: Path) -> None:
    """Remove a directory where nothing was written, a request refused before its first file, unless it is in use."""
    with held(directory) as alone, contextlib.suppress(OSError):
        if alone is not False:
            directory.rmdir()


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
