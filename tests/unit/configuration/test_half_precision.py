"""What does not fit weights of half precision, or compiled layers, is said before anything is read."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import pytest
import yaml

from mollm_cli.configuration.compose import compose_job, composing, plain, without_hydra
from mollm_cli.configuration.request import request
from mollm_cli.core.errors import RequestError
from mollm_cli.optimizers.eight_bit import AdamW8bit

CONFIGS = {"unlearn": "config", "finetune": "finetune"}
BF16 = "model.dtype=bfloat16"
ROUNDED, MASTER = "optimizer.update=stochastic_rounding", "optimizer.update=master"


@cache
def composed(command: str, *groups: str) -> dict[str, Any]:
    """The configuration of ``command`` with other choices of ``groups``."""
    with composing():
        found = compose_job(CONFIGS[command], groups)
        return plain(without_hydra(found), found.hydra.runtime.choices)


def asked(*overrides: str, command: str = "unlearn") -> Any:
    """The request with ``overrides``: GROUP=NAME, or NODE.KEY=VALUE, which needs no composition of its own."""
    config = copy.deepcopy(composed(command, *(o for o in overrides if "." not in o.partition("=")[0])))
    for key, _, value in (o.partition("=") for o in overrides if "." in o.partition("=")[0]):
        node, name = key.split(".")
        assert name in config[node]
        config[node][name] = yaml.safe_load(value)
    return request(config, command)


@pytest.mark.parametrize("command", CONFIGS)
@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            (ROUNDED,),
            r"stochastic_rounding is for weights in bfloat16, found model.dtype=float32; set optimizer.update=",
        ),
        ((MASTER,), r"master is for weights in bfloat16 or float16, found model.dtype=float32"),
        ((ROUNDED, "model.dtype=float16"), r"is for weights in bfloat16, found model.dtype=float16"),
        ((MASTER, BF16, "model.adapter=lora"), r"found model.adapter=lora, whose matrices are float32; set optim"),
        ((ROUNDED, "optimizer=sgd"), r"is for weights in bfloat16, found model.dtype=float32"),
        ((MASTER, "optimizer=adamw_8bit"), r"is for weights in bfloat16 or float16, found model.dtype=float32"),
    ],
)
def test_an_update_that_the_weights_are_not_for(command: str, overrides: tuple[str, ...], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        asked(*overrides, command=command)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "adamw_8bit", "paged_adamw_8bit"])
@pytest.mark.parametrize("update", ["plain", "stochastic_rounding", "master"])
def test_every_update_for_bfloat16_weights(optimizer: str, update: str) -> None:
    assert asked(BF16, f"optimizer={optimizer}", f"optimizer.update={update}").optimizer.update == update


@pytest.mark.parametrize("command", CONFIGS)
@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "adamw_8bit"])
@pytest.mark.parametrize(
    ("overrides", "update"),
    [
        ((), "plain"),
        ((BF16,), "stochastic_rounding"),
        (("model.dtype=float16",), "master"),
        ((BF16, "model.adapter=lora"), "plain"),
        ((BF16, "optimizer.update=plain"), "plain"),
        ((MASTER, "model.dtype=float16"), "master"),
    ],
)
def test_unasked_half_precision_weights_take_an_update_that_moves_them(
    command: str, optimizer: str, overrides: tuple[str, ...], update: str
) -> None:
    assert asked(f"optimizer={optimizer}", *overrides, command=command).optimizer.update == update


@pytest.mark.parametrize(("name", "paged"), [("adamw_8bit", False), ("paged_adamw_8bit", True)])
def test_optimizers_of_eight_bits(name: str, paged: bool) -> None:
    assert asked(f"optimizer={name}").optimizer == AdamW8bit(paged=paged)
    with pytest.raises(RequestError, match="is the metric of optimizer=adamw, found another optimizer"):
        asked(f"optimizer={name}", "direction.metric=adam")


def test_adams_metric_takes_the_step_itself() -> None:
    with pytest.raises(
        RequestError, match=r"takes AdamW's step itself.*found optimizer.update=master; set optimizer.u"
    ):
        asked(BF16, MASTER, "direction.metric=adam")
    with pytest.raises(RequestError, match=r"found optimizer.update=stochastic_rounding; set optimizer.update=plain"):
        asked(BF16, "direction.metric=adam")
    assert asked(BF16, "optimizer.update=plain", "direction.metric=adam").direction.metric == "adam"


def test_compiled_layers_are_not_looked_into() -> None:
    assert asked("engine.compile=true").engine.compile
    assert asked("engine.compile=true", command="finetune").engine.compile
    with pytest.raises(RequestError, match=r"compiles whole layers, found loss=rmu"):
        asked("engine.compile=true", "loss=rmu")
