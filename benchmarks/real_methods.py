"""What is compared on a real model: the tool's losses as they are typed, and two of open-unlearning."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Method:
    """A loss as it is typed; tuned: whether it needs a learning rate.

    objective: of benchmarks/real_rivals.py, for what is not the tool's; ``typed`` then only says which rows are read.
    """

    name: str
    typed: tuple[str, ...]
    tuned: bool = True
    objective: str | None = None


METHODS = {
    method.name: method
    for method in (
        Method("mollm", ("loss=mollm",), tuned=False),
        Method("ga", ("loss=ga",)),
        Method("ga_kl", ("loss=ga_kl",)),
        Method("grad_diff", ("loss=grad_diff",)),
        Method("npo", ("loss=npo",)),
        Method("npo_kl", ("loss=npo", "loss.retain=kl")),
        Method("simnpo", ("loss=simnpo",)),
        Method("wga", ("loss=wga",)),
        Method("undial", ("loss=undial",)),
        Method("ceu", ("loss=ceu",)),
        Method("satimp", ("loss=satimp",)),
        Method("mollm_pair", ("loss=mollm_pair",)),
        Method("rmu", ("loss=rmu",)),
        Method("open_unlearning_grad_diff_kl", ("loss=grad_diff",), objective="grad_diff_kl"),
        Method("open_unlearning_npo", ("loss=npo",), objective="npo"),
    )
}
"""mollm as it comes, without a rate; the losses that run on these rows with nothing but a rate to choose."""
