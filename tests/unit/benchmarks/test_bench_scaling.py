"""The scaling benchmark counts what it says it counts."""

from __future__ import annotations

import json

import pytest

from benchmarks.scaling import VARIANTS, Watched, main, ratios
from mollm_cli.core.world import World
from tests.support.processes import together

pytestmark = pytest.mark.slow


def measured(path, world: World):
    """As torchrun would start it; the processes have met already."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("benchmarks.scaling.join", lambda timeout_seconds: world)
        patch.setattr("benchmarks.scaling.leave", lambda joined: None)
        main(["--size", "tiny", "--batch", "4", "--tokens", "12", "--answer", "4", "--rounds", "1", "--out", str(path)])


def test_each_variant_has_three_lines_and_its_bytes(tmp_path):
    together(2, lambda world: measured(tmp_path / "scaling.json", world))
    result = json.loads((tmp_path / "scaling.json").read_text())
    kinds = ["one", "apart", "together"]
    assert [(x["name"], x["kind"]) for x in result["rows"]] == [(v.name, kind) for v in VARIANTS for kind in kinds]
    assert all(line["tokens_per_second"] > 0 for line in result["rows"])
    sent = {line["name"]: line["bytes_a_step"] for line in result["rows"] if line["kind"] == "together"}
    assert sent["mollm"] > 2.9 * sent["ga_kl"]  # three rows against one weighted gradient
    assert all(0 < line["communication_share"] < 1 for line in result["rows"] if line["kind"] == "together")
    assert set(ratios(result["rows"])) == set(result["ratios"]) and "mollm: together/apart" in result["ratios"]


def test_what_is_watched_is_summed():
    def told(world: World):
        import torch

        watched = Watched(world.rank, world.size)
        total = watched.sum_(torch.ones(3)).tolist()
        return [total, watched.spent["bytes"], watched.spent["seconds"] > 0]

    assert together(2, told) == [[[2.0] * 3, 12, True]] * 2
