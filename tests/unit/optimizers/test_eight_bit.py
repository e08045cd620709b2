"""8-bit AdamW: what is asked of bitsandbytes, what is refused without it, and its state through a resume point.

bitsandbytes is stood in for by a class with its interface and its peculiarities (buffers made by ``init_state``, one
table that all parameters share, a step that is a plain number) and exact moments; the real one runs where CUDA is.
"""

from __future__ import annotations

import importlib.util
import sys
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from mollm_cli.core.errors import RequestError
from mollm_cli.optimizers.eight_bit import AdamW8bit
from mollm_cli.optimizers.float32_update import Float32Update
from mollm_cli.optimizers.optimizer_state import named_state, restore
from mollm_cli.optimizers.rules import SGD, AdamW

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


class StandIn(torch.optim.Optimizer):
    paged = False

    def __init__(self, params, lr, betas, eps, weight_decay):
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})
        self.table = torch.linspace(0, 1, 256)

    def init_state(self, group, p, gindex, pindex):
        assert self.param_groups[gindex]["params"][pindex] is p
        state = self.state[p]
        state["step"], state["qmap1"] = 0, self.table
        for key in ("state1", "state2"):
            state[key] = torch.zeros_like(p, dtype=torch.float32)
            state[key].is_paged = self.paged

    @torch.no_grad()
    def step(self, closure=None):
        for g, group in enumerate(self.param_groups):
            for i, p in enumerate(group["params"]):
                if p.grad is None:
                    continue
                if not self.state[p]:
                    self.init_state(group, p, g, i)
                state = self.state[p]
                state["step"] += 1
                state["state1"].mul_(0.9).add_(p.grad, alpha=0.1)
                state["state2"].mul_(0.99).add_(p.grad.square(), alpha=0.01)
                p.sub_(group["lr"] * state["state1"] / (state["state2"].sqrt() + group["eps"]) / state["step"])


class PagedStandIn(StandIn):
    paged = True


@pytest.fixture
def bitsandbytes(monkeypatch):
    optim = SimpleNamespace(AdamW8bit=StandIn, PagedAdamW8bit=PagedStandIn)
    monkeypatch.setitem(sys.modules, "bitsandbytes", SimpleNamespace(optim=optim))


def parameters(dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(shape, generator=generator).to(dtype)) for shape in ((5, 3), (7,))]


def take(optimizer, held, first, last):
    for step in range(first, last):
        for k, p in enumerate(held):
            p.grad = torch.full_like(p, 0.1 * (k + 1)) + torch.sin(p.detach() + step)
        optimizer.step()


def stored(optimizer, folder):
    """Named state through a file, as a resume point has it."""
    tensors, scalars = named_state(optimizer)
    save_file(tensors, str(folder / "x.safetensors"))
    return load_file(str(folder / "x.safetensors")), scalars


@pytest.mark.parametrize("paged", [False, True])
def test_it_is_built_from_its_keys(bitsandbytes, paged):
    rule = AdamW8bit(2e-5, (0.8, 0.95), 1e-6, 0.01, paged=paged).build(parameters())
    assert type(rule) is (PagedStandIn if paged else StandIn)
    group = rule.param_groups[0]
    assert [group[k] for k in ("lr", "betas", "eps", "weight_decay")] == [2e-5, (0.8, 0.95), 1e-6, 0.01]
    assert isinstance(AdamW8bit(update="master").build(parameters()), Float32Update)
    assert AdamW8bit(2.0, schedule="linear").rate(3, 4) == AdamW(2.0, schedule="linear").rate(3, 4) == 1.0


def test_without_the_package(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RequestError, match=r"optimizer=adamw_8bit needs the package bitsandbytes.*\[adamw-8bit\]"):
        AdamW8bit().check(CUDA)
    with pytest.raises(RequestError, match="optimizer=paged_adamw_8bit needs the package"):
        AdamW8bit(paged=True).check(CUDA)


def test_without_a_cuda_device(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True)
    AdamW8bit().check(CUDA)
    with pytest.raises(RequestError, match="needs a CUDA device, found cpu; set optimizer=adamw"):
        AdamW8bit().check(CPU)


def test_its_numbers_are_checked():
    with pytest.raises(ValueError, match="optimizer.lr must be a finite number > 0"):
        AdamW8bit(lr=0.0)
    with pytest.raises(ValueError, match="optimizer.betas"):
        AdamW8bit(betas=(1.0, 0.9))


