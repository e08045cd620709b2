"""``make licences``: docs/LICENCES.md, the licence of everything that this package needs, as its metadata says it."""

from __future__ import annotations

import re
import sys
from importlib.metadata import PackageMetadata, PackageNotFoundError, metadata, requires
from pathlib import Path

from supply_chain.lock import LOCK, read_lock

PAGE = Path("docs/LICENCES.md")
PROJECT = "mollm-unlearn"
HEAD = """# Licences

What `mollm-unlearn` needs at run time and for development, directly or through others, as installed on the machine that
made this page with `make licences`. The licence is what the package's own metadata says; it is no legal advice.

| package | version | licence | needed |
| --- | --- | --- | --- |
"""
_CLASSIFIER = "License :: OSI Approved :: "


def needed(project: str) -> set[str]:
    """The names of all that ``project`` requires, and of what those require, without extras."""
    found: set[str] = set()
    waiting = [project]
    while waiting:
        for line in _requires(waiting.pop()):
            name, condition = _parts(line)
            if name not in found and "extra" not in condition:
                found.add(name)
                waiting.append(name)
    return found


def _requires(name: str) -> list[str]:
    try:
        return requires(name) or []
    except PackageNotFoundError:  # of another platform
        return []


def _parts(requirement: str) -> tuple[str, str]:
    """(normal name, condition) of a line such as ``a-b[c]>=1; extra == "d"``."""
    name, _, condition = requirement.partition(";")
    match = re.match(r"[\w.-]+", name)
    assert match is not None, requirement
    return re.sub(r"[-_.]+", "-", match[0]).lower(), condition


def licence(about: PackageMetadata) -> str:
    """The SPDX expression, else the classifiers, else the first line of the text; "unknown" where there is nothing."""
    if "License-Expression" in about:
        return about["License-Expression"]
    classifiers = about.get_all("Classifier") or ()
    named = [line.removeprefix(_CLASSIFIER) for line in classifiers if line.startswith(_CLASSIFIER)]
    if named:
        return ", ".join(named)
    if "License" in about and about["License"].strip():
        return about["License"].strip().splitlines()[0][:60].strip()
    return "unknown"


def page() -> str:
    """The table of the packages in the lock, sorted by name. Raises PackageNotFoundError for one not installed here."""
    run_time = needed(PROJECT)
    rows = []
    for name in sorted(read_lock(LOCK.read_text(encoding="utf-8"))):
        about = metadata(name)
        when = "run" if name in run_time else "development"
        rows.append(f"| {name} | {about['Version']} | {licence(about).replace('|', '/')} | {when} |\n")
    return HEAD + "".join(rows)


def main() -> int:
    """Write PAGE; the exit code: 1 where a licence is unknown, 2 where a package is not installed."""
    try:
        text = page()
    except (OSError, PackageNotFoundError) as missing:
        print(f"{LOCK} and what it names must be here, found no {missing}; run make lock install", file=sys.stderr)
        return 2
    PAGE.write_text(text, encoding="utf-8")
    unknown = re.findall(r"^\| (\S+) \| \S+ \| unknown \|", text, re.MULTILINE)
    print(f"{PAGE}: {text.count(chr(10)) - HEAD.count(chr(10))} packages", file=sys.stderr)
    if unknown:
        print(f"no licence in the metadata of {', '.join(unknown)}; look at their sources", file=sys.stderr)
    return 1 if unknown else 0


if __name__ == "__main__":
    sys.exit(main())
