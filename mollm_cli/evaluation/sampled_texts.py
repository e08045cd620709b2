"""Continuations drawn from the model: what an attacker who asks many times may find."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mollm_cli.evaluation.generation import generate

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

SEED = 0


def sample(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    tokenizer: PreTrainedTokenizerBase,
    max_new_tokens: int,
    batch_size: int,
    end_ids: Sequence[int],
    samples: int,
) -> list[tuple[str, ...]]:
    """``samples`` continuations a prompt, drawn at temperature 1 from the whole distribution, seeded.

    They depend on prompts, batch size and device. Raises what ``generate`` raises.
    """
    repeated = [prompt for prompt in prompts for _ in range(samples)]
    texts = generate(model, repeated, tokenizer, max_new_tokens, batch_size, end_ids, SEED)
    return [tuple(texts[i : i + samples]) for i in range(0, len(texts), samples)]
