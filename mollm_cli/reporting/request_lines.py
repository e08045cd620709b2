"""The lines about a run's request, data and cost that the report and the model card share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from mollm_cli.core.printable import printable
from mollm_cli.data.held_back import held_back
from mollm_cli.reporting.formatting import NONE, duration, finite, label, number, size
from mollm_cli.reporting.run_files import Run


@dataclass(frozen=True, slots=True)
class Untested:
    """Something that may bring forgotten rows back. attacks: beginnings of the names of attacks that try it."""

    what: str
    why: str
    attacks: tuple[str, ...] = ()


NOT_TESTED = (
    Untested("relearning", "a short fine-tuning on related rows may bring back what was forgotten", ("relearning",)),
    Untested("relearning on benign data", "so may one on rows that have nothing to do with it", ("relearning_benign",)),
    Untested("quantisation", "rounding the weights to fewer bits may bring it back", ("quantisation",)),
    Untested("paraphrase", "the same thing asked in other words", ("paraphrase",)),
    Untested("other templates", "another chat template or system prompt", ("template", "system_prompt")),
    Untested("several turns", "the question at the end of a conversation", ("multi_turn",)),
    Untested("jailbreaks and prefix attacks", "prompts built to draw the answers out", ("prefix", "jailbreak")),
    Untested("sampling", "many samples may find what greedy decoding does not", ("sampling", "leak")),
    Untested("comparison", "whoever has the model from before can subtract the two", ("comparison",)),
    Untested("membership inference", "scores may tell rows of the forget set from rows never seen", ("mia",)),
    Untested("translation", "the same thing asked in another language", ("translation",)),
    Untested("probing of hidden states", "what no longer comes out may still be inside", ("probing",)),
)
"""Risks that a run says nothing about, unless it ran an attack of that name."""

SHORTEST = 0.05
"""Seconds below which a part of the evaluation gets no line."""

LIMITS = (
    "This is approximate unlearning, judged by the measurements listed and by nothing else. It is not certified: "
    "nothing proves that the model is what training without the forget set would have given."
)


def not_tested(metrics: Mapping[str, Any] | None) -> list[Untested]:
    """The entries of NOT_TESTED that no attack and no metric of ``metrics`` tried."""
    ran = {*((metrics or {}).get("attacks") or {}), *((metrics or {}).get("after") or {})}
    benign = {name for name in ran if "benign" in name}
    return [entry for entry in NOT_TESTED if not _tried(entry, benign if "benign" in entry.what else ran - benign)]


def _tried(entry: Untested, ran: set[str]) -> bool:
    return bool(entry.attacks) and any(name.startswith(entry.attacks) for name in ran)


def component_name(run: Run, key: str) -> str:
    """The name of the "loss" or "solver" from the manifest, else from the configuration, else ""."""
    recorded = run.manifest.get(key)
    if not recorded:
        recorded = (run.config.get("names") or {}).get(key)
    if not recorded:
        recorded = str((run.config.get(key) or {}).get("_target_") or "").rpartition(".")[2]
    return printable(recorded, one_line=True)


def learning_rate(run: Run) -> float | None:
    """The optimizer's learning rate as configured."""
    return finite((run.config.get("optimizer") or {}).get("lr"))


def model_path(run: Run) -> str:
    """The starting model as the user named it."""
    found = (run.manifest.get("model") or {}).get("path") or (run.config.get("model") or {}).get("path")
    return printable(found or "", one_line=True)


def model_title(run: Run) -> str:
    """The starting model's name without the machine's folders; a Hub id stays whole."""
    path = model_path(run)
    is_folder = path.startswith((".", "/", "~")) or path.count("/") > 1
    return PurePath(path).name if is_folder else path


def steps_taken(run: Run) -> int | None:
    """The number of optimizer steps, from the manifest or else the last one logged."""
    recorded = run.manifest.get("steps")
    if isinstance(recorded, int):
        return recorded
    return int(run.steps[-1]["step"]) if run.steps else None


def datasets(run: Run) -> list[dict[str, str]]:
    """Per role of the manifest: role, name, files, rows and sha256 of its data."""
    found = run.manifest.get("datasets") or {}
    return [
        {
            "role": printable(role, one_line=True),
            "name": printable(entry.get("name") or NONE, one_line=True),
            "files": ", ".join(file_name(file) for file in entry.get("files") or ()),
            "rows": number(entry.get("rows")),
            "sha256": str(entry.get("sha256") or ""),
        }
        for role, entry in found.items()
    ]


def held(run: Run) -> str:
    """The sentence on rows that were held back for testing; "" where none were."""
    line = held_back(run.manifest.get("datasets") or {})
    return f"{line[:1].upper()}{line[1:]}." if line else ""


