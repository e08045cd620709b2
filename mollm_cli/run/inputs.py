"""The inputs that a run's numbers depend on: noted in every resume point, and compared before a run is continued."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mollm_cli.configuration.request import TrainRequest
from mollm_cli.core.safe_yaml import load_yaml
from mollm_cli.core.types import Encoded
from mollm_cli.data.reworded import REWORDED
from mollm_cli.models.load_model import fingerprint, source
from mollm_cli.resume.lasting import numbers, require_same
from mollm_cli.resume.resume_points import as_json, recorded

if TYPE_CHECKING:
    from mollm_cli.run.prepare import Prepared
    from mollm_cli.run.training_set import TrainingSet


def inputs(
    run_dir: Path, request: TrainRequest, plan: TrainingSet, prepared: Prepared, files: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The lasting keys of config.yaml, and what else could be another under the same keys: weights and trained rows.

    files: the weights of model.path with their hashes. Of them and of the rows it is the first 16 digits of their
    sha256: "weights of model.path", "rows of data.forget".
    """
    return _numbers(run_dir) | _weights(files) | _rows(request, plan, prepared)


def require_recorded(
    run_dir: Path, request: TrainRequest, plan: TrainingSet | None = None, prepared: Prepared | None = None
) -> None:
    """Raise RequestError where a run that is gone on with has other inputs than its newest resume point notes.

    It is asked before a tokenizer or a model is loaded, which may run code, and again when the rows are there: plan,
    prepared. What is not known yet, the files of a model of the Hub that is not in the cache, is compared when the
    point is read.
    """
    if request.resume is None:
        return
    noted = recorded(run_dir / "resume")
    found = _numbers(run_dir) if prepared is None or plan is None else _rows(request, plan, prepared)
    if noted and prepared is None and (files := fingerprint(source(request.model), request.model.revision)):
        found |= _weights(files)
    found = as_json(found)
    require_same({key: noted[key] for key in found if key in noted}, {key: found[key] for key in found if key in noted})


def _numbers(run_dir: Path) -> dict[str, Any]:
    file = run_dir / "config.yaml"
    return numbers(load_yaml(file.read_text(encoding="utf-8"), str(file)) if file.is_file() else {})


def _weights(files: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    digests = "".join(str(each["sha256"]) for each in files)
    return {"weights of model.path": hashlib.sha256(digests.encode()).hexdigest()[:16]}


def _rows(request: TrainRequest, plan: TrainingSet, prepared: Prepared) -> dict[str, Any]:
    roles = request.train
    names = [name for role in roles for name in prepared.sets_of(role)]
    names += [REWORDED] if REWORDED in prepared.loaded else []
    rows = {name: prepared.loaded[name].fingerprint for name in names}
    seen = {f"rows of data.{name}": str(of.get("sha256", of["rows"]))[:16] for name, of in rows.items()}
    return seen | {f"tokens of data.{name}": _digest(prepared.encoded[name]) for name in names}


def _digest(rows: Sequence[Encoded]) -> str:
    """Of token ids and labels: what a template wrote, and where the targets are."""
    state = hashlib.sha256()
    for row in rows:
        state.update(array("q", (*row.input_ids, *row.labels)).tobytes())
    return state.hexdigest()[:16]
