"""engine.micro_batch=auto: where there is no room the same step is taken in smaller pieces."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from mollm_cli.engine.engine_settings import Engine
from mollm_cli.engine.micro_batches import MicroBatches, cut
from mollm_cli.engine.step import Stepper
from mollm_cli.losses.mollm import mollm
from mollm_cli.solvers.dual_space_mgda import DualSpaceMGDA
from tests.support.steps import stepper
from tests.support.tiny import batch, llama

ROWS = 8


def _batches() -> dict[str, list[Any]]:
    return {"forget": [batch(1, ROWS, prefix="f")], "retain": [batch(2, ROWS, prefix="r")]}


class Small:
    """A stepper on a device with room for ``room`` rows in a forward pass; passes: the rows of each that was tried."""

    def __init__(self, room: int, learning_rate: float = 1e-2) -> None:
        self.model = llama().double()
        optimizer = torch.optim.SGD(self.model.parameters(), learning_rate)
        self.stepper: Stepper = stepper(self.model, mollm(), DualSpaceMGDA(), optimizer=optimizer)
        self.passes: list[int] = []

        def enter(module: Any, args: Any, kwargs: Any) -> None:
            rows = kwargs["input_ids"].shape[0]
            self.passes.append(rows)
            if rows > room:
                raise torch.OutOfMemoryError("no room")

        self.model.register_forward_pre_hook(enter, with_kwargs=True)

    def weights(self) -> torch.Tensor:
        return torch.cat([p.detach().reshape(-1) for p in self.stepper.parameters])


def _pieces(said: list[str] | None = None) -> MicroBatches:
    return MicroBatches.of(Engine(batch_size=ROWS, micro_batch="auto"), (said if said is not None else []).append)


def test_without_auto_the_rows_are_as_asked_and_the_error_is_raised() -> None:
    pieces = MicroBatches.of(Engine(batch_size=ROWS, micro_batch=4))
    assert (pieces.rows, pieces.auto) == (4, False)
    with pytest.raises(torch.OutOfMemoryError, match="no room"):
        pieces.take(Small(4).stepper, _batches(), 1e-2, True, 1)


@pytest.mark.parametrize(("room", "rows"), [(8, 8), (7, 4), (4, 4), (2, 2), (1, 1)])
def test_rows_are_halved_until_they_fit_and_the_step_is_the_same(room: int, rows: int) -> None:
    whole, small, said = Small(ROWS), Small(room), list[str]()
    expected = _pieces().take(whole.stepper, _batches(), 1e-2, True, 1)
    pieces = _pieces(said)
    found = pieces.take(small.stepper, _batches(), 1e-2, True, 1)
    assert pieces.rows == rows and small.passes[-1] == rows
    torch.testing.assert_close(small.weights(), whole.weights(), rtol=1e-9, atol=1e-12)
    assert found.losses == pytest.approx(expected.losses, rel=1e-9)
    halves = [8, 4, 2, 1]
    taken = halves[: halves.index(rows)]
    assert said == [f"step 1: no room for {n} rows in one forward pass; going on with {n // 2}" for n in taken]


def test_the_steps_after_it_keep_to_that() -> None:
    small, said = Small(3), list[str]()
    pieces = _pieces(said)
    for step in (1, 2):
        small.passes.clear()
        pieces.take(small.stepper, _batches(), 1e-2, True, step)
    assert pieces.rows == 2 and set(small.passes) == {2} and len(said) == 2


def test_where_one_row_does_not_fit_the_error_is_raised_and_nothing_has_moved() -> None:
    small = Small(0)
    before = small.weights()
    with pytest.raises(torch.OutOfMemoryError, match="no room"):
        _pieces().take(small.stepper, _batches(), 1e-2, True, 1)
    assert small.passes == [8, 4, 2, 1] and torch.equal(small.weights(), before)


def test_a_step_whose_optimizer_has_moved_is_not_taken_twice() -> None:
    small = Small(ROWS)

    def fail(*told: Any) -> None:
        raise torch.OutOfMemoryError("no room for the optimizer's state")

    small.stepper.optimizer.register_step_post_hook(fail)
    before = small.weights()
    with pytest.raises(torch.OutOfMemoryError, match="optimizer's state"):
        _pieces().take(small.stepper, _batches(), 1e-2, True, 1)
    assert not torch.equal(small.weights(), before) and set(small.passes) == {8}


def test_what_the_step_drew_is_drawn_again() -> None:
    """An adapter's dropout: the numbers of the second attempt are those that the first began with."""
    drawn: list[float] = []
    small = Small(4)
    small.model.register_forward_pre_hook(lambda *told: drawn.append(float(torch.rand(1))), prepend=True)
    torch.manual_seed(1)
    _pieces().take(small.stepper, _batches(), 1e-2, True, 1)
    torch.manual_seed(1)
    assert drawn[0] == drawn[1] == float(torch.rand(1)) != drawn[2]


def test_a_batch_is_cut_in_order_and_each_piece_is_as_wide_as_its_longest_row() -> None:
    whole = batch(3, 5, tokens=12, prefix="x")
    pieces = cut({"forget": [whole]}, 2)["forget"]
    assert [piece.ids for piece in pieces] == [("x0", "x1"), ("x2", "x3"), ("x4",)]
    widths = [int(piece.attention_mask.sum(dim=1).max()) for piece in pieces]
    assert [piece.input_ids.shape[1] for piece in pieces] == widths == [12, 12, 11]
    for piece, start in zip(pieces, (0, 2, 4), strict=True):
        width, rows = piece.input_ids.shape[1], len(piece.ids)
        assert torch.equal(piece.input_ids, whole.input_ids[start : start + rows, :width])
        assert torch.equal(piece.labels, whole.labels[start : start + rows, :width])
        assert not whole.attention_mask[start : start + rows, width:].any()
    assert cut({"forget": [whole]}, 5)["forget"] == [whole]
