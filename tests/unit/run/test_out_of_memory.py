"""Out of memory: which terms of the plan are the largest, and what to change."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from mollm_cli.core.errors import RequestError, RunError
from mollm_cli.planning.memory_plan import MemoryPlan, Phase, Term
from mollm_cli.run import out_of_memory
from mollm_cli.run.out_of_memory import is_out_of_memory, judging, training

MIB = 2**20
SIZES: Any = None
CARD = torch.device("cuda")
FOUND = MemoryPlan(
    (
        Phase("loading", (Term("weights", 999 * MIB),)),
        Phase(
            "step", (Term("weights", 3 * MIB), Term("activations", 9 * MIB, "8 rows"), Term("rows", 4 * MIB, "3 x n"))
        ),
        Phase("progress evaluation", (Term("logits", 5 * MIB),)),
    ),
    (),
    (),
    7,
    5,
)


def _raised(error: BaseException) -> None:
    with training(CARD, lambda: SIZES):
        raise error


@pytest.fixture(autouse=True)
def planned(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A plan that is known; what a remedy is to come to is noted."""
    asked: list[int] = []

    def remedy(facts: Any, capacity: int) -> Any:
        asked.append(capacity)
        return SimpleNamespace(overrides=("engine.micro_batch=4",))

    monkeypatch.setattr(out_of_memory, "estimate", lambda facts: FOUND)
    monkeypatch.setattr(out_of_memory, "remedy", remedy)
    return asked


def test_the_largest_terms_are_named_and_the_change_that_takes_a_tenth_less(planned: list[int]) -> None:
    wanted = (
        r"the training must fit into the memory of cuda, found no room; the largest terms of its plan: activations "
        r"9.0 MiB \(8 rows\) and rows 4.0 MiB \(3 x n\) at the peak of 'step'. Go on with a tenth less: "
        r"resume=RUN_DIR engine.micro_batch=4"
    )
    with pytest.raises(RunError, match=wanted) as raised:
        _raised(torch.OutOfMemoryError("CUDA out of memory"))
    assert isinstance(raised.value.__cause__, torch.OutOfMemoryError) and planned == [int(0.9 * 999 * MIB)]


def test_a_change_that_changes_numbers_asks_for_a_new_run(monkeypatch: pytest.MonkeyPatch) -> None:
    overrides = ("engine.micro_batch=4", "model.adapter=lora")
    monkeypatch.setattr(out_of_memory, "remedy", lambda *given: SimpleNamespace(overrides=overrides))
    with pytest.raises(
        RunError, match="Start a new run that takes a tenth less: engine.micro_batch=4 model.adapter=lora"
    ):
        _raised(torch.OutOfMemoryError("no"))


def test_where_no_setting_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(out_of_memory, "remedy", lambda *given: None)
    with pytest.raises(RunError, match="End other programs on the device, or take a smaller model or a larger device"):
        _raised(torch.OutOfMemoryError("no"))


def test_where_there_is_no_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(facts: Any) -> Any:
        raise RequestError("its code reads values")

    monkeypatch.setattr(out_of_memory, "estimate", refuse)
    with pytest.raises(RunError, match="found no room. Set engine.micro_batch=auto, then go on with resume=RUN_DIR"):
        _raised(torch.OutOfMemoryError("no"))


def test_an_evaluation_is_told_its_batch_size() -> None:
    wanted = "the evaluation must fit into the memory of cuda, found no room. Set evaluation.batch_size=8, then go on"
    with pytest.raises(RunError, match=wanted), judging(CARD, 16):
        raise MemoryError


def test_main_memory_is_memory_and_other_errors_are_not() -> None:
    assert is_out_of_memory(RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"))
    assert is_out_of_memory(MemoryError()) and not is_out_of_memory(RuntimeError("shapes"))
    with pytest.raises(RuntimeError, match="shapes"):
        _raised(RuntimeError("shapes"))
    with training(CARD, lambda: SIZES):
        pass
