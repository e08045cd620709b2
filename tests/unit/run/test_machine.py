"""What a training asks of the machine, and that layers are compiled where that was asked for."""

from __future__ import annotations

import importlib.util
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from mollm_cli.core.errors import RequestError
from mollm_cli.engine.engine_settings import Engine
from mollm_cli.gradients.direction_settings import Direction
from mollm_cli.losses.mollm import mollm
from mollm_cli.optimizers.eight_bit import AdamW8bit
from mollm_cli.optimizers.rules import AdamW
from mollm_cli.run import training
from mollm_cli.run.commands import _check_machine
from mollm_cli.solvers.dual_space_mgda import DualSpaceMGDA
from tests.support.tiny import llama

CPU = torch.device("cpu")


def asked(optimizer: Any = None, **engine: Any) -> Any:
    return SimpleNamespace(optimizer=optimizer or AdamW(), engine=Engine(**engine))


def test_eight_bits_and_a_compiler_are_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    _check_machine(asked(), CPU)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RequestError, match="optimizer=adamw_8bit needs the package bitsandbytes"):
        _check_machine(asked(AdamW8bit()), CPU)
    monkeypatch.setenv("CXX", "nowhere")
    _check_machine(asked(), CPU)
    with pytest.raises(RequestError, match="engine.compile=true needs a C\\+\\+ compiler, found none"):
        _check_machine(asked(compile=True), CPU)


@pytest.mark.parametrize("wanted", [False, True])
def test_layers_are_compiled_where_asked_for(wanted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled, model = [], llama()
    monkeypatch.setattr(training, "compile_layers", compiled.append)
    plan: Any = SimpleNamespace(loss=mollm(), solver=DualSpaceMGDA(), direction=Direction())
    loaded: Any = SimpleNamespace(model=model)
    training.build_stepper(asked(compile=wanted), plan, loaded, None, SimpleNamespace())  # type: ignore[arg-type]
    assert compiled == ([model] if wanted else [])
