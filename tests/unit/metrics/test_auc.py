import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu

from mollm_cli.metrics.auc import auc, resampled_aucs, separation
from mollm_cli.metrics.bootstrap import RESAMPLES, draws


def pairs(members, others):
    """Of all pairs the share in which the member is ahead, equal ones half."""
    won = [1.0 if m > o else 0.5 if m == o else 0.0 for m in members for o in others]
    return sum(won) / len(won)


few = st.lists(st.sampled_from([-1.5, 0.0, 0.25, 2.0, 7.0]), min_size=1, max_size=8)


@given(few, few)
def test_equals_the_count_of_all_pairs(members, others):
    assert auc(members, others) == pytest.approx(pairs(members, others))


def test_equals_the_u_statistic_of_scipy():
    generator = np.random.default_rng(0)
    members, others = generator.integers(30, size=83), generator.integers(40, size=57)
    expected = mannwhitneyu(members, others).statistic / (83 * 57)
    assert auc(list(members), list(others)) == pytest.approx(expected)


def test_by_hand():
    # 3 beats 2 and 1; 2 ties with 2 and beats 1: 3.5 of 4 pairs.
    assert auc([3, 2], [2, 1]) == pytest.approx(3.5 / 4)
    assert auc([1, 1], [1]) == 0.5
    assert auc([0], [1, 2]) == 0.0


def test_samples_equal_a_loop_over_the_same_draws():
    members, others = [0.3, 0.9, 0.9, 0.1], [0.2, 0.9, 0.4, 0.4, -1.0]

    def sampled(values, stream):
        return [np.repeat(values, counts) for block in draws(len(values), stream) for counts in block]

    expected = [pairs(m, o) for m, o in zip(sampled(members, 0), sampled(others, 1), strict=True)]
    assert len(expected) == RESAMPLES
    assert resampled_aucs(members, others) == pytest.approx(expected)


def test_many_rows_overflow_no_counter():
    """70 000 x 70 000 pairs are more than 32 bits hold."""
    assert auc(range(1, 70_001), [0.5] * 70_000) == 1.0


def test_equal_sizes_are_drawn_independently():
    """Were both drawn alike, a sample of rows against themselves would always be at .5 exactly."""
    values = [1.0, 2.0, 3.0, 4.0]
    assert np.std(resampled_aucs(values, values)) > 0.1


def test_separation_has_interval_and_scores():
    result = separation([4.0, 3.0, 2.0, None], [1.0, 2.5, 0.0])
    assert result.value == pytest.approx(8 / 9)
    assert result.per_example == (4.0, 3.0, 2.0, None)
    low, high = result.interval
    assert 0 <= low < 8 / 9 < high <= 1


def test_coverage_of_a_known_area():
    """Two normal samples one apart have AUC Phi(1 / sqrt 2) = .7602. Seeded."""
    generator, truth = np.random.default_rng(1), 0.5 * (1 + math.erf(0.5))
    covered = []
    for _ in range(200):
        found = separation(list(generator.normal(1, 1, 60)), list(generator.normal(0, 1, 80)))
        covered.append(found.interval[0] <= truth <= found.interval[1])
    assert np.mean(covered) == pytest.approx(0.95, abs=0.04)


@pytest.mark.parametrize(("forget", "holdout"), [([], [1.0]), ([1.0], []), ([None], [1.0])])
def test_without_scores_it_is_undefined(forget, holdout):
    result = separation(forget, holdout)
    assert (result.value, result.interval, result.per_example) == (None, None, tuple(forget))


def test_a_single_score_has_no_interval():
    assert separation([1.0], [0.0, 0.0]).interval is None
    assert separation([1.0, 1.0], [0.0]).interval is None
