"""All hostile inputs against the real commands, and the table of docs/SECURITY.md.

python -m tests.support.hostile.survey --out outputs/bench/hostile.json --page docs/SECURITY.md
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.support.hostile.attempt import Outcome, attempt
from tests.support.hostile.data_files import hostile_data
from tests.support.hostile.harmless import harmless
from tests.support.hostile.hostile_bases import made_bases
from tests.support.hostile.hostile_input import Hostile
from tests.support.hostile.model_folders import hostile_models
from tests.support.hostile.model_weights import hostile_weights
from tests.support.hostile.run_directories import hostile_runs
from tests.support.hostile.run_links import hostile_links
from tests.support.hostile.sweep_files import hostile_sweeps
from tests.support.hostile.yaml_files import hostile_yaml

BEGIN, END = "<!-- hostile inputs -->", "<!-- end of hostile inputs -->"
HEAD = "| class of input | tried | refused with a message | went through, no harm done | most seconds | most MiB |"


def every_input() -> list[Hostile]:
    """All families, after what is harmless."""
    return [
        *harmless(),
        *hostile_yaml(),
        *hostile_runs(),
        *hostile_links(),
        *hostile_sweeps(),
        *hostile_models(),
        *hostile_weights(),
        *hostile_data(),
    ]


def survey(inputs: Iterable[Hostile], folder: Path) -> list[Outcome]:
    """What came of each, told on stderr where it is not as it should be."""
    bases = made_bases(folder)
    gc.collect()
    gc.freeze()  # what is imported is not looked at, so not copied, in the forks
    outcomes = []
    for hostile in inputs:
        outcomes.append(outcome := attempt(hostile, folder / "attempt", bases))
        if outcome.faults:
            print(f"{outcome.name}: {'; '.join(outcome.faults)}\n  {outcome.line}\n  {outcome.told}", file=sys.stderr)
    return outcomes


def table(outcomes: Sequence[Outcome]) -> str:
    """A row for each class, and one for all."""
    if not outcomes:
        return HEAD
    classes: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        classes.setdefault(f"{outcome.family}: {outcome.kind}", []).append(outcome)
    rows = [_row(name, found) for name, found in [*classes.items(), ("all", list(outcomes))]]
    return "\n".join([HEAD, "|---|---|---|---|---|---|", *rows])


def _row(name: str, found: Sequence[Outcome]) -> str:
    through = sum(outcome.code == 0 and not outcome.faults for outcome in found)
    seconds, mib = max(outcome.seconds for outcome in found), max(outcome.mib for outcome in found)
    return f"| {name} | {len(found)} | {sum(o.refused for o in found)} | {through} | {seconds:.1f} | {mib} |"


def into_page(page: Path, block: str) -> None:
    """``block`` between the marks of ``page``."""
    head, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    page.write_text(f"{head}{BEGIN}\n{block}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


def main() -> int:
    """Returns 1 where an input did harm."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--out", type=Path, help="a JSON file of every outcome")
    parser.add_argument("--page", type=Path, help="the page that holds the table")
    parser.add_argument("--only", default="", help="inputs whose name holds this")
    arguments = parser.parse_args()
    os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = f"{folder}/cache"
        chosen = [hostile for hostile in every_input() if arguments.only in hostile.name]
        outcomes = survey(chosen, Path(folder))
    shown = table([outcome for outcome in outcomes if outcome.family != "harmless"])
    print(shown)
    if arguments.out is not None:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps([outcome.plain() for outcome in outcomes], indent=1) + "\n")
    if arguments.page is not None:
        into_page(arguments.page, shown)
    return int(any(outcome.faults for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
