"""The embedded model's tokenizer: byte-level BPE, trained on the fictitious authors.

    python -m embedded.tokenizer --out DIR [--vocab-size N]

Any text can be encoded, because the 256 bytes are tokens, and comes back unchanged. Digits stand alone, so that every
year is made of tokens that the model knows.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from embedded.authors import generate

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD = "<|pad|>"
END = "<|end|>"
SMALLEST = 256 + len((PAD, END))
"""Size of the vocabulary before the first merge: every byte, and the special tokens."""
VOCAB_SIZE = 2048


def build_tokenizer(texts: Iterable[str], vocab_size: int = VOCAB_SIZE) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer trained on ``texts``; equal texts in equal order give the same tokenizer.

    No token is put around a text. Raises ValueError for a size below SMALLEST.

    vocab_size: the most tokens, with PAD (id 0) and END (id 1). There are fewer if no further pair of tokens occurs
    twice in the texts.
    """
    if vocab_size < SMALLEST:
        raise ValueError(f"vocab_size must be >= {SMALLEST} (256 bytes and 2 special tokens), found {vocab_size}")
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        special_tokens=[PAD, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, eos_token=END, clean_up_tokenization_spaces=False
    )


def collect_texts(rows: dict[str, list[dict[str, object]]]) -> list[str]:
    """Every text of the benchmark: questions, answers, paraphrases, perturbed answers and paragraphs, in file order."""
    texts: list[str] = []
    for split in rows.values():
        for row in split:
            for column, value in row.items():
                if isinstance(value, list):
                    texts += value
                elif isinstance(value, str) and column != "author":
                    texts.append(value)
    return texts


def main(arguments: Sequence[str] | None = None) -> None:
    """Build the tokenizer from the embedded authors and save it."""
    parser = argparse.ArgumentParser(prog="python -m embedded.tokenizer", description="Write the tokenizer.")
    parser.add_argument("--out", type=Path, required=True, help="folder, made where it is missing")
    parser.add_argument("--vocab-size", type=int, default=VOCAB_SIZE, help=f"at most (default: {VOCAB_SIZE})")
    options = parser.parse_args(arguments)
    build_tokenizer(collect_texts(generate()), options.vocab_size).save_pretrained(options.out)


if __name__ == "__main__":
    main()
