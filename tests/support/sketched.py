"""What steps without kept gradients are tried on."""

from __future__ import annotations

from mollm_cli.gradients.direction_settings import Direction
from mollm_cli.solvers.weighted_sum import WeightedSum
from tests.support.tiny import batch, split

FORGET, RETAIN, ALTERNATE = batch(1, prefix="f"), batch(2, prefix="r"), batch(3, prefix="a")
WHOLE = {"forget": [FORGET], "retain": [RETAIN]}
PARTS = {"forget": split(FORGET, 1), "retain": split(RETAIN, 3)}
LIVE = {"kl_budget": 0.0, "forget_target": None, "live_threshold": 0.0}


class Fixed(WeightedSum):
    """Weights that do not depend on the Gram matrix, through the path that needs one."""

    needs = frozenset({"gram"})


def plain(gram: str, **more) -> Direction:
    """The solver's weights as they are, everything live."""
    return Direction(**(LIVE | {"gram": gram, "normalise": "none", "rescale": False} | more))


def batches_of(loss, whole: bool):
    """Batches for the roles of ``loss``, in one piece or in several."""
    given = (WHOLE if whole else PARTS) | {"alternate": split(ALTERNATE, 4 if whole else 1)}
    return {role: given[role] for role in loss.roles}
