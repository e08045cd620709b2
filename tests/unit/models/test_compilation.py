"""Compiled layers say what the plain ones say, through a graph that is used twice."""

from __future__ import annotations

import copy

import pytest
import torch

from mollm_cli.core.errors import RequestError
from mollm_cli.losses.mollm import mollm
from mollm_cli.losses.rmu import rmu
from mollm_cli.models.compilation import check_compiled, check_compiler, compile_layers
from mollm_cli.solvers.dual_space_mgda import DualSpaceMGDA
from tests.support.steps import stepper
from tests.support.tiny import batch, llama

pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # torch's own look


@pytest.fixture(autouse=True)
def settings():
    """What torch keeps between compilations."""
    import torch._functorch.config as config

    before = config.donated_buffer
    torch._dynamo.reset()
    yield
    config.donated_buffer = before
    torch._dynamo.reset()


def twice(model, rows, tokens):
    """Two losses through one forward pass, and the gradients of each."""
    data = batch(rows, rows=rows, tokens=tokens)
    logits = model(input_ids=data.input_ids, attention_mask=data.attention_mask, use_cache=False).logits
    found = []
    for k, value in enumerate((logits.square().mean(), logits.logsumexp(-1).mean())):
        model.zero_grad()
        value.backward(retain_graph=k == 0)
        found.append((float(value.detach()), [p.grad.clone() for p in model.parameters()]))
    return found


@pytest.mark.slow
def test_losses_and_gradients_are_those_of_the_plain_model():
    plain = llama(layers=1, hidden=16)
    plain.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    plain.train()
    compiled = copy.deepcopy(plain)
    compile_layers(compiled, "aot_eager")
    for rows, tokens in ((4, 12), (3, 17)):
        pairs = zip(twice(compiled, rows, tokens), twice(plain, rows, tokens), strict=True)
        for (value, there), (expected, here) in pairs:
            assert value == pytest.approx(expected, rel=1e-6)
            for one, other in zip(there, here, strict=True):
                assert torch.allclose(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_all_layers_share_one_compilation():
    model, calls = llama(layers=4), []

    def backend(graph, inputs):
        calls.append(graph)
        return graph.forward

    compile_layers(model, backend)
    data = batch()
    with torch.no_grad():
        model(input_ids=data.input_ids, attention_mask=data.attention_mask, use_cache=False)
        first = len(calls)
        model(input_ids=data.input_ids, attention_mask=data.attention_mask, use_cache=False)
    assert 0 < len(calls) == first < 4


@pytest.mark.slow
def test_a_step_of_mollm():
    steps = []
    for compiled in (False, True):
        model = llama()
        step = stepper(model, mollm(), DualSpaceMGDA())
        if compiled:
            compile_layers(model, "aot_eager")
        for k in range(2):
            step({"forget": [batch(k)], "retain": [batch(k + 9)]}, 0.1)
        steps.append(torch.cat([p.detach().reshape(-1) for p in model.parameters()]))
    assert torch.allclose(*steps, rtol=1e-4, atol=1e-6)


def test_names_and_copies_stay():
    model = llama()
    names = [name for name, _ in model.named_parameters()]
    compile_layers(model, "aot_eager")
    assert [name for name, _ in model.named_parameters()] == names
    assert all(layer._compiled_call_impl is None for layer in copy.deepcopy(model).model.layers)


def test_no_compiler(monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RequestError, match=r"needs a C\+\+ compiler, found none \(.*\+\+.*\); install one"):
        check_compiler()
    monkeypatch.setenv("CXX", "nowhere")
    with pytest.raises(RequestError, match=r"found none \(nowhere\)"):
        check_compiler()


def test_a_loss_that_looks_into_a_layer():
    check_compiled(mollm())
    with pytest.raises(RequestError, match=r"compiles whole layers, found loss=rmu.* set engine.compile=false"):
        check_compiled(rmu(layer=1))
