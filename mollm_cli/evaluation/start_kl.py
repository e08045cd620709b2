"""The KL of the starting model to a later one, on rows that neither was trained on.

Of the start no more is kept than its TOP likeliest tokens at each target and DRAWN of the others, so nothing of its
size is held while another model is trained, and heads of every architecture will do. That is an unbiased estimate of
the KL, and exactly 0 where nothing has moved; docs/METHODS.md has how far it was found from the whole sum.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mollm_cli.core.types import IGNORE, Encoded
from mollm_cli.evaluation.teacher_forcing import length_sorted, scoring

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from mollm_cli.core.outputs import Outputs

TOP = 300
"""Tokens whose probability is kept at each target."""
DRAWN = 100
"""Tokens drawn from the others by their probability, with replacement; they stand for all of those."""
SEED = 0
TARGETS = 32
"""Targets of a row that are read: its beginning tells as much of drift as the rest."""
SMALLEST = -1e4
"""A log-probability of -inf (a masked token) counts as this: 0 times it is 0."""


@dataclass(frozen=True, slots=True)
class Likeliest:
    """A model's likeliest tokens at the targets of ``rows``, and some of the others.

    tables: by row, what ``_table`` gives, [targets, 3 K] float32, in main memory.
    """

    rows: Sequence[Encoded]
    tables: Sequence[torch.Tensor]


def likeliest(model: PreTrainedModel, rows: Sequence[Encoded], pad_id: int, batch_size: int) -> Likeliest:
    """The likeliest tokens of ``model`` at the first TARGETS targets of each row that has any."""
    read = [_beginning(row) for row in rows if row.targets]
    found: dict[int, torch.Tensor] = {}
    for indices, outputs in _passes(model, read, pad_id, batch_size):
        found |= zip(indices, _rows(outputs.per_token(_table).cpu(), [read[i] for i in indices]), strict=True)
    return Likeliest(read, [found[i] for i in range(len(read))])


def kl_to(model: PreTrainedModel, start: Likeliest, pad_id: int, batch_size: int) -> list[float]:
    """Of each row, the mean over its targets of KL(start || model), in nats per token.

    KL = sum_i w_i (log p_i - log q_i): w_i = p_i of the likeliest tokens; of each that was drawn, a DRAWN-th of
    what all others have together.
    """
    import torch

    found: dict[int, float] = {}
    for indices, outputs in _passes(model, start.rows, pad_id, batch_size):
        table = torch.cat([start.tables[i] for i in indices]).to(outputs.labels.device)
        values = replace(outputs, reference=table).per_token(_kl)
        parts = _rows(values, [start.rows[i] for i in indices])
        found |= {i: float(part.mean()) for i, part in zip(indices, parts, strict=True)}
    return [found[i] for i in range(len(start.rows))]


def _passes(
    model: PreTrainedModel, rows: Sequence[Encoded], pad_id: int, batch_size: int
) -> Iterator[tuple[list[int], Outputs]]:
    """Every process makes every pass: they are few, and shards need all of them."""
    from mollm_cli.data.batches import collate
    from mollm_cli.models.forward import forward

    with scoring(model):
        for indices in length_sorted([len(row.input_ids) for row in rows], batch_size):
            yield indices, forward(model, collate([rows[i] for i in indices], pad_id).to(model.device))


def _rows(values: torch.Tensor, rows: Sequence[Encoded]) -> Sequence[torch.Tensor]:
    """The tokens of each row, of those of a batch in row-major order."""
    import torch

    return torch.split(values, [row.targets for row in rows])


def _beginning(row: Encoded) -> Encoded:
    """``row`` up to its TARGETS-th target."""
    places = [place for place, label in enumerate(row.labels) if label != IGNORE and place > 0]
    end = places[:TARGETS][-1] + 1
    return Encoded(row.id, row.input_ids[:end], row.labels[:end])


def _table(logits: torch.Tensor, labels: torch.Tensor, reference: Any) -> torch.Tensor:
    """Ids, log p and weights of K tokens at each place: [n, V] -> [n, 3 K] float32."""
    import torch

    log_p = logits.float().log_softmax(-1)
    values, ids = log_p.topk(min(TOP, log_p.shape[-1]))
    if ids.shape[-1] == log_p.shape[-1]:  # all of them
        return torch.cat([ids.float(), values, values.exp()], -1)
    others = log_p.scatter(-1, ids, float("-inf"))
    generator = torch.Generator(others.device).manual_seed(SEED)
    drawn = torch.multinomial(others.softmax(-1), DRAWN, replacement=True, generator=generator)
    shares = (others.logsumexp(-1, keepdim=True).exp() / DRAWN).expand(-1, DRAWN)
    return torch.cat([ids.float(), drawn.float(), values, log_p.gather(-1, drawn), values.exp(), shares], -1)


def _kl(logits: torch.Tensor, labels: torch.Tensor, reference: Any) -> torch.Tensor:
    """KL by token; reference: rows of ``_table``, [n, 3 K]. Shapes: [n, V] -> [n]."""
    ids, log_p, weights = reference.chunk(3, -1)
    log_q = logits.float().log_softmax(-1).gather(-1, ids.long())
    values: torch.Tensor = (weights * (log_p.clamp_min(SMALLEST) - log_q.clamp_min(SMALLEST))).sum(-1)
    return values
