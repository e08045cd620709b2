import random

import pytest
import torch
from transformers import GenerationConfig

from mollm_cli.evaluation import generation
from mollm_cli.evaluation.generation import generate

END = [2]


@pytest.fixture
def prompts():
    draw = random.Random(0)
    return [[draw.randrange(4, 64) for _ in range(length)] for length in (1, 9, 3, 3, 14, 6, 2)]


def one_by_one(model, tokenizer, prompt, max_new_tokens):
    """Greedy decoding without cache, batch or padding."""
    model.eval()
    ids = list(prompt)
    with torch.no_grad():
        for _ in range(max_new_tokens):
            following = model(torch.tensor([ids])).logits[0, -1].argmax().item()
            if following in END:
                break
            ids.append(following)
    return tokenizer.decode(ids[len(prompt) :], skip_special_tokens=True)


@pytest.mark.parametrize("batch_size", [1, 2, 7])
def test_left_padded_batches_equal_one_by_one(tiny_model, tiny_tokenizer, prompts, batch_size):
    expected = [one_by_one(tiny_model, tiny_tokenizer, prompt, 10) for prompt in prompts]
    assert generate(tiny_model, prompts, tiny_tokenizer, 10, batch_size, END) == expected
    assert len(set(expected)) > 1


def test_a_text_ends_before_the_end_token(tiny_model, tiny_tokenizer, prompts):
    whole = generate(tiny_model, prompts[:1], tiny_tokenizer, 6, 1, END)[0].split()
    end = tiny_tokenizer.convert_tokens_to_ids(whole[3])
    cut = generate(tiny_model, prompts[:1], tiny_tokenizer, 6, 1, [2, end])[0].split()
    assert cut == whole[: whole.index(whole[3])]


def ending(model, tokenizer, prompts):
    """An end token after which the texts of the prompts have different lengths, and those lengths."""
    texts = [one_by_one(model, tokenizer, prompt, 12) for prompt in prompts]
    ids = [tokenizer(text, add_special_tokens=False).input_ids for text in texts]
    for token in {token for row in ids for token in row}:
        lengths = [row.index(token) if token in row else len(row) for row in ids]
        if len(set(lengths)) > 2 and max(lengths) == 12:
            return token, lengths
    raise AssertionError("no token ends these texts at different places")


