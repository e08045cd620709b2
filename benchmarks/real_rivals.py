"""GradDiff with KL and NPO as open-unlearning computes them: a plain training loop, written from its formulas.

    went = forget(model, start, rows, OBJECTIVES["npo"], rate, seed)

What that project does and this tool does otherwise: the KL goes over every position, prompts and padding too; a batch's
cross-entropy is its mean over target tokens; an epoch passes the forget rows, each with a retain row drawn at random;
the rate rises for one epoch and falls linearly until the tenth, so that the first step has none. Weights stay
in float32.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from mollm_cli.core.types import IGNORE, Batch, Encoded
from mollm_cli.data.batches import collate
from mollm_cli.evaluation.teacher_forcing import mean_probability

BETA = 0.1
"""Of NPO, per nat of an answer's log-probability."""
EPOCHS = 10
DECAY = 0.01
"""Weight decay of all but norms and biases."""
CLIP = 1.0
LOOK = 2
"""Steps between two readings of the forget probability, as engine.evaluate_every of the commands."""
Objective = Callable[[Any, Any, Batch, Batch], torch.Tensor]
"""(model, frozen start, forget batch, retain batch) -> what is minimised."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What a run trains on, and where it ends.

    looked: the forget rows that the probability is read on. It stops at ``target``, or after ``most`` steps.
    """

    forget: Sequence[Encoded]
    retain: Sequence[Encoded]
    looked: Sequence[Encoded]
    pad: int
    batch: int
    target: float
    most: int

    def batches(self, seed: int) -> Iterator[tuple[Batch, Batch]]:
        """(forget, retain) of one step after the other: epochs of the forget rows in a random order, for ever."""
        drawn = torch.Generator().manual_seed(seed)
        while True:
            order = torch.randperm(len(self.forget), generator=drawn).tolist()
            for k in range(0, len(order), self.batch):
                mine = [self.forget[i] for i in order[k : k + self.batch]]
                beside = torch.randint(len(self.retain), (len(mine),), generator=drawn).tolist()
                yield collate(mine, self.pad), collate([self.retain[i] for i in beside], self.pad)

    @property
    def per_epoch(self) -> int:
        """Steps in which every forget row is seen once."""
        return math.ceil(len(self.forget) / self.batch)


def forget(model: Any, start: Any, rows: Rows, objective: Objective, rate: float, seed: int) -> dict[str, Any]:
    """Train ``model`` in place until it has forgotten: how it went, in the fields of a run's row.

    seconds: of processor, of steps and readings.
    """
    began = time.process_time()
    optimizer, ahead = _adamw(model), rows.batches(seed)
    steps, stopped = 0, "max_steps"
    while steps < rows.most:
        loss = objective(model, start, *next(ahead))
        if not bool(loss.isfinite()):
            stopped = "not_finite"
            break
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        for group in optimizer.param_groups:
            group["lr"] = rate * factor(steps, rows.per_epoch, EPOCHS * rows.per_epoch)
        optimizer.step()
        optimizer.zero_grad()
        steps += 1
        if steps % LOOK == 0 and _read(model, rows) <= rows.target:
            stopped = "forget_target"
            break
    seconds = time.process_time() - began
    return {"reached": stopped == "forget_target", "stopped": stopped, "steps": steps, "seconds": seconds}


def factor(step: int, warm_up: int, total: int) -> float:
    """The share of the rate at ``step``, from 0: linear from 0 to 1 in ``warm_up`` steps, then to 0 at ``total``."""
    return step / warm_up if step < warm_up else max(0.0, (total - step) / (total - warm_up))


def grad_diff_kl(model: Any, start: Any, forget: Batch, retain: Batch) -> torch.Tensor:
    """The mean log p of the forget batch's target tokens + KL(start || model) of all positions of the retain batch."""
    return -_mean_nll(model, forget) + everywhere(model, start, retain)


def npo(model: Any, start: Any, forget: Batch, retain: Batch) -> torch.Tensor:
    """-2/beta mean_i log sigmoid(-beta log(p_i / p_i of the start)), of whole answers, + -log p of the retain batch."""
    with torch.no_grad():
        before = nll(start, forget)
    ratio = before - nll(model, forget)
    return -2 / BETA * functional.logsigmoid(-BETA * ratio).mean() + _mean_nll(model, retain)


OBJECTIVES: dict[str, Objective] = {"grad_diff_kl": grad_diff_kl, "npo": npo}


def nll(model: Any, batch: Batch) -> torch.Tensor:
    """-log p of each row's targets, summed: [B] nats."""
    logits = _logits(model, batch)[:, :-1].transpose(1, 2)
    return functional.cross_entropy(logits, batch.labels[:, 1:], ignore_index=IGNORE, reduction="none").sum(-1)


def everywhere(model: Any, start: Any, batch: Batch) -> torch.Tensor:
    """KL(start || model), nats, its mean over every position of the batch."""
    with torch.no_grad():
        before = _logits(start, batch).log_softmax(-1)
    now = _logits(model, batch).log_softmax(-1)
    flat = now.flatten(0, 1), before.flatten(0, 1)
    return functional.kl_div(*flat, reduction="batchmean", log_target=True)


def _mean_nll(model: Any, batch: Batch) -> torch.Tensor:
    return nll(model, batch).sum() / (batch.labels[:, 1:] != IGNORE).sum()


def _logits(model: Any, batch: Batch) -> torch.Tensor:
    found: torch.Tensor = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits
    return found


def _adamw(model: Any) -> torch.optim.AdamW:
    decayed = [parameter for parameter in model.parameters() if parameter.dim() > 1]
    others = [parameter for parameter in model.parameters() if parameter.dim() <= 1]
    return torch.optim.AdamW([{"params": decayed, "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}])


def _read(model: Any, rows: Rows) -> float:
    return mean_probability(model, rows.looked, rows.pad, rows.batch, torch.device("cpu"))
