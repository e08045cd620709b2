from __future__ import annotations

import pytest
import torch

from mollm_cli.core.masking import count_targets
from mollm_cli.core.types import IGNORE, Encoded
from mollm_cli.data.batches import Stream, collate

PAD = 2
LONG = Encoded("long", (5, 6, 7, PAD), (IGNORE, IGNORE, 7, PAD))
SHORT = Encoded("short", (8, PAD), (IGNORE, PAD))


def encoded(count):
    return [Encoded(str(i), (i, i), (IGNORE, i)) for i in range(count)]


def test_rows_are_padded_on_the_right_and_real_end_tokens_stay():
    batch = collate([LONG, SHORT], PAD)
    assert batch.ids == ("long", "short")
    assert batch.input_ids.tolist() == [[5, 6, 7, PAD], [8, PAD, PAD, PAD]]
    assert batch.attention_mask.tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
    assert batch.labels.tolist() == [[IGNORE, IGNORE, 7, PAD], [IGNORE, PAD, IGNORE, IGNORE]]
    assert {t.dtype for t in (batch.input_ids, batch.attention_mask, batch.labels)} == {torch.int64}


@pytest.mark.parametrize("pad_id", [0, PAD, 9])
def test_padding_adds_no_target(pad_id):
    assert count_targets(collate([LONG, SHORT], pad_id).labels) == LONG.targets + SHORT.targets == 3


@pytest.mark.parametrize(("count", "size"), [(10, 3), (10, 10), (3, 8), (1, 4), (7, 1)])
def test_every_epoch_covers_every_row_once(count, size):
    stream = Stream(encoded(count), size, seed=5, pad_id=0)
    order = [row for step in range(4 * count) for row in stream.rows(step)]
    for epoch in range(4 * size):
        assert sorted(order[epoch * count : (epoch + 1) * count]) == list(range(count))


def test_the_order_depends_on_seed_and_epoch_and_on_nothing_else():
    stream = Stream(encoded(50), 50, seed=1, pad_id=0)
    assert stream.rows(3) == Stream(encoded(50), 50, seed=1, pad_id=0).rows(3)
    assert stream.rows(0) != stream.rows(1)
    assert stream.rows(0) != Stream(encoded(50), 50, seed=2, pad_id=0).rows(0)
    assert stream.rows(0) != list(range(50))


def test_the_order_never_changes_between_versions():
    assert Stream(encoded(6), 6, seed=0, pad_id=0).rows(0) == [2, 3, 1, 0, 5, 4]


def test_small_batches_are_the_large_one_in_order():
    stream = Stream(encoded(10), 7, seed=0, pad_id=0)
    [whole] = stream.batches(2)
    pieces = stream.batches(2, micro_batch=3)
    assert [len(piece.ids) for piece in pieces] == [3, 3, 1]
    assert whole.ids == tuple(id for piece in pieces for id in piece.ids) == tuple(str(row) for row in stream.rows(2))


def test_epochs_are_counted_at_the_beginning_of_a_step():
    stream = Stream(encoded(10), 4, seed=0, pad_id=0)
    assert [stream.epoch(step) for step in (0, 1, 5)] == [0.0, 0.4, 2.0]


def test_what_cannot_be_streamed_is_refused():
    with pytest.raises(ValueError, match=r"a stream must have at least one row, found none"):
        Stream([], 4, seed=0, pad_id=0)
    with pytest.raises(ValueError, match=r"batch_size must be >= 1, found 0"):
        Stream(encoded(3), 0, seed=0, pad_id=0)
