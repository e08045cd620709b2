"""What a run shows for itself: evaluations, metrics.json, samples.jsonl, the report, the model card, the gates."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from mollm_cli.build import Request
from mollm_cli.core.errors import GateError
from mollm_cli.core.types import Scored
from mollm_cli.evaluation.records import metrics_record, sample_rows
from mollm_cli.evaluation.suite import Evaluation, compute, evaluate
from mollm_cli.models.load import fingerprint, load_model, source
from mollm_cli.models.settings import Model
from mollm_cli.reporting.console import stderr_console, summary
from mollm_cli.reporting.model_card import write_model_card
from mollm_cli.run.manifest import Manifest
from mollm_cli.run.prepare import Prepared, check_context


def plain_model(path: str, like: Model) -> Model:
    """The description of a model folder without adapter or reference: what is only evaluated."""
    return dataclasses.replace(
        like,
        path=path,
        revision=None,
        adapter="none",
        adapter_path=None,
        reference="auto",
        weights="pretrained",
        activation_checkpointing=False,
    )


def judge_folder(
    description: Model,
    request: Request,
    prepared: Prepared,
    device: torch.device,
    oracle: Mapping[str, list[Scored]] | None,
) -> Evaluation:
    """Load a model from disk, evaluate it with its own tokenizer, and let it go."""
    loaded = load_model(description, request.seed)
    check_context(prepared, loaded.model, description.path)
    model = loaded.model.to(device)
    return evaluate(model, loaded.tokenizer, prepared.sets, request.evaluation, oracle)


def judge_oracle(request: Request, prepared: Prepared, device: torch.device, manifest: Manifest) -> Evaluation | None:
    """The oracle's evaluation, itself as its own yardstick; None where none was named."""
    path = request.evaluation.oracle
    if path is None:
        return None
    description = plain_model(path, request.model)
    manifest.set(oracle={"path": path, "files": fingerprint(source(description))})
    alone = judge_folder(description, request, prepared, device, None)
    return compute(alone.scored, prepared.sets, request.evaluation, alone.scored)


def write_evidence(
    request: Request,
    run_dir: Path,
    prepared: Prepared,
    before: Evaluation | None,
    after: Evaluation,
    oracle: Evaluation | None,
) -> dict[str, Any]:
    """metrics.json and samples.jsonl; returns the content of the former."""
    record = metrics_record(before, after, oracle, request.evaluation, prepared.sets)
    (run_dir / "metrics.json").write_text(json.dumps(record, indent=2) + "\n")
    rows = sample_rows(before, after, oracle, prepared.sets, request.evaluation.keep_text)
    with (run_dir / "samples.jsonl").open("w") as file:
        for row in rows:
            file.write(json.dumps(row) + "\n")
    return record


def publish(run_dir: Path, record: Mapping[str, Any], checkpoint: Path | None) -> None:
    """The model card, and the table on the terminal."""
    if checkpoint is not None:
        write_model_card(run_dir, checkpoint)
    stderr_console().print(summary(record))


def hold_gates(request: Request, record: Mapping[str, Any], manifest: Manifest) -> None:
    """Check every gate, tell which held, and raise GateError where one did not."""
    results = [gate.check(record) for gate in request.gates]
    manifest.set(gates=[dataclasses.asdict(result) for result in results])
    for result in results:
        word = "held" if result.held else "FAILED"
        stderr_console().print(f"gate {word}: {result.gate} (value {result.value}, bound {result.bound})", markup=False)
    failed = [result.gate for result in results if not result.held]
    if failed:
        raise GateError(f"{len(failed)} of {len(results)} gates failed: {'; '.join(failed)}")
