"""A rehearsal books what is allocated, for what, until it is freed; and answers what asks for values."""

from __future__ import annotations

import pytest
import torch

from mollm_cli.engine.rehearsal import Asked, Ledger, rehearse


def asked(**changes) -> Asked:
    return Asked(**({"targets": {(2, 5): 3}, "trained": frozenset(), "vocabulary": 1000} | changes))


def meta(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.empty(*shape, dtype=dtype, device="meta")


def run(step, **changes) -> Ledger:
    return rehearse(step, torch.nn.Identity(), asked(**changes))


def test_the_peak_is_what_lives_at_one_time():
    x = meta(10)

    def step():
        a = x + 1
        b = a * 2
        del a
        c = b + b.sum()
        del b, c

    assert run(step).peak == 40 + 40 + 4


def test_views_and_changes_in_place_take_nothing():
    x = meta(4, 4)

    def step():
        x.view(16).add_(1).mul_(2)
        x.t()[1:].zero_()
        x[0].copy_(x[1])

    assert run(step).peak == 0


def test_a_product_and_its_gradient():
    weight = torch.nn.Parameter(meta(4, 4))
    x = meta(2, 4)
    ledger = run(lambda: (x @ weight).sum().backward(), trained=frozenset({(4, 4)}))
    assert ledger.at_peak["gradients"] == 64
    assert weight.grad is not None


def test_logits_are_told_by_the_vocabulary():
    x = meta(3, 8)
    weight = meta(1000, 8)
    ledger = run(lambda: torch.nn.functional.linear(x, weight))
    assert ledger.at_peak == {"logits": 12_000}


def test_conditions_about_labels_hold_at_the_targets():
    labels = meta(2, 5, dtype=torch.int64)
    found = []

    def step():
        sequence, position = (labels[:, 1:] != -100).nonzero(as_tuple=True)
        found.append((labels[sequence, position + 1].shape, labels[:, 1:][labels[:, 1:] != -100].shape))

    run(step)
    assert found == [((3,), (3,))]


def test_numbers_are_one_and_large_copies_stay_without_storage():
    read = []

    def step():
        read.append(float(meta(3).sum()))
        read.append(meta(2).cpu().tolist())
        read.append(meta(2**21).to("cpu").is_meta)

    assert run(step).peak >= 12
    assert read == [1.0, [1.0, 1.0], True]


def test_what_lies_on_the_host_does_not_count():
    x = meta(2**20)
    assert run(lambda: torch.empty_like(x, device="cpu")).peak == 0


@pytest.mark.parametrize("padded", [False, True])
def test_whether_a_mask_is_needed_is_answered(padded):
    answers = []
    run(lambda: answers.append(bool(meta(2, 5, dtype=torch.bool).all())), padded=padded)
    assert answers == [not padded]


def test_equality_is_that_of_copies():
    answers = []

    def step():
        x = meta(4, dtype=torch.bfloat16)
        answers.append((torch.equal(x.float(), x.clone().float()), torch.equal(x.float(), (2 * x).float())))

    run(step)
    assert answers == [(True, False)]


@pytest.mark.parametrize(("grouped", "square"), [(True, False), (False, True)])
def test_attention_keeps_no_square_but_for_grouped_heads_off_cuda(grouped, square):
    q, k = meta(1, 4, 64, 8).requires_grad_(), meta(1, 2, 64, 8).requires_grad_()

    def step():
        torch.nn.functional.scaled_dot_product_attention(q, k, k, is_causal=True, enable_gqa=True).sum().backward()

    assert (run(step, grouped=grouped).peak > 4 * 4 * 64 * 64) is square


def test_autocast_casts_products_and_is_put_back():
    before = (torch.autocast, torch.is_autocast_enabled, torch.nn.functional.linear)
    types = []

    def step():
        with torch.autocast("meta", torch.bfloat16, enabled=True):
            types.append(torch.nn.functional.linear(meta(2, 4), meta(3, 4)).dtype)
        types.append(torch.is_autocast_enabled("meta"))

    run(step, bf16=True)
    run(step)
    assert types == [torch.bfloat16, True, torch.float32, False]
    assert before == (torch.autocast, torch.is_autocast_enabled, torch.nn.functional.linear)
    with pytest.raises(ValueError, match="out of the rehearsal"):
        run(lambda: (_ for _ in ()).throw(ValueError("out of the rehearsal")))
    assert before == (torch.autocast, torch.is_autocast_enabled, torch.nn.functional.linear)
