"""The sets that rewrites make of the forget rows, and of rows of their kind that the model never saw."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, cast

from mollm_cli.core.errors import RequestError
from mollm_cli.core.types import Encoded
from mollm_cli.data.apart import apart
from mollm_cli.data.encoder import Encoder
from mollm_cli.data.load_dataset import Loaded
from mollm_cli.evaluation.attacks.attack_protocol import PREFIX, Attack, Rewrite

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

HOLDOUT = "_holdout"
"""What the name of a set made of data.holdout ends in."""


def rewritten(
    attacks: Mapping[str, Attack],
    sets: Mapping[str, Loaded],
    limit: int | None,
    with_holdout: bool,
    tokenizer: PreTrainedTokenizerBase,
) -> dict[str, Loaded]:
    """By name, ``attack_<name>`` of the forget rows and, where asked for, ``attack_<name>_holdout``.

    The first ``limit`` rows that an attack fits. Each set's max_tokens is raised by what its prompts have grown, so
    that no answer is cut shorter than it was. An attack that fits no forget row, or that the tokenizer's chat template
    refuses, is left out, and stderr says why.
    """
    made: dict[str, Loaded] = {}
    for attack in (cast(Rewrite, attack) for attack in attacks.values() if attack.kind == "rewrite"):
        for role, ending in (("forget", ""), ("holdout", HOLDOUT))[: 2 if with_holdout else 1]:
            if role not in sets:
                continue
            asked = _asked(attack, role, sets[role], limit, Encoder(tokenizer))
            if asked is None:
                break
            made[f"{PREFIX}{attack.name}{ending}"] = asked
    return made


def check_context(asked: Mapping[str, Loaded], tokenizer: PreTrainedTokenizerBase, context: int | None) -> None:
    """Refuse rewritten rows that are longer than the model's ``context``; None: it has no end.

    Raises RequestError, naming the attack.
    """
    for name, rows in asked.items():
        encoder = Encoder(tokenizer)
        key = f"evaluation.attacks.{name.removeprefix(PREFIX).removesuffix(HOLDOUT)}"
        template, most = rows.dataset.template, rows.dataset.max_tokens
        encoded = (encoder.encode(example, template, most) for example in rows.examples)
        lengths = apart(tokenizer, key, rows.texts, partial(map, _length, encoded))
        for example, tokens in zip(rows.examples, lengths, strict=True):
            if context is not None and tokens > context:
                raise RequestError(
                    f"{key} must fit into the model's context of {context} tokens, found {tokens} in row "
                    f"'{example.id}' as it is asked there. Leave it out: '~{key}'"
                )


def _length(row: Encoded) -> int:
    return len(row.input_ids)


def _asked(attack: Rewrite, role: str, rows: Loaded, limit: int | None, encoder: Encoder) -> Loaded | None:
    asked = attack.rewrite(rows)
    if asked is None:
        _say(attack, f"data.{role} has no row for it ({attack.what})")
        return None
    asked = asked if limit is None else asked.keep(asked.examples[:limit])
    try:
        return _roomy(asked, rows, encoder)
    except RequestError as refused:
        _say(attack, f"data.{role}: {refused}")
        return None


def _roomy(asked: Loaded, rows: Loaded, encoder: Encoder) -> Loaded:
    """``asked`` with room for what its prompts are longer than those of ``rows``; raises RequestError as encoding."""
    before, after = rows.dataset.template, asked.dataset.template
    prompts = {example.id: example.prompt for example in rows.examples}

    def longest() -> Iterator[int]:
        grown = [
            len(encoder.prompt_ids(example.prompt, after)) - len(encoder.prompt_ids(prompts[example.id], before))
            for example in asked.examples
        ]
        most = asked.dataset.max_tokens + max(0, *grown)
        for example in asked.examples:
            encoder.encode(example, after, most)
        yield most

    (most,) = apart(encoder.tokenizer, "rewritten prompts", asked.texts, longest)
    return replace(asked, dataset=replace(asked.dataset, max_tokens=most))


def _say(attack: Rewrite, why: str) -> None:
    print(f"attack {attack.name} is left out: {why}", file=sys.stderr)
