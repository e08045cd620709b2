"""docs/ERRORS.md from the source: every text that an error of ours is raised with, where, and what it says to do.

Texts are read from the syntax tree, so that a message cannot be forgotten; holes of f-strings show as "…".
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.error_texts import Source, sources
from tests.support.without_remedy import WITHOUT

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "ERRORS.md"
EXIT = {
    "RequestError": 2,
    "ValueError": 2,
    "ArgumentTypeError": 2,
    "RunError": 1,
    "NonFiniteError": 1,
    "MollmError": 1,
    "GateError": 3,
    "InterruptionError": "130, 143, 129",
    "OutputError": 1,
}
"""Exit codes, by class; a class that is not here is caught within, and its text is a part of another message."""
VERBS = (
    "add|allow|ask|build|change|check|choose|compress|convert|copy|correct|declare|drop|evaluate|fetch|free|give|go on|"
    "install|keep|leave|let|lower|make|move|name|pack|put|quote|raise|reinstall|remove|rename|repair|restore|run|save|set|shorten|"
    "split|start|stop|take|type|unset|use|wait|write"
)
"""What a remedy begins with, beside a choice, an example or a question."""
OTHERS = (
    r"did you mean|choices|roles:|one of|e\.g\.|for example|see|to add it|to make it|then|it has|same|is it|the usual|"
    r"its status|conf/\S+ is one|resume=\S+ goes on|⟨remedy⟩"
)
REMEDY = re.compile(rf"(?:[;:.,?] |needs )(?:or |and )?((?:{VERBS}|{OTHERS}|pip install)(?!\w).*)$", re.I | re.S)
RANGE = re.compile(
    r"^(?:.*?: )?(?P<key>[\w…][\w….]*)(?P<also> and [\w….]+)?(?:, [^,]+,| of the \S+ …)? "
    r"(?:must|(?P<is>is)) (?P<what>[^;]+?)[,;] found"
)
"""Where the value of one key is out of its range, what must hold is the remedy."""


@dataclass(frozen=True, slots=True)
class Message:
    """One text: where it is raised (file below mollm_cli/, function), as what, what it says, and what to do."""

    file: str
    function: str
    error: str
    text: str
    remedy: str

    @property
    def place(self) -> str:
        """What it is called in WITHOUT."""
        return f"{self.file} {self.function}"


def split(text: str) -> tuple[str, str]:
    """(what must hold and what was found, what to do), the latter "" where the text does not say it."""
    start = text.find("found")
    looked = text[max(start, 0) :]
    if remedy := REMEDY.search(looked):
        end = len(text) - len(looked) + remedy.start(1)
        return text[:end].rstrip(" ;,.:"), remedy[1].rstrip(". ")
    if held := RANGE.match(text):
        return text, f"set {held['key']}{held['also'] or ''} (it must {'be ' if held['is'] else ''}{held['what']})"
    return text, ""


def messages(found: Iterable[Source] | None = None) -> list[Message]:
    """Every message of the project, in the order of the files."""
    return sorted(
        set(_messages(sources() if found is None else found)),
        key=lambda m: (m.file, m.function, m.text, m.remedy, m.error),
    )


def _messages(found: Iterable[Source]) -> Iterator[Message]:
    for source in found:
        for text in source.texts if not source.opaque else ():
            said, remedy = split(text)
            yield Message(source.file, source.function, source.error, said, remedy)


def without_remedy(found: Iterable[Message]) -> list[Message]:
    """Those that say nothing of what to do and are not known to have no need of it."""
    return [message for message in found if not message.remedy and message.place not in WITHOUT]


def page() -> str:
    """docs/ERRORS.md."""
    areas: dict[str, dict[tuple[str, str], list[Message]]] = {}
    for message in messages():
        same = areas.setdefault(message.file.split("/")[0], {})
        same.setdefault((message.text, message.remedy), []).append(message)
    lines = [HEAD.format(count=sum(map(len, areas.values())))]
    for area, rows in areas.items():
        lines += ["", f"## {area}", "", "| message | from | exit | what to do |", "|---|---|---:|---|"]
        lines += map(_row, rows.values())
    return "\n".join(lines) + "\n"


HEAD = """# Every error message

Made by `make errors` from the source; a test fails where it is out of date. {count} messages, by the folder of
`mollm_cli/` that raises them. A message says what must hold, what was found, and what to do; the last has a column.
`…` stands for what is filled in: a key, a file, a row, a number; `⟨remedy⟩` for what to do about this kind of problem
(core/network.py has those of the Hub). Where one value is out of its range, the range is the remedy. An exit code of –
belongs to a text that another message takes in, or that only a caller in Python meets: the last column says why it
names no remedy. A trace instead of a message is a bug, and worth a report."""


def _row(same: list[Message]) -> str:
    first = same[0]
    remedy = _code(first.remedy) if first.remedy else f"*{WITHOUT.get(first.place, 'MISSING')}*"
    code = EXIT.get(first.error, "–") if first.remedy else "–"
    places = ", ".join(dict.fromkeys(f"`{message.file}` {message.function}" for message in same))
    return f"| {_code(first.text)} | {places} | {code} | {remedy} |"


def _code(text: str) -> str:
    """One line of code in a table of Markdown."""
    escaped = " ".join(text.split()).replace("|", "\\|")
    fence = "``" if "`" in escaped else "`"
    return f"{fence} {escaped} {fence}" if fence == "``" else f"`{escaped}`"


def main() -> int:
    """Write the page; 1 and a list where a message has no remedy."""
    PAGE.write_text(page(), encoding="utf-8")
    lost = without_remedy(messages())
    for message in lost:
        print(f"no remedy: mollm_cli/{message.place}: {message.text}", file=sys.stderr)
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
