import math
import random
from pathlib import Path

import pytest
import torch

from mollm_cli.core import chunked
from mollm_cli.core.errors import NonFiniteError, RequestError
from mollm_cli.core.types import IGNORE, Encoded
from mollm_cli.evaluation import teacher_forcing
from mollm_cli.evaluation.teacher_forcing import TokenScores, joined, mean_probability, teacher_forced

CPU = torch.device("cpu")
PAD = 0
REAL = Path(__file__).parents[4] / "shared/models/TinyStories-656K"


@pytest.fixture
def encoded():
    draw = random.Random(0)
    rows = []
    for number, (prompt, answer) in enumerate([(1, 3), (9, 1), (2, 14), (5, 5), (1, 1), (12, 12), (3, 7)]):
        ids = tuple(draw.randrange(1, 64) for _ in range(prompt + answer))
        rows.append(Encoded(str(number), ids, (IGNORE,) * prompt + ids[prompt:]))
    return rows


def token_by_token(model, row):
    """One forward per prefix: what the model says of the token that comes next."""
    log_probs, correct = [], []
    with torch.no_grad():
        for place, label in enumerate(row.labels):
            if place == 0 or label == IGNORE:
                continue
            log_p = model(torch.tensor([row.input_ids[:place]])).logits[0, -1].double().log_softmax(-1)
            log_probs.append(log_p[label].item())
            correct.append(log_p.argmax().item() == label)
    return log_probs, correct


def assert_same(model, encoded, batch_size, tolerance=1e-5):
    for row, score in zip(encoded, teacher_forced(model, encoded, PAD, batch_size, CPU), strict=True):
        log_probs, correct = token_by_token(model.eval(), row)
        assert score.log_probs == pytest.approx(log_probs, abs=tolerance)
        assert list(score.correct) == correct
        assert score.mean == pytest.approx(sum(log_probs) / len(log_probs), abs=tolerance)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7, 100])
def test_any_batch_size_equals_one_forward_per_token(tiny_model, encoded, batch_size):
    assert_same(tiny_model, encoded, batch_size)


def test_chunks_of_positions_change_nothing(tiny_model, encoded, monkeypatch):
    monkeypatch.setattr(chunked, "CHUNK_BYTES", 5 * 64 * 4)
    assert_same(tiny_model, encoded, 4)


def test_what_pads_changes_nothing(tiny_model, encoded):
    assert teacher_forced(tiny_model, encoded, 0, 7, CPU) == teacher_forced(tiny_model, encoded, 9, 7, CPU)


def test_a_right_token_is_one_the_model_would_choose(tiny_model, encoded):
    chosen = tiny_model.eval()(torch.tensor([encoded[0].input_ids])).logits[0].argmax(-1).tolist()
    first, *rest = encoded[0].input_ids
    row = Encoded("0", (first, chosen[0]), (IGNORE, chosen[0]))
    assert teacher_forced(tiny_model, [row], PAD, 1, CPU)[0].correct == (True,)
    wrong = Encoded("0", (first, rest[0]), (IGNORE, rest[0]))
    assert teacher_forced(tiny_model, [wrong], PAD, 1, CPU)[0].correct == (rest[0] == chosen[0],)


def test_mean_probability_is_over_examples(tiny_model, encoded):
    expected = [math.exp(sum(token_by_token(tiny_model.eval(), row)[0]) / row.targets) for row in encoded]
    found = mean_probability(tiny_model, encoded, PAD, 3, CPU)
    assert found == pytest.approx(sum(expected) / len(expected), abs=1e-6)


def test_half_precision_logits_are_scored_in_float32(tiny_model, encoded):
    model = tiny_model.bfloat16().eval()
    logits = model(torch.tensor([encoded[0].input_ids])).logits[0]
    exact = [logits[place - 1].double().log_softmax(-1)[encoded[0].labels[place]].item() for place in (1, 2, 3)]
    assert teacher_forced(model, encoded[:1], PAD, 1, CPU)[0].log_probs == pytest.approx(exact, abs=1e-5)


def test_training_mode_comes_back_and_no_gradient_is_left(tiny_model, encoded):
    teacher_forced(tiny_model, encoded, PAD, 4, CPU)
    assert tiny_model.training
    assert all(parameter.grad is None for parameter in tiny_model.parameters())
    with pytest.raises(RequestError):
        teacher_forced(tiny_model, [Encoded("a", (5, 6), (IGNORE, IGNORE))], PAD, 4, CPU)
    assert tiny_model.training


def test_a_row_without_a_target_is_refused(tiny_model, encoded):
    empty = Encoded("authors/7", (5, 6), (5, IGNORE))  # the first token has no predecessor
    with pytest.raises(RequestError, match="row 'authors/7' must have at least one answer token to score, found none"):
        teacher_forced(tiny_model, [*encoded, empty], PAD, 4, CPU)


