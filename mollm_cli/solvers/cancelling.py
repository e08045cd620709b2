"""Sums of rows that cancel, so that nothing but rounding is left of them."""

from __future__ import annotations

import numpy as np

from mollm_cli.core.solution import Array

CANCELLED = 1e-3
"""A sum shorter than this share of its rows' lengths must not be scaled up. A product of float32 rows is known to 1e-7
of |g|^2, so the length of a sum that cancels is known to 3e-4 of its rows' lengths."""


def cancels(gram: Array, weights: Array) -> bool:
    """True where |sum_i w_i g_i| <= 1e-3 sum_i |w_i| |g_i|: the rows cancel, and their sum has no direction.

    gram [k, k], weights [k]. True also where all weights, or all weighted rows, are zero.
    """
    added = np.abs(weights) @ np.sqrt(np.maximum(np.diag(gram), 0.0))
    return bool(length(gram, weights) <= CANCELLED * added)


def length(gram: Array, weights: Array) -> float:
    """|sum_i w_i g_i| = sqrt(w'Gw), 0 where rounding makes that negative."""
    return float(np.sqrt(max(float(weights @ gram @ weights), 0.0)))
