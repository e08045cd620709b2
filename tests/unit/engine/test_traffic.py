"""What a step sends to other processes, by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from transformers import LlamaConfig

from mollm_cli.engine.engine_settings import Engine
from mollm_cli.engine.shares import gathered_bytes, reduced_bytes
from mollm_cli.engine.traffic import passes, traffic
from mollm_cli.gradients.direction_settings import Direction
from mollm_cli.losses.ga_kl import ga_kl
from mollm_cli.models.blueprint import blueprint
from mollm_cli.models.model_settings import Model
from mollm_cli.solvers.weighted_sum import WeightedSum
from tests.support.cli import ROOT
from tests.unit.engine.test_planner import facts, small

LAYER, OUTER = 4 * 32 * 32 + 3 * 32 * 64 + 2 * 32, 2 * 97 * 32 + 32
SKETCH = Direction(gram="sketch", sketch_buckets=64)
FACTORS = Direction(gram="factors", sketch_buckets=64)
FIXED = {"loss": ga_kl(), "solver": WeightedSum()}
ADAPTER = {"model": Model("random", adapter="lora"), "reference": "adapter_off"}


def sent(processes: int = 4, parallel: str = "fsdp", **changes) -> dict[str, int]:
    engine = Engine(batch_size=4 * processes, micro_batch=4, processes=processes, parallel=parallel)
    given = facts(engine=engine, **changes)
    return {term.name: term.size for term in traffic(given, empty(given.model))}


def empty(model: Model):
    return blueprint(model, small(), False)


@pytest.mark.parametrize(
    ("changes", "pieces", "expected"),
    [
        ({}, 1, (2, 3)),
        ({"direction": SKETCH}, 1, (2, 4)),
        ({"direction": SKETCH}, 3, (3 * 3, 3 * 4)),  # the retain rows again, their graphs are gone
        ({"direction": FACTORS}, 1, (2, 3)),
        ({"direction": FACTORS}, 3, (3 * 3, 3 * 4)),
        (FIXED, 3, (6, 6)),
        ({"reference": "copy"}, 1, (3, 3)),
        ({"reference": "adapter_off", "direction": SKETCH}, 2, (2 * (3 + 2), 2 * 4)),
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
    untapped = OUTER + 2 * 2 * 32  # embedding, head, norms; of KL and cross-entropy nothing else
    assert sketched["gradients"] == 4 * (2 * n + 2 * untapped) * 3 // 4
    assert sketched["Gram matrix"] == 2 * 3 * 64 * 4 * 3 // 4


def test_replicas():
    n = 2 * LAYER + OUTER
    assert sent(parallel="ddp") == {"gradients": 3 * (2 * 4 * n * 3 // 4)}
    assert sent(parallel="ddp", direction=SKETCH)["gradients"] == 2 * 4 * n * 3 // 4
    assert sent(parallel="ddp", **FIXED) == {"gradients": 2 * 4 * n * 3 // 4}
    assert sent(processes=2, parallel="ddp") == {"gradients": 3 * (2 * 4 * n // 2)}
    assert sent(processes=1) == {}


def test_gradients_of_half_precision_travel_in_float32_and_those_of_an_adapter_are_few():
    half = replace(Model("random"), dtype="bfloat16")
    assert sent(model=half)["weights"] == sent()["weights"] // 2
    assert sent(model=half)["gradients"] == sent()["gradients"]
    trained = sum(p.numel() for p in empty(ADAPTER["model"]).parameters() if p.requires_grad)
    assert sent(**ADAPTER)["gradients"] == 3 * 4 * trained * 3 // 4
    assert sent(**ADAPTER)["weights"] > sent()["weights"]


def test_a_second_model_is_collected_too():
    assert sent(reference="copy")["weights"] == 4 * (6 * 2 * LAYER + 2 * OUTER) * 3 // 4


def test_seventy_billion_parameters_on_sixteen_gpus_as_documented():
    config = LlamaConfig(
        vocab_size=128_256,
        hidden_size=8192,
        intermediate_size=28_672,
        num_hidden_layers=80,
        num_attention_heads=64,
        num_key_value_heads=8,
    )
    model = Model("random", dtype="bfloat16")
    engine = Engine(batch_size=16, processes=16, parallel="fsdp")
    given = facts(config=config, model=model, engine=engine, direction=Direction(gram="sketch"))
    cut = blueprint(model, config, False)
    found = {
        "gathered": gathered_bytes(cut, 16),
        "reduced": reduced_bytes(cut),
        **{term.name: term.size for term in traffic(given, cut)},
        "replicas": traffic(replace(given, engine=replace(engine, parallel="ddp")), cut)[0].size,
        "exact": traffic(replace(given, direction=Direction(), engine=replace(engine, parallel="ddp")), cut)[0].size,
        "products": traffic(replace(given, direction=Direction()), cut)[-1].size,
    }
    page = (ROOT / "docs" / "SCALING.md").read_text(encoding="utf-8")
    told = (
        ("gathered", 1e9, "7.6"), ("reduced", 1e9, "21.0"), ("weights", 1e9, "774 GB"), ("gradients", 1e9, "545 GB"),
        ("Gram matrix", 1e6, "1.5 MB"), ("replicas", 1e9, "529 GB"), ("exact", 1e9, "1587 GB"),
        ("products", 1, "135 bytes"),
    )  # fmt: skip
    for name, unit, text in told:
        number = text.split()[0]
        digits = len(number.partition(".")[2])
        assert f"{found[name] / unit:.{digits}f}" == number and f"| {text} |" in page, name