def test_a_model_that_is_not_finite_is_refused_by_row(tiny_model, encoded):
    with torch.no_grad():
        tiny_model.lm_head.weight[3] = math.nan
    with pytest.raises(NonFiniteError, match=r"must be finite, found NaN or infinity in row '\d'"):
        teacher_forced(tiny_model, encoded, PAD, 4, CPU)
    assert tiny_model.training


def test_no_rows_have_no_scores(tiny_model):
    assert teacher_forced(tiny_model, [], PAD, 4, CPU) == []


@pytest.mark.skipif(not REAL.exists(), reason="../shared/models/TinyStories-656K is absent")
def test_a_real_pretrained_model():
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(REAL)
    model = AutoModelForCausalLM.from_pretrained(REAL, dtype=torch.float32)
    texts = [
        "Once upon a time, there was a little girl.",
        "The dog ran.",
        "One day, Tim found a big red ball.",
    ]
    ids = [tuple(tokenizer(text)["input_ids"]) for text in texts]
    assert_same(model, [Encoded(str(i), row, (IGNORE, *row[1:])) for i, row in enumerate(ids)], 3, tolerance=1e-4)


def moments_by_hand(model, row):
    """sum_v p_v log p_v and its deviation in float64, one forward per prefix."""
    means, deviations = [], []
    with torch.no_grad():
        for place, label in enumerate(row.labels):
            if place == 0 or label == IGNORE:
                continue
            log_p = model(torch.tensor([row.input_ids[:place]])).logits[0, -1].double().log_softmax(-1).tolist()
            mean = math.fsum(math.exp(x) * x for x in log_p)
            means.append(mean)
            deviations.append(math.sqrt(math.fsum(math.exp(x) * (x - mean) ** 2 for x in log_p)))
    return means, deviations


@pytest.mark.parametrize(("batch_size", "chunk"), [(1, 1024), (3, 1024), (7, 5), (4, 1)])
def test_moments_equal_sums_over_the_vocabulary(tiny_model, encoded, monkeypatch, batch_size, chunk):
    monkeypatch.setattr(chunked, "CHUNK_BYTES", chunk * 64 * 4)
    found = teacher_forced(tiny_model, encoded, PAD, batch_size, CPU, moments=True)
    tiny_model.eval()
    for row, score in zip(encoded, found, strict=True):
        means, deviations = moments_by_hand(tiny_model, row)
        assert score.means == pytest.approx(means, abs=1e-5)
        assert score.deviations == pytest.approx(deviations, abs=1e-5)


def test_moments_of_a_coin_that_is_fair_and_one_that_is_not():
    """p = (1/2, 1/2): every log p is the mean. p = (3/4, 1/4): log 3 apart, so the deviation is log 3 sqrt(3/16)."""
    mean, deviation = teacher_forcing._moments(torch.tensor([[0.5, 0.5], [0.75, 0.25]]).log())
    assert mean.tolist() == pytest.approx([-math.log(2), 0.75 * math.log(0.75) + 0.25 * math.log(0.25)])
    assert deviation.tolist() == pytest.approx([0, math.log(3) * math.sqrt(3) / 4], abs=1e-6)


def test_what_is_impossible_has_no_part_in_the_moments():
    """A word that is masked out (logit -inf), or so unlikely that its p is 0."""
    log_p = torch.tensor([[0.0, -math.inf], [0.0, -5000.0]])
    assert [column.tolist() for column in teacher_forcing._moments(log_p)] == [[0.0, 0.0], [0.0, 0.0]]


def test_moments_are_taken_only_where_they_are_asked_for(tiny_model, encoded, monkeypatch):
    asked = teacher_forced(tiny_model, encoded, PAD, 3, CPU, moments=True)
    monkeypatch.setattr(teacher_forcing, "_scores_and_moments", None)
    plain = teacher_forced(tiny_model, encoded, PAD, 3, CPU)
    assert {(score.means, score.deviations) for score in plain} == {((), ())}
    assert [(score.log_probs, score.correct) for score in plain] == [(s.log_probs, s.correct) for s in asked]


def test_windows_are_joined_in_order():
    first = TokenScores((-1.0, -2.0), (True, False), (-3.0, -4.0), (5.0, 6.0))
    second = TokenScores((-7.0,), (True,), (-8.0,), (9.0,))
    whole = TokenScores((-1.0, -2.0, -7.0), (True, False, True), (-3.0, -4.0, -8.0), (5.0, 6.0, 9.0))
    assert joined([first, second]) == whole
    assert joined([second]) == second
