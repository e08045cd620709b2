"""Work of others in a process of its own: what comes back, which limit ends it, and that nothing is left of it."""

from __future__ import annotations

import datetime
import decimal
import os
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mollm_cli.core import bounded as module
from mollm_cli.core.bounded import bounded, forks, streamed
from mollm_cli.core.budget import Budget, budget, spending
from mollm_cli.core.crossing import Crossing
from mollm_cli.core.errors import RequestError

linux = pytest.mark.skipif(not module.LINUX, reason="limits of memory, and a process of its own, are Linux's")
SMALL = Budget(seconds=0.2, memory_gib=0.1)


@pytest.fixture(autouse=True)
def small() -> Iterator[None]:
    with spending(SMALL):
        yield


def _work(what: Callable[[], Any], **options: Any) -> Any:
    return bounded("model.path=X: reading it", what, "Name another", **options)


def _endless() -> None:
    while True:
        pass


def _fill() -> None:
    kept = []
    while True:
        kept.append("x" * 100_000)


def _deep() -> None:
    _deep()


def _crash() -> None:
    os.abort()


def test_what_is_found_comes_back_as_it_was() -> None:
    noon = datetime.datetime(2026, 1, 2, 12, tzinfo=datetime.UTC)
    found = {
        "text": "half \ud800",
        "rows": [1, 2.5, None, True, float("inf")],
        "when": [noon, noon.date(), noon.time(), datetime.timedelta(seconds=1.5)],
        "other": [decimal.Decimal("1.10"), b"\x00\xff", uuid.UUID(int=7)],
    }
    assert _work(lambda: found) == found


def test_a_row_cannot_look_like_a_value_of_another_kind() -> None:
    way, other = Crossing(), Crossing()
    row = {other.mark: "bytes", "text": "00"}
    assert way.unpack(way.pack([row, b"\x01"])) == [row, b"\x01"]


SECONDS = (
    "model.path=X: reading it must take at most 0.2 seconds, found that it goes on. Name another, or raise "
    "limits.seconds=0.8 on the command line"
)
MEMORY = "model.path=X: reading it must take at most 102 MiB of memory, found that it needs more"
ENDS = {
    "endless": (_endless, SECONDS),
    "asleep": (lambda: time.sleep(60), SECONDS),
    "large": (_fill, f"{MEMORY}. Name another, or raise limits.memory_gib=0.4 on the command line"),
    "crash": (_crash, rf"{MEMORY} \(SIGABRT\)"),
    "silence": (lambda: os._exit(0), MEMORY),
    "deep": (_deep, "reading it must be in order, found RecursionError: maximum recursion depth exceeded.* Name an"),
    "exit": (lambda: exit(3), "reading it must be in order, found SystemExit: 3. Name another"),
    "error": (lambda: 1 / 0, "reading it must be in order, found ZeroDivisionError: division by zero. Name another"),
    "no JSON": (lambda: {1, 2}, "reading it must be in order, found ValueError: a value of the type set. Name another"),
}


@linux
@pytest.mark.parametrize("name", ENDS)
def test_whatever_it_does_ends_in_one_message(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    work, message = ENDS[name]
    monkeypatch.setattr(module, "CLOCK", 2 if name == "asleep" else 50)
    with pytest.raises(RequestError, match=message):
        _work(work)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)  # nothing is left of it


def test_its_own_refusals_are_told_as_they_are() -> None:
    def refuse() -> None:
        raise RequestError("a.jsonl: row 2 must be a JSON object")

    with pytest.raises(RequestError, match=r"^a\.jsonl: row 2 must be a JSON object$"):
        _work(refuse)


def test_an_exception_that_may_quote_a_row_is_told_by_its_name() -> None:
    def quote() -> None:
        raise ValueError("Anna Ellis, 555-0199")

    with pytest.raises(RequestError, match=r"found ValueError\. Name another$"):
        _work(quote, tells=False)


def test_what_is_larger_may_take_more() -> None:
    assert budget().seconds_for(1_000_000) == pytest.approx(10.2)
    assert budget().bytes_for(1 << 20) == int(0.1 * 2**30) + (16 << 20)
    assert _work(lambda: len(bytearray(300 << 20)), size=20 << 20) == 300 << 20


def test_items_come_while_others_are_made_and_the_rest_is_let_go() -> None:
    def numbers() -> Iterator[int]:
        yield from range(10**9)

    with spending(Budget(seconds=20)):
        found = streamed("k", numbers, "Look")
        assert [next(found) for _ in range(5)] == list(range(5))
        found.close()  # type: ignore[attr-defined]
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@linux
def test_items_that_are_kept_count() -> None:
    def many(count: int) -> Iterator[str]:
        return (f"{number:01000}" for number in range(count))

    with spending(Budget(seconds=20, memory_gib=0.05)):
        with pytest.raises(RequestError, match="must take at most 51 MiB of memory"):
            for _ in streamed("k", lambda: many(900_000), "Look", holds=True):  # more than a fork may have free already
                pass
        assert sum(1 for _ in streamed("k", lambda: many(80_000), "Look")) == 80_000


def _open_files() -> list[str]:
    return [str(link.readlink()) for link in sorted(Path("/proc/self/fd").iterdir()) if link.is_symlink()]


@linux
def test_it_has_no_file_and_no_terminal_of_its_parent(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with (tmp_path / "locked").open("w"):
        files = _work(_open_files)
        _work(lambda: os.write(2, b"a word"))
    assert not [name for name in files if "locked" in name] and files.count("/dev/null") == 3
    assert capfd.readouterr().err == ""


@linux
def test_within_it_nothing_is_done_in_another() -> None:
    assert forks() and _work(lambda: [forks(), bounded("inner", os.getpid, "x") == os.getpid()]) == [False, True]


def test_where_there_is_no_fork_the_time_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LINUX", False)
    monkeypatch.setattr(module, "CLOCK", 1)
    assert _work(os.getpid) == os.getpid()
    for work, message in ((_endless, "must take at most 0.2 seconds"), (lambda: 1 / 0, "found ZeroDivisionError")):
        with pytest.raises(RequestError, match=message):
            _work(work)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"seconds": 0}, r"limits\.seconds must be in \[0\.01, 1000000\], found 0"),
        ({"seconds": float("nan")}, r"limits\.seconds must be in"),
        ({"memory_gib": -1}, r"limits\.memory_gib must be in \[0\.01, 10000\], found -1"),
    ],
)
def test_a_budget_is_one(given: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Budget(**given)
