"""The faults are the ones meant, each can be found again, and a child says which test noticed it."""

from __future__ import annotations

import ast
import time
from functools import partial
from pathlib import Path

import pytest

from benchmarks.mutation import table
from benchmarks.mutation.children import prepare, start
from benchmarks.mutation.mutants import AREAS, Mutant, mutants, of_source, sample
from benchmarks.mutation.registry import Registry, Traced, chosen
from benchmarks.mutation.sessions import SEEN, first_failure, telling, traced
from benchmarks.mutation.trees import with_text
from benchmarks.mutation.verdicts import IN_DOUBT, KILLED, SURVIVED, TIMED_OUT, Verdicts

ROOT = Path(__file__).parents[3]
SOURCE = '''"""A text with 1 < 2 in it."""
import math

LIMIT = 3


def clipped(x: "int < 4", most: int = 5, loud: bool = False) -> float:
    """Not 6."""
    if x < 0 and not loud:
        raise ValueError(f"at least {0 + 1}, found {x - 1}")
    print("as it was", x + 1)
    seen[x] = True
    return max(math.floor(x / 2), -most) + LIMIT
'''
FAULTS = {
    ("constant", "3 -> 4", None),
    ("default", "5 -> 6", (8, 13)),
    ("default", "False -> True", (8, 13)),
    ("logic", "x < 0 and (not loud) -> (x < 0 or not loud)", (9, 9)),
    ("boundary", "x < 0 -> (x <= 0)", (9, 9)),
    ("comparison", "x < 0 -> (x >= 0)", (9, 9)),
    ("constant", "0 -> 1", (9, 9)),
    ("not", "not loud -> loud", (9, 9)),
    ("statement", "seen[x] = True -> pass", (12, 12)),
    ("term", "max(math.floor(x / 2), -most) + LIMIT -> max(math.floor(x / 2), -most)", (13, 13)),
    ("arithmetic", "max(math.floor(x / 2), -most) + LIMIT -> (max(math.floor(x / 2), -most) - LIMIT)", (13, 13)),
    ("extreme", "max(math.floor(x / 2), -most) -> min(math.floor(x / 2), -most)", (13, 13)),
    ("rounding", "math.floor(x / 2) -> math.ceil(x / 2)", (13, 13)),
    ("arithmetic", "x / 2 -> (x * 2)", (13, 13)),
    ("constant", "2 -> 3", (13, 13)),
    ("sign", "-most -> most", (13, 13)),
}


def _found(source: str = SOURCE) -> list[Mutant]:
    return list(of_source("mollm_cli/data/made_up.py", source.encode()))


def test_faults_are_put_where_values_matter_and_nowhere_else():
    """No text, message, annotation, or what is printed."""
    assert {(m.kind, f"{m.before} -> {m.after}", m.lines) for m in _found()} == FAULTS


def test_a_fault_changes_its_own_node_alone():
    for mutant in _found():
        changed = mutant.applied(SOURCE.encode()).decode()
        assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(SOURCE)), mutant.name
        assert changed.count("\n") == SOURCE.count("\n")


def test_columns_are_counted_in_bytes():
    mutant = next(m for m in _found("x = f('é', 'Ä') + 1\n") if m.kind == "constant")
    assert mutant.applied("x = f('é', 'Ä') + 1\n".encode()).decode() == "x = f('é', 'Ä') + 2\n"


def test_an_area_gives_as_many_as_are_asked_for():
    """One area: all of them take seconds."""
    taken = sample(mutants(ROOT, ["objectives"]), per_area=40, seed=0)
    assert len({m.name for m in taken}) == 40
    for mutant in taken:
        ast.parse(mutant.applied((ROOT / mutant.file).read_bytes()))
    assert all((ROOT / "mollm_cli" / area).is_dir() for area in AREAS)


def test_a_sample_hangs_on_its_seed_and_not_on_where_the_lines_are():
    here, moved = _found(), list(of_source("mollm_cli/data/deeper/other.py", b"\n\n" + SOURCE.encode()))
    few = sample(here, 5, seed=1)
    assert {m.mark for m in few} == {m.mark for m in sample(moved, 5, seed=1)}
    assert {m.mark for m in few} != {m.mark for m in sample(here, 5, seed=2)}


def test_an_area_without_sources_is_refused():
    with pytest.raises(FileNotFoundError, match=r"no sources in mollm_cli/nowhere: name folders of mollm_cli"):
        list(mutants(ROOT, ["nowhere"]))


def test_sources_tell_which_statements_are_executed():
    source = (
        "def f(x):\n    '''Text.'''\n    if x:\n        return 1\n    for _ in range(2):\n        x = 3\n    return x\n"
    )
    seen = {"f.py": bytearray(9)}
    space = {SEEN: seen}
    exec(compile(telling(source, "f.py"), "f.py", "exec"), space)
    assert space["f"].__doc__ == "Text."
    assert space["f"](0) == 3
    assert [line for line, hit in enumerate(seen["f.py"]) if hit] == [3, 5, 6, 7]


def _test(name: str, seconds: float, lines: dict[str, int], loaded: tuple[str, ...] = ()) -> Traced:
    return Traced(name, name.split("::")[0], seconds, lines, frozenset(loaded))


def test_the_closest_tests_come_first_and_their_seconds_are_bounded():
    mutant = next(m for m in _found() if m.kind == "rounding")
    hit = {"mollm_cli/data/made_up.py": 1 << 13}
    whole = _test("tests/e2e/test_runs.py::a", 1.0, hit)
    far = _test("tests/unit/run/test_training.py::a", 0.1, hit)
    near = _test("tests/unit/data/test_made_up.py::slow", 2.0, hit)
    same = _test("tests/unit/data/test_made_up.py::elsewhere", 0.5, {"mollm_cli/data/made_up.py": 1 << 9})
    other = _test("tests/unit/data/test_order.py::b", 0.1, {})
    tests = [whole, far, near, same, other]
    assert chosen(mutant, tests, 60) == [near, far, whole, same]
    assert chosen(mutant, tests, 2.5) == [near, far]
    assert chosen(mutant, [other], 60) == []


