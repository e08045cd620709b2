"""The same steps as people write them by hand: logits for every position, a second model as the reference.

Every twin ends in the same update as the engine (clip, fused AdamW), so that the rows differ in the step alone, and
the tests can ask for equal losses and equal parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from benchmarks.workload import CLIP_NORM
from mollm_cli.core.solution import Solver
from mollm_cli.core.types import IGNORE, Batch, Objective, Role
from mollm_cli.gradients.direction import choose
from mollm_cli.gradients.direction_settings import Direction
from mollm_cli.gradients.liveness import Liveness

Losses = dict[str, float]


@dataclass(frozen=True, slots=True)
class PlainModels:
    """The model that is trained, its frozen twin, and the optimizer. autocast: forward passes in bfloat16."""

    model: Any
    reference: Any
    optimizer: torch.optim.Optimizer
    autocast: bool = False

    def logits(self, model: Any, batch: Batch) -> torch.Tensor:
        """Logits [B, T - 1, V] in float32: those at position t predict the token at t + 1."""
        with torch.autocast(batch.input_ids.device.type, torch.bfloat16, enabled=self.autocast):
            output = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, use_cache=False)
        logits: torch.Tensor = output.logits[:, :-1].float()
        return logits

    def update(self) -> None:
        """Clip what is in ``.grad`` and step."""
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), CLIP_NORM)
        self.optimizer.step()


def mean_nll(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Cross-entropy per target token."""
    return functional.cross_entropy(logits.flatten(0, 1), batch.labels[:, 1:].flatten(), ignore_index=IGNORE)


def mean_uce(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    """-log(1 - p / 2) per target token."""
    labels = batch.labels[:, 1:]
    mask = labels != IGNORE
    log_p = logits.log_softmax(-1).gather(-1, labels.clamp(min=0)[..., None]).squeeze(-1)
    return (-torch.log(1 - log_p.exp() / 2) * mask).sum() / mask.sum()


def mean_kl(logits: torch.Tensor, reference: torch.Tensor, batch: Batch) -> torch.Tensor:
    """KL(reference || model) per target token."""
    mask = batch.labels[:, 1:] != IGNORE
    kl = functional.kl_div(logits.log_softmax(-1), reference.log_softmax(-1), reduction="none", log_target=True).sum(-1)
    return (kl * mask).sum() / mask.sum()


def ga_kl_step(models: PlainModels, batches: dict[Role, Batch]) -> Losses:
    """GA+KL: two forwards, one of the reference, one backward of the sum."""
    models.optimizer.zero_grad(set_to_none=True)
    forget, retain = batches["forget"], batches["retain"]
    ascent = -mean_nll(models.logits(models.model, forget), forget)
    with torch.no_grad():
        frozen = models.logits(models.reference, retain)
    kl = mean_kl(models.logits(models.model, retain), frozen, retain)
    (ascent + kl).backward()
    models.update()
    return {"gradient_ascent": ascent.item(), "forward_kl": kl.item()}


def openunlearning_ga_kl_step(models: PlainModels, batches: dict[Role, Batch]) -> Losses:
    """GA+KL in the manner of OpenUnlearning's GradDiff trainer: labels go in, and the KL is over *all* positions.

    Its ``kl_div(..., reduction="batchmean")`` divides by B * T, padding and prompt included: another number than ours.
    """
    models.optimizer.zero_grad(set_to_none=True)

    def outputs(model: Any, batch: Batch) -> Any:
        with torch.autocast(batch.input_ids.device.type, torch.bfloat16, enabled=models.autocast):
            return model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, labels=batch.labels)

    def log_probs(model: Any) -> torch.Tensor:
        return functional.log_softmax(outputs(model, batches["retain"]).logits.float(), dim=-1).flatten(0, 1)

    ascent = -outputs(models.model, batches["forget"]).loss
    with torch.no_grad():
        frozen = log_probs(models.reference)
    kl = functional.kl_div(log_probs(models.model), frozen, reduction="batchmean", log_target=True)
    (ascent + kl).backward()
    models.update()
    return {"gradient_ascent": ascent.item(), "forward_kl": kl.item()}


def mollm_losses(models: PlainModels, batches: dict[Role, Batch], forwards: int) -> list[torch.Tensor]:
    """[UCE, cross-entropy, KL], each with graph. forwards: 3, one per objective, or 2, one per role."""
    forget, retain = batches["forget"], batches["retain"]
    with torch.no_grad():
        frozen = models.logits(models.reference, retain)
    first = models.logits(models.model, retain)
    second = first if forwards == 2 else models.logits(models.model, retain)
    uce = mean_uce(models.logits(models.model, forget), forget)
    return [uce, mean_nll(first, retain), mean_kl(second, frozen, retain)]


def mollm_step(
    models: PlainModels,
    batches: dict[Role, Batch],
    objectives: tuple[Objective, ...],
    solver: Solver,
    direction: Direction,
) -> tuple[Losses, np.ndarray]:
    """MOLLM: three forwards, three backwards, flattened gradients [3, n], their product. Losses and live [3]."""
    parameters = list(models.model.parameters())
    values, flat = mollm_losses(models, batches, forwards=3), []
    for value in values:
        models.optimizer.zero_grad(set_to_none=True)
        value.backward()
        flat.append(torch.cat([p.grad.reshape(-1) for p in parameters]))
    rows = torch.stack(flat)
    gram = (rows @ rows.T).double().cpu().numpy()
    losses = np.array([v.item() for v in values])
    live = Liveness.of(objectives, solver, direction).live(np.sqrt(np.diag(gram)), losses, None)
    choice = choose(gram, losses, live, solver, direction, {})
    combined = torch.tensor(choice.weights, dtype=rows.dtype, device=rows.device) @ rows
    for parameter, part in zip(parameters, combined.split([p.numel() for p in parameters]), strict=True):
        parameter.grad = part.view_as(parameter)
    models.update()
    return {o.name: float(v) for o, v in zip(objectives, losses, strict=True)}, choice.live


def torchjd_step(models: PlainModels, batches: dict[Role, Batch], names: tuple[str, ...], chunk: int | None) -> Losses:
    """MOLLM's losses through TorchJD: one forward per role, autojac's Jacobian, MGDA. Needs ``torchjd``.

    chunk: losses per backward pass; None, its default, takes all at once by vmap.
    """
    from torchjd.aggregation import MGDA
    from torchjd.autojac import backward, jac_to_grad

    models.optimizer.zero_grad(set_to_none=True)
    values = mollm_losses(models, batches, forwards=2)
    backward(values, parallel_chunk_size=chunk)
    jac_to_grad(models.model.parameters(), MGDA())
    models.update()
    return {name: v.item() for name, v in zip(names, values, strict=True)}
