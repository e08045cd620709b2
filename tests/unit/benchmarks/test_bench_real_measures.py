"""What the real benchmark measures, against sums by hand."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from benchmarks import real_measures
from benchmarks.real_files import spaced
from benchmarks.real_measures import Measures, log_probs
from mollm_cli.core.types import Encoded


class Bigram:
    """log p of the next token from the token before it."""

    def __init__(self, seed):
        self.table = torch.randn(5, 5, generator=torch.Generator().manual_seed(seed)).log_softmax(-1)

    def __call__(self, input_ids, attention_mask):
        return SimpleNamespace(logits=self.table[input_ids])


def encoded(prompt, answer):
    return Encoded("row", tuple(prompt + answer), tuple([-100] * len(prompt) + answer))


ROWS = [encoded([0], [1, 2]), encoded([3, 3], [4]), *(encoded([k], [k]) for k in range(4))]


def test_kl_probability_and_perplexity_come_from_one_pass():
    start, model = Bigram(0), Bigram(1)
    before = {"text": [p for p, _ in log_probs(start, ROWS, 0)]}
    kl, nll, probability = Measures(None, {}, ROWS, start, [], before=before)._drift(model, "text", ROWS, 0)
    steps = [(0, 1), (1, 2), (3, 4), *((k, k) for k in range(4))]
    q, p = start.table, model.table
    by_hand = sum((q[a].exp() * (q[a] - p[a])).sum() for a, _ in steps) / len(steps)
    assert kl == pytest.approx(by_hand.item(), rel=1e-5)
    assert nll == pytest.approx(-sum(p[a, b] for a, b in steps).item() / len(steps), rel=1e-5)
    rows = [((p[0, 1] + p[1, 2]) / 2).exp(), p[3, 4].exp(), *(p[k, k].exp() for k in range(4))]
    assert probability == pytest.approx(sum(rows).item() / 6, rel=1e-5)


def test_the_retain_column_is_not_computed_twice_and_the_start_is_not_asked_again(monkeypatch):
    start, seen = Bigram(0), []
    before = {name: [p for p, _ in log_probs(start, ROWS, 0)] for name in ("text", "others")}
    monkeypatch.setattr(real_measures, "Encoder", lambda tokenizer: SimpleNamespace(pad_id=0))
    monkeypatch.setattr(real_measures, "mean_probability", lambda model, rows, *how: seen.append(rows) or 0.25)
    monkeypatch.setattr(Measures, "right", lambda measures, model: [True, False])
    sets = {"forget": ROWS[:1], "others": ROWS}
    measures = Measures(None, sets, ROWS, start, [], retain="others", before=before)
    columns = measures(start)
    assert list(columns) == ["forget", "others", "kl_retain", "kl", "perplexity", "plain"] and seen == [ROWS[:1]]
    assert (columns["forget"], columns["kl"], columns["kl_retain"], columns["plain"]) == (0.25, 0, 0, 1)
    assert measures(Bigram(1))["plain"] == 0.5


def test_spaced_rows_cover_the_whole():
    assert spaced(range(10), 4) == [0, 2, 5, 7] and spaced("ab", 4) == ["a", "b"] and spaced("abc", None) == list("abc")
