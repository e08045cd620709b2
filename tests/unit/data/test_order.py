"""Rows of like length in one step: little padding, every row once, the same on any number of processes."""

from __future__ import annotations

import itertools
import random
import statistics

import pytest
import torch

from mollm_cli.core.types import IGNORE, Encoded
from mollm_cli.data.batches import Stream
from mollm_cli.data.order import bucketed, common_lengths, shuffled


def lengths(count, seed=0):
    draw = random.Random(seed)
    return [min(500, max(3, round(draw.lognormvariate(4, 0.8)))) for _ in range(count)]


def encoded(sizes):
    return [Encoded(str(i), (i,) * size, (IGNORE,) + (i,) * (size - 1)) for i, size in enumerate(sizes)]


def padding(stream, micro_batch=None):
    steps = -(-len(stream.encoded) // stream.batch_size)
    batches = [batch for step in range(steps) for batch in stream.batches(step, micro_batch)]
    return 1 - sum(int(b.attention_mask.sum()) for b in batches) / sum(b.input_ids.numel() for b in batches)


@pytest.mark.parametrize("count", [1, 2, 5, 7, 8, 9, 16, 40, 133, 1000])
@pytest.mark.parametrize("size", [1, 3, 8, 16])
def test_every_epoch_covers_every_row_once(count, size):
    sizes = lengths(count)
    stream = Stream(encoded(sizes), size, seed=3, pad_id=0)
    epochs = 4
    order = [row for step in range(-(-epochs * count // size)) for row in stream.rows(step)]
    for epoch in range(epochs):
        rows = order[epoch * count : (epoch + 1) * count]
        assert sorted(rows) == list(range(count))
        assert rows == bucketed(sizes, size, 3, epoch)


def test_a_step_needs_nothing_but_its_number():
    sizes = lengths(100)
    forwards, backwards = (Stream(encoded(sizes), 8, seed=1, pad_id=0) for _ in range(2))
    steps = list(range(40))
    assert [forwards.rows(k) for k in steps] == [backwards.rows(k) for k in steps[::-1]][::-1]
    assert forwards.rows(0) != Stream(encoded(sizes), 8, seed=2, pad_id=0).rows(0)


def test_little_is_padded_where_shuffled_rows_pad_a_lot():
    rows = encoded(lengths(1600))
    assert padding(Stream(rows, 16, 0, 0, bucket=False)) > 0.4
    assert padding(Stream(rows, 16, 0, 0)) < 0.1
    assert padding(Stream(rows, 16, 0, 0), 4) < padding(Stream(rows, 16, 0, 0))


def test_epochs_differ_in_their_batches_and_in_their_order():
    stream = Stream(encoded(lengths(400)), 8, seed=0, pad_id=0)
    first, second = ([frozenset(stream.rows(k)) for k in range(start, start + 50)] for start in (0, 50))
    assert len(set(first) & set(second)) < 5
    sizes = [max(stream.lengths[row] for row in rows) for rows in first]
    assert sizes != sorted(sizes)
    assert shuffled(50, 0, 0) != shuffled(50, 0, 1)


def test_a_step_that_lies_in_one_epoch_is_a_batch_of_like_length_wherever_the_epoch_began():
    """26 rows in steps of 4: the second epoch begins in the middle of a step, and its batches behind that step."""
    stream = Stream(encoded([5 + 3 * k for k in range(26)]), 4, seed=0, pad_id=0)
    mixed = 0
    for step in range(26):
        first, last = divmod(4 * step, 26), divmod(4 * step + 3, 26)
        lengths = [stream.lengths[row] for row in stream.rows(step)]
        whole = first[0] == last[0] and not (last[1] == 25 and -26 * (first[0] + 1) % 4)
        mixed += first[0] != last[0]
        assert not whole or lengths == sorted(lengths)
    assert mixed > 0


def test_an_epoch_is_shuffled_before_and_after_it_is_sorted():
    """Its batches do not come by length, and a batch is not what the file has side by side."""
    sizes = [5 + k for k in range(400)]
    stream = Stream(encoded(sizes), 8, seed=0, pad_id=0)
    batches = [[stream.lengths[row] for row in stream.rows(step)] for step in range(50)]
    firsts = [batch[0] for batch in batches]
    falls = sum(a > b for a, b in itertools.pairwise(firsts))
    assert 15 <= falls <= 35, "half of all steps go down, of two sorted stretches one"
    assert sum(batch[-1] - batch[0] for batch in batches) > 50 * 10, "eight that lie side by side span 7"
    second = [min(stream.lengths[row] for row in stream.rows(step)) for step in range(50, 100)]
    assert statistics.correlation(firsts, second) < 0.5, "long rows come at other steps in the next epoch"
    order = shuffled(400, 0, 0)
    assert order != sorted(order) and order != shuffled(400, 1, 0)
    assert shuffled(400, 0, 0) == order


def test_small_batches_of_a_step_hold_rows_of_like_length_and_nothing_is_lost():
    stream = Stream(encoded(lengths(64)), 16, seed=0, pad_id=0, bucket=False)
    pieces = stream.batches(1, 4)
    sizes = [piece.attention_mask.sum(1).tolist() for piece in pieces]
    assert [size for piece in sizes for size in piece] == sorted(size for piece in sizes for size in piece)
    assert sorted(int(id) for piece in pieces for id in piece.ids) == sorted(stream.rows(1))


@pytest.mark.parametrize("world", [1, 2, 3, 8])
def test_processes_share_a_step(world):
    stream = Stream(encoded(lengths(64)), 8, seed=0, pad_id=0)
    for step in range(9):
        shares = [stream.batches(step, None, rank, world) for rank in range(world)]
        assert sorted(int(id) for [batch] in shares for id in batch.ids) == sorted(stream.rows(step))


def test_a_process_without_a_row_passes_an_idle_one_and_one_that_is_not_there_is_refused():
    stream = Stream(encoded([3, 3]), 2, seed=0, pad_id=0)
    shares = [stream.batches(0, None, rank, 3) for rank in range(3)]
    assert [[batch.idle for batch in share] for share in shares] == [[False], [False], [True]]
    with pytest.raises(ValueError, match="0 <= rank < world must hold, found 3, 3"):
        stream.batches(0, None, 3, 3)


def test_roles_that_are_read_together_stay_aligned():
    forget, alternate = lengths(50, 1), lengths(50, 2)
    common = common_lengths(forget, alternate)
    assert common[7] == forget[7] + alternate[7]
    streams = [Stream(encoded(sizes), 8, 5, 0, lengths=common) for sizes in (forget, alternate)]
    for step in range(20):
        a, b = ([batch.ids for batch in stream.batches(step, 3)] for stream in streams)
        assert a == b


def test_lengths_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"lengths must be one per row, found 2 for 1 rows"):
        Stream(encoded([3]), 1, 0, 0, lengths=[3, 4])
    with pytest.raises(ValueError, match=r"roles read together must have as many rows each, found \[1, 2\]"):
        common_lengths([1], [1, 2])


def test_a_step_in_small_batches_has_the_gradient_of_the_whole():
    from mollm_cli.core.masking import count_targets
    from tests.support.tiny import llama

    model = llama().double()
    rows = [
        Encoded(str(i), tuple(range(3, 3 + size)), (IGNORE, *range(4, 3 + size)))
        for i, size in enumerate((5, 9, 3, 12))
    ]
    stream = Stream(rows, 4, 0, 0)
    gradients = []
    for micro_batch in (None, 1, 3):
        model.zero_grad()
        batches = stream.batches(0, micro_batch)
        total = sum(count_targets(batch.labels) for batch in batches)
        for batch in batches:
            logits = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits[:, :-1]
            labels = batch.labels[:, 1:]
            (
                torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum") / total
            ).backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    for other in gradients[1:]:
        torch.testing.assert_close(other, gradients[0], rtol=1e-6, atol=1e-9)
