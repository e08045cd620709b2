"""README.md beside an unlearned model's weights: what was asked, what was measured, what nobody knows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mollm_cli.core.atomic import write_text
from mollm_cli.core.printable import printable
from mollm_cli.core.secrets import redacted
from mollm_cli.reporting import history, request_lines
from mollm_cli.reporting.attack_tables import attacks
from mollm_cli.reporting.formatting import label, over, verdict_line, with_span, yardstick_name
from mollm_cli.reporting.measures import ATTACK, COLUMNS, Measure, columns, measures
from mollm_cli.reporting.run_files import Run, read_run


def write_model_card(run_dir: Path, checkpoint_dir: Path) -> Path:
    """Write ``checkpoint_dir``/README.md from the files of ``run_dir`` and return its path.

    It travels with the weights: it holds no example's text, no command line and no folder of a machine.
    Raises RequestError where ``run_dir`` is no run directory or a file of it cannot be read.
    """
    target = checkpoint_dir / "README.md"
    write_text(target, redacted(_card(read_run(run_dir))))
    return target


def _card(run: Run) -> str:
    sections = [
        _front_matter(run),
        f"# {request_lines.model_title(run) or 'A model'}, unlearned",
        _asked(run),
        _measured(run),
        _attacked(run),
        _limits(run),
        _loading(run),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _front_matter(run: Run) -> str:
    import yaml

    tags = ["unlearning", "machine-unlearning"]
    loss = request_lines.loss_name(run)
    content = {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": [*tags, loss] if loss else tags,
    }
    return f"---\n{yaml.safe_dump(content, sort_keys=False, allow_unicode=True)}---"


def _asked(run: Run) -> str:
    lines = [f"- {what}: {_cell(value)}" for what, value in request_lines.asked(run) if what != "model"]
    data = [f"- {entry.role}: {_cell(entry.name)}, {entry.rows} rows" for entry in request_lines.datasets(run)]
    lines += [f"- {what}: {_cell(value)}" for what, value in (("kept", history.kept(run)),) if value]
    lines += [f"- came through: {_cell(entry)}" for entry in history.lineage(run)]
    model = _cell(request_lines.model_title(run))
    start = f"The model {model} was made to forget the forget set below, and to stay as it was on the rest."
    return "\n".join(["## What was asked", "", start, "", *data, *lines])


def _measured(run: Run) -> str:
    if run.metrics is None:
        return "## What was measured\n\nNothing: the run has no metrics."
    found = [measure for measure in measures(run.metrics) if not measure.name.startswith(ATTACK)]
    moments = columns(found)
    quality = next((measure.after for measure in found if measure.name == "forget_quality"), None)
    warning = over(run.metrics, quality)
    parts = [
        "## What was measured",
        f"Verdict: {_cell(verdict_line(run.metrics))}." + (f" {_cell(warning)}" if warning else ""),
        "\n".join(
            [
                f"| metric | {' | '.join(COLUMNS[moment] for moment in moments)} | |",
                f"| --- | {'---: | ' * len(moments)}--- |",
                *(_row(measure, moments) for measure in found),
            ]
        ),
        _reading(run.metrics),
    ]
    return "\n\n".join(parts)


def _row(measure: Measure, moments: Sequence[str]) -> str:
    values = " | ".join(with_span(measure.value(moment), measure.intervals.get(moment)) for moment in moments)
    said = ", ".join(word for word in (measure.change_word, measure.note) if word)
    return f"| {_cell(measure.name)} | {values} | {_cell(said)} |"


def _reading(metrics: dict[str, Any]) -> str:
    """How the table is to be read."""
    against = yardstick_name(metrics)
    if not against:
        return "There is neither an oracle nor holdout rows: nothing says how far the forget side should have gone."
    oracle = "The oracle is a model trained without the forget set. " if metrics.get("oracle") else ""
    return (
        f"{oracle}Never seen is the starting model on rows of the forget set's kind that it was never trained on. In "
        "brackets: 95 % intervals over rows. On the forget side a value is better the closer it comes to that of "
        f"{against}, not the lower it is."
    )


def _attacked(run: Run) -> str:
    rows = attacks(run.metrics or {}, measures(run.metrics or {}))
    if not rows:
        return ""
    lines = [
        f"| {_cell(row.title)} | {_cell(', '.join(filter(None, (label(row.headline), row.measure.note))))} | "
        f"{with_span(row.measure.after, row.measure.intervals.get('after'))} | "
        f"{with_span(row.yardstick, row.measure.intervals.get('oracle'))} | {_cell(row.word)} |"
        for row in rows
    ]
    head = ["| attack | metric | after | yardstick | |", "| --- | --- | ---: | ---: | --- |"]
    said = request_lines.attacked_rows(run)
    return "\n\n".join(part for part in ("## What an attacker can still get", "\n".join(head + lines), said) if part)


def _limits(run: Run) -> str:
    untested = "\n".join(f"- {entry.what}: {entry.why}" for entry in request_lines.not_tested(run.metrics))
    return f"## Limits\n\n{request_lines.LIMITS} None of this was tested:\n\n{untested}"


def _loading(run: Run) -> str:
    dtype = str(run.manifest.get("dtype") or (run.config.get("model") or {}).get("dtype") or "auto")
    return (
        "## How to load it\n\n```python\n"
        "from transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
        f'model = AutoModelForCausalLM.from_pretrained("FOLDER", dtype="{_cell(dtype)}")\n'
        'tokenizer = AutoTokenizer.from_pretrained("FOLDER")\n```\n\n'
        "FOLDER is the folder that holds this file."
    )


def _cell(text: str) -> str:
    """Text from data on one line of Markdown, without what would end a table cell, begin HTML or a link."""
    clean = printable(text, one_line=True)
    return "".join(f"\\{c}" if c in "|<>[]`*" else c for c in clean)
