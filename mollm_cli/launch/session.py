"""One run from its first file to its exit code."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from mollm_cli.configuration.request import Request, TrainRequest
from mollm_cli.core import privacy
from mollm_cli.core.atomic import sweep, write_text
from mollm_cli.core.discretion import telling, trace
from mollm_cli.core.endings import NOTHING, End, end_by
from mollm_cli.core.errors import MollmError, RequestError
from mollm_cli.core.kept import listed
from mollm_cli.core.manifest import Manifest
from mollm_cli.core.paths import short_paths
from mollm_cli.core.secrets import without_secrets
from mollm_cli.launch.again import going_on
from mollm_cli.launch.links import refuse_links
from mollm_cli.launch.lock import held
from mollm_cli.launch.process_group import FINE, NEWS_SECONDS, Ending, ProcessGroup
from mollm_cli.launch.provenance import provenance
from mollm_cli.launch.signals import Signals, listening
from mollm_cli.reporting import gate_reports
from mollm_cli.run.context import Body, Context


def session(
    request: Request,
    run_dir: Path,
    config: Mapping[str, Any],
    command: str,
    body: Body,
    peers: ProcessGroup | None = None,
) -> int:
    """Write config.yaml and the manifest, run ``body``, and turn how it ended into status and exit code.

    Whatever goes wrong after that is told on stderr and kept in the manifest. A directory made here is for the owner
    alone, and so is what the run writes; one that was opened to others keeps its modes. Of several processes the first
    does all that; the others run ``body`` with it. Raises RequestError where ``run_dir``, or a file that the gates are
    to be told in, cannot be written to, or another process is at work in it.
    """
    peers = peers or ProcessGroup()
    if not peers.world.first:
        return _taken_part(request, run_dir, command, body, peers)
    gate_reports.files(request.junit, request.github_summary)
    with listening() as signals:
        with _writing(run_dir):
            _make(run_dir)
        with held(run_dir) as alone, privacy.as_open_as(run_dir):
            if alone is False:
                raise RequestError(
                    f"the run directory must be one process's alone, found another at work in '{run_dir}'; wait for "
                    "its end, or start a run of its own without hydra.run.dir and run_dir"
                )
            with _writing(run_dir):
                if alone:
                    _clear(run_dir)
                manifest = _opened(request, run_dir, config, command)
            code = _run(Context(request, run_dir, manifest, signals, peers.world), signals, command, body, peers)
        with signals.interruptible():
            _leave(request, run_dir, command, manifest)
    return code


def _taken_part(request: Request, run_dir: Path, command: str, body: Body, peers: ProcessGroup) -> int:
    """As one of several processes, of which another writes and speaks."""
    with listening() as signals:
        manifest = Manifest(run_dir, {"caches": []}, writes=False)
        return _run(Context(request, run_dir, manifest, signals, peers.world), signals, command, body, peers)


def _run(context: Context[Request], signals: Signals, command: str, body: Body, peers: ProcessGroup) -> int:
    run_dir, manifest = context.run_dir, context.manifest

    def lost(ending: Ending) -> None:
        _close(manifest, command, "failed", 1, ending.explained(run_dir))

    peers.stuck, peers.alarmed = lost, lambda: setattr(signals, "waits", True)
    signals.last_words = lambda code: _last_words(manifest, code)
    try:
        end = _ended(context, signals, body, peers)
        signals.closing = True
    except BaseException as again:  # the second signal while the first was answered, of which there is one, or a defect
        signals.closing = True
        end = end_by(again, run_dir)
    if end.status == "interrupted":
        end = dataclasses.replace(end, told=f"{end.told}; go on with: {going_on(sys.argv, command, run_dir)}")
    peers.settled()
    signals.waits = True
    code = _close(manifest, command, end.status, end.code, end.told)
    if code not in FINE:
        peers.tell(end.status, code, end.told)
    return code


def _ended(context: Context[Request], signals: Signals, body: Body, peers: ProcessGroup) -> End:
    run_dir = context.run_dir
    try:
        peers.world.barrier()
        signals.heed()
        with listed(lambda file: _list(context.manifest, file)), short_paths():
            body(context)
    except MollmError as ended:
        return end_by(ended, run_dir)
    except BaseException as failed:  # SystemExit too: a loss of one's own may call sys.exit
        with telling(context.request.evaluation.keep_text is True):
            return _unforeseen(signals.behind(failed), run_dir, peers)
    return End("completed", 0, "")


def _unforeseen(failed: BaseException, run_dir: Path, peers: ProcessGroup) -> End:
    """The end of a run by an error that no part of it raises itself.

    Where another process has ended before its time, sums with it fail, and signals follow: its ending is the reason.
    """
    end, other = end_by(failed, run_dir), peers.trouble(NEWS_SECONDS)
    if other is not None and not (end.status == other.status == "interrupted"):
        return End(other.status, other.code, other.explained(run_dir))
    if end.defect:
        print(trace(failed), file=sys.stderr if peers.world.first else sys.__stderr__)
    return end


def _close(manifest: Manifest, command: str, status: str, code: int, told: str) -> int:
    """Say on stderr and in the manifest how the run ended; the exit code, 1 where that could not be written."""
    if status == "interrupted":
        manifest.facts["stopped_because"] = "signal"
    if status in ("failed", NOTHING):
        manifest.facts["error"] = told
    if told:
        _say(command, told)
    try:
        manifest.end(status=status, exit_code=code)
    except OSError as refused:
        _say(command, f"manifest.json does not say that the run ended as '{status}': {refused}")
        code = code or 1
    return code


def _last_words(manifest: Manifest, code: int) -> int:
    """The exit code of a process that a third signal ends at once, with ``code`` where the run had not ended yet."""
    if manifest.facts["status"] == "running":
        manifest.facts |= {"status": "interrupted", "exit_code": code, "stopped_because": "signal"}
    with contextlib.suppress(OSError):
        manifest.end()
    return int(manifest.facts["exit_code"])


def _leave(request: Request, run_dir: Path, command: str, manifest: Manifest) -> None:
    """Tell what there is to tell when a run has ended, however it did; none of it changes the end."""
    _tell_gates(request, manifest, command)
    if run_dir.is_dir():
        with privacy.as_open_as(run_dir):
            _last_report(run_dir, command)


def _clear(run_dir: Path) -> None:
    """Remove what a killed run left unfinished."""
    for depth, folder in enumerate((run_dir, run_dir / "resume"), start=1):
        sweep(folder, depth)


def _make(run_dir: Path) -> None:
    """The directory, for the owner alone; also one that Hydra made, as a job of a private sweep."""
    with privacy.as_asked():  # the folders above it; a run may be shared
        run_dir.mkdir(mode=privacy.FOLDER, parents=True, exist_ok=True)
    if privacy.is_private(run_dir.parent):
        with contextlib.suppress(OSError):
            run_dir.chmod(privacy.FOLDER)
    refuse_links(run_dir)


def _opened(request: Request, run_dir: Path, config: Mapping[str, Any], command: str) -> Manifest:
    write_text(run_dir / "config.yaml", yaml.safe_dump(without_secrets(config), sort_keys=False))
    return Manifest(run_dir, provenance(sys.argv) | _facts(request, command) | {"caches": _caches(run_dir)})


def _caches(run_dir: Path) -> list[str]:
    """The files outside the directory that the run has kept so far, where it is gone on with."""
    listed_before = Manifest.read(run_dir).get("caches")
    return [str(file) for file in listed_before] if isinstance(listed_before, list) else []


def _list(manifest: Manifest, file: Path) -> None:
    """Note a file that is kept outside the directory; --purge removes it."""
    caches: list[str] = manifest.facts["caches"]
    if str(file) not in caches:
        manifest.set(caches=[*caches, str(file)])


@contextlib.contextmanager
def _writing(run_dir: Path) -> Iterator[None]:
    """Refuse a directory that cannot be written to."""
    try:
        yield
    except OSError as refused:
        raise RequestError(
            f"output_root must be a folder that can be written to, found '{run_dir}': {refused.strerror}. "
            "Make room or change its permissions, or set output_root=DIR"
        ) from refused


def _say(command: str, text: str) -> None:
    print(f"mollm-{command}: {text}", file=sys.stderr)


def _facts(request: Request, command: str) -> dict[str, Any]:
    names = request.names
    loss = request.loss.name if isinstance(request, TrainRequest) else command
    return {
        "run_name": request.run_name,
        "loss": loss,
        "solver": names.get("solver"),
        "names": dict(names),
        "seed": request.seed,
    }


def _tell_gates(request: Request, manifest: Manifest, command: str) -> None:
    """The files for CI; one that can no longer be written changes nothing of how the run ended."""
    try:
        gate_reports.write_files(manifest.facts, request.junit, request.github_summary)
    except (OSError, RequestError) as refused:
        print(f"mollm-{command}: the gates are in manifest.json only: {refused}", file=sys.stderr)


def _last_report(run_dir: Path, command: str) -> None:
    """The report once more, now that the manifest says how it ended; a report that fails does not fail the run."""
    from mollm_cli.reporting.report import write_report

    try:
        write_report(run_dir)
    except (OSError, RequestError) as refused:
        _say(command, f"report.html is not up to date: {refused}")
    except Exception as failed:
        print(trace(failed), file=sys.stderr)
