"""What a step sends to other processes, by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mollm_cli.engine.planner import plan
from mollm_cli.engine.settings import Engine
from mollm_cli.engine.traffic import passes
from mollm_cli.gradients.settings import Direction
from mollm_cli.losses.ga_kl import ga_kl
from mollm_cli.models.settings import Model
from mollm_cli.solvers.weighted_sum import WeightedSum
from tests.unit.engine.test_planner import facts

LAYER, OUTER = 4 * 32 * 32 + 3 * 32 * 64 + 2 * 32, 2 * 97 * 32 + 32
SKETCH = Direction(gram="sketch", sketch_buckets=64)
FIXED = {"loss": ga_kl(), "solver": WeightedSum()}
ADAPTER = {"model": Model("random", adapter="lora"), "reference": "adapter_off"}


def sent(processes: int = 4, parallel: str = "fsdp", **changes) -> dict[str, int]:
    engine = Engine(batch_size=4 * processes, micro_batch=4, processes=processes, parallel=parallel)
    return {term.name: term.size for term in plan(facts(engine=engine, **changes)).traffic}


@pytest.mark.parametrize(
    ("changes", "pieces", "expected"),
    [
        ({}, 1, (2, 3)),
        ({"direction": SKETCH}, 1, (2, 4)),
        ({"direction": SKETCH}, 3, (3 * 3, 3 * 4)),  # the retain rows again, their graphs are gone
        (FIXED, 3, (6, 6)),
    ],
)
def test_passes(changes, pieces, expected):
    assert passes(facts(engine=Engine(batch_size=4 * pieces, micro_batch=4), **changes)) == expected


def test_shards():
    layers, n = 2 * LAYER, 2 * LAYER + OUTER
    assert sent() == {
        "weights": 4 * (5 * layers + OUTER) * 3 // 4,
        "gradients": 3 * 4 * n * 3 // 4,
        "Gram matrix": 2 * 8 * 9 * 3 // 4,
    }
    sketched = sent(direction=SKETCH)
    assert sketched["weights"] == 4 * (6 * layers + OUTER) * 3 // 4
    assert sketched["Gram matrix"] == 2 * 3 * 64 * 4 * 3 // 4


def test_replicas():
    n = 2 * LAYER + OUTER
    assert sent(parallel="ddp") == {"gradients": 3 * (2 * 4 * n * 3 // 4)}
    assert sent(parallel="ddp", direction=SKETCH)["gradients"] == 2 * 4 * n * 3 // 4
    assert sent(parallel="ddp", **FIXED) == {"gradients": 2 * 4 * n * 3 // 4}
    assert sent(processes=1) == {}


def test_gradients_of_half_precision_travel_in_float32_and_those_of_an_adapter_are_few():
    half = replace(Model("random"), dtype="bfloat16")
    assert sent(model=half)["weights"] == sent()["weights"] // 2
    assert sent(model=half)["gradients"] == sent()["gradients"]
    trained = plan(facts(**ADAPTER)).trained
    assert sent(**ADAPTER)["gradients"] == 3 * 4 * trained * 3 // 4
    assert sent(**ADAPTER)["weights"] > sent()["weights"]
