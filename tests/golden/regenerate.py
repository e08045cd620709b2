"""Seeded runs whose losses are kept, step by step: ``python -m tests.golden.regenerate`` writes them anew.

The files may change only together with a line under "Numerics" in CHANGELOG.md, or with the embedded model.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from tests.support.cli import unlearn

FOLDER = Path(__file__).parent
RUNS: dict[str, tuple[str, ...]] = {
    "mollm": (
        "loss=mollm",
        "loss.retain_weight=1",
        "loss.kl_weight=1",
        "optimizer.lr=1e-3",
        "direction.retain=descend",
    ),
    "ga_kl": ("loss=ga_kl", "loss.kl_weight=1", "optimizer.lr=1e-3"),
}
"""What is tuned from time to time is written out: new defaults are no new numerics."""


def losses(name: str) -> list[dict[str, float]]:
    """The losses of six steps of the run ``name`` on the embedded model, on the CPU."""
    with tempfile.TemporaryDirectory() as folder:
        run = unlearn(Path(folder), *RUNS[name], "engine.max_steps=6", "evaluation.limit=1")
        assert run.code == 0, run.err
        return [{key: value for key, value in step.items() if key.startswith("loss.")} for step in run.steps]


def main() -> None:
    """Write every file."""
    for name in RUNS:
        (FOLDER / f"{name}.json").write_text(json.dumps(losses(name), indent=1) + "\n")


if __name__ == "__main__":
    main()
