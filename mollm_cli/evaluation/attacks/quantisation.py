"""Weights rounded to few bits, which may undo small changes such as unlearning with a small learning rate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist
from typing import TYPE_CHECKING, ClassVar, Literal

from mollm_cli.core.errors import RequestError
from mollm_cli.core.types import Encoded, Role
from mollm_cli.evaluation.attacks.attack_protocol import Bench, WeightsAttack

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

TAIL = 0.9677083
"""The quantile of the normal distribution at which the outermost code of NF4 stands (bitsandbytes)."""


@dataclass(frozen=True)
class Quantisation(WeightsAttack):
    """Every linear layer's weight rounded to ``bits`` and back, in the model's dtype; this needs no GPU.

    Each row of a weight [out, in] is cut into groups of ``group_size`` along its inputs (None: the whole row). With
    a = max |w| of a group:

        absmax   q = round(w / s) s,  s = a / (2^(bits - 1) - 1)          |w - q| <= s / 2
        nf4      q = a c,  c the nearest to w / a of 16 quantiles of the normal distribution (4 bits only)

    Embeddings, norms, biases and the head are not rounded, as is usual when quantised models are served: a head is
    often tied to the embedding. Experts that a model keeps in one tensor are not linear layers and are not rounded
    either. Raises ValueError.

    Source of the attack: Zhang et al. (arXiv 2410.16454); of nf4: Dettmers et al. (arXiv 2305.14314). Activations are
    not rounded, outlier columns are not kept apart (LLM.int8), and the factors a are not rounded (double quantisation).

    headline: probability. Rounding brings back gradually what small steps took away; greedy decoding shows that only
    when an argmax flips.
    """

    bits: int = 4
    scheme: Literal["absmax", "nf4"] = "nf4"
    group_size: int | None = 64
    name: str = "quantisation"
    cost: ClassVar[str] = "a copy of the model and one pass over the rows"
    x: ClassVar[Literal["bits"]] = "bits"

    def __post_init__(self) -> None:
        """Refuse what cannot be, naming the key."""
        key = f"evaluation.attacks.{self.name}"
        if self.scheme not in ("absmax", "nf4"):
            raise ValueError(f"{key}.scheme must be absmax or nf4, found '{self.scheme}'")
        if self.bits not in (4, 8):
            raise ValueError(f"{key}.bits must be 4 or 8, found {self.bits}")
        if self.scheme == "nf4" and self.bits != 4:
            raise ValueError(f"{key}.scheme=nf4 has 4 bits, found bits={self.bits}; set {key}.scheme=absmax")
        if self.group_size is not None and self.group_size < 1:
            raise ValueError(f"{key}.group_size must be >= 1 or null (a row), found {self.group_size}")

    @property
    def what(self) -> str:
        """The rounding, in one sentence."""
        group = "rows" if self.group_size is None else f"groups of {self.group_size}"
        return f"the linear layers' weights rounded to {self.bits} bits ({self.scheme}, {group})"

    def check(self, rows: Mapping[Role, Sequence[Encoded]]) -> None:
        """Accept any rows."""

    def measured(self, forget: Sequence[Encoded]) -> Sequence[Encoded]:
        """All forget rows: the attack is given none."""
        return forget

    def tampered(self, model: PreTrainedModel, bench: Bench) -> Iterator[float]:
        """Round the weights, then yield ``bits``. Raises RequestError if the model has no linear layer to round."""
        import torch
        from transformers.pytorch_utils import Conv1D

        head, found = model.get_output_embeddings(), 0
        with torch.no_grad():
            for layer in model.modules():
                if not isinstance(layer, torch.nn.Linear | Conv1D) or layer is head:
                    continue
                weight = layer.weight.T if isinstance(layer, Conv1D) else layer.weight
                if weight.is_floating_point():  # integer weights are quantised already
                    weight.copy_(self.rounded(weight))
                    found += 1
        if not found:
            raise RequestError(
                f"evaluation.attacks.{self.name} needs linear layers whose weights are not rounded yet, found none in "
                f"{type(model).__name__}. Leave it out: '~evaluation.attacks.{self.name}'"
            )
        yield float(self.bits)

    def rounded(self, weight: torch.Tensor) -> torch.Tensor:
        """``weight`` [out, in] after rounding, in its dtype; computed in float32."""
        import torch

        width = self.group_size or weight.shape[1]
        groups = [self._rounded(group) for group in torch.split(weight.float(), width, dim=1)]
        return torch.cat(groups, dim=1).to(weight.dtype)

    def _rounded(self, group: torch.Tensor) -> torch.Tensor:
        import torch

        largest = group.abs().amax(dim=1, keepdim=True)
        # The clamp keeps a group of zeros at zero.
        unit = group / largest.clamp_min(torch.finfo(group.dtype).tiny)
        if self.scheme == "absmax":
            levels = 2 ** (self.bits - 1) - 1
            return torch.mul((unit * levels).round() / levels, largest)
        codes = torch.tensor(normal_codes(), device=group.device)
        nearest = torch.bucketize(unit, (codes[1:] + codes[:-1]) / 2)
        return codes[nearest] * largest


@cache
def normal_codes() -> tuple[float, ...]:
    """The 16 values of NF4 in [-1, 1], ascending: quantiles of the normal distribution, and 0.

    Eight above 0 and seven below, evenly spaced in probability between 0.5 and TAIL, divided by the largest.
    """
    quantile, most = NormalDist().inv_cdf, NormalDist().inv_cdf(TAIL)
    above = [quantile(0.5 + (TAIL - 0.5) * i / 8) / most for i in range(1, 9)]
    below = [-quantile(0.5 + (TAIL - 0.5) * i / 7) / most for i in range(1, 8)]
    return tuple(sorted([*below, 0.0, *above]))