def test_a_value_of_the_module_is_judged_by_who_imports_it():
    mutant = next(m for m in _found() if m.lines is None)
    near = _test("tests/unit/data/test_made_up.py::a", 1.0, {mutant.file: 1 << 9}, (mutant.file,))
    far = _test("tests/unit/run/test_training.py::a", 0.1, {}, (mutant.file,))
    assert chosen(mutant, [far, near, _test("tests/unit/data/test_x.py::a", 0.1, {})], 60) == [near, far]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of one source and one test file."""
    prepare(["pytest", "hypothesis"])
    root = tmp_path / "project"
    made = {
        "mollm_cli/__init__.py": "",
        "mollm_cli/data/__init__.py": "",
        "mollm_cli/data/half.py": "def half(x):\n    return x / 2\n",
        "tests/unit/data/test_half.py": "from mollm_cli.data.half import half\n\n"
        "def test_half():\n    assert half(4) == 2\n\ndef test_nothing():\n    pass\n",
        "pytest.ini": "[pytest]\naddopts = --import-mode=importlib\nmarkers = slow\n",
    }
    for name, text in made.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def _answer(work: partial[object], tree: Path) -> object:
    child = start(work, tree, 20)
    while not (ended := child.ended())[0]:
        time.sleep(0.01)
    return ended[1]


def test_a_fault_is_noticed_by_the_test_that_executes_it(project: Path, tmp_path: Path):
    file = "tests/unit/data/test_half.py"
    registry = Registry(project, tmp_path / "tests.jsonl", ["data"], ["tests/unit"])
    assert registry.stale() == [file]
    registry.add(file, _answer(partial(traced, file, ["mollm_cli/data"]), project))
    again = Registry(project, tmp_path / "tests.jsonl", ["data"], ["tests/unit"])
    assert again.stale() == []
    mutant = next(m for m in mutants(project, ["data"]) if m.kind == "arithmetic")
    near = chosen(mutant, again.tests(), 60)
    assert [test.name for test in near] == [f"{file}::test_half", f"{file}::test_nothing"]
    work = partial(first_failure, [test.name for test in near])
    assert _answer(work, project)["failed"] == ""
    with with_text(project / mutant.file, mutant.applied((project / mutant.file).read_bytes())):
        assert _answer(work, project)["failed"] == f"{file}::test_half"
    assert _answer(work, project)["failed"] == "", "the source is as it was"


def test_a_child_that_ends_without_an_answer_has_none(project: Path):
    assert _answer(partial(__import__("os")._exit, 3), project) is None


def test_a_session_that_breaks_is_no_trace(project: Path, tmp_path: Path):
    registry = Registry(project, tmp_path / "tests.jsonl", ["data"])
    with pytest.raises(RuntimeError, match=r"test_half.py must run under pytest, found\n(.*\n)*ZeroDivisionError"):
        registry.add("test_half.py", _answer(partial(divmod, 1, 0), project))


def test_verdicts_hold_until_source_or_tests_change(project: Path, tmp_path: Path):
    mutant = next(m for m in mutants(project, ["data"]) if m.kind == "arithmetic")
    tests = [_test("tests/unit/data/test_half.py::test_half", 1.0, {})]
    answers = {SURVIVED: {"failed": ""}, KILLED: {"failed": tests[0].name}, TIMED_OUT: None}
    for outcome, answer in answers.items():
        Verdicts(project, tmp_path / "verdicts.jsonl").add(mutant, tests, answer)
        read = Verdicts(project, tmp_path / "verdicts.jsonl")
        assert read.rows[mutant.name]["outcome"] == outcome
        assert read.known(mutant, tests)
        assert read.known(mutant, []) == (outcome != SURVIVED)
    assert read.doubt(["tests/unit/data/test_other.py::test_other"]) == []
    assert read.doubt([tests[0].name]) == [mutant.name]
    again = Verdicts(project, tmp_path / "verdicts.jsonl")
    assert again.rows[mutant.name]["outcome"] == IN_DOUBT
    assert not again.known(mutant, tests)


def test_the_page_has_a_reason_for_every_survivor(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    rows = [
        {"name": f"f.py:{n}:sign", "area": "data", "mark": str(n), "before": "-a | b", "after": "a", "outcome": outcome,
         "chosen": 1}
        for n, outcome in enumerate([KILLED, TIMED_OUT, SURVIVED])
    ]  # fmt: skip
    table.show(rows, {})
    assert "2 f.py:2:sign (1 tests): -a | b -> a: no reason yet" in capsys.readouterr().out
    page = tmp_path / "page.md"
    page.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n")
    with pytest.raises(ValueError, match=r"every survivor must have a reason, found none for \['2 f.py:2:sign'\]"):
        table.into_page(page, rows, {}, "abc")
    table.into_page(page, rows, {"2": "a sum of squares"}, "abc")
    text = page.read_text()
    assert "| data | 3 | 2 | 1 | 1 | 33.3% |" in text
    assert "| `f.py:2:sign` | `-a \\| b` → `a` | a sum of squares |" in text
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "old" not in text
    page.write_text("nothing")
    with pytest.raises(ValueError, match=r"must have the lines '<!-- mutants -->'"):
        table.into_page(page, rows, {"2": "a sum of squares"}, "abc")
