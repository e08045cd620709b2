"""The memory of a loss, measured small: chunks take less, every objective is there, gradients are not counted."""

from __future__ import annotations

import json

import pytest

from benchmarks import loss_memory
from benchmarks.loss_memory import HEADS, OBJECTIVES, RATIO, loss_peak_bytes, main, ratios
from mollm_cli.core import chunked
from tests.support.losses import LOSSES

pytestmark = pytest.mark.slow

TARGETS, VOCABULARY = 64, 4000
WHOLE = TARGETS * VOCABULARY * 4


@pytest.fixture
def eighths(monkeypatch):
    """Chunks of an eighth of the targets."""
    monkeypatch.setattr(chunked, "CHUNK_BYTES", WHOLE // 8)


def peak(name, form, head):
    return loss_peak_bytes(name, form, head, "cpu", TARGETS, VOCABULARY)


def test_no_objective_that_reads_logits_is_missing():
    read = {o.name for loss in LOSSES.values() for o in loss.objectives if o.layer is None}
    assert OBJECTIVES.keys() == read - {"alternate_cross_entropy"}  # cross-entropy on another role


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("name", ["cross_entropy", "forward_kl", "preference"])
def test_chunks_take_less_and_no_more_than_a_few_of_their_logits(name, head, eighths):
    whole, parts = peak(name, "plain", head), peak(name, "chunked", head)
    assert whole > 2.5 * WHOLE
    assert parts < 0.35 * whole
    assert parts < 6 * WHOLE / 8 + 64 * 2**10  # beside the chunk: states, values, their gradients


def test_a_ratio_is_the_worst_of_all(monkeypatch, tmp_path, capsys):
    sizes = {("a", "trained"): (1, 4), ("a", "frozen"): (1, 5), ("b", "trained"): (3, 10), ("b", "frozen"): (1, 10)}
    monkeypatch.setattr(loss_memory, "OBJECTIVES", {"a": None, "b": None})
    monkeypatch.setattr(
        loss_memory, "loss_peak_bytes_alone", lambda name, form, head, device: sizes[name, head][form == "plain"] << 20
    )
    main(["--out", str(tmp_path / "speed.json")])
    kept = json.loads((tmp_path / "speed.json").read_text())
    assert kept["ratios"] == {RATIO: 0.3}
    assert [row["ratio"] for row in kept["loss_memory"]["rows"]] == [0.25, 0.2, 0.3, 0.1]
    assert "head trained" in capsys.readouterr().out
    assert ratios([{"ratio": 0.2}]) == {RATIO: 0.2}


def test_a_process_that_fails_says_why():
    with pytest.raises(RuntimeError, match="the memory of objective 'cross_entropy' could not be measured: "):
        loss_memory.loss_peak_bytes_alone("cross_entropy", "plain", "trained", "nowhere")
