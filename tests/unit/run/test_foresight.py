"""A request as sizes, and the refusal of what does not fit."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from mollm_cli.core.errors import RequestError
from mollm_cli.models.model_settings import Model
from mollm_cli.planning.memory_plan import MemoryPlan, Phase, Term
from mollm_cli.planning.remedies import Remedy
from mollm_cli.run import foresight
from tests.support.planned import planned

GIB = 2**30
CARD = torch.device("cuda")


def found(size: int) -> MemoryPlan:
    return MemoryPlan((Phase("step", (Term("weights", size),)), Phase("evaluation", ())), (), (), 7, 5)


@pytest.mark.parametrize(
    ("less", "advice"),
    [
        (Remedy(("engine.micro_batch=2",), GIB), r"engine.micro_batch=2 \(1.00 GiB\)"),
        (None, "No setting of this tool makes it fit"),
    ],
)
def test_what_does_not_fit_is_refused_with_advice(monkeypatch, less, advice):
    monkeypatch.setattr(foresight, "remedy", lambda sizes, free: less)
    with pytest.raises(RequestError, match=f"2.00 GiB; found 3.00 GiB at the peak of 'step'. .*{advice}"):
        foresight.require_room(None, found(3 * GIB), 2 * GIB)
    foresight.require_room(None, found(GIB), 2 * GIB)
    foresight.require_room(None, found(GIB), None)


def test_nothing_is_planned_unasked_off_cuda():
    assert foresight.before_loading(None, None, None, torch.device("cpu")) is None


def test_on_cuda_it_is_planned_unasked_and_no_plan_stops_no_run(monkeypatch, capsys):
    def refuse(sizes):
        raise RequestError("its code reads values")

    monkeypatch.setattr(foresight, "sizes", lambda *given: SimpleNamespace(processes=1))
    monkeypatch.setattr(foresight.plan_table, "free_bytes", lambda device: 10)
    monkeypatch.setattr(foresight.plan_table, "device_name", lambda device: "card")
    monkeypatch.setattr(foresight, "estimate", lambda sizes: found(9))
    assert foresight.before_loading(None, None, None, CARD) == {"peak_bytes": 9, "phase": "step", "free_bytes": 10}
    monkeypatch.setattr(foresight, "estimate", refuse)
    assert foresight.before_loading(None, None, None, CARD) is None
    assert "there is no memory plan: its code reads values" in capsys.readouterr().err


def test_low_rank_matrices_are_proposed_on_a_cpu_and_for_few_rows(monkeypatch):
    monkeypatch.setattr(foresight, "estimate", lambda sizes: found(3 if sizes.model.adapter == "lora" else 5))
    lora = [Remedy(("model.adapter=lora",), 3)]
    assert foresight.cheaper(planned(device="cpu"), found(5), few=False) == lora
    assert foresight.cheaper(planned(), found(5), few=True) == lora
    assert foresight.cheaper(planned(), found(5), few=False) == []
    assert foresight.cheaper(planned(device="cpu"), found(3), few=False) == []
    monkeypatch.setattr(foresight, "estimate", lambda sizes: found(95))
    assert foresight.cheaper(planned(device="cpu"), found(100), few=False) == [], "not worth a line"


def test_what_is_being_done_is_said_and_an_interruption_keeps_what_was_found(monkeypatch, capsys):
    seen: list[str] = []

    def estimated(sizes):
        seen.append(sizes.model.adapter)
        if len(seen) > 1:
            raise KeyboardInterrupt
        return found(5)

    monkeypatch.setattr(foresight, "_rows", lambda request: (SimpleNamespace(encoded={}), None))
    monkeypatch.setattr(foresight, "sizes", lambda *given: planned(device="cpu"))
    monkeypatch.setattr(foresight, "estimate", estimated)
    request = SimpleNamespace(engine=SimpleNamespace(device="cpu"))
    data = foresight.foretell(request, lambda *given: None, hours=True)
    assert seen == ["none", "lora"], "each is estimated once"
    assert data["peak_bytes"] == 5 and data["remedies"] == [] and "training" not in data
    said = capsys.readouterr().err
    told = ("reading the rows", "planning the memory", "memory plan: ", "planning it with model.adapter=lora", "interr")
    assert [said.find(each) for each in told] == sorted(said.index(each) for each in told)


def test_what_trains_little_already_is_offered_fewer_rows_at_a_time(monkeypatch):
    monkeypatch.setattr(foresight, "estimate", lambda sizes: found(4))
    adapted = planned(device="cpu", model=Model("random", adapter="lora"))
    assert foresight.cheaper(adapted, found(5), few=False) == [Remedy(("engine.micro_batch=2",), 4)]


@pytest.mark.parametrize(
    ("attack", "held"),
    [({"kind": "weights", "steps": 3}, 4), ({"kind": "weights"}, 1), ({"kind": "comparison"}, 2), ({"kind": "set"}, 0)],
)
def test_weights_that_an_attack_holds(attack, held):
    assert foresight._models_attacked(SimpleNamespace(**attack)) == held
