"""The gates of a run for people (a table), CI servers (JUnit XML) and a GitHub job's summary (Markdown)."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from mollm_cli.core.errors import RequestError
from mollm_cli.core.printable import printable
from mollm_cli.core.privacy import as_asked
from mollm_cli.reporting.formatting import NONE, markdown_text

AUTO, VARIABLE = "auto", "GITHUB_STEP_SUMMARY"
"""github_summary=auto, and the environment variable in which GitHub names the file."""

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 forbids, even escaped (its section 2.2): control characters, lone surrogates."""

Gates = Sequence[Mapping[str, Any]]
"""``gates`` of manifest.json: gate, value, bound, held, why."""


@dataclass(frozen=True, slots=True)
class GateTable:
    """The gates for a console: a table on a terminal, else one line per gate."""

    gates: Gates

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table, or the lines."""
        if not console.is_terminal:
            yield from (Segment(line + "\n") for line in plain_lines(self.gates))
            return
        table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="bold")
        for name, justify in (("gate", "left"), ("value", "right"), ("bound", "right"), ("", "left")):
            table.add_column(name, justify=justify)  # type: ignore[arg-type]
        for gate in self.gates:
            word = Text("✓ held", style="green") if gate["held"] else Text(f"✗ {gate['why']}", style="bold red")
            table.add_row(Text(gate["gate"]), _value(gate["value"]), _value(gate["bound"]), word)
        yield table


def plain_lines(gates: Gates) -> list[str]:
    """One line per gate: "gate FAILED: forget_probability<=0.1 (value 0.25, bound 0.1): 0.25 is not <= 0.1"."""
    lines = []
    for gate in gates:
        found = f"{gate['gate']} (value {_value(gate['value'])}, bound {_value(gate['bound'])})"
        lines.append(f"gate held: {found}" if gate["held"] else f"gate FAILED: {found}: {gate['why']}")
    return [printable(line, one_line=True) for line in lines]


def _value(value: float | None) -> str:
    return NONE if value is None else f"{value:.4g}"


def junit(manifest: Mapping[str, Any]) -> bytes:
    """A run as one JUnit test suite: the case ``run`` (an error if it did not finish), then one case per gate."""
    gates, error = manifest.get("gates", []), _error(manifest)
    failures = sum(not gate["held"] for gate in gates)
    counts = {"tests": str(1 + len(gates)), "failures": str(failures), "errors": str(int(error is not None))}
    root = ElementTree.Element("testsuites", counts)
    named = {"name": _legal(manifest.get("run_name", "")), "time": str(manifest.get("wall_seconds", 0)), **counts}
    suite = ElementTree.SubElement(
        root, "testsuite", named | {"timestamp": str(manifest.get("started", "")).rstrip("Z")}
    )
    case = ElementTree.SubElement(suite, "testcase", {"classname": "mollm-unlearn", "name": "run"})
    if error is not None:
        ElementTree.SubElement(case, "error", {"type": str(manifest.get("status")), "message": _legal(error)})
    for gate in gates:
        case = ElementTree.SubElement(suite, "testcase", {"classname": "gates", "name": _legal(gate["gate"])})
        if not gate["held"]:
            ElementTree.SubElement(case, "failure", {"type": "gate", "message": _legal(gate["why"])})
    ElementTree.indent(root)
    written: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return written + b"\n"


def _error(manifest: Mapping[str, Any]) -> str | None:
    """The error that ended a run early; None if it reached its end."""
    if manifest.get("status") in ("completed", "gate_failed"):
        return None
    return str(manifest.get("error") or f"the run ended as {manifest.get('status')}")


def _legal(text: object) -> str:
    return _NOT_XML.sub("\ufffd", str(text))


def markdown(manifest: Mapping[str, Any]) -> str:
    """A run as a section of a GitHub job summary: its status, and one row per gate."""
    error, gates = _error(manifest), manifest.get("gates", [])
    lines = [f"### {_cell(manifest.get('run_name', ''))}: {_cell(manifest.get('status'))}", ""]
    if error is not None:
        lines += [_cell(error), ""]
    if gates:
        lines += ["| gate | value | bound | |", "| --- | ---: | ---: | --- |"]
    for gate in gates:
        word = "✅ held" if gate["held"] else f"❌ {_cell(gate['why'])}"
        lines.append(f"| {_cell(gate['gate'])} | {_value(gate['value'])} | {_value(gate['bound'])} | {word} |")
    return "\n".join(lines).rstrip() + "\n\n"


def _cell(text: object) -> str:
    return markdown_text(text, "\\|<>[]`*_#")


def files(junit_file: str | None, github_summary: str | None) -> dict[str, Path]:
    """The files to write, by root key; checked early, so that a long run does not end without them.

    Raises RequestError if a file cannot be written, or if ``auto`` is asked for outside a GitHub job.
    """
    wanted = {"junit": junit_file, "github_summary": github_summary}
    if github_summary == AUTO:
        wanted["github_summary"] = os.environ.get(VARIABLE)
        if not wanted["github_summary"]:
            raise RequestError(
                f"github_summary=auto is the file that {VARIABLE} names in a GitHub job, found no such variable. "
                "Set github_summary=FILE, or github_summary=null"
            )
    found = {key: Path(text).expanduser() for key, text in wanted.items() if text is not None}
    for key, path in found.items():
        _check_writable(key, path)
    return found


def _check_writable(key: str, path: Path) -> None:
    try:
        there = next(place for place in (path, *path.absolute().parents) if place.exists())
        usable = (not path.is_dir() if there == path else there.is_dir()) and os.access(there, os.W_OK)
    except OSError:  # the name is too long
        usable = False
    if not usable:
        raise RequestError(
            f"{key} must be a file that can be written, found '{path}'; name a file in a folder of yours: {key}=FILE"
        )


def write_files(manifest: Mapping[str, Any], junit_file: str | None, github_summary: str | None) -> None:
    """Write the JUnit file anew, append to the summary as GitHub expects. Raises RequestError, OSError."""
    with as_asked():
        for key, path in files(junit_file, github_summary).items():
            path.parent.mkdir(parents=True, exist_ok=True)
            if key == "junit":
                path.write_bytes(junit(manifest))
            else:
                with path.open("a", encoding="utf-8") as file:
                    file.write(markdown(manifest))
