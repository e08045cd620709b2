"""``--purge RUN``: what a run keeps of its rows goes; numbers, weights and the manifest stay.

A run directory may come from anybody, and so may what its manifest lists: only what a run writes is touched, by handles
of the run's folder and of our cache's, so that no link and no path leads elsewhere (core/owned_folder.py).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mollm_cli.core.atomic import UNFINISHED
from mollm_cli.core.errors import RequestError
from mollm_cli.core.owned_folder import OwnedFolder, opened
from mollm_cli.core.privacy import as_open_as
from mollm_cli.core.read_back import check_depth
from mollm_cli.data.token_cache import cache_folder
from mollm_cli.launch.links import refuse_link, refuse_links
from mollm_cli.launch.lock import held

MANIFEST, SAMPLES, REPORT = "manifest.json", "samples.jsonl", "report.html"
HALF = re.compile(rf"\.({re.escape(SAMPLES)}|{re.escape(REPORT)})\.\d+")
"""Names of unfinished files, left by a killed process, that have texts."""
CACHES = {"tokens": 2, "answers": 2, "reference": 3}
"""The folders of our cache, and how many parts the path of a file has from there on."""


def purge(run_dir: Path) -> None:
    """Remove what the run in ``run_dir`` keeps of its rows, and say so on stderr with bytes; asks nothing.

    Gone: its files in the user's cache (token ids, generated answers, states of the reference; another run that reads
    them fills them again), the scores of an evaluation that was cut off, the texts in samples.jsonl and report.html.
    The manifest notes it as ``purged``: time, files, bytes. A copy of a Hub dataset is other programs' too: it stays,
    and is named. Raises RequestError where ``run_dir`` is no run, one that is still going, a link, or holds one.
    """
    refuse_link(run_dir)
    with contextlib.ExitStack() as stack:
        try:
            home = stack.enter_context(opened(run_dir))
            facts = _manifest(home)
        except (OSError, ValueError, RecursionError) as refused:
            raise RequestError(
                f"--purge must be followed by a run directory, found no {MANIFEST} to read in '{run_dir}'; name one"
            ) from refused
        refuse_links(run_dir)
        alone = stack.enter_context(held(run_dir))
        if alone is False or (alone is None and facts.get("status") == "running"):
            raise RequestError(f"--purge must be given a run that has ended, found '{run_dir}' going on; stop it first")
        stack.enter_context(as_open_as(run_dir))
        files = _cached(facts)
        removed = [*_from_cache(files), *_from_scores(home), *_from_samples(home)]
        _note(home, facts, removed)
        _report(home)
    total = sum(file["bytes"] for file in removed)
    _tell(f"purged {run_dir}: {len(removed)} files, {total} bytes")
    for line in _left(facts):
        _tell(line)


def _manifest(home: OwnedFolder) -> dict[str, Any]:
    found = json.loads(home.read(MANIFEST))
    if not isinstance(found, dict):
        raise RequestError(f"{home.path / MANIFEST} must hold a mapping, found another value; restore it from the run")
    check_depth(found)
    return found


def _cached(facts: Mapping[str, Any]) -> list[str]:
    """The files outside the directory that the manifest lists."""
    reference = facts.get("reference")
    states = reference.get("files", []) if isinstance(reference, Mapping) else []
    for key, value in (("caches", caches := facts.get("caches", [])), ("reference.files", states)):
        if not isinstance(value, list) or not all(isinstance(file, str) for file in value):
            raise RequestError(
                f"{MANIFEST}: {key} must be a list of files, found {type(value).__name__}; restore it from the run"
            )
    return list(dict.fromkeys([*caches, *states]))


def _from_cache(files: list[str]) -> Iterator[dict[str, Any]]:
    """Remove ``files``; one outside our cache was never ours, whatever the manifest says."""
    root = cache_folder().parent
    for file in files:
        parts = _parts(Path(file), root)
        if parts is None:
            _tell(f"left: {file} is not in {root}; remove it yourself, or name its cache in XDG_CACHE_HOME")
            continue
        try:
            with opened(root.joinpath(*parts[:-1]), len(parts) - 1) as folder:
                if folder.is_file(parts[-1]):
                    yield _removed(folder, parts[-1])
                elif parts[-1] in folder.names():
                    _tell(f"left: {file} is no file; remove it yourself")
        except FileNotFoundError:
            continue
        except OSError as refused:
            _tell(f"left: {file} ({refused.strerror}); remove it yourself")


def _parts(file: Path, root: Path) -> tuple[str, ...] | None:
    """The path of a file of ours from ``root`` on; None of any other."""
    for place in (root, root.resolve()):
        if file.is_relative_to(place):
            parts = file.relative_to(place).parts
            return parts if parts and CACHES.get(parts[0]) == len(parts) and ".." not in parts else None
    return None


def _from_scores(home: OwnedFolder) -> Iterator[dict[str, Any]]:
    """Remove the scores of a cut-off evaluation: resume/scores/MOMENT/SET.jsonl."""
    with contextlib.suppress(FileNotFoundError), home.inner("resume") as resume:
        with resume.inner("scores") as scores:
            for moment in filter(scores.is_folder, scores.names()):
                with scores.inner(moment) as folder:
                    for name in folder.names():
                        if folder.is_file(name) and (name.endswith(".jsonl") or UNFINISHED.fullmatch(name)):
                            yield _removed(folder, name)
                _if_empty(scores, moment)
        _if_empty(resume, "scores")


def _if_empty(folder: OwnedFolder, name: str) -> None:
    with contextlib.suppress(OSError):
        os.rmdir(name, dir_fd=folder.handle)


def _from_samples(home: OwnedFolder) -> Iterator[dict[str, Any]]:
    """Remove the texts from samples.jsonl, and what a killed process left of a file with texts."""
    for name in filter(home.is_file, filter(HALF.fullmatch, home.names())):
        yield _removed(home, name)
    if home.is_file(SAMPLES):
        before = home.read(SAMPLES)
        lines = [_plain(line) for line in before.splitlines()]
        after = b"".join(line for line in lines if line is not None)
        if lost := lines.count(None):
            _tell(f"removed: {lost} rows of {home.path / SAMPLES} that are no JSON")
        if after != before:
            home.replace(SAMPLES, after)
            yield _told(home.path / SAMPLES, len(before) - len(after))


def _plain(line: bytes) -> bytes | None:
    """A row without its texts; None of one that is torn, or was never written by a run."""
    try:
        return json.dumps(_without_text(json.loads(line))).encode() + b"\n"
    except (ValueError, RecursionError):
        return None


def _without_text(node: Any) -> Any:
    from mollm_cli.evaluation.records import TEXTS

    if isinstance(node, dict):
        return {key: _without_text(value) for key, value in node.items() if key not in TEXTS}
    return node


def _removed(folder: OwnedFolder, name: str) -> dict[str, Any]:
    """Remove a file. Raises OSError."""
    size = folder.size(name)
    folder.remove(name)
    return _told(folder.path / name, size)


def _told(file: Path, size: int) -> dict[str, Any]:
    _tell(f"removed: {file} ({size} bytes)")
    return {"path": str(file), "bytes": size}


def _note(home: OwnedFolder, facts: Mapping[str, Any], removed: list[dict[str, Any]]) -> None:
    """Note in the manifest what was purged, after the notes of earlier purges; the list of caches is empty now."""
    before = facts.get("purged")
    earlier = before.get("files") if isinstance(before, Mapping) else None
    known = [file for file in earlier if isinstance(file, dict)] if isinstance(earlier, list) else []
    files = [*(file for file in known if isinstance(file.get("bytes"), int)), *removed]
    note = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "files": files}
    purged = {**facts, "caches": [], "purged": note | {"bytes": sum(file["bytes"] for file in files)}}
    home.replace(MANIFEST, (json.dumps(purged, indent=2) + "\n").encode())


def _report(home: OwnedFolder) -> None:
    """report.html anew, from files that hold no text any more; gone where it cannot be written from them."""
    from mollm_cli.reporting.report import write_report

    if home.is_file(REPORT):
        try:
            write_report(home.path)
        except Exception as problem:  # whatever a stranger's files bring about, the texts in it go
            home.remove(REPORT)
            _tell(f"removed: {home.path / REPORT}, which cannot be written anew ({type(problem).__name__})")


def _left(facts: Mapping[str, Any]) -> Iterator[str]:
    """Copies that are not ours to remove."""
    sets = facts.get("datasets")
    hubs = [rows.get("hub") for rows in sets.values() if isinstance(rows, Mapping)] if isinstance(sets, Mapping) else []
    for name in dict.fromkeys(str(hub["id"]) for hub in hubs if isinstance(hub, Mapping) and hub.get("id")):
        yield (
            f"left: the copy of {name} in the cache of the Hugging Face Hub, which other programs read too; "
            f"hf cache rm {shlex.quote(f'dataset/{name}')} removes its files, and its tables are in the folder "
            "datasets beside it"
        )


def _tell(message: str) -> None:
    print(message, file=sys.stderr)
