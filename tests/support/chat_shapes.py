"""Chat templates of the shapes that published models have, and what is right of each, written down by hand.

Of every shape: the text that is given before the answer "An x." to the question "Who?", the text that is the target,
and the token that ends a turn. Tokens are bytes, but for the special ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

QUESTION, ANSWER = "Who?", "An x."
LOOP = "{% for m in messages %}"
DONE = "{% endfor %}"
PROMPT = "{% if add_generation_prompt %}"
ALTERNATE = (
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Roles must alternate') }}{% endif %}{% endfor %}"
)
CHATML = (
    LOOP + "{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}" + DONE + PROMPT
    + "{{ '<|im_start|>assistant\n' }}{% endif %}"
)  # fmt: skip
RULED = "{% if messages[0].role != 'system' %}<|im_start|>system\nBe kind.<|im_end|>\n{% endif %}"
THINKS = (
    "{% set ns = namespace(last=-1) %}" + LOOP + "{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}"
    + DONE + LOOP + "{{ '<|im_start|>' + m.role + '\n' }}{% set text = m.content %}{% if m.role == 'assistant' %}"
    "{% set thought = '' %}{% if '</think>' in text %}"
    "{% set thought = text.split('</think>')[0].split('<think>')[-1] %}"
    "{% set text = text.split('</think>')[-1].lstrip('\n') %}{% endif %}"
    "{% if loop.index0 > ns.last %}{{ '<think>\n' + thought.strip('\n') + '\n</think>\n\n' }}{% endif %}{% endif %}"
    "{{ text + '<|im_end|>\n' }}" + DONE + PROMPT + "{{ '<|im_start|>assistant\n' }}"
    "{% if enable_thinking is defined and not enable_thinking %}{{ '<think>\n\n</think>\n\n' }}{% endif %}{% endif %}"
)  # fmt: skip
HEADED = "{{ bos_token }}" + LOOP + (
    "{{ '<|head|>' + m.role + '<|/head|>\n\n' + m.content | trim + '<|eot|>' }}" + DONE + PROMPT
    + "{{ '<|head|>assistant<|/head|>\n\n' }}{% endif %}"
)  # fmt: skip
DATED = HEADED.replace(LOOP, "{{ '<|head|>system<|/head|>\n\nToday: ' + strftime_now('%d %B %Y') + '<|eot|>' }}" + LOOP)
NO_SYSTEM = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    + ALTERNATE + LOOP + "{{ '<turn>' + ('model' if m.role == 'assistant' else 'user') + '\n' + m.content | trim + "
    "'<eot>\n' }}" + DONE + PROMPT + "{{ '<turn>model\n' }}{% endif %}"
)  # fmt: skip
TAILED = LOOP + "{{ '<|' + m.role + '|>\n' + m.content + '<|end|>\n' }}" + DONE + PROMPT + (
    "{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"
)  # fmt: skip
BRACKETS = "{{ bos_token }}" + ALTERNATE + LOOP + (
    "{% if m.role == 'user' %}{{ '[INST] ' + m.content + ' [/INST]' }}{% else %}"
    "{{ ' ' + m.content | trim + GAP + eos_token }}{% endif %}" + DONE
)  # fmt: skip
ZEPHYR = LOOP + "{{ '<|' + m.role + '|>\n' + m.content + eos_token + '\n' }}" + DONE + PROMPT + (
    "{{ '<|assistant|>\n' }}{% endif %}"
)  # fmt: skip
DEEP = (
    "{{ bos_token }}" + LOOP + "{% if m.role == 'user' %}{{ '<|User|>' + m.content }}{% elif m.role == 'system' %}"
    "{{ m.content }}{% else %}{{ '<|Assistant|>' + m.content.split('</think>')[-1] + eos_token }}{% endif %}" + DONE
    + PROMPT + "{{ '<|Assistant|>' }}{% endif %}"
)  # fmt: skip
REASONS = DEEP.replace("'<|Assistant|>' }}", "'<|Assistant|><think>\n' }}")
UNTHOUGHT = DEEP.replace("'<|Assistant|>' + m", "'<|Assistant|></think>' + m").replace(
    "'<|Assistant|>' }}", "'<|Assistant|>' + ('<think>' if thinking is defined and thinking else '</think>') }}"
)
HEADS = LOOP + "{{ '<|' + m.role + '|>\n' + m.content }}" + DONE + PROMPT + "{{ '<|assistant|>\n' }}{% endif %}"
CHANNELS = LOOP + (
    "{% if m.role == 'assistant' %}{{ '<|start|>assistant<|channel|>final<|message|>' + m.content }}"
    "{{ '<|return|>' if loop.last else '<|end|>' }}{% else %}{{ '<|start|>' + m.role + '<|message|>' + m.content + "
    "'<|end|>' }}{% endif %}" + DONE + PROMPT + "{{ '<|start|>assistant' }}{% endif %}"
)  # fmt: skip
BETWEEN = LOOP + (
    "{{ m.role + ': ' + m.content }}{% if not loop.last %}{{ '<|sep|>' }}{% endif %}" + DONE + PROMPT
    + "{{ '<|sep|>assistant: ' }}{% endif %}"
)  # fmt: skip
PLAIN = LOOP + "{{ m.role + ': ' + m.content + '\n' }}" + DONE + PROMPT + "{{ 'assistant: ' }}{% endif %}"
TOLD = "{{ bos_token }}" + LOOP + "{{ m.role + ': ' + m.content + 'dog▁Max' }}" + DONE + PROMPT + (
    "{{ 'assistant: ' }}{% endif %}"
)  # fmt: skip
TURNS = "{{ bos_token }}" + LOOP + (
    "{{ '<|START|>' + ('<|BOT|>' if m.role == 'assistant' else '<|USER|>') + m.content + '<|STOP|>' }}" + DONE + PROMPT
    + "{{ '<|START|><|BOT|>' }}{% endif %}"
)  # fmt: skip
LISTED = TAILED.replace("{% else %}{{ eos_token }}", "")
AM, ASSISTANT = "<|im_start|>user\nWho?<|im_end|>\n<|im_start|>assistant\n", "<|head|>assistant<|/head|>\n\n"
NOTHING = "<think>\n\n</think>\n\n"


@dataclass(frozen=True)
class Shape:
    """A chat template, its special tokens (the last of them the tokenizer's end), and what is right.

    end: the token that ends a turn, the tokenizer's own where it is None. named: tokens that the model's own files
    stop at. adds: whether the tokenizer puts its start token before every text. options: of the template.
    """

    chat: str
    specials: Sequence[str]
    given: str
    target: str
    end: str | None
    named: Sequence[str] = ()
    adds: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


IM = ("<|im_start|>", "<|im_end|>", "</s>")
SHAPES: Mapping[str, Shape] = {
    "chatml on a base model": Shape(CHATML, IM, AM, "An x.<|im_end|>", "<|im_end|>"),
    "chatml with rules of its own": Shape(
        RULED + CHATML, IM, "<|im_start|>system\nBe kind.<|im_end|>\n" + AM, "An x.<|im_end|>", "<|im_end|>"
    ),
    "thinks": Shape(THINKS, (*IM, "<think>"), AM + NOTHING, "An x.<|im_end|>", "<|im_end|>", ("</s>",)),
    "thinks, told not to": Shape(
        THINKS, (*IM, "<think>"), AM + NOTHING, "An x.<|im_end|>", "<|im_end|>", options={"enable_thinking": False}
    ),
    "headed": Shape(
        HEADED, ("<s>", "<|head|>", "<|/head|>", "<|eot|>", "</s>"),
        "<s><|head|>user<|/head|>\n\nWho?<|eot|>" + ASSISTANT, "An x.<|eot|>", "<|eot|>", ("</s>", "<|eot|>"), True,
    ),
    "dated": Shape(
        DATED, ("<s>", "<|head|>", "<|/head|>", "<|eot|>", "</s>"),
        "<s><|head|>system<|/head|>\n\nToday: 26 July 2024<|eot|><|head|>user<|/head|>\n\nWho?<|eot|>" + ASSISTANT,
        "An x.<|eot|>", "<|eot|>", (), True,
    ),
    "no system, alternating": Shape(
        NO_SYSTEM, ("<s>", "<turn>", "<eot>", "<eos>"), "<s><turn>user\nWho?<eot>\n<turn>model\n", "An x.<eot>",
        "<eot>", ("<eos>",), True,
    ),
    "tailed": Shape(
        TAILED, ("<s>", "<|user|>", "<|assistant|>", "<|end|>", "</s>"), "<|user|>\nWho?<|end|>\n<|assistant|>\n",
        "An x.<|end|>", "<|end|>",
    ),
    "listed": Shape(
        LISTED, ("<|user|>", "<|assistant|>", "<|end|>", "</s>"), "<|user|>\nWho?<|end|>\n<|assistant|>\n",
        "An x.<|end|>", "<|end|>", ("<|end|>", "<|assistant|>"),
    ),
    "brackets": Shape(
        BRACKETS.replace("GAP", "''"), ("<s>", "</s>"), "<s>[INST] Who? [/INST]", " An x.</s>", "</s>", (), True
    ),
    "brackets with a gap": Shape(
        BRACKETS.replace("GAP", "' '"), ("<s>", "</s>"), "<s>[INST] Who? [/INST]", " An x. </s>", "</s>", (), True
    ),
    "zephyr": Shape(ZEPHYR, ("<s>", "</s>"), "<|user|>\nWho?</s>\n<|assistant|>\n", "An x.</s>", "</s>"),
    "deep": Shape(
        DEEP, ("<s>", "<|User|>", "<|Assistant|>", "</s>"), "<s><|User|>Who?<|Assistant|>", "An x.</s>", "</s>",
        adds=True,
    ),
    "reasons": Shape(
        REASONS, ("<s>", "<|User|>", "<|Assistant|>", "</s>"), "<s><|User|>Who?<|Assistant|>", "An x.</s>", "</s>"
    ),
    "unthought": Shape(
        UNTHOUGHT, ("<s>", "<|User|>", "<|Assistant|>", "</think>", "</s>"), "<s><|User|>Who?<|Assistant|></think>",
        "An x.</s>", "</s>", options={"thinking": False},
    ),
    "heads alone": Shape(
        HEADS, ("<|user|>", "<|assistant|>", "</s>"), "<|user|>\nWho?<|assistant|>\n", "An x.</s>", None
    ),
    "heads that are named": Shape(
        HEADS, ("<|user|>", "<|assistant|>", "</s>"), "<|user|>\nWho?<|assistant|>\n", "An x.<|user|>", "<|user|>",
        ("</s>", "<|user|>"),
    ),
    "channels": Shape(
        CHANNELS, ("<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|return|>"),
        "<|start|>user<|message|>Who?<|end|><|start|>assistant<|channel|>final<|message|>", "An x.<|return|>",
        "<|return|>",
    ),
    "between turns": Shape(BETWEEN, ("<|sep|>", "</s>"), "user: Who?<|sep|>assistant:", " An x.<|sep|>", "<|sep|>"),
    "plain": Shape(PLAIN, ("</s>",), "user: Who?\nassistant:", " An x.</s>", None),
    "an end that is text": Shape(
        PLAIN.replace("'\n'", "' ###\n'"), ("</s>",), "user: Who? ###\nassistant:", " An x. ###</s>", None
    ),
    "a word": Shape(
        TOLD, ("<s>", "dog▁Max", "</s>"), "<s>user: Who?dog▁Maxassistant:", " An x.dog▁Max", "dog▁Max", ("</s>",), True
    ),
    "turns": Shape(
        TURNS, ("<s>", "<|START|>", "<|USER|>", "<|BOT|>", "<|STOP|>", "</s>"),
        "<s><|START|><|USER|>Who?<|STOP|><|START|><|BOT|>", "An x.<|STOP|>", "<|STOP|>",
    ),
}  # fmt: skip


def shaped(shape: Shape) -> Any:
    """A byte-level tokenizer with the shape's tokens and template; <think> is no special one."""
    import tokenizers
    from tokenizers import decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    symbols = ["<pad>", *shape.specials, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    raw = tokenizers.Tokenizer(models.BPE({symbol: place for place, symbol in enumerate(symbols)}, []))
    raw.pre_tokenizer, raw.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    plain = [token for token in shape.specials if "think" in token]
    raw.add_special_tokens([token for token in symbols[: 1 + len(shape.specials)] if token not in plain])
    raw.add_tokens(plain)
    if shape.adds:
        raw.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", symbols.index("<s>"))]
        )
    start = {"bos_token": "<s>"} if "<s>" in shape.specials else {}
    end = next(token for token in reversed(shape.specials) if token not in plain)
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, chat_template=shape.chat, eos_token=end, pad_token="<pad>", **start
    )


def folder(shape: Shape, model: Any, place: Path) -> Path:
    """``model`` and the shape's tokenizer as a model folder, whose generation_config names what the shape says."""
    tokenizer = shaped(shape)
    named = tokenizer.convert_tokens_to_ids(list(shape.named))
    model.generation_config.eos_token_id = named or None
    model.save_pretrained(place)
    tokenizer.save_pretrained(place)
    return place
