"""Generated hostile inputs, put to the real commands: refused with a message, or without any harm.

``make hostile`` puts all of them, and writes the table of docs/SECURITY.md.
"""

from __future__ import annotations

import gc
import random
from collections import Counter
from pathlib import Path

import pytest

from tests.support.cli import ROOT
from tests.support.hostile.attempt import attempt
from tests.support.hostile.harmless import harmless
from tests.support.hostile.hostile_bases import made_bases
from tests.support.hostile.hostile_input import Bases, Hostile
from tests.support.hostile.survey import BEGIN, END, every_input

FAMILIES = ("YAML", "run directories", "model folders", "data files")
CHEAP = 12
HARMLESS = harmless()
COSTLY = (
    "bombs", "do not end", "giant", "without end", "weights", "adapters", "Parquet", "deep", "sweep", "manifest",
    "points", "config.json", "pickles",
)  # fmt: skip
"""In classes called so: half a second each and more."""


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Bases:
    """Made once; what is imported by then is not looked at, so not copied, in the forks."""
    made = made_bases(tmp_path_factory.mktemp("bases"))
    gc.collect()
    gc.freeze()
    return made


def _hold(inputs: list[Hostile], bases: Bases, folder: Path) -> None:
    outcomes = [attempt(hostile, folder / "attempt", bases) for hostile in inputs]
    wrong = [f"{o.name}: {'; '.join(o.faults)}\n{o.line}\n{o.told}" for o in outcomes if o.faults]
    assert not wrong, "\n\n".join(wrong)


def _cheap_firsts() -> list[Hostile]:
    """The first of each class that costs little."""
    firsts = [each for each in every_input() if each.number == 0 and each.family != "harmless"]
    return [each for each in firsts if not any(word in each.kind for word in COSTLY)]


def test_some_of_the_cheap_classes_do_no_harm(bases: Bases, tmp_path: Path) -> None:
    """The next test has all of them."""
    _hold(random.Random(0).sample(_cheap_firsts(), CHEAP), bases, tmp_path)


@pytest.mark.slow
def test_the_first_of_each_cheap_class_does_no_harm(bases: Bases, tmp_path: Path) -> None:
    _hold(_cheap_firsts(), bases, tmp_path)


@pytest.mark.parametrize("way", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, len(HARMLESS)))])
def test_what_is_not_damaged_goes_through(way: int, bases: Bases, tmp_path: Path) -> None:
    """Else the others would be refused for another reason than theirs."""
    outcome = attempt(HARMLESS[way], tmp_path / "attempt", bases)
    assert (outcome.code, outcome.faults) == (0, []), f"{outcome.line}\n{outcome.told}"


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_every_fourth_does_no_harm(family: str, bases: Bases, tmp_path: Path) -> None:
    _hold([hostile for hostile in every_input() if hostile.family == family][::4], bases, tmp_path)


def test_the_table_is_of_these_inputs() -> None:
    page = (ROOT / "docs" / "SECURITY.md").read_text(encoding="utf-8")
    block = page.partition(BEGIN)[2].partition(END)[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.strip().splitlines()[2:]]
    told = {row[0]: int(row[1]) for row in rows}
    tried = Counter(f"{each.family}: {each.kind}" for each in every_input() if each.family != "harmless")
    assert told == tried | {"all": tried.total()} and tried.total() >= 500
    assert all(int(refused) + int(through) == int(count) for _, count, refused, through, *_ in rows)
