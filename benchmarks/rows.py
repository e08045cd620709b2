"""The rows of the table. A new one is a line in ROWS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from benchmarks import plain
from benchmarks.contender import EVERY_ROW, Row, Step, by_hand, engine, filling, require_live
from mollm_cli.losses.ga import ga
from mollm_cli.losses.ga_kl import ga_kl
from mollm_cli.losses.grad_diff import grad_diff
from mollm_cli.losses.mollm import mollm
from mollm_cli.losses.npo import npo
from mollm_cli.solvers.dual_space_mgda import DualSpaceMGDA
from mollm_cli.solvers.normalized_sum import NormalizedSum

SKETCH = replace(EVERY_ROW, gram="sketch")
FACTORS = replace(EVERY_ROW, gram="factors")
REFRESH = 4

TWO = ("forget", "retain")
THREE = ("forget", "retain", "retain")


def _plain_mollm(models: plain.PlainModels) -> Step:
    objectives, solver = mollm().objectives, DualSpaceMGDA()
    solver.bind(objectives)

    def step(batches):
        losses, live = plain.mollm_step(models, batches, objectives, solver, EVERY_ROW)
        require_live(live)
        return losses

    return step


def _torchjd(chunk: int | None) -> Callable[[plain.PlainModels], Step]:
    names = tuple(o.name for o in mollm().objectives)
    return lambda models: lambda batches: plain.torchjd_step(models, batches, names, chunk)


def _ga_kl(models: plain.PlainModels) -> Step:
    return lambda batches: plain.ga_kl_step(models, batches)


def _openunlearning(models: plain.PlainModels) -> Step:
    return lambda batches: plain.openunlearning_ga_kl_step(models, batches)


ROWS = (
    Row("ga", "engine, GA", engine(ga)),
    Row("ga_kl", "engine, GA+KL, stored reference", engine(ga_kl)),
    Row("ga_kl_copy", "the same, the reference a second model", engine(ga_kl, reference="copy")),
    Row("grad_diff", "engine, GradDiff", engine(grad_diff)),
    Row("npo", "engine, NPO, stored reference", engine(npo)),
    Row("mollm", "engine, MOLLM, dual_space_mgda, stored reference", engine(mollm, DualSpaceMGDA)),
    Row("mollm_copy", "the same, the reference a second model", engine(mollm, DualSpaceMGDA, reference="copy")),
    Row("mollm_unlogged", "mollm between two logged steps", engine(mollm, DualSpaceMGDA, record=False)),
    Row("mollm_sketch", "mollm, direction.gram=sketch", engine(mollm, DualSpaceMGDA, direction=SKETCH)),
    Row("mollm_factors", "mollm, direction.gram=factors", engine(mollm, DualSpaceMGDA, direction=FACTORS)),
    Row(
        "mollm_refresh4",
        "mollm, direction.refresh_every=4",
        engine(mollm, DualSpaceMGDA, direction=replace(EVERY_ROW, refresh_every=REFRESH)),
        period=REFRESH,
    ),
    Row(
        "mollm_refresh2",
        "mollm, direction.refresh_every=2",
        engine(mollm, DualSpaceMGDA, direction=replace(EVERY_ROW, refresh_every=2)),
        period=2,
    ),
    Row("mollm_normalized_sum", "engine, MOLLM, normalized_sum", engine(mollm, NormalizedSum)),
    Row("fill_cache", "storing the reference's states of a step, once", filling()),
    Row("ga_kl_lora", "engine, GA+KL, LoRA, adapter_off", engine(ga_kl, reference="adapter_off", lora=True)),
    Row(
        "mollm_lora",
        "engine, MOLLM, LoRA, adapter_off",
        engine(mollm, DualSpaceMGDA, reference="adapter_off", lora=True),
    ),
    Row("plain_ga_kl", "GA+KL by hand", by_hand(_ga_kl, TWO)),
    Row("plain_mollm", "MOLLM by hand: three forwards, flattened gradients", by_hand(_plain_mollm, THREE)),
    Row("openunlearning_ga_kl", "GA+KL in the manner of OpenUnlearning", by_hand(_openunlearning, TWO)),
    Row(
        "torchjd_mgda",
        "MOLLM's losses by TorchJD's autojac and MGDA",
        by_hand(_torchjd(None), THREE),
        requires="torchjd",
    ),
    Row("torchjd_mgda_chunk1", "the same, one loss at a time", by_hand(_torchjd(1), THREE), requires="torchjd"),
)

RATIOS = (
    ("mollm", "plain_ga_kl"),
    ("mollm", "ga_kl"),
    ("mollm_refresh4", "ga_kl"),
    ("mollm_refresh2", "ga_kl"),
    ("mollm_refresh2", "plain_ga_kl"),
    ("mollm", "torchjd_mgda"),
    ("mollm", "torchjd_mgda_chunk1"),
    ("mollm_sketch", "ga_kl"),
    ("mollm_factors", "ga_kl"),
    ("mollm_factors", "plain_ga_kl"),
    ("mollm_factors", "torchjd_mgda"),
    ("mollm_lora", "ga_kl_lora"),
    ("mollm", "plain_mollm"),
    ("mollm", "openunlearning_ga_kl"),
    ("mollm", "mollm_copy"),
    ("mollm_unlogged", "ga_kl"),
    ("mollm_sketch", "mollm"),
    ("mollm_normalized_sum", "mollm"),
    ("ga_kl", "plain_ga_kl"),
    ("ga_kl", "ga_kl_copy"),
    ("ga", "ga_kl"),
    ("grad_diff", "ga_kl"),
    ("npo", "ga_kl"),
)
"""(numerator, denominator): reported where both rows ran."""