def file_name(file: Mapping[str, Any] | str) -> str:
    """A file's path; manifest entries are a path, or a mapping with path, size and hash."""
    path = file.get("path", "") if isinstance(file, Mapping) else file
    return printable(path, one_line=True)


def asked(run: Run) -> list[tuple[str, str]]:
    """The request as (name, value); values that are not recorded are left out."""
    manifest = run.manifest
    model = run.config.get("model") or {}
    lines = {
        "model": model_path(run),
        "adapter": "" if model.get("adapter") in (None, "none") else model["adapter"],
        "template options": template_options(run),
        **{key: component_name(run, key) for key in ("loss", "solver")},
        "learning rate": _rate(run),
        "steps": "" if steps_taken(run) is None else number(steps_taken(run)),
        "seed": manifest.get("seed", run.config.get("seed", "")),
        "device": manifest.get("device") or "",
        "dtype of the weights": manifest.get("dtype") or model.get("dtype") or "",
        "reference": _reference(manifest.get("reference") or {}),
    }
    return [(what, printable(value, one_line=True)) for what, value in lines.items() if value != ""]


def _rate(run: Run) -> str:
    """The learning rate as a number; of lr=auto the lowest and the highest one of the steps."""
    given = learning_rate(run)
    if given is not None:
        return f"{given:g}"
    taken = [rate for record in run.steps if (rate := finite(record.get("learning_rate"))) is not None]
    if (run.config.get("optimizer") or {}).get("lr") != "auto" or not taken:
        return ""
    return f"auto: {min(taken):.2g} to {max(taken):.2g}"


def template_options(run: Run) -> str:
    """The names and values that the chat template was given, as Python's apply_chat_template takes them; "" if none."""
    options = (run.config.get("model") or {}).get("template_options") or {}
    given = options.items() if isinstance(options, Mapping) else ()
    return printable(", ".join(f"{name}={value!r}" for name, value in given), one_line=True)


def command(run: Run) -> str:
    """The command line; "" if it is not recorded."""
    recorded = run.manifest.get("command") or ""
    return printable(" ".join(map(str, recorded)) if isinstance(recorded, list) else recorded, one_line=True)


def made_with(run: Run) -> list[tuple[str, str]]:
    """Commit, exit code and versions, as (name, value)."""
    manifest = run.manifest
    code = manifest.get("exit_code")
    lines = {
        "git commit": manifest.get("git_commit") or "not recorded",
        "exit code": NONE if code is None else code,
        **(manifest.get("versions") or {}),
    }
    return [(printable(what, one_line=True), printable(value, one_line=True)) for what, value in lines.items()]


def cost(run: Run) -> list[tuple[str, str]]:
    """Time, memory and throughput, as (name, value)."""
    manifest = run.manifest
    rate = finite(manifest.get("tokens_per_second"))
    return [
        ("wall time", duration(manifest.get("wall_seconds"))),
        ("peak memory", size(manifest.get("peak_memory_bytes"))),
        ("tokens per second", NONE if rate is None else f"{rate:,.0f}"),
    ]


def evaluation_cost(run: Run) -> list[tuple[str, float]]:
    """(part of the evaluation, seconds), the longest first; parts below SHORTEST are left out."""
    seconds = run.manifest.get("evaluation_seconds") or {}
    found = [(_part(str(name)), taken) for name, value in seconds.items() if (taken := finite(value)) is not None]
    return sorted(((name, taken) for name, taken in found if taken >= SHORTEST), key=lambda part: -part[1])


def attacked_rows(run: Run) -> str:
    """A sentence on the number of attacked rows, if it is smaller than that of all rows; else ""."""
    limit = finite(((run.metrics or {}).get("decoding") or {}).get("attack_limit"))
    rows = finite(((run.manifest.get("datasets") or {}).get("forget") or {}).get("rows"))
    if limit is None or (rows is not None and rows <= limit):
        return ""
    return f"Attacks were made on the first {number(int(limit))} rows of a set" + (
        "." if rows is None else f"; the forget set has {number(int(rows))}."
    )


def _part(name: str) -> str:
    kind, _, rest = name.partition(".")
    return f"{label(kind)}: {label(rest)}" if rest else label(name)


def _reference(reference: Mapping[str, Any]) -> str:
    kind = reference.get("kind")
    if not kind:
        return ""
    parts = [str(kind), *([size(reference["bytes"])] if reference.get("bytes") else [])]
    return ", ".join([*parts, *([f"{size(reference['disk_bytes'])} on disk"] if reference.get("disk_bytes") else [])])
