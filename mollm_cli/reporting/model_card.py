"""README.md beside an unlearned model's weights: what was asked, what was measured, what nobody knows."""

from __future__ import annotations

from pathlib import Path

from mollm_cli.reporting import facts
from mollm_cli.reporting.measures import Measure, measures
from mollm_cli.reporting.run_files import Run, read_run
from mollm_cli.reporting.words import number, printable, verdict_line


def write_model_card(run_dir: Path, checkpoint_dir: Path) -> Path:
    """Write ``checkpoint_dir``/README.md from the files of ``run_dir`` and return its path.

    It travels with the weights: it holds no example's text, no command line and no folder of a machine.
    Raises RequestError where ``run_dir`` is no run directory or a file of it cannot be read.
    """
    target = checkpoint_dir / "README.md"
    target.write_text(_card(read_run(run_dir)), encoding="utf-8")
    return target


def _card(run: Run) -> str:
    sections = [
        _front_matter(run),
        f"# {facts.model_title(run) or 'A model'}, unlearned",
        _asked(run),
        _measured(run),
        _limits(),
        _loading(run),
    ]
    return "\n\n".join(sections) + "\n"


def _front_matter(run: Run) -> str:
    import yaml

    tags = ["unlearning", "machine-unlearning"]
    loss = facts.loss_name(run)
    content = {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": [*tags, loss] if loss else tags,
    }
    return f"---\n{yaml.safe_dump(content, sort_keys=False, allow_unicode=True)}---"


def _asked(run: Run) -> str:
    lines = [f"- {what}: {_cell(value)}" for what, value in facts.asked(run) if what != "model"]
    data = [f"- {entry.role}: {_cell(entry.name)}, {entry.rows} rows" for entry in facts.datasets(run)]
    model = _cell(facts.model_title(run))
    start = f"The model {model} was made to forget the forget set below, and to stay as it was on the rest."
    return "\n".join(["## What was asked", "", start, "", *data, *lines])


def _measured(run: Run) -> str:
    if run.metrics is None:
        return "## What was measured\n\nNothing: the run has no metrics."
    rows = "\n".join(_row(measure) for measure in measures(run.metrics))
    return (
        "## What was measured\n\n"
        f"Verdict: {_cell(verdict_line(run.metrics))}.\n\n"
        "| metric | before | after | oracle | |\n| --- | ---: | ---: | ---: | --- |\n"
        f"{rows}\n\n"
        "The oracle is a model trained without the forget set. On the forget side a value is better the closer it "
        "comes to the oracle's, not the lower it is."
    )


def _row(measure: Measure) -> str:
    values = " | ".join(number(value) for value in (measure.before, measure.after, measure.oracle))
    return f"| {_cell(measure.name)} | {values} | {measure.change_word} |"


def _limits() -> str:
    untested = "\n".join(f"- {what}: {why}" for what, why in facts.NOT_TESTED)
    return f"## Limits\n\n{facts.LIMITS} Unless the table above names it, none of this was tested:\n\n{untested}"


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
