"""Rounded weights: by hand, against a slow twin, and what stays as it is."""

from __future__ import annotations

import itertools

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from mollm_cli.core.errors import RequestError
from mollm_cli.evaluation.attacks.attack_protocol import Bench
from mollm_cli.evaluation.attacks.quantisation import Quantisation, normal_codes
from tests.support.tiny import llama, opt

SCHEMES = [
    Quantisation(4, "nf4", 64),
    Quantisation(4, "nf4", None),
    Quantisation(4, "absmax", 10),
    Quantisation(4, "absmax", None),
    Quantisation(8, "absmax", 7),
    Quantisation(8, "absmax", None),
]
bench = Bench({}, lambda model, rows, settings: iter(()))


def weight(dtype=torch.float32):
    return torch.randn(6, 33, generator=torch.Generator().manual_seed(0)).to(dtype)


def slow(attack, w):
    """One weight at a time, in Python."""
    out, width = w.clone(), attack.group_size or w.shape[1]
    for i in range(w.shape[0]):
        for start in range(0, w.shape[1], width):
            group = [float(x) for x in w[i, start : start + width]]
            largest = max(map(abs, group))
            for k, value in enumerate(group):
                if attack.scheme == "nf4":
                    code = min(normal_codes(), key=lambda c, v=value, a=largest: abs(v / a - c))
                    out[i, start + k] = code * largest
                else:
                    step = largest / (2 ** (attack.bits - 1) - 1)
                    out[i, start + k] = round(value / step) * step
    return out


def test_by_hand():
    # The largest is 7 of 7 levels, so a step is 1: 3.4 -> 3, -0.6 -> -1, 0.2 -> 0.
    w = torch.tensor([[7.0, 3.4, -0.6, 0.2]])
    assert Quantisation(4, "absmax", None).rounded(w).tolist() == [[7.0, 3.0, -1.0, 0.0]]
    # In groups of two the second has steps of 0.6 / 7 = 0.0857: 0.2 is 2.33 of them -> 2.
    grouped = Quantisation(4, "absmax", 2).rounded(w)
    assert grouped[0].tolist() == pytest.approx([7.0, 3.0, -0.6, 0.6 * 2 / 7])
    # Eight bits: steps of 7 / 127 = 0.0551: 3.4 is 61.69 -> 62, 0.2 is 3.63 -> 4.
    assert Quantisation(8, "absmax", None).rounded(w)[0].tolist() == pytest.approx(
        [7.0, 7 * 62 / 127, -7 * 11 / 127, 7 * 4 / 127]
    )
    # NF4: 3.4 / 7 = 0.486 lies between 0.441 and 0.563, nearer to the first; -0.6 / 7 = -0.086 -> -0.091; 0.029 -> 0.
    assert Quantisation().rounded(w)[0].tolist() == pytest.approx([7.0, 7 * 0.4407098, -7 * 0.0910500, 0.0], rel=1e-5)


def test_the_published_codes():
    """QLoRA (arXiv 2305.14314), appendix E, to the digits that float32 leaves."""
    published = [-1.0, -0.69619280, -0.52507305, -0.39491749, -0.28444138, -0.18477343, -0.09105004, 0.0]
    published += [0.07958030, 0.16093020, 0.24611230, 0.33791524, 0.44070983, 0.56261700, 0.72295684, 1.0]
    assert normal_codes() == pytest.approx(published, abs=1e-6)


@pytest.mark.parametrize("attack", SCHEMES, ids=lambda a: a.what)
def test_twin_and_error_bound(attack):
    w = weight()
    q = attack.rounded(w)
    torch.testing.assert_close(q, slow(attack, w), rtol=1e-5, atol=1e-6)
    codes = normal_codes()
    gap = max(b - a for a, b in itertools.pairwise(codes)) / 2
    for start in range(0, 33, attack.group_size or 33):
        group = slice(start, start + (attack.group_size or 33))
        largest = w[:, group].abs().amax(1, keepdim=True)
        half = gap if attack.scheme == "nf4" else 0.5 / (2 ** (attack.bits - 1) - 1)
        assert ((w - q)[:, group].abs() <= half * largest * (1 + 1e-5)).all()
    assert (w - q).abs().max() > 0
    torch.testing.assert_close(attack.rounded(q), q, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("attack", SCHEMES, ids=lambda a: a.what)
def test_zeros_stay_and_the_dtype_too(attack):
    assert attack.rounded(torch.zeros(2, 5)).tolist() == [[0.0] * 5] * 2
    assert attack.rounded(weight(torch.bfloat16)).dtype == torch.bfloat16
    assert attack.rounded(weight(torch.float64)).dtype == torch.float64


@pytest.mark.parametrize("make", [llama, opt], ids=["llama, untied", "opt, tied"])
def test_linear_layers_are_rounded_and_nothing_else(make):
    model = make()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    attack = Quantisation()
    assert list(attack.tampered(model, bench)) == [4.0]
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    layers = {f"{name}.weight" for name, m in model.named_modules() if isinstance(m, torch.nn.Linear)} - {
        "lm_head.weight"
    }
    assert changed == layers
    assert len(changed) > 8
    name = sorted(changed)[0]
    assert torch.equal(dict(model.named_parameters())[name], attack.rounded(before[name]))


def test_layers_that_stand_the_other_way_round():
    """GPT-2 keeps its weights [in, out]: the groups still run along the inputs."""
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=20, n_positions=8, n_embd=8, n_layer=1, n_head=2))
    layer = model.transformer.h[0].mlp.c_fc
    wanted = Quantisation(4, "absmax", None).rounded(layer.weight.detach().T).T
    assert list(Quantisation(8, "absmax", None).tampered(model, bench)) == [8.0]
    assert not torch.equal(layer.weight, wanted)
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=20, n_positions=8, n_embd=8, n_layer=1, n_head=2))
    list(Quantisation(4, "absmax", None).tampered(model, bench))
    assert torch.equal(model.transformer.h[0].mlp.c_fc.weight, wanted)


def test_a_model_without_layers_to_round_is_refused():
    model = llama()
    for layer in model.modules():
        if isinstance(layer, torch.nn.Linear):
            layer.weight = torch.nn.Parameter(layer.weight.to(torch.uint8), requires_grad=False)
    with pytest.raises(RequestError, match="not rounded yet, found none in LlamaForCausalLM. Leave it out"):
        next(Quantisation().tampered(model, bench))


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ((3, "absmax", None), "quantisation.bits must be 4 or 8, found 3"),
        ((8, "nf4", 64), "quantisation.scheme=nf4 has 4 bits, found bits=8"),
        ((4, "nf5", 64), "quantisation.scheme must be absmax or nf4, found 'nf5'"),
        ((4, "nf4", 0), r"quantisation.group_size must be >= 1 or null \(a row\), found 0"),
    ],
)
def test_what_cannot_be_is_refused(arguments, found):
    with pytest.raises(ValueError, match=found):
        Quantisation(*arguments)


def test_every_row_is_measured(encoded):
    rows = encoded(3)
    assert Quantisation().measured(rows) == rows
    Quantisation().check({})
    assert Quantisation(8, "absmax", None).what == "the linear layers' weights rounded to 8 bits (absmax, rows)"
