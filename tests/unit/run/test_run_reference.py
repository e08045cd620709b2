"""Which reference a run gets, which rows are filled for it, and what is said of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Gemma2Config, Gemma2ForCausalLM

from mollm_cli.core.errors import RequestError
from mollm_cli.core.types import Encoded, Loss
from mollm_cli.data.batches import Stream
from mollm_cli.data.mixture import Share
from mollm_cli.gradients.direction_settings import Direction
from mollm_cli.losses.dpo import dpo
from mollm_cli.losses.ga import ga
from mollm_cli.losses.ga_kl import ga_kl
from mollm_cli.losses.mollm import mollm
from mollm_cli.losses.npo import npo
from mollm_cli.losses.rmu import rmu
from mollm_cli.models import reference_cache
from mollm_cli.models.reference import Reference, starting_states
from mollm_cli.run import run_reference as run_reference
from mollm_cli.run.run_reference import drawn
from mollm_cli.solvers.dual_space_mgda import DualSpaceMGDA
from mollm_cli.solvers.normalized_sum import NormalizedSum
from mollm_cli.solvers.weighted_sum import WeightedSum
from tests.support.references import together
from tests.support.run_references import ROWS, build, kept
from tests.support.tiny import llama


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own; the folder that states are kept in."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "mollm-unlearn" / "reference"


def test_by_default_the_rows_that_are_compared_are_cached(folder: Path) -> None:
    built = build()
    (file,) = kept(folder)
    states = sum(row.targets for row in ROWS["retain"]) * 32 * 4
    assert built.reference.facts == {
        "kind": "cache", "bytes": 48 * 32 * 4, "disk_bytes": states, "rows": 9, "filled": 9, "files": [str(file)],
    }  # fmt: skip
    assert built.said[0] == f"reference: filling the states of 9 rows (5.6 KiB) in {file.parent}"
    assert built.said[1].startswith("reference: filled in 0.")
    expected = Reference(llama(), "copy").logits(together(ROWS["retain"]))
    assert torch.allclose(built.reference.logits(together(ROWS["retain"])), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("loss", "count"), [(ga_kl(), 9), (npo(), 9), (npo(retain="kl"), 18), (dpo(), 18)], ids=lambda x: str(x)[:20]
)
def test_the_rows_of_every_role_that_is_compared(loss: Loss, count: int) -> None:
    assert build(loss, WeightedSum()).reference.facts["rows"] == count


def test_no_more_rows_than_the_run_draws() -> None:
    assert build(steps=1).reference.facts["rows"] == 4
    assert build(steps=2).reference.facts["rows"] == 8
    assert build(steps=3).reference.facts["rows"] == 9


@pytest.mark.parametrize("steps", [1, 2, 3, 7])
def test_what_is_drawn_is_what_the_batches_hold(steps: int) -> None:
    stream = Stream([*ROWS["retain"], *ROWS["forget"]], 4, 5, 0, shares=(Share(9, 0.5), Share(9, 2.0)))
    passed = {id for step in range(steps) for part in stream.batches(step, 3) for id in part.ids}
    assert sorted(row.id for row in drawn(stream, steps)) == sorted(passed)


def test_a_second_run_fills_nothing() -> None:
    first, second = build(), build()
    assert (first.forwards, second.forwards) == (9 + 1, 0)  # one row is looked at beforehand, for the size
    assert second.reference.facts["filled"] == 0 and second.said == []
    rows = together(ROWS["retain"])
    assert torch.equal(first.reference.logits(rows), second.reference.logits(rows))


def test_a_run_of_more_steps_fills_the_rows_that_are_missing() -> None:
    assert [build(steps=steps).reference.facts["filled"] for steps in (1, 2, 2, 3)] == [4, 4, 0, 1]


def test_another_order_and_other_micro_batches_find_the_same_rows() -> None:
    assert build().reference.facts["filled"] == 9
    assert build(seed=1, engine={"micro_batch": 1}).reference.facts["filled"] == 0


def relabelled() -> dict[str, list[Encoded]]:
    first, *others = ROWS["retain"]
    return ROWS | {"retain": [dataclasses.replace(first, labels=(-100, -100, *first.labels[2:-1], -100)), *others]}


@pytest.mark.parametrize(
    ("changed", "filled"),
    [
        ({"model": llama(seed=1)}, 9),
        ({"model": llama(dtype=torch.float64)}, 9),
        ({"engine": {"precision": "bf16"}}, 9),
        ({"engine": {"matmul": "medium"}}, 9),
        ({"rows": relabelled()}, 1),
        ({"rows": ROWS | {"retain": ROWS["forget"]}}, 9),
    ],
    ids=["weights", "dtype", "precision", "matmul", "labels", "rows"],
)
def test_what_changed_is_filled_again(changed: dict[str, Any], filled: int) -> None:
    build(reference="cache")
    assert build(reference="cache", **changed).reference.facts["filled"] == filled


def test_states_have_the_precision_of_the_run() -> None:
    rows = together(ROWS["retain"])
    types = [build(engine={"precision": name}).reference.cache.states(rows).dtype for name in ("float32", "bf16")]
    assert types == [torch.float32, torch.bfloat16]


def test_rows_of_another_name_are_the_same_rows() -> None:
    build()
    renamed = {role: [dataclasses.replace(row, id=f"new:{row.id}") for row in rows] for role, rows in ROWS.items()}
    again = build(rows=renamed)
    assert again.reference.facts["filled"] == 0
    assert len(again.reference.states(together(renamed["retain"])).hidden) > 0


def test_a_damaged_file_is_told_and_filled_again(folder: Path) -> None:
    build()
    (file,) = kept(folder)
    file.write_bytes(file.read_bytes()[:200])
    again = build()
    assert again.said[0] == f"reference: {file} was damaged; its rows are filled again"
    assert again.reference.facts["filled"] == 9
    assert build().reference.facts["filled"] == 0


def test_a_fill_that_was_cut_off_is_gone_on_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference_cache, "SHARD_BYTES", 1)
    states, asked = starting_states, []

    def failing(model: Any, forward: Any) -> Callable[[Any], torch.Tensor]:
        def states_of(rows: Any) -> torch.Tensor:
            asked.append(rows.ids)
            if len(asked) == 3:
                raise KeyboardInterrupt
            return states(model, forward)(rows)

        return states_of

    monkeypatch.setattr(run_reference, "starting_states", failing)
    with pytest.raises(KeyboardInterrupt):
        build()
    monkeypatch.setattr(run_reference, "starting_states", states)
    assert build().reference.facts["filled"] == 5


def test_a_loss_that_reads_a_hidden_layer() -> None:
    loss, model = rmu(layer=0), llama()
    built = build(loss, WeightedSum(), model=model)
    assert (built.reference.kind, built.reference.facts["bytes"]) == ("cache", 0)
    rows = together(ROWS["retain"][:3])
    assert torch.allclose(built.reference.hidden(rows, 0), Reference(model, "copy").hidden(rows, 0), atol=1e-6)
    assert build(rmu(layer=1), WeightedSum(), model=model).reference.facts["filled"] == 9


# what is not cached


@pytest.mark.parametrize(
    ("description", "loss", "kind"),
    [
        ({}, ga(), "none"),
        ({"reference": "copy"}, mollm(), "copy"),
        ({"adapter": "lora", "adapter_path": "x", "reference": "copy"}, mollm(), "copy"),
        ({"adapter": "lora", "adapter_path": "x"}, mollm(), "cache"),
    ],
)
def test_what_is_asked_for_is_what_comes(description: dict[str, Any], loss: Loss, kind: str, folder: Path) -> None:
    built = build(loss, WeightedSum(), **description)
    assert built.reference.kind == built.foretold == kind
    assert bool(kept(folder)) == (kind == "cache")


def capped() -> Any:
    torch.manual_seed(0)
    config = Gemma2Config(
        vocab_size=48, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, pad_token_id=0, final_logit_softcapping=5.0,
    )  # fmt: skip
    return Gemma2ForCausalLM(config).eval()


def test_a_head_that_cannot_be_separated_makes_it_a_copy(folder: Path) -> None:
    built = build(model=capped())
    assert built.reference.kind == "copy" and kept(folder) == []
    (line,) = built.said
    assert line.startswith("reference: a copy of the model (")
    assert line.endswith("because the head of Gemma2ForCausalLM cannot be separated from what comes behind it")


def test_a_cache_that_was_asked_for_and_cannot_be_is_refused() -> None:
    wanted = r"^model.reference=cache .* the head of Gemma2ForCausalLM cannot be .*. Set model.reference=copy$"
    with pytest.raises(RequestError, match=wanted):
        build(model=capped(), reference="cache")


def test_roles_that_are_read_at_different_layers() -> None:
    (forget, retain) = npo(retain="kl").objectives
    loss = Loss("odd", (forget, dataclasses.replace(retain, layer=1)))
    built = build(loss, WeightedSum())
    assert built.reference.kind == "copy" and "the roles forget, retain are not read at one layer" in built.said[0]


ZERO = Direction(kl_budget=0.0, live_threshold=0.0)


@pytest.mark.parametrize(
    ("loss", "solver", "direction", "engine", "kind"),
    [
        (mollm(), DualSpaceMGDA(), Direction(), {}, "cache"),
        (mollm(), DualSpaceMGDA(), Direction(), {"precision": "bf16"}, "cache"),  # 0.02 nats are room enough
        (mollm(), NormalizedSum(), Direction(), {}, "cache"),
        (mollm(), NormalizedSum(), Direction(), {"precision": "bf16"}, "copy"),
        (mollm(), NormalizedSum(), Direction(kl_budget=0.1), {"precision": "bf16"}, "cache"),
        (mollm(), DualSpaceMGDA(), Direction(kl_budget=0.0), {}, "cache"),  # live_threshold takes it for rounding
        (mollm(), DualSpaceMGDA(), ZERO, {}, "copy"),
        (mollm(), DualSpaceMGDA(), Direction(paper=True), {}, "copy"),
        (mollm(), WeightedSum(), ZERO, {"precision": "bf16"}, "cache"),  # rounding has a gradient that is rounding
        (npo(), DualSpaceMGDA(), ZERO, {"precision": "bf16"}, "cache"),  # its gradient at the start is none of rounding
        (rmu(layer=0), DualSpaceMGDA(), Direction(), {}, "cache"),
        (rmu(layer=0), DualSpaceMGDA(), Direction(), {"precision": "bf16"}, "copy"),
    ],
)
def test_where_rounding_would_pass_for_a_gradient_it_is_a_copy(
    loss: Loss, solver: Any, direction: Direction, engine: dict[str, Any], kind: str
) -> None:
    built = build(loss, solver, direction=direction, engine=engine)
    assert built.reference.kind == built.foretold == kind
    reason = "direction.paper=true is literal" if direction.paper else "would pass for a gradient"
    assert (kind == "copy") == any(reason in line for line in built.said)
    assert build(loss, solver, direction=direction, engine=engine, reference="cache").reference.kind == "cache"
