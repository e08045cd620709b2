"""What several processes cannot share is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from mollm_cli.core.errors import RequestError
from mollm_cli.core.world import World
from mollm_cli.engine.engine_settings import Engine
from mollm_cli.engine.parallel import check_parallel, check_pieces
from mollm_cli.gradients.trained import Trained
from mollm_cli.models.model_settings import Model
from mollm_cli.optimizers.eight_bit import AdamW8bit
from mollm_cli.optimizers.rules import AdamW
from tests.support.tiny import llama

SHARDS = Engine(processes=2, parallel="fsdp")
PLAIN = Model(path="none")


@pytest.mark.parametrize(
    "engine, model, optimizer, message",
    [
        (SHARDS, Model(path="none", adapter="qlora"), AdamW(), "found model.adapter=qlora.*; set model.adapter=lora"),
        (SHARDS, PLAIN, AdamW8bit(), "found an 8-bit optimizer.*; set optimizer=adamw, or engine.parallel=ddp"),
        (replace(SHARDS, compile=True), PLAIN, AdamW(), "found engine.compile=true.*; set engine.compile=false"),
        (Engine(processes=2, micro_batch="auto"), PLAIN, AdamW(), "micro_batch=auto is for one process, found 2"),
    ],
)
def test_what_cannot_be_shared_is_refused(engine, model, optimizer, message):
    with pytest.raises(RequestError, match=message):
        check_parallel(engine, model, optimizer)


def test_everything_else_is_shared():
    check_parallel(SHARDS, PLAIN, AdamW())
    check_parallel(replace(SHARDS, parallel="ddp", compile=True), Model(path="none", adapter="qlora"), AdamW8bit())
    check_pieces(Engine(micro_batch="auto"), 1)


def test_an_optimizer_of_other_parameters_is_refused():
    model = llama()
    trained = Trained.of(model, World())
    trained.require_moved_by(torch.optim.SGD(model.parameters()))
    with pytest.raises(ValueError, match="found 21 others; build it on Trained.of"):
        trained.require_moved_by(torch.optim.SGD(llama().parameters()))
