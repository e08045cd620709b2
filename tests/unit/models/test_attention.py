"""Which attention a model computes with."""

from __future__ import annotations

import importlib.util

import pytest
import torch

from mollm_cli.core.errors import RequestError
from mollm_cli.models.load_model import check_attention, load_model
from mollm_cli.models.model_settings import Model
from tests.support.tiny import batch


@pytest.mark.parametrize("weights", ["pretrained", "random"])
@pytest.mark.parametrize("asked", ["eager", "sdpa"])
def test_it_is_the_one_asked_for(asked, weights):
    model = load_model(Model("embedded:tiny", attn_implementation=asked, weights=weights), 0).model
    assert model.config._attn_implementation == asked


def test_both_say_the_same():
    data = batch()
    eager, sdpa = (load_model(Model("embedded:tiny", attn_implementation=a), 0).model for a in ("eager", "sdpa"))
    with torch.no_grad():
        one, other = (m(input_ids=data.input_ids, attention_mask=data.attention_mask).logits for m in (eager, sdpa))
    seen = data.attention_mask.bool()
    assert torch.allclose(one[seen], other[seen], atol=1e-4)


@pytest.mark.parametrize(("there", "found"), [(False, "no CUDA device"), (True, "neither package")])
def test_flash_attention_is_refused_where_there_is_none(there, found, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RequestError, match=rf"flash-attn or kernels, found {found}; set .*=sdpa"):
        load_model(Model("embedded:tiny", attn_implementation="flash_attention_2"), 0)


def test_either_package_will_do(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name == "kernels" or None)
    check_attention(Model("embedded:tiny", attn_implementation="flash_attention_2"))
