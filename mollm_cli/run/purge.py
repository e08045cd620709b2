"""``--purge RUN``: what a run keeps of its rows goes; numbers, weights and the manifest stay."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mollm_cli.core.errors import RequestError
from mollm_cli.data.token_cache import cache_folder
from mollm_cli.run.lock import held

MANIFEST, SAMPLES, SCORES = "manifest.json", "samples.jsonl", Path("resume") / "scores"


def purge(run_dir: Path) -> None:
    """Remove what the run in ``run_dir`` keeps of its rows, and say so on stderr with bytes; asks nothing.

    Gone: its files in the user's cache (token ids, generated answers, states of the reference; another run that reads
    them fills them again), the scores of an evaluation that was cut off, the texts in samples.jsonl and report.html.
    The manifest notes it as ``purged``: time, files, bytes. A copy of a Hub dataset is other programs' too: it stays,
    and is named. Raises RequestError where ``run_dir`` is no run, or one that is still going.
    """
    facts = _manifest(run_dir)
    with held(run_dir) as alone:
        if alone is False or (alone is None and facts.get("status") == "running"):
            raise RequestError(f"--purge must be given a run that has ended, found '{run_dir}' going on; stop it first")
        removed = [*_from_cache(facts), *_from_run(run_dir)]
        _note(run_dir, facts, removed)
        _report(run_dir)
    total = sum(file["bytes"] for file in removed)
    _tell(f"purged {run_dir}: {len(removed)} files, {total} bytes")
    for line in _left(facts):
        _tell(line)


def _manifest(run_dir: Path) -> dict[str, Any]:
    try:
        found = json.loads((run_dir / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as refused:
        raise RequestError(
            f"--purge must be followed by a run directory, found no {MANIFEST} to read in '{run_dir}'; name one"
        ) from refused
    if not isinstance(found, dict):
        raise RequestError(f"{run_dir / MANIFEST} must hold a mapping, found another value; restore it from the run")
    return found


def _from_cache(facts: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Remove the files that the manifest lists; one outside our cache was never ours, whatever the manifest says."""
    root = cache_folder().parent.resolve()
    reference = facts.get("reference")
    states = reference.get("files", ()) if isinstance(reference, Mapping) else ()
    for name in dict.fromkeys(map(str, [*facts.get("caches", ()), *states])):
        file = Path(name)
        if not file.resolve().is_relative_to(root):
            _tell(f"left: {file} is not in {root}; remove it yourself, or name its cache in XDG_CACHE_HOME")
        elif file.is_file():
            yield _removed(file)


def _from_run(run_dir: Path) -> Iterator[dict[str, Any]]:
    """Remove the scores of a cut-off evaluation, and the texts from samples.jsonl."""
    scores = run_dir / SCORES
    for file in sorted(scores.rglob("*")) if scores.is_dir() else ():
        if file.is_file():
            yield _removed(file)
    shutil.rmtree(scores, ignore_errors=True)
    samples = run_dir / SAMPLES
    if samples.is_file():
        size = samples.stat().st_size
        rows = [json.loads(line) for line in samples.read_text(encoding="utf-8").splitlines()]
        without = [_without_text(row) for row in rows]
        if without != rows:
            _write(samples, "".join(json.dumps(row) + "\n" for row in without))
            yield _told(samples, size - samples.stat().st_size)


def _without_text(node: Any) -> Any:
    from mollm_cli.evaluation.records import TEXTS

    if isinstance(node, dict):
        return {key: _without_text(value) for key, value in node.items() if key not in TEXTS}
    return node


def _removed(file: Path) -> dict[str, Any]:
    size = file.stat().st_size
    file.unlink()
    return _told(file, size)


def _told(file: Path, size: int) -> dict[str, Any]:
    _tell(f"removed: {file} ({size} bytes)")
    return {"path": str(file), "bytes": size}


def _note(run_dir: Path, facts: Mapping[str, Any], removed: list[dict[str, Any]]) -> None:
    """What was purged into the manifest, after what an earlier purge noted; the list of caches is empty now."""
    before = facts.get("purged") or {"files": []}
    files = [*before["files"], *removed]
    note = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "files": files}
    purged = {**facts, "caches": [], "purged": note | {"bytes": sum(file["bytes"] for file in files)}}
    _write(run_dir / MANIFEST, json.dumps(purged, indent=2) + "\n")


def _write(file: Path, text: str) -> None:
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    temporary.touch(mode=0o600)
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(file)


def _report(run_dir: Path) -> None:
    """report.html anew, from files that hold no text any more."""
    from mollm_cli.reporting.report import write_report

    if (run_dir / "report.html").is_file():
        write_report(run_dir)


def _left(facts: Mapping[str, Any]) -> Iterator[str]:
    """Copies that are not ours to remove."""
    hubs = [rows.get("hub") for rows in facts.get("datasets", {}).values() if isinstance(rows, Mapping)]
    for name in dict.fromkeys(str(hub["id"]) for hub in hubs if isinstance(hub, Mapping) and hub.get("id")):
        yield (
            f"left: the copy of {name} in the cache of the Hugging Face Hub, which other programs read too; "
            f"hf cache rm dataset/{name} removes its files, and its tables are in the folder datasets beside it"
        )


def _tell(message: str) -> None:
    print(message, file=sys.stderr)
