"""``make lock``: constraints.lock, every package that an installation takes, with its version and hashes.

Reads on stdin what ``pip install --dry-run --report -`` says, so that pip alone decides what is taken and from where.
A hash is that of the file for the machine and the Python that this runs on. Run it on each that CI uses: where the
version stays, hashes are added; a new version begins anew.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LOCK = Path("constraints.lock")
HEAD = """# Made by `make lock` from constraints.txt; not to be edited. `make install-locked` takes exactly these files:
# pip install --require-hashes --no-deps -r constraints.lock
"""
_PIN = re.compile(r"^(?P<name>[\w.-]+)==(?P<version>\S+)(?P<hashes>(?: --hash=sha256:[0-9a-f]{64})+)$", re.MULTILINE)

Pins = dict[str, tuple[str, set[str]]]
"""Name -> version and the SHA-256 of its files."""


def read_lock(text: str) -> Pins:
    """The pins of a lock file; lines may be continued."""
    joined = text.replace("\\\n", " ")
    found = (match for match in _PIN.finditer(re.sub(r"[ ]+", " ", joined)))
    return {pin["name"]: (pin["version"], set(re.findall(r"sha256:(\w+)", pin["hashes"]))) for pin in found}


def read_report(report: Mapping[str, Any]) -> Pins:
    """The pins of pip's report. The project itself, a folder, is left out. Raises ValueError: a file without a hash."""
    pins: Pins = {}
    for entry in report["install"]:
        origin, about = entry["download_info"], entry["metadata"]
        if "dir_info" in origin:
            continue
        found = origin.get("archive_info", {}).get("hashes", {}).get("sha256")
        if found is None:
            raise ValueError(f"pip must tell the SHA-256 of {about['name']}, found none. Take it from an index")
        pins[re.sub(r"[-_.]+", "-", about["name"]).lower()] = (about["version"], {found})
    return pins


def merged(new: Pins, old: Pins) -> Pins:
    """``new``, with the hashes that ``old`` has of the same versions."""
    return {
        name: (version, hashes | (old[name][1] if name in old and old[name][0] == version else set()))
        for name, (version, hashes) in new.items()
    }


def written(pins: Pins) -> str:
    """The lock file: sorted, a hash a line."""
    lines = []
    for name, (version, hashes) in sorted(pins.items()):
        lines.append(" \\\n".join([f"{name}=={version}", *(f"    --hash=sha256:{found}" for found in sorted(hashes))]))
    return HEAD + "\n".join(lines) + "\n"


def main() -> int:
    """Write LOCK from the report on stdin; the exit code."""
    old = read_lock(LOCK.read_text(encoding="utf-8")) if LOCK.is_file() else {}
    pins = merged(read_report(json.load(sys.stdin)), old)
    LOCK.write_text(written(pins), encoding="utf-8")
    print(f"{LOCK}: {len(pins)} packages, {sum(len(hashes) for _, hashes in pins.values())} files", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