SPECS = [
    AdamW(1e-2),
    SGD(1e-2, momentum=0.9),
    AdamW8bit(1e-2),
    AdamW8bit(1e-2, paged=True),
    AdamW(1e-2, update="master"),
    AdamW(1e-2, update="stochastic_rounding"),
    AdamW8bit(1e-2, update="master", paged=True),
    AdamW8bit(1e-2, update="stochastic_rounding"),
]


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: f"{type(s).__name__}-{s.update}-{getattr(s, 'paged', '')}")
def test_resumed_equals_uninterrupted_to_the_bit(bitsandbytes, spec, tmp_path):
    dtype = torch.float32 if spec.update == "plain" else torch.bfloat16
    whole, resumed = parameters(dtype), parameters(dtype)
    torch.manual_seed(0)
    straight = spec.build(whole)
    take(straight, whole, 0, 3)
    tensors, scalars = stored(straight, tmp_path)
    values, generator = [p.detach().clone() for p in whole], torch.get_rng_state()
    take(straight, whole, 3, 6)

    again = spec.build(resumed)
    for p, value in zip(resumed, values, strict=True):
        p.data.copy_(value)
    restore(again, tensors, scalars)
    torch.set_rng_state(generator)
    take(again, resumed, 3, 6)
    assert all(torch.equal(p, q) for p, q in zip(whole, resumed, strict=True))
    moments = [x for p in resumed for x in again.state[p].values() if isinstance(x, torch.Tensor)]
    assert moments and all(x.dtype == torch.float32 for x in moments)


def test_paged_moments_stay_paged_and_tables_are_not_stored(bitsandbytes, tmp_path):
    held = parameters()
    rule = AdamW8bit(paged=True).build(held)
    take(rule, held, 0, 1)
    tensors, scalars = stored(rule, tmp_path)
    assert sorted(tensors) == [f"optimizer.{k}.state{i}" for k in (0, 1) for i in (1, 2)]
    assert scalars == {"optimizer.0.step": 1, "optimizer.1.step": 1}
    restore(again := AdamW8bit(paged=True).build(held), tensors, scalars)
    assert all(again.state[p][key].is_paged for p in held for key in ("state1", "state2"))
    assert all(again.state[p]["qmap1"] is again.table for p in held)


def test_a_point_of_another_optimizer(bitsandbytes, tmp_path):
    held = parameters()
    take(first := AdamW().build(held), held, 0, 1)
    tensors, scalars = stored(first, tmp_path)
    with pytest.raises(RequestError, match="must hold the state of this optimizer, found '.*' in place of step"):
        restore(AdamW8bit().build(held), tensors, scalars)


def test_a_step_that_is_not_fused_stays_on_the_host():
    """torch refuses to step where it does not lie as it was made."""
    held = [nn.Parameter(torch.ones(3, device="meta"))]
    for fused, kind in ((None, "cpu"), (True, "meta")):
        rule = torch.optim.AdamW(held, fused=None)
        rule.param_groups[0]["fused"] = fused
        restore(rule, {"optimizer.0.step": torch.tensor(2.0), "optimizer.0.exp_avg": torch.ones(3)}, {})
        state = rule.state[held[0]]
        assert (state["step"].device.type, state["exp_avg"].device.type) == (kind, "meta")


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, found none")
@pytest.mark.parametrize("paged", [False, True])
@pytest.mark.parametrize("update", ["plain", "stochastic_rounding", "master"])
def test_the_real_one_resumes(paged, update, tmp_path):
    pytest.importorskip("bitsandbytes")
    spec = AdamW8bit(1e-2, paged=paged, update=update)

    def held():
        torch.manual_seed(0)
        return [nn.Parameter(torch.randn(512, 512, device="cuda").to(torch.bfloat16))]

    whole, resumed = held(), held()
    straight = spec.build(whole)
    take(straight, whole, 0, 3)
    tensors, scalars = stored(straight, tmp_path)
    value, generator = whole[0].detach().clone(), torch.cuda.get_rng_state()
    take(straight, whole, 3, 6)
    again = spec.build(resumed)
    resumed[0].data.copy_(value)
    restore(again, tensors, scalars)
    torch.cuda.set_rng_state(generator)
    take(again, resumed, 3, 6)
    assert torch.equal(whole[0], resumed[0])
    assert not torch.equal(held()[0], whole[0])
