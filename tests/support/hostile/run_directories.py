"""Hostile run directories: gone on with, purged, tried and compared."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from tests.support.hostile.hostile_input import (
    LIMITS,
    ODD_VALUES,
    PLANTED,
    VARIABLE,
    Hostile,
    Make,
    Place,
    deep,
    inputs,
    put,
)
from tests.support.hostile.yaml_files import NODES, TARGETS

FAMILY = "run directories"
Spoil = Callable[[Place, Path], object]
"""Damages a copy of the run."""
RESUMED = ("resume", "checked", "auto")
READ = ("purge", "try", "compare")


def hostile_runs() -> list[Hostile]:
    """All of this family."""
    return [
        *inputs(FAMILY, "config.yaml with code", _code(), changes=True, most=30),
        *inputs(FAMILY, "config.yaml that allows itself more", _allowing(), changes=True),
        *inputs(FAMILY, "config.yaml of another shape", _configs(), refused=False, changes=True, most=20),
        *inputs(FAMILY, "manifest.json of another shape", _manifests(), refused=False, changes=True, most=36),
        *inputs(FAMILY, "resume points of another shape", _points(), refused=False, changes=True, most=30),
        *inputs(FAMILY, "records of another shape", _records(), refused=False, changes=True, most=20),
    ]


def met(spoil: Spoil, *ways: str) -> Make:
    """A spoilt copy. ways: how it is met, one of RESUMED and READ."""

    def write(place: Place, rng: random.Random) -> list[str]:
        way, run = rng.choice(ways or (*RESUMED, *READ)), place.copied_run()
        if way == "auto":  # it leaves alone what has ended
            _change(run / "manifest.json", ("status",), "interrupted")
        spoil(place, run)
        return _line(place, way)

    return write


def _line(place: Place, way: str) -> list[str]:
    """The command line that meets the run in the place."""
    more = ("engine.max_steps=3", *LIMITS)
    return {
        "resume": ["mollm-unlearn", f"resume={place.run}", *more],
        "checked": ["mollm-unlearn", "--check", f"resume={place.run}", *more],
        "auto": [*place.ran(f"model.path={place.bases.model}", "resume=auto"), f"run_dir={place.run}"],
        "purge": ["mollm-unlearn", "--purge", str(place.run)],
        "try": ["mollm-try", str(place.run), "--max-tokens", "2"],
        "compare": ["mollm-compare", str(place.run), "--all"],
    }[way]


def _config(change: Callable[[Place, dict[str, Any]], Any]) -> Spoil:
    def spoil(place: Place, run: Path) -> None:
        file = run / "config.yaml"
        file.write_text(yaml.safe_dump(change(place, yaml.safe_load(file.read_text()))))

    return spoil


def _text(name: str, content: str | bytes) -> Spoil:
    def spoil(place: Place, run: Path) -> None:
        (run / name).write_bytes(content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content)

    return spoil


def _json(name: str, at: tuple[Any, ...], value: Any) -> Spoil:
    def spoil(place: Place, run: Path) -> None:
        file = run / name
        changed = value.replace("VICTIM", str(place.victim)) if isinstance(value, str) else value
        if isinstance(value, list):
            changed = [v.replace("VICTIM", str(place.victim)) if isinstance(v, str) else v for v in value]
        file.write_text(json.dumps(put(json.loads(file.read_text()), at, changed)))

    return spoil


def _code() -> Iterator[Make]:
    for target, node in product(TARGETS, NODES):

        def change(place: Place, config: dict[str, Any], target: str = target, node: str = node) -> Any:
            inner, *names = config, *node.split(".")
            for name in names[:-1]:
                inner = inner.setdefault(name, {})
                if not isinstance(inner, dict):
                    return config | {"tracker": {"_target_": target}}
            inner[names[-1]] = {"_target_": target, "_args_": [place.trap]}
            return config

        yield met(_config(change), *RESUMED[:2])


def _allowing() -> Iterator[Make]:
    asked: tuple[tuple[str, Any], ...] = (
        ("model.trust_remote_code", True), ("junit", "VICTIM/junit.xml"), ("github_summary", "VICTIM/diary.txt"),
        ("run_name", f"${{oc.env:{VARIABLE}}}"), ("run_name", "${hydra:overrides.task}"),
        ("output_root", "${oc.dict.keys:x}"), ("limits", {"_target_": "trap.spring"}),
        ("evaluation.judges", {"x": {"_target_": "trap.spring"}}),
        ("hydra", {"callbacks": {"x": {"_target_": "trap.x"}}}), ("names", {"tracker": f"${{oc.env:{VARIABLE}}}"}),
        ("data.forget.path", f"${{oc.env:{VARIABLE}}}"), ("gates", [f"${{oc.env:{VARIABLE}}}"]),
        ("model.path", "${oc.decode:x}"), ("model.trust_remote_code", "true"),
    )  # fmt: skip
    for key, value in asked:

        def change(place: Place, config: dict[str, Any], key: str = key, value: Any = value) -> Any:
            inner, *names = config, *key.split(".")
            for name in names[:-1]:
                inner = inner.setdefault(name, {})
            inner[names[-1]] = value.replace("VICTIM", str(place.victim)) if isinstance(value, str) else value
            return config

        yield met(_config(change), *RESUMED[:2])


def _configs() -> Iterator[Make]:
    contents = (
        "",
        "[]",
        "5",
        "a: [",
        "\x00",
        deep(50),
        "x: &x [*x]\n",
        "a: 1\n",
        "x: " + "a" * (2 << 20),
        "model: ${model}\n",
        b"\xff",
    )
    for content in contents:
        yield met(_text("config.yaml", content))
    for key in (
        "model",
        "data",
        "engine",
        "evaluation",
        "loss",
        "solver",
        "names",
        "seed",
        "optimizer",
        "tracker",
        "direction",
    ):
        for value in ODD_VALUES[:20]:
            yield met(_config(lambda place, config, key=key, value=value: config | {key: value}))  # type: ignore[misc]
    inner = (
        "model.path",
        "model.dtype",
        "data.forget",
        "data.sets",
        "engine.batch_size",
        "evaluation.oracle",
        "evaluation.limit",
    )
    for key, value in product(inner, ODD_VALUES[:20]):
        node, name = key.split(".")
        yield met(_config(lambda p, c, node=node, name=name, v=value: put(c, (node, name), v)))  # type: ignore[misc]


def _manifests() -> Iterator[Make]:
    contents = (
        "",
        "[]",
        "null",
        "5",
        "{",
        deep(100_000),
        '"x"',
        "{}",
        "\x00",
        '{"status": ' + "9" * 9000 + "}",
        '{"a":1}{',
        b"\xff\xfe",
    )
    for content in contents:
        yield met(_text("manifest.json", content))
    paths = ["VICTIM/diary.txt", "/etc/hostname", "../victim/diary.txt", "", "/", "\x00", "~", ".", "\ud800", "VICTIM"]
    for key in (("caches",), ("reference", "files")):
        yield met(_json("manifest.json", key, paths), "purge")
        for value in ([5], [None], [[]], {"a": 1}, "VICTIM/diary.txt", True, ["x" * 9000], ["VICTIM"]):
            yield met(_json("manifest.json", key, value), "purge")
    keys = (
        "status", "exit_code", "names", "model", "datasets", "content", "reference", "selection", "checkpoint",
        "versions", "peak_memory_bytes", "gates", "seed", "wall_seconds", "evaluation_seconds", "lineage", "command",
        "started", "loss",
    )  # fmt: skip
    for key, value in product(keys, ODD_VALUES):
        yield met(_json("manifest.json", (key,), value))
    for value in ({"files": 5}, {"files": [{"bytes": "x"}]}, [], "x", {"bytes": 10**400}):
        yield met(_json("manifest.json", ("purged",), value), "purge", "compare")
    yield met(_json("manifest.json", ("datasets",), {"a": {"hub": {"id": "'; touch x #\n\x1b[31m"}}}), "purge")


def _points() -> Iterator[Make]:
    def sealed(spoil: Callable[[Path], object]) -> Spoil:
        """With the hashes of what the point holds now: whoever made it can count too."""

        def write(place: Place, run: Path) -> None:
            (point,) = (run / "resume").glob("step-*")
            spoil(point)
            manifest = json.loads((point / "manifest.json").read_text())
            for name in manifest["files"]:
                content = (point / name).read_bytes()
                manifest["files"][name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            (point / "manifest.json").write_text(json.dumps(manifest))

        return write

    def loose(spoil: Callable[[Path], object]) -> Spoil:
        return lambda place, run: [spoil(point) for point in (run / "resume").glob("step-*")]

    ways = ("resume", "auto")
    for content in ("[]", "{}", "null", "", deep(100_000), "5", '{"step": 1}', b"\xff"):
        data = content if isinstance(content, bytes) else content.encode()
        yield met(sealed(lambda point, data=data: (point / "state.json").write_bytes(data)), *ways)  # type: ignore[misc]
        yield met(loose(lambda point, data=data: (point / "manifest.json").write_bytes(data)), *ways)  # type: ignore[misc]
    for at, value in product(
        (("files",), ("version",), ("point",), ("files", "state.json")), ([], 5, None, "x", {"a": 1})
    ):
        yield met(loose(lambda point, at=at, v=value: _change(point / "manifest.json", at, v)), *ways)  # type: ignore[misc]
    state = ("step", "solver", "optimizer", "extra", "python_random", "numpy_random")
    below = ("start", "best", "last", "since", "inputs", "kept", "micro_batch", "total_steps")
    for at in [*((key,) for key in state), *(("extra", key) for key in below)]:
        for value in ODD_VALUES[:16]:
            yield met(sealed(lambda point, at=at, v=value: _change(point / "state.json", at, v)), *ways)  # type: ignore[misc]
    for tensors in (b"", b"\xff" * 8, b"\x02" + b"\x00" * 7 + b"{}", b"\xff" * 7 + b"\x00{}"):
        yield met(sealed(lambda point, data=tensors: (point / "tensors.safetensors").write_bytes(data)), *ways)  # type: ignore[misc]


def _change(file: Path, at: tuple[Any, ...], value: Any) -> None:
    file.write_text(json.dumps(put(json.loads(file.read_text()), at, value)))


def _records() -> Iterator[Make]:
    row = json.dumps({"id": 1, "text": PLANTED})
    contents = (
        "[]\n", "5\n", "{}\n", deep(100_000) + "\n", row + "\n", "\x00\n", '{"step": 1' + "0" * 5000 + "}\n",
        "{\n{\n", b"\xff\n", '{"step": 1, "loss.x": {}}\n', '{"step": 1, "loss.x": "\x1b[31m"}\n',
        '{"step": -1, "loss.x": NaN}\n',
    )  # fmt: skip
    for name in ("train.jsonl", "samples.jsonl", "metrics.json", "report.html"):
        for content in contents:
            yield met(_text(name, content), *READ)
    for place_, value in product(
        ("before", "after", "oracle", "verdict", "yardstick", "descent", "attacks"), ODD_VALUES[:18]
    ):
        yield met(_json("metrics.json", (place_,), value), *READ)
