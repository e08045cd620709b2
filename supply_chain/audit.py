"""``make audit``: the packages of constraints.lock against the advisories of a public database (OSV).

Only names and versions are sent. Exit codes: 0 nothing known; 1 something is; 2 the database did not answer, so that
nothing is known either way. ADVISORIES names another place that speaks the same (a mirror).
"""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from supply_chain.lock import LOCK, Pins, read_lock

DATABASE = "https://api.osv.dev/v1/querybatch"
TIMEOUT_SECONDS = 30.0


def queries(pins: Pins) -> dict[str, Any]:
    """What is asked: one query a package, in the order of the lock. A local version (+cpu) is of the one before it."""
    return {
        "queries": [
            {"package": {"name": name, "ecosystem": "PyPI"}, "version": version.partition("+")[0]}
            for name, (version, _) in pins.items()
        ]
    }


def findings(pins: Pins, answer: Mapping[str, Any]) -> list[str]:
    """A line for each package with advisories. Raises ValueError for an answer to something else."""
    results = answer.get("results")
    if not isinstance(results, list) or len(results) != len(pins):
        raise ValueError(f"one result a package must come back, found another answer to {len(pins)} packages")
    lines = []
    for (name, (version, _)), result in zip(pins.items(), results, strict=True):
        known = sorted(entry["id"] for entry in result.get("vulns") or ())
        if known:
            lines.append(f"{name}=={version}: {', '.join(known)}")
    return lines


def ask(pins: Pins, place: str) -> Mapping[str, Any]:
    """The database's answer. Raises OSError or ValueError."""
    content = json.dumps(queries(pins)).encode()
    request = urllib.request.Request(place, content, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as reply:
        answer: Mapping[str, Any] = json.load(reply)
    return answer


def main() -> int:
    """Say what is known about the packages of LOCK; the exit code."""
    pins = read_lock(LOCK.read_text(encoding="utf-8")) if LOCK.is_file() else {}
    place = os.environ.get("ADVISORIES") or DATABASE
    if not pins:
        print(f"{LOCK} must hold packages, found none; run make lock", file=sys.stderr)
        return 2
    try:
        lines = findings(pins, ask(pins, place))
    except (OSError, ValueError) as problem:
        why = getattr(problem, "reason", problem)
        print(f"NOT AUDITED: the advisory database cannot be reached: {place}: {why}", file=sys.stderr)
        print("nothing is known about any package; run it where there is a network, or set ADVISORIES", file=sys.stderr)
        return 2
    print("\n".join(lines) if lines else f"no known advisory for the {len(pins)} packages of {LOCK}")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
