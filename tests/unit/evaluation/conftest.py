"""A tiny random Llama and a word-level tokenizer of 64 words: w0 ... w59 and the special tokens."""

from __future__ import annotations

import pytest

VOCABULARY = ["<pad>", "<s>", "</s>", "<unk>"] + [f"w{i}" for i in range(60)]


@pytest.fixture(scope="session")
def tiny_tokenizer():
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(WordLevel({word: i for i, word in enumerate(VOCABULARY)}, unk_token="<unk>"))
    words.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=words, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>"
    )


def made():
    """Weights so large that no two logits are close: argmax does not hang on rounding."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=32,
        initializer_range=0.3,
        attention_dropout=0.5,
    )
    return LlamaForCausalLM(config).train()


@pytest.fixture
def tiny_model():
    return made()


@pytest.fixture(scope="module")
def same_model():
    """For files whose tests change nothing of it."""
    return made()
