"""Hostile sweep.json: sweeps of a stranger that are gone on with."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

from tests.support.hostile.hostile_input import SHORT, VARIABLE, Hostile, Make, Place, deep, inputs
from tests.support.hostile.run_directories import FAMILY


def hostile_sweeps() -> list[Hostile]:
    """Of the family of run directories."""
    return inputs(FAMILY, "sweep.json of another shape", _sweeps(), changes=True)


def _sweeps() -> Iterator[Make]:
    good: dict[str, Any] = {"command": "unlearn", "base": ["loss=ga"], "lines": [["seed=1"]], "named": {}}
    changes: list[Any] = [
        [], 5, None, {}, good | {"command": "rm"}, good | {"command": 5}, good | {"lines": 5}, good | {"lines": [5]},
        good | {"base": 5}, good | {"lines": [[5]]}, good | {"base": ["+tracker._target_=trap.spring"]},
        good | {"base": ["hydra/callbacks=trap"]}, good | {"base": [f"run_name=${{oc.env:{VARIABLE}}}"]},
        good | {"lines": [["+tracker._target_=os.system"]]}, good | {"named": 5},
        good | {"base": ["hydra.job.env_set.LD_PRELOAD=x"]}, good | {"base": ["model.trust_remote_code=true"]},
        good | {"base": ["("]}, good | {"base": ["--config-dir", "/etc"]}, good | {"lines": [["junit=/tmp/x"]]},
        good | {"base": ["hydra.searchpath=[pkg://trap]"]}, good | {"lines": [["loss=" + "(" * 900]]},
        good | {"base": [None]},
    ]  # fmt: skip
    for each in changes:  # a job is run by its own line, which repeats the base
        if isinstance(each, dict) and isinstance(each.get("base"), list) and each.get("lines") == [["seed=1"]]:
            each["lines"] = [[*each["base"], *SHORT]]
    texts = [*(json.dumps(each) for each in changes), deep(100_000), "{", ""]
    for text in texts:

        def write(place: Place, rng: random.Random, text: str = text) -> list[str]:
            place.run.mkdir()
            (place.run / "sweep.json").write_text(text)
            return ["mollm-unlearn", "--resume-sweep", str(place.run)]

        yield write
