"""Intervals against a slow loop over the same draws, and against what they promise."""

import math

import numpy as np
import pytest

from mollm_cli.metrics import bootstrap
from mollm_cli.metrics.bootstrap import (
    RESAMPLES,
    draws,
    mean_interval,
    percentiles,
    resampled_means,
    resampled_ratios,
)


def samples(rows, stream=0):
    """Each sample as the row numbers in it."""
    for block in draws(rows, stream):
        for counts in block:
            yield [row for row, count in enumerate(counts) for _ in range(count)]


def quantile(values, share):
    """Linear between the two values around ``share`` of the way."""
    ordered, place = sorted(values), share * (len(values) - 1)
    low = math.floor(place)
    return ordered[low] + (place - low) * (ordered[min(low + 1, len(ordered) - 1)] - ordered[low])


def test_a_sample_has_as_many_rows_as_there_are():
    assert [len(sample) for sample in samples(7)] == [7] * RESAMPLES


def test_every_row_is_drawn_as_often_as_every_other():
    """A row's count is about Poisson(1): 1000 samples have a mean of 1 with a standard error of .03."""
    counts = np.concatenate(list(draws(20)))
    assert counts.mean(0) == pytest.approx(np.ones(20), abs=0.13)
    assert counts.var() == pytest.approx(1 - 1 / 20, abs=0.05)


def test_draws_are_seeded_and_streams_are_independent():
    first, again, other = (np.concatenate(list(draws(50, stream))) for stream in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).any()
    assert abs(np.corrcoef(first.ravel(), other.ravel())[0, 1]) < 0.02


def test_draws_are_those_of_every_version():
    """An interval of last year's run can be compared with one of today's."""
    block = next(iter(draws(6)))
    assert block[:3].tolist() == [[0, 1, 2, 1, 1, 1], [0, 0, 0, 5, 1, 0], [3, 0, 0, 0, 3, 0]]
    assert next(iter(draws(6, stream=1)))[0].tolist() == [0, 0, 1, 1, 2, 2]


def test_what_is_not_kept_is_drawn_alike(monkeypatch):
    kept = np.concatenate(list(draws(30)))
    monkeypatch.setattr(bootstrap, "KEPT_ROWS", 10)
    assert (np.concatenate(list(draws(30))) == kept).all()


def test_means_equal_a_loop_over_samples():
    values = [0.1, 0.9, 0.3, 0.3, 5.0, -2.0]
    expected = [sum(values[row] for row in sample) / 6 for sample in samples(6)]
    assert resampled_means(values) == pytest.approx(expected)
    interval = (quantile(expected, 0.025), quantile(expected, 0.975))
    assert mean_interval(values) == pytest.approx(interval)
    assert percentiles(resampled_means(values)) == pytest.approx(interval)


def test_rows_without_a_value_are_in_samples_but_not_in_means():
    values = [1.0, None, 3.0]
    for found, sample in zip(resampled_means(values), samples(3), strict=True):
        drawn = [values[row] for row in sample if values[row] is not None]
        assert (math.isnan(found) and not drawn) or found == pytest.approx(sum(drawn) / len(drawn))


def test_ratios_equal_a_loop_over_samples():
    above, below = [3.0, 1.0, 4.0, 1.0, 5.0], [2, 7, 1, 8, 2]
    expected = [sum(above[r] for r in sample) / sum(below[r] for r in sample) for sample in samples(5)]
    assert resampled_ratios(above, below) == pytest.approx(expected)


def test_samples_without_a_value_do_not_count():
    assert percentiles(np.array([1.0, np.nan, 1.0])) == (1.0, 1.0)
    assert percentiles(np.array([np.nan])) is None


@pytest.mark.parametrize("values", [[], [0.5]])
def test_fewer_than_two_rows_have_no_interval(values):
    assert mean_interval(values) is None


def test_equal_values_have_an_interval_of_no_width():
    assert mean_interval([0.25] * 9) == (0.25, 0.25)


def test_it_covers_the_mean_about_as_often_as_it_says():
    """Of 400 samples of 100 uniform values 95 % should cover .5; a standard error is 1.1 %. Seeded."""
    generator = np.random.default_rng(5)
    intervals = [mean_interval(list(generator.random(100))) for _ in range(400)]
    assert np.mean([low <= 0.5 <= high for low, high in intervals]) == pytest.approx(0.95, abs=0.03)
    # 2 x 1.96 standard errors of a mean of 100 uniform values: 3.92 / sqrt(12 x 100)
    assert np.mean([high - low for low, high in intervals]) == pytest.approx(3.92 / math.sqrt(1200), rel=0.03)
