"""open-unlearning's two losses by hand, its schedule, and where its loop ends."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

from benchmarks import real_rivals
from benchmarks.real_rivals import OBJECTIVES, Rows, factor, forget
from mollm_cli.core.types import Encoded
from mollm_cli.data.batches import collate

WORDS = 5


class Bigram(torch.nn.Module):
    """log p of the next token from the token before it."""

    def __init__(self, seed=0):
        super().__init__()
        self.table = torch.nn.Parameter(torch.randn(WORDS, WORDS, generator=torch.Generator().manual_seed(seed)))

    def forward(self, input_ids, attention_mask):
        return SimpleNamespace(logits=self.table[input_ids])


def encoded(name, prompt, answer):
    return Encoded(name, tuple(prompt + answer), tuple([-100] * len(prompt) + answer))


FORGET = collate([encoded("f", [0, 1], [2, 3, 4]), encoded("g", [1], [4])], 0)
RETAIN = collate([encoded("r", [2], [1, 1]), encoded("s", [3, 3, 3], [0])], 0)


def log_p(model, *tokens):
    table = model.table.log_softmax(-1)
    return sum(table[a, b] for a, b in tokens)


def test_grad_diff_is_mean_log_p_and_the_kl_of_every_position():
    model, start = Bigram(), Bigram(1)
    found = OBJECTIVES["grad_diff_kl"](model, start, FORGET, RETAIN)
    ascent = log_p(model, (1, 2), (2, 3), (3, 4), (1, 4)) / 4
    q, p = start.table.log_softmax(-1), model.table.log_softmax(-1)
    kl = (q.exp() * (q - p)).sum(-1)
    everywhere = kl[torch.tensor([2, 1, 1, 0, 3, 3, 3, 0])].mean()  # prompts and the padding of the first row too
    assert found.item() == pytest.approx((ascent + everywhere).item(), rel=1e-5)


def test_npo_compares_whole_answers_with_the_start():
    model, start = Bigram(), Bigram(1)
    ratios = [
        log_p(model, (1, 2), (2, 3), (3, 4)) - log_p(start, (1, 2), (2, 3), (3, 4)),
        log_p(model, (1, 4)) - log_p(start, (1, 4)),
    ]
    npo = sum(20 * math.log1p(math.exp(0.1 * r.item())) for r in ratios) / 2
    retain = -log_p(model, (2, 1), (1, 1), (3, 0)).item() / 3
    assert OBJECTIVES["npo"](model, start, FORGET, RETAIN).item() == pytest.approx(npo + retain, rel=1e-5)


def test_the_rate_rises_for_an_epoch_and_falls_to_nothing_in_ten():
    assert [factor(step, 4, 40) for step in (0, 2, 4, 22, 40, 50)] == [0, 0.5, 1, 0.5, 0, 0]


def rows(target, most=9):
    mine = [encoded(f"f{k}", [k % WORDS], [(k + 1) % WORDS]) for k in range(6)]
    retain = [encoded("r", [2], [1])]
    return Rows(mine, retain, mine, 0, 4, target, most)


def test_an_epoch_passes_every_forget_row_with_as_many_retain_rows():
    ahead = rows(0).batches(seed=3)
    pairs = [next(ahead) for _ in range(4)]
    assert [len(f.ids) for f, _ in pairs] == [len(r.ids) for _, r in pairs] == [4, 2, 4, 2]
    assert {*pairs[0][0].ids, *pairs[1][0].ids} == {f"f{k}" for k in range(6)}
    again = rows(0).batches(seed=3)
    assert [next(again)[0].ids for _ in range(4)] == [f.ids for f, _ in pairs]


@pytest.fixture(autouse=True)
def reading(monkeypatch):
    def probability(model, looked, *how):
        return sum(log_p(model, tuple(row.input_ids)).exp().item() for row in looked) / len(looked)

    monkeypatch.setattr(real_rivals, "mean_probability", probability)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_run_ends_at_the_first_reading_at_its_target(name):
    model, start = Bigram(), Bigram()
    before = real_rivals._read(model, rows(0))
    went = forget(model, start, rows(0.9 * before, most=60), OBJECTIVES[name], 0.05, seed=0)
    assert went["reached"] and went["stopped"] == "forget_target" and went["steps"] % real_rivals.LOOK == 0
    assert real_rivals._read(model, rows(0)) <= 0.9 * before
    went = forget(Bigram(), start, rows(0.0, most=3), OBJECTIVES[name], 0.05, seed=0)
    assert (went["reached"], went["stopped"], went["steps"]) == (False, "max_steps", 3)


def test_the_first_step_has_no_rate_and_a_loss_that_is_not_finite_ends_the_run():
    model = Bigram()
    forget(model, Bigram(), rows(0, most=1), OBJECTIVES["npo"], 0.05, seed=0)
    assert torch.equal(model.table, Bigram().table)
    broken = forget(model, model, rows(0), lambda *given: torch.tensor(math.inf, requires_grad=True), 0.05, seed=0)
    assert broken["stopped"] == "not_finite" and broken["steps"] == 0
