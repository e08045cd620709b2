"""Several sets as one stream: how often the rows of each come."""

from __future__ import annotations

from collections import Counter

import pytest

from mollm_cli.core.types import IGNORE, Encoded
from mollm_cli.data.batches import Stream
from mollm_cli.data.mixture import Share, drawn


def encoded(count):
    return [Encoded(str(i), (i,) * (2 + i % 5), (IGNORE,) * (2 + i % 5)) for i in range(count)]


@pytest.mark.parametrize(
    ("rows", "weight", "per_epoch"),
    [(10, 1.0, 10), (10, 2.0, 20), (10, 0.5, 5), (7, 0.3, 2), (7, 0.4, 3), (3, 0.01, 1)],
)
def test_an_epoch_has_the_rows_of_the_weight(rows, weight, per_epoch):
    assert Share(rows, weight).per_epoch == per_epoch == len(drawn([Share(rows, weight)], 0, 5))


def test_a_set_alone_is_passed_once():
    assert drawn([Share(9)], 3, 4) == list(range(9))


def test_half_of_a_set_comes_in_one_epoch_and_the_other_half_in_the_next():
    first, second, third = (drawn([Share(4), Share(10, 0.5)], 1, epoch) for epoch in range(3))
    assert first[:4] == second[:4] == [0, 1, 2, 3]
    assert sorted(first[4:] + second[4:]) == list(range(4, 14))
    assert first != third
    assert first != drawn([Share(4), Share(10, 0.5)], 2, 0)


@pytest.mark.parametrize("weight", [0.3, 0.7, 1.5, 2.0, 3.3])
def test_no_row_is_ever_two_ahead_of_another(weight):
    seen = Counter(dict.fromkeys(range(10), 0))
    for epoch in range(12):
        seen.update(drawn([Share(10, weight)], 0, epoch))
        assert max(seen.values()) - min(seen.values()) <= 1


@pytest.mark.parametrize("bucket", [True, False])
@pytest.mark.parametrize("size", [3, 8, 40])
def test_a_stream_passes_what_is_drawn_for_each_epoch(size, bucket):
    shares = [Share(6, 2.0), Share(10, 0.5)]
    stream = Stream(encoded(16), size, seed=5, pad_id=0, bucket=bucket, shares=shares)
    assert stream.count == 17 and stream.epoch(17) == size
    order = [row for step in range(17) for row in stream.rows(step)]
    for epoch in range(size):
        assert sorted(order[epoch * 17 : (epoch + 1) * 17]) == drawn(shares, 5, epoch)


def test_shares_are_those_of_the_rows():
    with pytest.raises(ValueError, match=r"shares must have 3 rows together, found \[1, 1\]"):
        Stream(encoded(3), 1, 0, 0, shares=[Share(1), Share(1)])
