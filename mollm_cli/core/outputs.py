"""A model's output at the target positions of one batch, and functions of it token by token.

Axis letters: N target tokens, V vocabulary, H hidden.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mollm_cli.core.target_states import TargetStates, TokenFunction

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Outputs:
    """A model's output at the N target positions of one batch.

    said: logits [N, V], or the states that they follow from where they are many; labels [N]; sequence [N], the row of
    the batch a target stands in; sequences, the number B of rows; reference: the same as ``said`` of the frozen
    starting model, or None where no objective asked for it. Where the forward pass stopped at a hidden layer: hidden
    and reference_hidden [N, H] instead, and logits are [N, 0].
    """

    said: torch.Tensor | TargetStates
    labels: torch.Tensor
    sequence: torch.Tensor
    sequences: int
    reference: torch.Tensor | TargetStates | None = None
    hidden: torch.Tensor | None = None
    reference_hidden: torch.Tensor | None = None
    _known: dict[Any, torch.Tensor] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def logits(self) -> torch.Tensor:
        """Logits [N, V], computed anew at every look where ``said`` are states; ``per_token`` needs no such tensor."""
        return self.said.logits if isinstance(self.said, TargetStates) else self.said

    @property
    def reference_logits(self) -> torch.Tensor | None:
        """Logits [N, V] of the frozen starting model, like ``logits``."""
        return self.reference.logits if isinstance(self.reference, TargetStates) else self.reference

    def per_token(self, function: TokenFunction) -> torch.Tensor:
        """``function`` of the logits of every token, [N], with graph; computed once for the same ``function``.

        Of states: chunk by chunk, forward and backward, so that logits, softmaxes and their gradients exist for
        ``chunk_rows(V)`` tokens at a time; equal to the function of the whole to rounding.
        """
        import torch

        graph = torch.is_grad_enabled()
        if function not in self._known:
            values = self._values(function)
            if not graph:
                return values
            self._known[function] = values
        return self._known[function] if graph else self._known[function].detach()

    def _values(self, function: TokenFunction) -> torch.Tensor:
        if not isinstance(self.said, TargetStates):
            return function(self.said, self.labels, self.reference_logits)
        from mollm_cli.core.chunked import chunked

        return chunked(function, self.said, self.labels, self.reference)