@pytest.mark.parametrize(
    ("span", "batch_size"),
    [(3, 2), *(pytest.param(*each, marks=pytest.mark.slow) for each in ((1, 2), (1, 7), (3, 7), (5, 2), (5, 7)))],
)
def test_rows_that_have_ended_leave_the_batch_and_change_no_other(
    tiny_model, tiny_tokenizer, prompts, monkeypatch, span, batch_size
):
    monkeypatch.setattr(generation, "SPAN", span)
    end, lengths = ending(tiny_model, tiny_tokenizer, prompts)
    monkeypatch.setattr(f"{__name__}.END", [2, end])
    expected = [one_by_one(tiny_model, tiny_tokenizer, prompt, 12) for prompt in prompts]
    rows = []
    tiny_model.register_forward_pre_hook(lambda m, args, given: rows.append(len(given["input_ids"])), with_kwargs=True)
    assert generate(tiny_model, prompts, tiny_tokenizer, 12, batch_size, [2, end]) == expected
    least = sum(min(12, length + 1) for length in lengths)
    most = sum(min(12, (length // span + 1) * span) for length in lengths)  # up to the end of the span it ends in
    assert least <= sum(rows) <= most < 12 * len(prompts)


def test_a_state_that_cannot_be_cut_goes_on_whole(tiny_tokenizer, prompts, monkeypatch):
    from transformers import MambaConfig, MambaForCausalLM

    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "state_size": 4, "num_hidden_layers": 2, "initializer_range": 0.8}
    model = MambaForCausalLM(MambaConfig(vocab_size=64, **sizes))
    end, _ = ending(model, tiny_tokenizer, prompts)
    monkeypatch.setattr(generation, "SPAN", 3)
    monkeypatch.setattr(f"{__name__}.END", [2, end])
    expected = [one_by_one(model, tiny_tokenizer, prompt, 12) for prompt in prompts]
    assert generate(model, prompts, tiny_tokenizer, 12, 1, [2, end]) == expected
    same = [prompt for prompt in prompts if len(prompt) == 3]  # of one length: this state knows no padding
    alone = [one_by_one(model, tiny_tokenizer, prompt, 12) for prompt in same]
    assert generate(model, same, tiny_tokenizer, 12, 2, [2, end]) == alone


def test_settings_of_the_checkpoint_neither_leak_in_nor_get_lost(tiny_model, tiny_tokenizer, prompts):
    plain = generate(tiny_model, prompts, tiny_tokenizer, 8, 4, END)
    own = GenerationConfig(
        do_sample=True, temperature=5.0, repetition_penalty=50.0, min_new_tokens=8, num_beams=3, max_length=9
    )
    tiny_model.generation_config = own
    assert generate(tiny_model, prompts, tiny_tokenizer, 8, 4, END) == plain
    assert tiny_model.generation_config is own


def test_an_adapter_is_heard_and_the_settings_of_the_inner_model_stay(tiny_model, tiny_tokenizer, prompts):
    peft = pytest.importorskip("peft")
    own = tiny_model.generation_config = GenerationConfig(repetition_penalty=50.0)
    plain = generate(tiny_model, prompts, tiny_tokenizer, 5, 4, END)
    settings = peft.LoraConfig(
        target_modules=["q_proj", "down_proj"], init_lora_weights=False, r=4, task_type="CAUSAL_LM"
    )
    adapted = peft.get_peft_model(tiny_model, settings)
    texts = generate(adapted, prompts, tiny_tokenizer, 5, 4, END)
    assert texts != plain
    assert texts == [one_by_one(adapted, tiny_tokenizer, prompt, 5) for prompt in prompts]
    assert adapted.get_base_model().generation_config is own


def test_a_prompt_near_the_end_of_the_context_gets_what_room_is_left(tiny_model, tiny_tokenizer, prompts):
    long, full = [5] * 30, [6] * 32  # of a context of 32 positions
    texts = generate(tiny_model, [long, prompts[0], full], tiny_tokenizer, 6, 3, [63])
    assert [len(text.split()) for text in texts] == [2, 6, 0]
    assert texts[1] == generate(tiny_model, prompts[:1], tiny_tokenizer, 6, 1, [63])[0]


def test_training_mode_comes_back(tiny_model, tiny_tokenizer, prompts):
    generate(tiny_model, prompts[:1], tiny_tokenizer, 1, 1, END)
    assert tiny_model.training
    generate(tiny_model.eval(), prompts[:1], tiny_tokenizer, 1, 1, END)
    assert not tiny_model.training


def test_an_empty_prompt_is_refused(tiny_model, tiny_tokenizer):
    with pytest.raises(ValueError, match="at least one token, found none in prompt 2"):
        generate(tiny_model, [[5], []], tiny_tokenizer, 1, 1, END)


class Sharing:
    """Of two processes: this one has every other batch, and hears nothing of the rest."""

    shares = 2

    def mine(self, batches):
        return list(batches)[::2]

    def everyones(self, found):
        return dict(found)


def test_processes_share_out_what_is_greedy_and_each_draws_all_samples(tiny_model, tiny_tokenizer, prompts):
    texts = [generate(tiny_model, prompts, tiny_tokenizer, 4, 1, END, seed, sharing=Sharing()) for seed in (None, 0)]
    assert [sum(map(bool, found)) for found in texts] == [4, 7]


def test_no_prompts_give_no_texts(tiny_model, tiny_tokenizer):
    assert generate(tiny_model, [], tiny_tokenizer, 1, 1, END) == []


def test_samples_follow_the_models_distribution(tiny_model, tiny_tokenizer):
    prompt = [5, 9, 11]
    with torch.no_grad():
        tiny_model.get_output_embeddings().weight.mul_(4)
        wanted = torch.softmax(tiny_model.eval()(torch.tensor([prompt])).logits[0, -1].double(), dim=0)
    texts = generate(tiny_model, [prompt] * 4000, tiny_tokenizer, 1, 4000, [2], seed=0, with_prompt=True)
    drawn = [tiny_tokenizer(text)["input_ids"][-1] for text in texts if len(text.split()) > 3]
    found = torch.bincount(torch.tensor(drawn), minlength=len(wanted)) / 4000
    error = 5 * (wanted * (1 - wanted) / 4000).sqrt()  # five standard deviations
    assert ((found - wanted).abs() < error)[4:].all()
    assert wanted[4:].max() > 3 * wanted[4:].median()  # not uniform: another temperature would show


def test_samples_are_drawn_from_all_tokens_not_from_the_fifty_likeliest(tiny_model, tiny_tokenizer):
    """transformers takes top_k=50 where a call does not say: of 64 tokens that are about as likely, 14 never came."""
    with torch.no_grad():
        tiny_model.get_output_embeddings().weight.mul_(1e-3)
    texts = generate(tiny_model, [[5, 9, 11]] * 1000, tiny_tokenizer, 1, 1000, [63], seed=0)
    assert len({text for text in texts if text}) == 59  # all words but the end; one is missed with a chance of 1e-5


def test_a_sampled_text_begins_with_its_prompt_and_is_drawn_by_seed(tiny_model, tiny_tokenizer, prompts):
    first, again, other = (
        generate(tiny_model, prompts, tiny_tokenizer, 9, 3, END, seed=s, with_prompt=True) for s in (0, 0, 1)
    )
    assert first == again != other
    bare = generate(tiny_model, prompts, tiny_tokenizer, 9, 3, END, seed=0)
    assert all(text.endswith(rest) and text != rest for text, rest in zip(first, bare, strict=True))
    for prompt, text in zip(prompts, first, strict=True):
        assert text.startswith(tiny_tokenizer.decode(prompt, skip_special_tokens=True).strip())
