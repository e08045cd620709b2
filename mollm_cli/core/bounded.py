"""The one boundary around work on what others wrote: a process of its own, with limits of time and memory.

The process is a fork, so nothing is imported twice: it costs some milliseconds. It has /dev/null for a terminal, no
open file, and tells what it found as JSON through a pipe. It does plain Python work only (parsers, templates,
tokenizers, configurations, models without storage), never CUDA, and nothing that waits for threads of its parent.
Where there is no fork with limits (macOS, Windows) the work is done in this process, for as long as it may take there.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import sys
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any, NoReturn

from mollm_cli.core.budget import budget
from mollm_cli.core.crossing import Crossing
from mollm_cli.core.errors import RequestError

ITEMS, END, REFUSED, FAILED, FULL = b"i", b"e", b"r", b"f", b"m"
"""The kinds of pieces in the pipe: items, their end, a RequestError, any other exception, no memory."""
TOGETHER_ITEMS, TOGETHER_BYTES = 256, 1 << 20
"""Items go through the pipe together, up to so many, or to about so many bytes."""
CLOCK = 10
"""The wall-clock limit as a multiple of the processor limit: a machine may be busy."""
DATA_PAGES = 5
"""The field of /proc/self/statm that RLIMIT_DATA is held against: pages written, not libraries and files."""
LINUX = sys.platform == "linux"
_within = False
"""True in a process that has limits already."""


def forks() -> bool:
    """True if work is done in a process of its own: its changes do not reach this one."""
    return LINUX and not _within


def bounded(what: str, work: Callable[[], Any], remedy: str, size: int = 0, tells: bool = True) -> Any:
    """The one thing that ``work`` returns, as JSON has it. See ``streamed``."""
    (found,) = streamed(what, lambda: [work()], remedy, size, tells=tells)
    return found


def streamed(
    what: str,
    items: Callable[[], Iterable[Any]],
    remedy: str,
    size: int = 0,
    holds: bool = False,
    tells: bool = True,
) -> Iterator[Any]:
    """The items, which are JSON and core/crossing.py's, as a process of its own comes to them.

    what: the key and the file, for messages. remedy: what to do about it. size: bytes of what is read, by which the
    limits grow. holds: whether whoever asks keeps the items: then they count as memory of that process too. tells:
    whether the message may quote the exception, which may quote a row. Raises RequestError: one of ``items`` own, or
    one that says which limit was reached, or what else happened.
    """
    if forks():
        yield from _elsewhere(what, items, remedy, size, holds, tells)
    elif _within:
        yield from items()
    else:
        yield from _here(what, items, remedy, size, tells)


def _elsewhere(
    what: str, items: Callable[[], Iterable[Any]], remedy: str, size: int, holds: bool, tells: bool
) -> Generator[Any, None, None]:
    seconds, memory = budget().seconds_for(size), budget().bytes_for(size)
    way, (reading, writing) = Crossing(), os.pipe()
    process = _forked()
    if process == 0:
        _work(writing, way, items, seconds, memory, holds)
    os.close(writing)
    ended: int | None = None
    try:
        for kind, content in _pieces(reading, CLOCK * seconds):
            if kind == ITEMS:
                yield from way.unpack(content)
            elif kind == END:
                return
            elif kind == REFUSED:
                refused = way.unpack(content)
                raise RequestError(str(refused))
            elif kind == FULL:
                raise _too_large(what, memory, remedy)
            else:
                raise _broken(what, way.unpack(content), remedy, tells)
        ended = os.waitpid(process, 0)[1]
    except TimeoutError as late:
        raise _too_slow(what, seconds, remedy) from late
    except RecursionError as deep:
        raise _broken(what, ["lists in each other, deeper than can be read"], remedy, tells) from deep
    finally:
        os.close(reading)
        if ended is None:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
    by = os.WTERMSIG(ended) if os.WIFSIGNALED(ended) else 0
    if by in (signal.SIGPROF, signal.SIGXCPU, signal.SIGKILL):
        raise _too_slow(what, seconds, remedy)
    raise _too_large(what, memory, remedy, f" ({signal.Signals(by).name})" if by else "")


def _too_slow(what: str, seconds: float, remedy: str) -> RequestError:
    return RequestError(
        f"{what} must take at most {seconds:.4g} seconds, found that it goes on. {remedy}, or raise "
        f"limits.seconds={_more(budget().seconds)} on the command line"
    )


def _too_large(what: str, memory: int, remedy: str, how: str = "") -> RequestError:
    return RequestError(
        f"{what} must take at most {memory >> 20} MiB of memory, found that it needs more{how}. {remedy}, or raise "
        f"limits.memory_gib={_more(budget().memory_gib)} on the command line"
    )


def _broken(what: str, problem: list[str], remedy: str, tells: bool) -> RequestError:
    found = ": ".join(text for text in problem[: 2 if tells else 1] if text)
    return RequestError(f"{what} must be in order, found {found}. {remedy}")


def _more(value: float) -> str:
    return f"{4 * value:g}"


def _forked() -> int:
    """os.fork, quietly: tokenizers speak of their threads, Python of any; the child starts none and waits for none."""
    quiet = os.environ.get("TOKENIZERS_PARALLELISM")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            process = os.fork()
    finally:
        if quiet is None and (not LINUX or process):
            del os.environ["TOKENIZERS_PARALLELISM"]
    return process


def _pieces(pipe: int, seconds: float) -> Iterator[tuple[bytes, bytes]]:
    """(kind, content) of each piece, until the pipe ends. Raises TimeoutError where it is waited for that long."""
    left = seconds

    def read(count: int) -> bytearray:
        nonlocal left
        found = bytearray()
        while len(found) < count:
            began = time.monotonic()
            if not select.select([pipe], [], [], max(0.0, left))[0]:
                raise TimeoutError
            left -= time.monotonic() - began
            part = os.read(pipe, min(count - len(found), TOGETHER_BYTES))
            if not part:
                break
            found += part
        return found

    while len(head := read(9)) == 9:
        content = read(int.from_bytes(head[1:], "big"))
        yield bytes(head[:1]), bytes(content)


def _work(
    pipe: int, way: Crossing, items: Callable[[], Iterable[Any]], seconds: float, memory: int, holds: bool
) -> NoReturn:
    """In the forked process: never returns, raises nothing, and runs none of what its parent has to do at its end."""
    global _within
    _within = True
    try:
        gc.freeze()  # what the parent has is not looked at, so not copied
        pipe = _alone(pipe)
        before = _limited(seconds, memory)
        try:
            _tell_items(pipe, way, items, holds)
        except RequestError as refused:
            _put(pipe, REFUSED, way.pack(str(refused)))
        except MemoryError:
            _unlimited(before)
            _put(pipe, FULL, b"")
        except BaseException as failed:  # libraries in Rust have panics that are no Exception
            _unlimited(before)
            lines = str(failed).strip().splitlines()
            _put(pipe, FAILED, way.pack([type(failed).__name__, lines[0][:300] if lines else ""]))
    except BaseException:
        pass
    finally:
        os._exit(0)


def _tell_items(pipe: int, way: Crossing, items: Callable[[], Iterable[Any]], holds: bool) -> None:
    """Several at a time, which is five times as fast as one by one; fewer where they are long."""
    source, kept, together = iter(items()), [], 1
    while some := list(islice(source, together)):
        if holds:
            kept.append(some)
        packed = way.pack(some)
        _put(pipe, ITEMS, packed)
        together = max(1, together // 2) if len(packed) > TOGETHER_BYTES else min(TOGETHER_ITEMS, 2 * together)
    _put(pipe, END, b"")


def _put(pipe: int, kind: bytes, content: bytes) -> None:
    left = memoryview(kind + len(content).to_bytes(8, "big") + content)
    while left:
        left = left[os.write(pipe, left) :]


def _alone(pipe: int) -> int:
    """No file of the parent stays open (its locks are not held longer than by itself) but the pipe, which is 3 now."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    if pipe != 3:
        os.dup2(pipe, 3)
    os.closerange(4, os.sysconf("SC_OPEN_MAX"))
    return 3


