"""What every family damages, undamaged: where these are refused, the others are refused for another reason."""

from __future__ import annotations

import random

from tests.support.hostile.hostile_input import Hostile, Place, inputs
from tests.support.hostile.model_folders import checked
from tests.support.hostile.rows import ROWS, forgetting, lines
from tests.support.hostile.run_directories import READ, RESUMED, met

FAMILY = "harmless"


def harmless() -> list[Hostile]:
    """One input for each way in which a family is met."""

    def yaml(place: Place, rng: random.Random) -> list[str]:
        place.write("experiment/theirs.yaml", "# @package _global_\nseed: 1\n")
        return place.checked("--config-dir", str(place.theirs), "experiment=theirs")

    makes = [
        yaml,
        lambda place, rng: forgetting(place, place.write("a.jsonl", lines(ROWS))),
        lambda place, rng: checked(place, place.copied_model()),
        lambda place, rng: place.ran(f"model.path={place.copied_model()}"),
        *(met(lambda place, run: None, way) for way in (*RESUMED, *READ)),
    ]
    return inputs(FAMILY, "nothing damaged", makes, refused=False, changes=True)
