"""Continuations of prompts, greedy or sampled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby, takewhile
from typing import TYPE_CHECKING, Any

from mollm_cli.evaluation.teacher_forcing import length_sorted, scoring
from mollm_cli.evaluation.work_sharing import ONE, WorkSharing

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

SPAN = 16
"""Tokens between two looks at which rows have ended: often enough to save their work, seldom enough to be free."""


def generate(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    tokenizer: PreTrainedTokenizerBase,
    max_new_tokens: int,
    batch_size: int,
    end_ids: Sequence[int],
    seed: int | None = None,
    with_prompt: bool = False,
    turns: WorkSharing = ONE,
) -> list[str]:
    """The most likely next token, again and again; with a ``seed`` one drawn from the model (temperature 1).

    prompts: token ids, not empty. A text ends at one of ``end_ids``, after ``max_new_tokens``, or where the model's
    context is full. Returns one text a prompt, in the order given, without special tokens and white space around it;
    with_prompt: each begins with its prompt. Samples depend on seed, prompts, batch size and device:
    every process draws all of them, where several share out the others.
    Batches are left-padded with masks from lengths: padding changes nothing. Nothing of the
    checkpoint's generation_config (temperature, repetition penalty, length) is used. Raises ValueError.
    """
    empty = [i for i, prompt in enumerate(prompts) if not prompt]
    if empty:
        raise ValueError(f"a prompt must have at least one token, found none in prompt {empty[0] + 1}; add a template")
    context = getattr(model.config, "max_position_embeddings", None)
    rooms = [max_new_tokens if context is None else min(max_new_tokens, context - len(p)) for p in prompts]
    texts = dict.fromkeys(range(len(prompts)), "")
    turns = turns if seed is None else ONE
    with scoring(model), _plain_generation(model) as generator, _drawing(seed):
        for room, rows in turns.mine(_batches([len(p) for p in prompts], rooms, batch_size)):
            continued = _continue(generator, [prompts[i] for i in rows], room, end_ids, seed is not None)
            for i, new in zip(rows, continued, strict=True):
                ids = [*prompts[i], *new] if with_prompt else new
                texts[i] = tokenizer.decode(ids, skip_special_tokens=True).strip()
    said = turns.everyones({row: text for row, text in texts.items() if text})
    return [said.get(row, "") for row in texts]


def _batches(lengths: Sequence[int], rooms: Sequence[int], batch_size: int) -> Iterator[tuple[int, list[int]]]:
    """How many tokens may follow, and the prompts in a batch.

    A batch shares one length limit; a prompt near the end of the context has its own, whatever stands beside it.
    """
    order = sorted(range(len(lengths)), key=lambda i: rooms[i])
    for room, group in groupby(order, key=lambda i: rooms[i]):
        same_room = list(group)
        if room >= 1:
            for picked in length_sorted([lengths[i] for i in same_room], batch_size):
                yield room, [same_room[k] for k in picked]


def _continue(
    generator: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    end_ids: Sequence[int],
    sample: bool,
) -> list[list[int]]:
    """The new tokens of each prompt, up to and without an end token. Left-padded, so that all rows end together.

    After every SPAN tokens the rows that have ended leave the batch, and the key-value cache with them.
    """
    import torch

    width = max(map(len, prompts))
    ids = torch.tensor([[end_ids[0]] * (width - len(p)) + list(p) for p in prompts], device=generator.device)
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=generator.device)
    ends = torch.tensor(list(end_ids), device=generator.device)
    written: list[list[int]] = [[] for _ in prompts]
    rows, left = list(range(len(prompts))), max_new_tokens
    cache: Any = None
    while rows and left > 0:
        settings = _settings(min(SPAN, left), end_ids, sample)
        said = generator.generate(ids, attention_mask=mask, past_key_values=cache, generation_config=settings)
        new, cache = said.sequences[:, ids.shape[1] :], said.past_key_values
        for row, tokens in zip(rows, new.tolist(), strict=True):
            written[row].extend(tokens)
        going = ~torch.isin(new, ends).any(dim=1)
        if not _selects(cache) and going.any():
            going = torch.ones_like(going)  # a row that has ended goes on; what it adds is cut off below
        kept = going.nonzero().squeeze(1)
        ids, mask = said.sequences[kept], torch.cat([mask, torch.ones_like(new)], dim=1)[kept]
        if len(kept) and len(kept) < len(rows):
            cache.batch_select_indices(kept)
        rows, left = [rows[k] for k in kept.tolist()], left - new.shape[1]
    return [list(takewhile(lambda token: token not in end_ids, row)) for row in written]


def _settings(max_new_tokens: int, end_ids: Sequence[int], sample: bool) -> GenerationConfig:
    from transformers import GenerationConfig

    return GenerationConfig(
        do_sample=sample,
        top_k=0 if sample else None,
        num_beams=1,
        max_new_tokens=max_new_tokens,
        use_cache=True,
        eos_token_id=list(end_ids),
        pad_token_id=end_ids[0],
        return_dict_in_generate=True,
    )


def _selects(cache: Any) -> bool:
    """Whether rows can be taken out of a key-value cache; a state-space model's state is none."""
    layers = getattr(cache, "layers", [])
    return bool(layers) and all(hasattr(layer, "batch_select_indices") for layer in layers)


@contextmanager
def _drawing(seed: int | None) -> Iterator[None]:
    """torch's generators seeded for the time being, and put back; nothing without a seed."""
    import torch

    if seed is None:
        yield
        return
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


@contextmanager
def _plain_generation(model: PreTrainedModel) -> Iterator[PreTrainedModel]:
    """The module that generates, its generation_config blank for the time being.

    ``generate`` fills what a call leaves open from the model's own generation_config: a repetition penalty of the
    checkpoint would change greedy results. Under peft that is the inner model, which holds the adapter's layers too.
    """
    from transformers import GenerationConfig

    generator = model.get_base_model() if hasattr(model, "get_base_model") else model
    saved = generator.generation_config
    generator.generation_config = GenerationConfig()
    try:
        yield generator
    finally:
        generator.generation_config = saved
