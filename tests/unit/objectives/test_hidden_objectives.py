"""RMU's objectives: by hand, finite differences, the random direction, the start, padding."""

from __future__ import annotations

import functools

import pytest
import torch

from mollm_cli.core.outputs import Outputs
from mollm_cli.models.forward import forward_hidden
from mollm_cli.models.reference import Reference
from mollm_cli.objectives.hidden_distance import hidden_distance
from mollm_cli.objectives.hidden_steering import hidden_steering, random_direction
from tests.support.padding import same_whatever_the_padding
from tests.support.tiny import batch, llama


def hidden(states, frozen=None):
    labels = torch.zeros(len(states), dtype=torch.long)
    return Outputs(states.new_empty((len(states), 0)), labels, labels, 1, hidden=states, reference_hidden=frozen)


def test_hidden_objectives_by_hand_and_by_finite_differences():
    states = torch.tensor([[1.0, 2.0, 0.5], [0.0, -1.0, 3.0]], dtype=torch.float64, requires_grad=True)
    frozen = torch.tensor([[0.0, 2.0, 3.5], [1.0, 1.0, 3.0]], dtype=torch.float64)
    assert hidden_distance(hidden(states, frozen))[0].item() == pytest.approx((1 + 0 + 9 + 1 + 4 + 0) / 3)
    u = random_direction(3, 5).double()
    expected = sum((a - 3 * b) ** 2 for row in states.tolist() for a, b in zip(row, u.tolist(), strict=True)) / 3
    steer = functools.partial(hidden_steering, coefficient=3.0, seed=5)
    value, count = steer(hidden(states))
    assert (value.item(), count) == (pytest.approx(expected, rel=1e-12), 2)
    for function in (steer, hidden_distance):
        assert torch.autograd.gradcheck(lambda h, f=function: f(hidden(h, frozen))[0], (states,))


def test_the_random_direction_has_length_1_no_negative_part_and_follows_from_its_seed():
    u = random_direction(64, 3)
    assert torch.linalg.vector_norm(u).item() == pytest.approx(1, rel=1e-6)
    assert (u >= 0).all()
    random_direction.cache_clear()
    assert torch.equal(random_direction(64, 3), u) and not torch.equal(random_direction(64, 4), u)


def test_hidden_states_and_their_gradient_are_where_they_were_at_the_start():
    model, rows = llama(), batch()
    out = forward_hidden(model, rows, 1, Reference(model, "copy").hidden(rows, 1))
    value, _ = hidden_distance(out)
    value.backward()
    assert value.item() == 0
    assert all(p.grad is None or p.grad.abs().max().item() == 0 for p in model.parameters())


@pytest.mark.parametrize("function", [hidden_distance, functools.partial(hidden_steering, coefficient=3.0, seed=1)])
def test_masked_tokens_and_padding_change_no_hidden_state(function):
    same_whatever_the_padding(function, lambda m, r, rows: forward_hidden(m, rows, 0, r.hidden(rows, 0)))


def test_hidden_objectives_need_hidden_states():
    states = torch.zeros(2, 3)
    out = Outputs(states, torch.zeros(2, dtype=torch.long), torch.tensor([0, 1]), 2)
    with pytest.raises(ValueError, match="hidden_steering needs hidden states.*layer=NUMBER"):
        hidden_steering(out, 1.0, 0)
    with pytest.raises(ValueError, match="hidden_distance needs hidden states of both models"):
        hidden_distance(hidden(states))
