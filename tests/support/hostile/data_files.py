"""Hostile data files: what stands in the place of a set of questions and answers."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import pickle
import random
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.support.hostile.hostile_input import ODD_VALUES, PLANTED, Hostile, Make, Place, deep, inputs
from tests.support.hostile.rows import MIB, ROWS, Trap, data_file, forgetting, lines
from tests.support.hostile.tables import arrow, hostile_tables

FAMILY = "data files"


def hostile_data() -> list[Hostile]:
    """All of this family."""
    return [
        *inputs(FAMILY, "compressed bombs", _bombs()),
        *inputs(FAMILY, "rows and fields that do not end", _long()),
        *inputs(FAMILY, "other encodings, NULs, no text", _bytes(), refused=False),
        *inputs(FAMILY, "JSON that is odd or deep", _json(), refused=False),
        *inputs(FAMILY, "CSV of odd quotes and headers", _csv(), refused=False),
        *inputs(FAMILY, "Parquet and Arrow that lie", hostile_tables(), refused=False),
        *inputs(FAMILY, "rows of another shape", _rows(), refused=False, most=30),
        *inputs(FAMILY, "archives, folders, links, special files", _places()),
        *inputs(FAMILY, "pickles by any name", _pickles()),
    ]


def _bombs() -> Iterator[Make]:
    def spaces() -> bytes:
        return b" " * (80 * MIB) + lines(ROWS)

    def equal() -> bytes:
        return lines([{"question": "a" * 100, "answer": "b"}]) * (70 * MIB // 130)

    def packed(pack: Callable[[bytes], bytes], content: Callable[[], bytes]) -> Callable[[], bytes]:
        return lambda: pack(content())

    def quick(content: bytes) -> bytes:
        return gzip.compress(content, 1)

    def zipped(count: int, size: int) -> bytes:
        sink = io.BytesIO()
        with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for n in range(count):
                archive.writestr(f"{n}.jsonl", b" " * size)
        return sink.getvalue()

    for content in (spaces, equal):
        yield data_file("a.jsonl.gz", packed(quick, content))
        yield data_file("a.jsonl.xz", packed(lambda content: lzma.compress(content, preset=0), content))
    yield data_file("a.jsonl.bz2", packed(lambda content: bz2.compress(content, 1), spaces))
    yield data_file("a.jsonl.gz", lambda: quick(b"{}\n" * (10 * MIB // 3)))
    yield data_file("a.json.gz", lambda: quick(b"[" + b"{}," * (6 * MIB) + b"{}]"))
    yield data_file("a.json.gz", lambda: quick(b'[{"question": [' + b"[]," * (8 * MIB) + b"[]]}]"))
    yield data_file("a.csv.gz", lambda: quick(b"question,answer\n" + b",\n" * (8 * MIB)))
    yield data_file("a.txt.gz", lambda: quick(b"a\n" * (8 * MIB)), "dataset@data.forget=text-file")
    yield data_file("a.zip", lambda: zipped(1, 80 * MIB))
    yield data_file("a.zip", lambda: zipped(40, 2 * MIB))
    yield data_file("a.jsonl.gz", lambda: gzip.compress(quick(spaces())))
    yield data_file("a.jsonl.gz", lambda: gzip.compress(b"") * 200_000)
    yield data_file("a.jsonl.xz", lambda: lzma.compress(lines(ROWS))[:-9])


def _long() -> Iterator[Make]:
    endless = b"a" * (20 * MIB)
    yield data_file("a.jsonl", lambda: b'{"question": "' + endless + b'", "answer": "b"}\n')
    yield data_file("a.jsonl", lambda: endless)
    yield data_file("a.csv", lambda: b'question,answer\na,"' + endless)
    yield data_file("a.csv", lambda: b"a," * (3 * MIB) + b"\n" + lines(ROWS))
    yield data_file("a.txt", lambda: endless, "dataset@data.forget=text-file")
    yield data_file("a.jsonl", lambda: b'{"question": [' + b'"a",' * (5 * MIB) + b'"a"], "answer": "b"}\n')
    yield data_file("a.jsonl", lambda: b"{" + b",".join(b'"%d": 1' % n for n in range(2_000_000)) + b"}\n")
    yield data_file("a.json", lambda: b'[{"question": "' + endless + b'", "answer": 5}]')


def _bytes() -> Iterator[Make]:
    text = lines(ROWS)
    for encoding in ("utf-16", "utf-32", "utf-7", "latin-1", "cp037"):
        yield data_file("a.jsonl", text.decode().replace("Who", "Wh\u00f6").encode(encoding, "replace"))
    whole = [
        b"", b"\n\n\n", b"\x00" * 5000, b"\x00".join(text.splitlines()), text.replace(b"Who", b"\xff\xfe"),
        text[:-20], text.replace(b"Who", b"\\u0000\\u0007\\u001b[31m"), text.replace(b"Who", b"\\ud800"),
        b"\xef\xbb\xbf" * 3 + text, text.replace(b"\n", b"\r"), text.replace(b"Who", b"\xed\xa0\x80"),
        text.replace(b"Who", b"\x1b[2J\x07"), text.replace(b"Who", "\u202e\u2028\u0085".encode()),
        b"%PDF-1.4" + text, text + b"\x00", b"PK\x03\x04" + text,
    ]  # fmt: skip
    for content in whole:
        yield data_file("a.jsonl", content)
    for n in range(4):
        yield data_file(("a.jsonl", "a.csv", "a.parquet", "a.zip")[n], random.Random(f"data {n}").randbytes(3000))


def _json() -> Iterator[Make]:
    row = json.dumps(ROWS[0])
    for levels in (500, 100_000, 2_000_000):
        yield data_file("a.jsonl", deep(levels).encode())
        yield data_file("a.json", b"[" + deep(levels, '{"a":', "}").replace('"a":}', '"a":1}').encode() + b"]")
        yield data_file("a.jsonl", f'{{"question": {deep(levels)}, "answer": "{PLANTED}"}}'.encode())
    for text in (
        "null", "5", f'"{PLANTED}"', "[1, 2]", f'["{PLANTED}"]', "[[]]", "{}", "[]", f"{row},", f"[{row}",
        f"{row} {row}", f"[{row}, null]", f'[{row}, "{PLANTED}"]', '{"question": ' + "9" * 5000 + "}",
        '{"question": NaN, "answer": 1e999}', f'{{"question": "{PLANTED}", "question": "b", "answer": "c"}}',
        f"{{'question': '{PLANTED}'}}", f"// {PLANTED}\n{row}", f'{{"{PLANTED}": {{"{PLANTED}": 1}}}}',
        f'{{"question": "{PLANTED}\n", "answer": "a"}}', f"{PLANTED}", f"{row}\n{PLANTED}",
        '{"question": "\\x", "answer": ""}', f'{{"question": {{"a": "{PLANTED}"}}, "answer": ["b"]}}',
    ):  # fmt: skip
        yield data_file("a.json", text.encode())


def _csv() -> Iterator[Make]:
    body = "".join(f'"Who is {PLANTED}?",{PLANTED} {n}\n' for n in range(6))
    texts = [
        body, "question,question\n" + body, "question,answer\n" + f'"{PLANTED}',
        "question,answer\n" + f'a"b"c,"{PLANTED}"x\n', f"question,answer\n{PLANTED}\n",
        f"question,answer\na,b,{PLANTED}\n", f"{PLANTED},{PLANTED}\n1,2\n", ",\n,\n", "", "question;answer\n" + body,
        "question\tanswer\n" + body, f"id,question,answer\n{PLANTED},a,b\n{PLANTED},a,b\n",
        "question,answer\n" + "\x00," + PLANTED + "\n", "question,answer\r" + body,
        f'"question","answer"\n"{PLANTED}""\n', "question,answer\n" + '"' * 99_999,
        f"question,answer\n=cmd|' /C {PLANTED}'!A0,b\n" * 3, '"\n', "question,answer",
        "\ufeffquestion,answer\n" + body, "q" * 9000 + ",answer\n" + body, f"prompt,answer\n{PLANTED},\n",
    ]  # fmt: skip
    for text in texts:
        yield data_file("a.csv", text.encode())


def _rows() -> Iterator[Make]:
    kinds = {
        "qa-file": ("question", "answer", "id"),
        "chat-file": ("messages",),
        "choice-file": ("question", "choices", "answer"),
        "text-file": ("text",),
    }
    chat: list[Any] = [
        [{"role": PLANTED, "content": "a"}], [{"role": "user"}], [{"role": "user", "content": [PLANTED]}], [], "a",
        [[]], [{"from": PLANTED, "value": 5}], [{"role": "user", "content": PLANTED}] * 2, {"role": "user"},
        [{PLANTED: PLANTED}], [{"role": "assistant", "content": PLANTED}], [None],
    ]  # fmt: skip
    for kind, columns in kinds.items():
        for column in columns:
            for value in (*ODD_VALUES, *chat):
                good = {"question": PLANTED, "answer": 0, "choices": ["a", "b"], "text": PLANTED, "id": 1}
                good |= {"messages": [{"role": "user", "content": PLANTED}, {"role": "assistant", "content": "b"}]}
                rows = [*([good] * 6), good | {column: value}]
                yield data_file("a.jsonl", lines(rows), f"dataset@data.forget={kind}")
    for key in (
        "filter={a: 1}",
        "expected_rows=5",
        "prompt_field=[x]",
        "answer_field=meta.0.1",
        "perturbed_field=question",
    ):
        yield data_file("a.jsonl", lines(ROWS), f"++data.forget.{key}")


def _zipped(names: dict[str, bytes], link: str | None = None) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in names.items():
            archive.writestr(name, content)
        if link is not None:
            entry = zipfile.ZipInfo("link.jsonl")
            entry.external_attr = 0o120777 << 16
            archive.writestr(entry, link)
    return packed.getvalue()


def _places() -> Iterator[Make]:
    for name in ("../../victim/diary.jsonl", "/etc/x.jsonl", "..\\..\\x.jsonl", "C:\\x.jsonl", "a/../../b.jsonl"):
        yield data_file("a.zip", _zipped({name: lines(ROWS)}))
    yield data_file("a.zip", _zipped({}, link="/etc/passwd"))
    yield data_file("a.zip", _zipped({"a.exe": b"x"}))
    yield data_file("a.zip", _zipped({"inner.zip": _zipped({"a.jsonl": lines(ROWS)})}))
    yield data_file("a.zip", lambda: _zipped({f"{n}.jsonl": b"" for n in range(20_000)}))
    yield data_file("a.jsonl", b"", "data.forget.path=[]")

    def linked(name: str, target: str, asked: str = "folder") -> Make:
        def write(place: Place, rng: random.Random) -> list[str]:
            folder = place.theirs / "folder"
            folder.mkdir()
            (place.victim / "rows.jsonl").write_bytes(lines(ROWS))
            (folder / name).symlink_to(target.replace("VICTIM", str(place.victim)))
            return forgetting(place, place.theirs / asked)

        return write

    yield linked("a.jsonl", "VICTIM/rows.jsonl")
    yield linked("a.jsonl", "../../victim/rows.jsonl", "folder/*.jsonl")
    yield linked("a.jsonl", "a.jsonl", "folder/a.jsonl")
    yield linked("loop", "../folder", "folder/**/*.jsonl")
    yield linked("a.jsonl", "/dev/zero")
    yield linked("a.jsonl", "/proc/self/environ", "folder/*")

    def special(name: str, make: Any) -> Make:
        def write(place: Place, rng: random.Random) -> list[str]:
            make(place.theirs / name)
            return forgetting(place, place.theirs / name)

        return write

    yield special("a.jsonl", os.mkfifo)
    yield special("a.jsonl", Path.mkdir)
    yield lambda place, rng: forgetting(place, "/dev/zero")
    yield lambda place, rng: forgetting(place, "/dev/stdin")
    yield lambda place, rng: forgetting(place, "/proc/self/mem")
    yield lambda place, rng: forgetting(place, place.theirs / ("*" * 100))
    yield lambda place, rng: forgetting(place, "a" * 5000)
    states: list[Any] = [
        [],
        {"_data_files": 5},
        {"_data_files": [{"filename": "../../victim/diary.txt"}]},
        deep(100_000),
        {},
    ]
    states += [{"_data_files": [{"filename": None}]}, {"_data_files": [{"filename": "/dev/zero"}]}]
    for state in states:
        yield _saved(state if isinstance(state, str) else json.dumps(state))


def _saved(state: str) -> Make:
    def write(place: Place, rng: random.Random) -> list[str]:
        place.write("saved/state.json", state)
        place.write("saved/data.arrow", arrow(ROWS))
        return forgetting(place, place.theirs / "saved")

    return write


def _pickles() -> Iterator[Make]:
    def make(name: str) -> Make:
        return lambda place, rng: forgetting(place, place.write(name, pickle.dumps(Trap(place.canary), protocol=2)))

    return (
        make(name) for name in ("a.pkl", "a.pt", "a.bin", "a.npy", "a.jsonl", "a.json", "a.csv", "a.txt.x", "a.arrow")
    )
