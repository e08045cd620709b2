"""README.md beside an unlearned model's weights: the request, the measurements, the limits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mollm_cli.core.atomic import write_text
from mollm_cli.core.secrets import redacted
from mollm_cli.reporting import history, request_lines
from mollm_cli.reporting.attack_tables import attacks
from mollm_cli.reporting.formatting import label, markdown_text, over, verdict_line, with_span, yardstick_name
from mollm_cli.reporting.measures import ATTACK, COLUMNS, Measure, columns, measures, rows_of_sets
from mollm_cli.reporting.run_files import Run, read_run


def write_model_card(run_dir: Path, checkpoint_dir: Path) -> Path:
    """Write ``checkpoint_dir``/README.md from the files of ``run_dir`` and return its path.

    It travels with the weights, so it holds no example's text, no command line and no folder of a machine.
    Raises RequestError if ``run_dir`` is no run directory or a file of it cannot be read.
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
    loss = request_lines.component_name(run, "loss")
    content = {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": [*tags, loss] if loss else tags,
    }
    return f"---\n{yaml.safe_dump(content, sort_keys=False, allow_unicode=True)}---"


def _asked(run: Run) -> str:
    lines = [f"- {what}: {markdown_text(value)}" for what, value in request_lines.asked(run) if what != "model"]
    data = [f"- {row['role']}: {markdown_text(row['name'])}, {row['rows']} rows" for row in request_lines.datasets(run)]
    data += [f"- {markdown_text(line)}" for line in (request_lines.held(run),) if line]
    lines += [f"- {what}: {markdown_text(value)}" for what, value in (("kept", history.kept(run)),) if value]
    lines += [f"- came through: {markdown_text(entry)}" for entry in history.lineage(run)]
    model = markdown_text(request_lines.model_title(run))
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
        f"Verdict: {markdown_text(verdict_line(run.metrics))}." + (f" {markdown_text(warning)}" if warning else ""),
        "\n".join(
            [
                f"| metric | {' | '.join(COLUMNS[moment] for moment in moments)} | |",
                f"| --- | {'---: | ' * len(moments)}--- |",
                *(_row(measure, moments) for measure in found),
            ]
        ),
        _reading(run.metrics),
        rows_of_sets(found),
    ]
    return "\n\n".join(part for part in parts if part)


def _row(measure: Measure, moments: Sequence[str]) -> str:
    values = " | ".join(with_span(measure.value(moment), measure.intervals.get(moment)) for moment in moments)
    remark = ", ".join(part for part in (measure.change_word, measure.note) if part)
    return f"| {markdown_text(measure.name)} | {values} | {markdown_text(remark)} |"


def _reading(metrics: dict[str, Any]) -> str:
    """The explanation of the table."""
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
    lines = []
    for row in rows:
        metric = ", ".join(filter(None, (label(row.headline), row.measure.note)))
        after = with_span(row.measure.after, row.measure.intervals.get("after"))
        aim = with_span(row.yardstick, row.measure.intervals.get("oracle"))
        title, metric, word = map(markdown_text, (row.title, metric, row.word))
        lines.append(f"| {title} | {metric} | {after} | {aim} | {word} |")
    head = ["| attack | metric | after | yardstick | |", "| --- | --- | ---: | ---: | --- |"]
    note = request_lines.attacked_rows(run)
    return "\n\n".join(part for part in ("## What an attacker can still get", "\n".join(head + lines), note) if part)


def _limits(run: Run) -> str:
    untested = "\n".join(f"- {entry.what}: {entry.why}" for entry in request_lines.not_tested(run.metrics))
    return f"## Limits\n\n{request_lines.LIMITS} None of this was tested:\n\n{untested}"


def _loading(run: Run) -> str:
    dtype = str(run.manifest.get("dtype") or (run.config.get("model") or {}).get("dtype") or "auto")
    options = request_lines.template_options(run)
    asked = f"Conversations were written with {markdown_text(options)} for the chat template." if options else ""
    return (
        "## How to load it\n\n```python\n"
        "from transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
        f'model = AutoModelForCausalLM.from_pretrained("FOLDER", dtype="{markdown_text(dtype)}")\n'
        'tokenizer = AutoTokenizer.from_pretrained("FOLDER")\n```\n\n'
        "FOLDER is the folder that holds this file." + (f" {asked}" if asked else "")
    )
