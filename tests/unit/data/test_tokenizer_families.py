"""Six families of tokenizers: the decoded targets are exactly the answer and its end token, whatever a family adds."""

from __future__ import annotations

import itertools

import pytest

from mollm_cli.core.types import IGNORE, Example
from mollm_cli.data.dialogue import Turn, as_prompt
from mollm_cli.data.encoder import Encoder

CORPUS = ["Question: Who wrote it?\nAnswer: Ann Lee did, in 1990.", "The quick brown fox. It's 12:30!", "a b c d e f g"]
SPECIAL = ["<pad>", "<s>", "</s>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>"]
CHAT = (
    "{{ bos_token or '' }}{% for m in messages %}<|{{ m.role }}|>{{ m.content | trim }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
ANSWERS = ["Ann Lee did.", "12:30", "It's a fox!", "d", "a  b", "Ann\nLee", "é 你好", "wer: no", "nn Lee"]
PROMPTS = ["Ans", "A", "Who wrote it?", "a", "Is it 12:30", "one\ntwo"]
"""The first two prompts with the last two answers: a token of the joined text straddles the boundary."""
TEMPLATES = ["auto", "none", "{prompt} ", "Q: {prompt}\nA:", "{prompt}\n"]


def _trained(model, trainer, pre, decoder, normalizer=None):
    import tokenizers

    raw = tokenizers.Tokenizer(model)
    raw.pre_tokenizer, raw.decoder = pre, decoder
    if normalizer:
        raw.normalizer = normalizer
    raw.train_from_iterator(CORPUS * 20, trainer)
    return raw


def _byte_level(prefix):
    from tokenizers import decoders, models, pre_tokenizers, trainers

    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    return _trained(models.BPE(), trainer, pre_tokenizers.ByteLevel(add_prefix_space=prefix), decoders.ByteLevel())


def _sentencepiece():
    """Unigram with Metaspace, bytes for what it does not know, as Llama and T5."""
    import tokenizers
    from tokenizers import decoders, models, pre_tokenizers, trainers

    byte_tokens = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.UnigramTrainer(vocab_size=120, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False)
    space = pre_tokenizers.Metaspace(prepend_scheme="always")
    learnt = _trained(models.Unigram(), trainer, space, decoders.Metaspace())
    pieces = [(token, 0.0) for token in ["<unk>", *SPECIAL, *byte_tokens]]
    scores = {token: -8.0 for token in learnt.get_vocab() if token != "<unk>"} | {"▁": -4.0, "\n": -9.0}
    raw = tokenizers.Tokenizer(models.Unigram([*pieces, *scores.items()], 0, byte_fallback=True))
    raw.pre_tokenizer = space
    raw.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    raw.add_special_tokens(SPECIAL)
    return raw


def _started(raw):
    from tokenizers import processors

    raw.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", raw.token_to_id("<s>"))]
    )
    return raw


def family(name):
    from transformers import PreTrainedTokenizerFast

    raw = {
        "byte-level": lambda: _byte_level(False),
        "byte-level with a prefix space": lambda: _byte_level(True),
        "sentencepiece": _sentencepiece,
        "start token": lambda: _started(_byte_level(False)),
        "pad is end": lambda: _started(_sentencepiece()),
        "chat": lambda: _started(_byte_level(False)),
    }[name]()
    pad = "</s>" if name == "pad is end" else "<pad>"
    chat = CHAT if name == "chat" else None
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, eos_token="</s>", bos_token="<s>", pad_token=pad, chat_template=chat
    )


FAMILIES = ("byte-level", "byte-level with a prefix space", "sentencepiece", "start token", "pad is end", "chat")


@pytest.fixture(scope="module", params=FAMILIES)
def tokenizer(request):
    return family(request.param)


def text(tokenizer, ids):
    """The text of some tokens as a part of a longer one: decoders drop a space at the very beginning."""
    anchor = tokenizer("0", add_special_tokens=False)["input_ids"]
    return tokenizer.decode([*anchor, *ids])[len(tokenizer.decode(anchor)) :]


def parts(tokenizer, encoded):
    pairs = list(zip(encoded.input_ids, encoded.labels, strict=True))
    assert all(label in (IGNORE, token) for token, label in pairs)
    given = [token for token, label in pairs if label == IGNORE]
    assert [label == IGNORE for _, label in pairs] == [True] * len(given) + [False] * (len(pairs) - len(given))
    return given, [token for token, label in pairs if label != IGNORE]


def test_the_targets_are_the_answer_and_its_end(tokenizer):
    """Every template with every prompt and answer."""
    encoder = Encoder(tokenizer)
    for template, prompt, answer in itertools.product(TEMPLATES, PROMPTS, ANSWERS):
        _held(tokenizer, encoder, template, prompt, answer)


def _held(tokenizer, encoder, template, prompt, answer):
    given, targets = parts(tokenizer, encoder.encode(Example("d:1", prompt, answer), template, 500))
    chat = tokenizer.chat_template is not None and template == "auto"
    end = "<|end|>" if chat else "</s>"
    space = " " * (template in ("auto", "{prompt} ") and not chat)
    assert text(tokenizer, targets) == space + answer + end, (template, prompt, answer)
    assert given == encoder.prompt_ids(prompt, template)
    assert targets[-1] in encoder.end_ids


def test_every_turn_of_a_chat_is_a_target_with_its_end():
    from mollm_cli.data.chat_turns import label_every_turn

    tokenizer = family("chat")
    encoder = Encoder(tokenizer)
    turns = [Turn("user", "Who?"), Turn("assistant", "Ann did."), Turn("user", "And when?")]
    example = Example("d:1", as_prompt(turns, "Be brief."), "In 1990.")
    encoded = encoder.encode(example, "auto", 500)
    assert text(tokenizer, parts(tokenizer, encoded)[1]) == "In 1990.<|end|>"
    every = label_every_turn(encoder, example, "auto", encoded, "forget")
    assert every.input_ids == encoded.input_ids
    assert text(tokenizer, [label for label in every.labels if label != IGNORE]) == "Ann did.<|end|>In 1990.<|end|>"
