"""Teacher forcing: a model's log-probabilities of given answers, token by token."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from mollm_cli.core.doing import advance
from mollm_cli.core.errors import NonFiniteError, RequestError
from mollm_cli.core.types import Encoded
from mollm_cli.evaluation.work_sharing import ONE_PROCESS, WorkSharing

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


@dataclass(frozen=True, slots=True)
class TokenScores:
    """One example's target tokens: log p of each, and whether it is the argmax.

    means, deviations: of log p_v with v drawn from the model at that place; empty if not asked for.
    """

    log_probs: tuple[float, ...]
    correct: tuple[bool, ...]
    means: tuple[float, ...] = ()
    deviations: tuple[float, ...] = ()

    @property
    def mean(self) -> float:
        """Mean token log p, in (-inf, 0] nats."""
        return math.fsum(self.log_probs) / len(self.log_probs)


def joined(parts: Sequence[TokenScores]) -> TokenScores:
    """The scores of one text from those of its windows, in order."""
    columns = zip(*map(_columns_of, parts), strict=True)
    return _from_columns(*(tuple(chain.from_iterable(column)) for column in columns))


@contextmanager
def scoring(model: PreTrainedModel) -> Iterator[None]:
    """Evaluation mode without gradients for the block; the training mode comes back afterwards."""
    import torch

    from mollm_cli.models.sharding import is_sharded

    training = model.training
    model.eval()
    try:
        # A sharded model collects its weights in memory that it later trains with: inference tensors would break that.
        with torch.no_grad() if is_sharded(model) else torch.inference_mode():
            yield
    finally:
        model.train(training)


def length_sorted(lengths: Sequence[int], batch_size: int) -> Iterator[list[int]]:
    """Indices in batches of similar length; the longest come first, so that a lack of memory shows at once."""
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


def teacher_forced(
    model: PreTrainedModel,
    encoded: Sequence[Encoded],
    pad_id: int,
    batch_size: int,
    device: torch.device,
    moments: bool = False,
    sharing: WorkSharing = ONE_PROCESS,
) -> list[TokenScores]:
    """The scores of every example's target tokens, in the order given; softmax in float32.

    Batch size and padding change nothing beyond rounding. Every process gets all scores, whichever process computed
    them. Raises RequestError for an example without a target, NonFiniteError if a log-probability is not finite.

    moments: compute means and deviations too (a second pass over the softmax, not through the model).
    """
    for example in encoded:
        if not example.targets:
            raise RequestError(
                f"row '{example.id}' must have at least one answer token to score, found none of its "
                f"{len(example.input_ids)} tokens; raise max_tokens or drop the row"
            )
    scores: dict[int, list[Sequence[float]]] = {}
    with scoring(model):
        for indices in sharing.mine(length_sorted([len(e.input_ids) for e in encoded], batch_size)):
            rows = [encoded[i] for i in indices]
            found = map(_columns_of, _score_batch(model, rows, pad_id, device, moments))
            scores.update(zip(indices, found, strict=True))
            advance(len(indices) * sharing.shares)
    scores = sharing.everyones(scores)
    return [_from_columns(*scores[i]) for i in range(len(encoded))]


def mean_probability(
    model: PreTrainedModel,
    encoded: Sequence[Encoded],
    pad_id: int,
    batch_size: int,
    device: torch.device,
    sharing: WorkSharing = ONE_PROCESS,
) -> float:
    """The mean over examples of exp(mean_t log p_t), in [0, 1]: a cheap measure of progress during training."""
    scores = teacher_forced(model, encoded, pad_id, batch_size, device, sharing=sharing)
    return math.fsum(math.exp(score.mean) for score in scores) / len(scores)


def _score_batch(
    model: PreTrainedModel, rows: Sequence[Encoded], pad_id: int, device: torch.device, moments: bool
) -> list[TokenScores]:
    """One forward pass over ``rows``, right-padded; logits at the targets only, many of them chunk by chunk."""
    from mollm_cli.data.batches import collate
    from mollm_cli.models.forward import forward

    outputs = forward(model, collate(rows, pad_id).to(device))
    columns = outputs.per_token(_scores_and_moments if moments else _scores)
    return list(_per_row(rows, columns.T.tolist()))


def _columns_of(scores: TokenScores) -> list[Sequence[float]]:
    """``scores`` as columns, which JSON can carry to other processes."""
    return [scores.log_probs, scores.correct, scores.means, scores.deviations]


def _from_columns(log_probs: Sequence[float], correct: Sequence[float], *moments: Sequence[float]) -> TokenScores:
    return TokenScores(tuple(log_probs), tuple(x == 1 for x in correct), *map(tuple, moments))


def _scores(logits: torch.Tensor, labels: torch.Tensor, reference: torch.Tensor | None) -> torch.Tensor:
    """log p of the label, and 1 if it is the argmax: [n, 2] float32."""
    return _columns(logits.float().log_softmax(-1), labels)


def _scores_and_moments(logits: torch.Tensor, labels: torch.Tensor, reference: torch.Tensor | None) -> torch.Tensor:
    """``_scores``, then ``_moments``: [n, 4] float32."""
    log_p = logits.float().log_softmax(-1)
    return _columns(log_p, labels, *_moments(log_p))


def _columns(log_p: torch.Tensor, labels: torch.Tensor, *more: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.stack([log_p.gather(-1, labels[:, None])[:, 0], (log_p.argmax(-1) == labels).float(), *more], -1)


def _moments(log_p: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation of log p_v with v drawn from p: log p [N, V] -> [N], [N]."""
    p = log_p.exp()
    log_p = log_p.clamp_min(-1e4)  # where p is 0 and log p -inf, the product is 0, not NaN
    mean = (p * log_p).sum(-1)
    variance = (p * (log_p - mean[:, None]).square()).sum(-1)
    return mean, variance.sqrt()


def _per_row(rows: Sequence[Encoded], columns: Sequence[Sequence[float]]) -> Iterator[TokenScores]:
    """Cut the tokens of a batch, in row-major order, into rows. columns: those of ``_scores``, then the moments."""
    start = 0
    for row in rows:
        scores = _from_columns(*(column[start : start + row.targets] for column in columns))
        if not all(map(math.isfinite, scores.log_probs)):
            raise NonFiniteError(
                f"log-probabilities must be finite, found NaN or infinity in row '{row.id}': the model's weights or "
                "activations are not finite; evaluate an earlier checkpoint, or use model.dtype=float32"
            )
        yield scores
        start += row.targets
