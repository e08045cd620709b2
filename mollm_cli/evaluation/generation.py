"""Continuations of prompts, greedy or sampled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby, takewhile
from typing import TYPE_CHECKING, Any

from mollm_cli.core.doing import advance
from mollm_cli.evaluation.teacher_forcing import length_sorted, scoring
from mollm_cli.evaluation.work_sharing import ONE_PROCESS, WorkSharing

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

SPAN = 16
"""Tokens between two checks for rows that have ended: often enough to save work, seldom enough to be cheap."""


def generate(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    tokenizer: PreTrainedTokenizerBase,
    max_new_tokens: int,
    batch_size: int,
    end_ids: Sequence[int],
    seed: int | None = None,
    with_prompt: bool = False,
    sharing: WorkSharing = ONE_PROCESS,
) -> list[str]:
    """Continue each prompt greedily, or with a ``seed`` by drawing from the model at temperature 1.

    A text ends at one of ``end_ids``, after ``max_new_tokens``, or when the model's context is full. Padding and batch
    size do not change greedy texts. The checkpoint's generation_config (temperature, repetition penalty, length) is
    not used. Returns one text per prompt, in the order given, without special tokens and surrounding white space.
    Raises ValueError.

    prompts: token ids, not empty.
    with_prompt: each text begins with its prompt.
    sharing: several processes share out greedy texts. Each draws all samples itself, because a sample depends on what
    was drawn before it (and so on seed, prompts, batch size and device).
    """
    # Without a token there is no position to predict from.
    empty = [i for i, prompt in enumerate(prompts) if not prompt]
    if empty:
        raise ValueError(f"a prompt must have at least one token, found none in prompt {empty[0] + 1}; add a template")
    context = getattr(model.config, "max_position_embeddings", None)
    limits = [max_new_tokens if context is None else min(max_new_tokens, context - len(p)) for p in prompts]
    texts = dict.fromkeys(range(len(prompts)), "")
    sharing = sharing if seed is None else ONE_PROCESS
    with scoring(model), _plain_generation(model) as generator, _seeded(seed):
        for limit, rows in sharing.mine(_batches([len(p) for p in prompts], limits, batch_size)):
            continued = _continue(generator, [prompts[i] for i in rows], limit, end_ids, seed is not None)
            for i, new in zip(rows, continued, strict=True):
                ids = [*prompts[i], *new] if with_prompt else new
                texts[i] = tokenizer.decode(ids, skip_special_tokens=True).strip()
            advance(len(rows) * sharing.shares)
    generated = sharing.everyones({row: text for row, text in texts.items() if text})
    return [generated.get(row, "") for row in texts]


def _batches(lengths: Sequence[int], limits: Sequence[int], batch_size: int) -> Iterator[tuple[int, list[int]]]:
    """Batches of prompts that share one limit of new tokens: (limit, places of the prompts)."""
    # With one limit per batch, a prompt near the end of the context does not shorten the texts beside it.
    order = sorted(range(len(lengths)), key=lambda i: limits[i])
    for limit, group in groupby(order, key=lambda i: limits[i]):
        alike = list(group)
        if limit >= 1:
            for picked in length_sorted([lengths[i] for i in alike], batch_size):
                yield limit, [alike[k] for k in picked]


def _continue(
    generator: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    end_ids: Sequence[int],
    sample: bool,
) -> list[list[int]]:
    """The new tokens of each prompt, up to but without an end token.

    After every SPAN tokens the rows that have ended leave the batch and the key-value cache.
    """
    import torch

    # Padding on the left lets all prompts end together, at the place where the next token is predicted.
    width = max(map(len, prompts))
    ids = torch.tensor([[end_ids[0]] * (width - len(p)) + list(p) for p in prompts], device=generator.device)
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=generator.device)
    ends = torch.tensor(list(end_ids), device=generator.device)
    written: list[list[int]] = [[] for _ in prompts]
    rows, left = list(range(len(prompts))), max_new_tokens
    cache: Any = None
    while rows and left > 0:
        settings = _settings(min(SPAN, left), end_ids, sample)
        output = generator.generate(ids, attention_mask=mask, past_key_values=cache, generation_config=settings)
        new, cache = output.sequences[:, ids.shape[1] :], output.past_key_values
        for row, tokens in zip(rows, new.tolist(), strict=True):
            written[row].extend(tokens)
        going = ~torch.isin(new, ends).any(dim=1)
        if not _selects(cache) and going.any():
            going = torch.ones_like(going)  # rows that have ended go on; their extra tokens are cut off below
        kept = going.nonzero().squeeze(1)
        ids, mask = output.sequences[kept], torch.cat([mask, torch.ones_like(new)], dim=1)[kept]
        if len(kept) and len(kept) < len(rows):
            cache.reorder_cache(kept)  # batch_select_indices forgets the states of layers that have both kinds
        rows, left = [rows[k] for k in kept.tolist()], left - new.shape[1]
    return [list(takewhile(lambda token: token not in end_ids, row)) for row in written]


def _settings(max_new_tokens: int, end_ids: Sequence[int], sample: bool) -> GenerationConfig:
    from transformers import GenerationConfig

    return GenerationConfig(
        do_sample=sample,
        top_k=0 if sample else None,  # transformers draws from the 50 likeliest tokens by default
        num_beams=1,
        max_new_tokens=max_new_tokens,
        use_cache=True,
        eos_token_id=list(end_ids),
        pad_token_id=end_ids[0],
        return_dict_in_generate=True,
    )


def _selects(cache: Any) -> bool:
    """True if single rows can be kept of a cache: not of one that is no list of layers."""
    layers = getattr(cache, "layers", [])
    return bool(layers) and all(hasattr(layer, "reorder_cache") for layer in layers)


@contextmanager
def _seeded(seed: int | None) -> Iterator[None]:
    """Seed torch's generators for the block and restore them afterwards; without a seed do nothing."""
    import torch

    if seed is None:
        yield
        return
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


@contextmanager
def _plain_generation(model: PreTrainedModel) -> Iterator[PreTrainedModel]:
    """The module that generates, with a blank generation_config for the block.

    ``generate`` takes every setting that a call leaves open from the model's own generation_config, and a repetition
    penalty of the checkpoint would change greedy results. Under peft the module is the inner model, which holds the
    adapter's layers too.
    """
    from transformers import GenerationConfig

    generator = model.get_base_model() if hasattr(model, "get_base_model") else model
    saved = generator.generation_config
    generator.generation_config = GenerationConfig()
    try:
        yield generator
    finally:
        generator.generation_config = saved
