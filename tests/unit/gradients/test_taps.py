"""Taps: a layer computes what it always does, and on demand gives the factors of its gradient and no gradient."""

from __future__ import annotations

import pytest
import torch
from torch.utils.checkpoint import checkpoint
from transformers import GPT2Config, GPT2LMHeadModel
from transformers.pytorch_utils import Conv1D

from mollm_cli.gradients.taps import Taps
from tests.support.tiny import llama, opt


class Layers(torch.nn.Module):
    """Two linear layers, one of them turned, a third that is frozen, and a head."""

    def __init__(self, dtype=torch.float64):
        super().__init__()
        torch.manual_seed(0)
        self.one, self.two = torch.nn.Linear(6, 8), Conv1D(5, 8)
        self.frozen, self.head = torch.nn.Linear(5, 5).requires_grad_(False), torch.nn.Linear(5, 3, bias=False)
        self.to(dtype)

    def get_output_embeddings(self):
        return self.head

    def within(self, x):
        return self.two(torch.tanh(self.one(x)))

    def forward(self, x):
        return self.head(self.frozen(self.within(x)))


def trained(model):
    return [p for p in model.parameters() if p.requires_grad]


def gradients(model, run):
    model.zero_grad()
    run().backward()
    return [None if p.grad is None else p.grad.clone() for p in trained(model)]


def close(one, other, **tolerance):
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a, b, **tolerance)


def test_the_layers_are_those_with_a_trained_weight_but_the_head():
    model = Layers()
    taps = Taps(model, trained(model))
    assert [module for module, _ in taps.layers] == [model.one, model.two]
    assert taps.matrices == {0, 2}
    assert len(Taps(llama(), list(llama().parameters())).layers) == 0, "another model's parameters"
    tied = opt()
    assert all(module is not tied.lm_head for module, _ in Taps(tied, list(tied.parameters())).layers)


def test_what_other_code_runs_is_left_to_it():
    model = Layers()
    model.one.forward = model.one.forward
    assert [module for module, _ in Taps(model, trained(model)).layers] == [model.two]
    model = llama()
    model.model.layers[0].compile(backend="eager")
    assert len(Taps(model, list(model.parameters())).layers) == 7


def test_an_open_tap_changes_no_number():
    model, x = Layers(), torch.randn(4, 7, 6, dtype=torch.float64)
    plain = gradients(model, lambda: model(x).square().sum())
    taps = Taps(model, trained(model))
    with taps.open():
        close(gradients(model, lambda: model(x).square().sum()), plain)
        with torch.no_grad():
            torch.testing.assert_close(model(x[0, 0]), Layers()(x[0, 0]))
    assert "forward" not in vars(model.one)
    assert "forward" not in vars(model.two)


def test_the_model_is_as_before_after_an_error():
    model = Layers()
    with pytest.raises(RuntimeError, match="on purpose"), Taps(model, trained(model)).open():
        raise RuntimeError("on purpose")
    assert "forward" not in vars(model.one)


def taken(model, run):
    """({k: left' right}, gradients) of one backward pass that hands over factors."""
    taps, found = Taps(model, trained(model)), {}

    def take(k, factors):
        product = factors.left.T @ factors.right
        found[k] = found.get(k, 0) + product

    model.zero_grad()
    with taps.open(), taps.taking(take):
        run().backward()
    assert taps.take is None
    return found, [p.grad for p in trained(model)]


@pytest.mark.parametrize("checkpointed", [False, True])
def test_the_product_of_the_factors_is_the_gradient(checkpointed):
    model, x = Layers(), torch.randn(4, 7, 6, dtype=torch.float64, requires_grad=True)

    def run():
        if not checkpointed:
            return model(x).square().sum()
        return model.head(model.frozen(checkpoint(model.within, x, use_reentrant=False))).square().sum()

    plain = gradients(model, run)
    before = x.grad.clone()
    found, rest = taken(model, run)
    torch.testing.assert_close(x.grad - before, before)
    assert [g is None for g in rest] == [True, False, True, False, False]
    close([found.get(k, g) for k, g in enumerate(rest)], plain)


def test_under_autocast_factors_are_of_its_precision():
    model, x = Layers(torch.float32), torch.randn(4, 7, 6)

    def run():
        with torch.autocast("cpu", torch.bfloat16):
            return model(x).float().square().sum()

    plain = gradients(model, run)
    taps, kinds = Taps(model, trained(model)), set()
    with taps.open():
        close(gradients(model, run), plain, rtol=1e-2, atol=1e-2)
        with taps.taking(lambda k, factors: kinds.update(f.dtype for f in factors[:2])):
            run().backward()
    assert kinds == {torch.bfloat16}


@pytest.mark.parametrize("kind", ["llama", "opt", "gpt2"])
def test_of_real_models_all_but_norms_embeddings_and_head_is_tapped(kind):
    gpt2 = GPT2Config(vocab_size=48, n_positions=32, n_embd=32, n_layer=2, n_head=4, attn_pdrop=0, resid_pdrop=0)
    model = {"llama": llama, "opt": opt, "gpt2": lambda: GPT2LMHeadModel(gpt2).eval()}[kind]()
    ids = torch.randint(3, 48, (2, 9))

    def run():
        return model(input_ids=ids, labels=ids).loss

    plain = gradients(model, run)
    found, rest = taken(model, run)
    names = [name.removesuffix(".weight").split(".")[-1] for name, _ in model.named_parameters()]
    whole = {name for name, g in zip(names, rest, strict=True) if g is not None and name != "bias"}
    assert all(
        "norm" in name or "embed" in name or name in ("wte", "wpe", "ln_1", "ln_2", "ln_f", "lm_head") for name in whole
    )
    assert len(found) == {"llama": 14, "opt": 12, "gpt2": 8}[kind]
    close([found.get(k, g) for k, g in enumerate(rest)], plain, rtol=1e-4, atol=1e-6)
