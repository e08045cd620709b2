"""Preference (DPO): another answer to the prompt is to win over the answer to forget."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mollm_cli.objectives.log_ratio import log_ratios

if TYPE_CHECKING:
    import torch

    from mollm_cli.core.outputs import Outputs


def preference(win: Outputs, lose: Outputs, beta: float) -> tuple[torch.Tensor, int]:
    """sum_i -log sigmoid(beta (D_win,i - D_lose,i)), each term in [0, inf) nats, and B.

    D_i = sum_t (log p_t - log p_ref,t) over the targets of row i, and row i of ``win`` answers the prompt of
    row i of ``lose``. At the start every D is 0: a term is log 2 and its derivative by D_win,i is -beta / 2.
    Source: Rafailov et al., arXiv 2305.18290; as an unlearning loss TOFU, arXiv 2401.06121 (win: "I don't know"), and
    AltPO, arXiv 2409.13474 (win: another plausible answer). Shapes: logits and reference_logits [N, V] each -> scalar.
    Raises ValueError without reference logits, or where the two have not as many rows.
    """
    from torch.nn.functional import logsigmoid

    if win.sequences != lose.sequences:
        raise ValueError(f"preference compares row by row, found {win.sequences} rows against {lose.sequences}")
    margin = log_ratios(win, "preference") - log_ratios(lose, "preference")
    return -logsigmoid(beta * margin).sum(), lose.sequences
