"""Two models compared: someone who kept the model from before the forgetting sees where the new one differs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from mollm_cli.evaluation.teacher_forcing import length_sorted, scoring

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

LEAST = -1e4
"""log p of a token that a model rules out: -inf minus -inf would be NaN."""


@dataclass(frozen=True)
class ModelComparison:
    """Greedy decoding of log p_after + guidance (log p_before - log p_after). Raises ValueError.

    Only tokens with p_before >= plausibility * max p_before count: elsewhere a ratio of two tiny numbers would decide.
    guidance: 0 with plausibility 0 is greedy decoding of the model after, 1 that of the model before. Beyond 1 it
    exaggerates the change that the forgetting made, and so points at what was forgotten.

    headline: rouge_l, because the attack is a way of decoding and yields nothing but text. If the model before gives
    the answers by itself, the attack gets them beside any model after, even one trained without them. It then says
    little about the forgetting.
    Source: Wu et al. (arXiv 2505.24379), there after retraining from scratch; guidance 2 and plausibility e^-5 as in
    the authors' code for MUSE. That code decodes up to a total length; here every prompt gets ``max_new_tokens``.
    """

    guidance: float = 2.0
    plausibility: float = 0.0067
    name: str = "comparison"
    kind: ClassVar[Literal["comparison"]] = "comparison"
    what: ClassVar[str] = "the model from before the forgetting and the one after compared, token by token"
    cost: ClassVar[str] = "one generation a row by two models at once"
    headline: ClassVar[str] = "rouge_l"

    def __post_init__(self) -> None:
        """Refuse what cannot be, naming the key."""
        key = f"evaluation.attacks.{self.name}"
        if not 0 <= self.guidance < float("inf"):
            raise ValueError(f"{key}.guidance must be a finite number >= 0, found {self.guidance}")
        if not 0 <= self.plausibility <= 1:
            raise ValueError(f"{key}.plausibility must be in [0, 1], found {self.plausibility}")

    def answers(
        self,
        before: PreTrainedModel,
        after: PreTrainedModel,
        prompts: Sequence[Sequence[int]],
        tokenizer: PreTrainedTokenizerBase,
        end_ids: Sequence[int],
        max_new_tokens: int,
        batch_size: int,
    ) -> list[str]:
        """One continuation per prompt, ended and returned as ``evaluation.generation.generate`` does.

        prompts: token ids, not empty. Padding and batch size change nothing. Raises ValueError.
        """
        empty = [i for i, prompt in enumerate(prompts) if not prompt]
        if empty:
            raise ValueError(f"a prompt must have at least one token, found none in prompt {empty[0] + 1}")
        contexts = [getattr(model.config, "max_position_embeddings", None) for model in (before, after)]
        context = min((most for most in contexts if most is not None), default=None)
        texts = [""] * len(prompts)
        with ExitStack() as stack:
            for model in (before, after):
                stack.enter_context(scoring(model))
            for rows in length_sorted([len(prompt) for prompt in prompts], batch_size):
                picked = [prompts[i] for i in rows]
                limits = [max_new_tokens if context is None else min(max_new_tokens, context - len(p)) for p in picked]
                for i, new in zip(rows, self._continued(before, after, picked, limits, end_ids), strict=True):
                    texts[i] = tokenizer.decode(new, skip_special_tokens=True).strip()
        return texts

    def guided(self, before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
        """Logits of two models [B, V] -> the score that is maximised [B, V], -inf for a token that is not plausible."""
        import math

        old, new = (logits.float().log_softmax(-1).clamp_min(LEAST) for logits in (before, after))
        score = new + self.guidance * (old - new)
        if not self.plausibility:
            return score
        least = old.amax(-1, keepdim=True) + math.log(self.plausibility)
        return score.masked_fill(old < least, -math.inf)

    def _continued(
        self,
        before: PreTrainedModel,
        after: PreTrainedModel,
        prompts: Sequence[Sequence[int]],
        limits: Sequence[int],
        end_ids: Sequence[int],
    ) -> list[list[int]]:
        """The new tokens of each prompt, up to but without an end token, at most ``limits`` of them."""
        import torch

        width = max(map(len, prompts))
        padding = [width - len(prompt) for prompt in prompts]
        ids = torch.tensor([[end_ids[0]] * p + list(t) for p, t in zip(padding, prompts, strict=True)])
        mask = torch.tensor([[0] * p + [1] * (width - p) for p in padding])
        readers = [_Reader(model) for model in (before, after)]
        new: list[list[int]] = [[] for _ in prompts]
        going = {row for row, limit in enumerate(limits) if limit > 0}
        while going:
            # The two models may lie on different devices; tokens and mask stay on the CPU.
            old, now = (reader.logits(ids, mask) for reader in readers)
            ids = self.guided(old.to(now.device), now).argmax(-1, keepdim=True).cpu()
            mask = torch.cat([mask, torch.ones_like(ids)], dim=1)
            for row, token in enumerate(ids[:, 0].tolist()):
                if row in going and token not in end_ids:
                    new[row].append(token)
                if token in end_ids or len(new[row]) >= limits[row]:
                    going.discard(row)
        return new


class _Reader:
    """One model that reads further tokens and keeps its key-value cache."""

    def __init__(self, model: PreTrainedModel) -> None:
        import inspect

        self._model: Any = model.get_base_model() if hasattr(model, "get_base_model") else model
        self._positions = "position_ids" in inspect.signature(self._model.forward).parameters
        self._most = getattr(model.config, "max_position_embeddings", None)
        self._cache: Any = None

    def logits(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The logits [B, V] after ``ids``.

        ids: [B, t], the tokens since the last call. mask: [B, T], over all tokens so far.
        """
        given: dict[str, Any] = {}
        if self._positions:
            # A finished row stays in the batch at the last position; nobody reads what it adds.
            places = (mask.cumsum(-1) - 1).clamp(0, None if self._most is None else self._most - 1)
            given["position_ids"] = places[:, -ids.shape[1] :].to(self._model.device)
        out = self._model(
            input_ids=ids.to(self._model.device),
            attention_mask=mask.to(self._model.device),
            past_key_values=self._cache,
            use_cache=True,
            **given,
        )
        self._cache = out.past_key_values
        logits: torch.Tensor = out.logits[:, -1]
        return logits