def _limited(seconds: float, memory: int) -> tuple[int, int]:
    """Set the limits; returns what held for memory before."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_DATA)
    with open("/proc/self/statm") as sizes:  # noqa: PTH123 - pathlib would be imported with less memory
        most = int(sizes.read().split()[DATA_PAGES]) * os.sysconf("SC_PAGE_SIZE") + memory
    resource.setrlimit(resource.RLIMIT_DATA, (most if before[1] < 0 else min(most, before[1]), before[1]))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, seconds)  # RLIMIT_CPU knows whole seconds only
    whole = int(seconds) + 2
    resource.setrlimit(resource.RLIMIT_CPU, (whole, whole))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return before


def _unlimited(before: tuple[int, int]) -> None:
    """Room to say that there was none."""
    import resource

    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, before)


def _here(
    what: str, items: Callable[[], Iterable[Any]], remedy: str, size: int, tells: bool
) -> Generator[Any, None, None]:
    """In this process: limits of time by an alarm between two of Python's steps, none of memory."""
    seconds = CLOCK * budget().seconds_for(size)
    try:
        with _alarm(seconds):
            found = list(items())
    except TimeoutError as late:
        raise _too_slow(what, seconds, remedy) from late
    except MemoryError as full:
        raise _too_large(what, budget().bytes_for(size), remedy) from full
    except RequestError:
        raise
    except Exception as failed:
        lines = str(failed).strip().splitlines()
        raise _broken(what, [type(failed).__name__, lines[0][:300] if lines else ""], remedy, tells) from failed
    yield from found


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """TimeoutError after ``seconds``, where this is the main thread of a system with alarms."""

    def ring(*_: object) -> None:
        raise TimeoutError

    try:
        before = signal.signal(signal.SIGALRM, ring)
    except (AttributeError, ValueError):
        yield
        return
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
