"""Guided decoding with two models, against one without cache, batch or padding."""

from __future__ import annotations

import random

import pytest
import torch

from mollm_cli.evaluation.attacks.comparison import ModelComparison
from mollm_cli.evaluation.generation import generate
from tests.support.tiny import llama, opt

END = [2]


@pytest.fixture
def prompts():
    draw = random.Random(0)
    return [[draw.randrange(4, 48) for _ in range(length)] for length in (1, 9, 3, 3, 14, 6, 2)]


@pytest.fixture
def pair():
    """Two models whose logits lie far apart, so that no argmax hangs on rounding."""
    models = llama(seed=0).train(), llama(seed=1)
    with torch.no_grad():
        for model in models:
            model.get_output_embeddings().weight.mul_(40)
            model.get_input_embeddings().weight.mul_(10)
    return models


def slow(attack, before, after, prompt, most):
    """One prompt, the whole sequence every time, in probabilities."""
    ids = list(prompt)
    with torch.no_grad():
        for _ in range(most):
            p, q = (torch.softmax(m.eval()(torch.tensor([ids])).logits[0, -1].double(), -1) for m in (before, after))
            score = [
                (1 - attack.guidance) * q[v].log() + attack.guidance * p[v].log()
                if p[v] >= attack.plausibility * p.max()
                else -torch.inf
                for v in range(len(p))
            ]
            following = max(range(len(p)), key=lambda v: score[v])
            if following in END:
                break
            ids.append(following)
    return ids[len(prompt) :]


def answers(attack, models, prompts, tokenizer, most=8, batch_size=3):
    return attack.answers(*models, prompts, tokenizer, END, most, batch_size)


def words(ids, tokenizer):
    return tokenizer.decode(ids, skip_special_tokens=True).strip()


@pytest.mark.parametrize("batch_size", [2, pytest.param(7, marks=pytest.mark.slow)])
@pytest.mark.parametrize("attack", [ModelComparison(), ModelComparison(1.5, 0.0), ModelComparison(3.0, 0.3)], ids=str)
def test_batches_equal_one_by_one(attack, pair, tiny_tokenizer, prompts, batch_size):
    expected = [words(slow(attack, *pair, prompt, 8), tiny_tokenizer) for prompt in prompts]
    assert answers(attack, pair, prompts, tiny_tokenizer, batch_size=batch_size) == expected
    assert len(set(expected)) > 1


def test_learned_positions(tiny_tokenizer, prompts):
    """OPT looks its positions up in a table: padding must not move them."""
    pair = opt(seed=0), opt(seed=1)
    expected = [words(slow(ModelComparison(), *pair, prompt, 8), tiny_tokenizer) for prompt in prompts]
    assert answers(ModelComparison(), pair, prompts, tiny_tokenizer, batch_size=7) == expected


def test_no_guidance_is_the_model_after_and_one_the_model_before(pair, tiny_tokenizer, prompts):
    for guidance, model in ((0.0, pair[1]), (1.0, pair[0])):
        plain = generate(model, prompts, tiny_tokenizer, 8, 3, END)
        assert answers(ModelComparison(guidance, 0.0), pair, prompts, tiny_tokenizer) == plain
    assert answers(ModelComparison(0.0, 0.0), pair, prompts, tiny_tokenizer) != plain


def test_by_hand():
    # p_before = (.60, .39, .01), p_after = (.60, .05, .35). log ratios: 0, 2.05, -3.56.
    # At guidance 2: log p_before + log ratio = -0.51, -0.94 + 2.05 = 1.11: the second token, which was suppressed.
    before, after = (torch.tensor([p]).log() for p in ((0.60, 0.39, 0.01), (0.60, 0.05, 0.35)))
    score = ModelComparison(2.0, 0.1).guided(before, after)[0]
    assert score[:2].tolist() == pytest.approx([-0.5108, 1.1125], abs=1e-4)
    assert score[2] == -torch.inf  # 0.01 < 0.1 x 0.60
    assert ModelComparison(2.0, 0.0).guided(before, after)[0, 2].item() == pytest.approx(-8.1605, abs=1e-4)


def test_a_token_that_both_models_rule_out_is_never_chosen():
    logits = torch.tensor([[0.0, -torch.inf]])
    assert ModelComparison(2.0, 0.0).guided(logits, logits).argmax().item() == 0


def test_a_prompt_near_the_end_of_the_context_gets_what_room_is_left(pair, tiny_tokenizer, prompts):
    long, full = [5] * 126, [6] * 128  # of a context of 128 positions
    said = ModelComparison().answers(*pair, [long, prompts[0], full], tiny_tokenizer, [47], 6, 3)
    assert [len(text.split()) for text in said] == [2, 6, 0]
    assert said[1] == ModelComparison().answers(*pair, prompts[:1], tiny_tokenizer, [47], 6, 1)[0]


def test_dropout_is_off_and_the_training_mode_comes_back(pair, tiny_model, tiny_tokenizer, prompts):
    models = tiny_model, pair[1]  # the first drops half of its attention while it is trained
    said = answers(ModelComparison(1.0, 0.0), (tiny_model, tiny_model), prompts, tiny_tokenizer)
    assert said == generate(tiny_model, prompts, tiny_tokenizer, 8, 3, END)
    assert [model.training for model in models] == [True, False]


def test_an_adapter_is_heard(pair, tiny_tokenizer, prompts):
    peft = pytest.importorskip("peft")
    plain = answers(ModelComparison(1.0, 0.0), pair, prompts, tiny_tokenizer)
    settings = peft.LoraConfig(target_modules=["v_proj", "down_proj"], init_lora_weights=False, r=4)
    adapted = peft.get_peft_model(pair[0].eval(), settings)
    texts = answers(ModelComparison(1.0, 0.0), (adapted, pair[1]), prompts, tiny_tokenizer)
    assert texts == generate(adapted, prompts, tiny_tokenizer, 8, 3, END)
    assert texts != plain


def test_what_cannot_be_is_refused(pair, tiny_tokenizer):
    with pytest.raises(ValueError, match="at least one token, found none in prompt 2"):
        answers(ModelComparison(), pair, [[5], []], tiny_tokenizer)
    with pytest.raises(ValueError, match="comparison.guidance must be a finite number >= 0, found -1"):
        ModelComparison(-1)
    with pytest.raises(ValueError, match="comparison.guidance must be a finite number >= 0, found nan"):
        ModelComparison(float("nan"))
    with pytest.raises(ValueError, match=r"comparison.plausibility must be in \[0, 1\], found 2"):
        ModelComparison(2.0, 2)
    assert answers(ModelComparison(), pair, [], tiny_tokenizer) == []
