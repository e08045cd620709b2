"""Comparability of two runs: if they were measured on different things, their numbers do not compare.

A property that one of the two runs did not record (an older run, or one that ended early) is no difference.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from mollm_cli.core.printable import printable
from mollm_cli.reporting.run_files import Run

Aspect = Literal["data", "model", "version", "decoding", "yardstick"]

SYMBOLS: dict[Aspect, str] = {"data": "†", "model": "‡", "version": "§", "decoding": "¶", "yardstick": "‖"}
"""The marks of groups that may not be compared."""

PHRASES: dict[Aspect, str] = {
    "data": "other rows of",
    "model": "another starting model",
    "version": "another version of",
    "decoding": "measured otherwise:",
    "yardstick": "another yardstick",
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One aspect in which two runs differ. details: the roles, metrics or settings."""

    aspect: Aspect
    details: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The difference for readers: other rows of forget, retain."""
        return printable(f"{PHRASES[self.aspect]} {', '.join(self.details)}".strip(), one_line=True)


@dataclass(frozen=True, slots=True)
class MeasuredOn:
    """The properties that decide whether two runs compare; empty if the run did not record them.

    data: by role, the hash over its rows and their source.
    data_config: the configuration of the data.
    model: the hashes of the starting model's weights. Empty for a run that trained nothing: there the models are
    compared themselves.
    versions: the version of each metric, by flat name.
    yardstick: its kind.
    oracle: the hashes of its weights.
    """

    seed: object = None
    data: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    data_config: str = ""
    model: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    decoding: Mapping[str, str] = field(default_factory=dict)
    yardstick: str = ""
    oracle: str = ""


def measured_on(run: Run) -> MeasuredOn:
    """The properties of a run directory; decoding is from the configuration if metrics.json lacks it."""
    manifest, config, metrics = run.manifest, run.config, run.metrics or {}
    evaluation = config.get("evaluation") or {}
    decoding = {key: evaluation[key] for key in ("generate_tokens", "limit") if key in evaluation}
    if metrics:
        decoding["scoring"] = 1  # the version before metrics.json recorded it
    decoding |= metrics.get("decoding") or {}
    if not metrics.get("attacks"):
        decoding.pop("attack_limit", None)  # without an attack it had no effect
    return MeasuredOn(
        seed=manifest.get("seed", config.get("seed")),
        data={role: _rows(entry) for role, entry in (manifest.get("datasets") or {}).items() if entry},
        data_config=_canonical(config.get("data")),
        model=_hashes(manifest.get("model")) if "optimizer" in config else "",
        versions={
            name: str(info["version"]) for name, info in (metrics.get("metrics") or {}).items() if "version" in info
        },
        decoding={key: _canonical(value) for key, value in decoding.items()},
        yardstick="oracle" if metrics.get("oracle") else str(metrics.get("yardstick") or ""),
        oracle=_hashes(manifest.get("oracle")),
    )


def differences(first: MeasuredOn, other: MeasuredOn) -> tuple[Difference, ...]:
    """The aspects in which ``other`` differs from ``first``, among those that both recorded.

    If the seed draws rows from one source (test rows set aside, a sample), another seed does not make other data.
    """
    found = [
        Difference("data", tuple(role for role in first.data if _other_rows(first, other, role))),
        Difference("version", _changed(first.versions, other.versions)),
        Difference("decoding", _changed(first.decoding, other.decoding)),
    ]
    whole: list[Difference] = [Difference("model")] if _both(first.model, other.model) else []
    other_yardstick = _both(first.yardstick, other.yardstick) or _both(first.oracle, other.oracle)
    whole += [Difference("yardstick")] if other_yardstick else []
    return tuple(sorted((*(d for d in found if d.details), *whole), key=lambda d: list(SYMBOLS).index(d.aspect)))


def merged(found: Sequence[Difference]) -> tuple[Difference, ...]:
    """One difference per aspect, with the details of all."""
    details: dict[Aspect, dict[str, None]] = {}
    for difference in found:
        details.setdefault(difference.aspect, {}).update(dict.fromkeys(difference.details))
    return tuple(Difference(aspect, tuple(details[aspect])) for aspect in SYMBOLS if aspect in details)


def _other_rows(first: MeasuredOn, other: MeasuredOn, role: str) -> bool:
    if role not in other.data:
        return False
    (rows, source), (other_rows, other_source) = first.data[role], other.data[role]
    if not _both(rows, other_rows):
        return False
    drawn = first.seed != other.seed and source == other_source and first.data_config == other.data_config
    return not drawn


def _changed(first: Mapping[str, str], other: Mapping[str, str]) -> tuple[str, ...]:
    """The keys of both with different values, e.g. "limit 8 (first: 16)"."""
    return tuple(
        f"{key} {other[key]} (first: {first[key]})" for key in first if key in other and first[key] != other[key]
    )


def _both(first: str, other: str) -> bool:
    """True if both are known and differ."""
    return bool(first and other and first != other)


def _rows(entry: Mapping[str, Any]) -> tuple[str, str]:
    """The hash over the rows, and their source: files or Hub id."""
    return str(entry.get("sha256") or ""), _canonical([entry.get("files"), entry.get("hub")])


def _hashes(model: Mapping[str, Any] | None) -> str:
    files = (model or {}).get("files") or ()
    return ",".join(str(file["sha256"]) for file in files if isinstance(file, Mapping) and file.get("sha256"))


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, default=str)
