"""What the numbers of a run depend on: noted in every resume point, compared before one is gone on with."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mollm_cli.configuration.request import Request
from mollm_cli.core.safe_yaml import load_yaml
from mollm_cli.models.load_model import LoadedModel
from mollm_cli.resume.lasting import numbers

if TYPE_CHECKING:
    from mollm_cli.run.prepare import Prepared
    from mollm_cli.run.training_set import TrainingSet


def inputs(
    run_dir: Path, request: Request, plan: TrainingSet, prepared: Prepared, loaded: LoadedModel
) -> dict[str, Any]:
    """The lasting keys of config.yaml, and what else could be another under the same keys: weights and trained rows.

    Of these the first 16 digits of their sha256: "weights of model.path", "rows of data.forget".
    """
    file = run_dir / "config.yaml"
    config = load_yaml(file.read_text(encoding="utf-8"), str(file)) if file.is_file() else {}
    roles = request.train or plan.loss.roles
    rows = {name: prepared.loaded[name].fingerprint for role in roles for name in prepared.sets_of(role)}
    weights = "".join(str(each["sha256"]) for each in loaded.files)
    return {
        **numbers(config),
        "weights of model.path": hashlib.sha256(weights.encode()).hexdigest()[:16],
        **{f"rows of data.{name}": str(seen.get("sha256", seen["rows"]))[:16] for name, seen in rows.items()},
    }
