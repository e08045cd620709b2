"""What is composed once is what Hydra composes each time, and nobody changes it for others."""

from __future__ import annotations

from pathlib import Path

import pytest
from omegaconf import OmegaConf, open_dict

from mollm_cli.configuration import composed_once
from mollm_cli.configuration.compose import compose_job, composing
from mollm_cli.core.errors import RequestError

HYDRAS = composed_once._compose
LINES = (
    ("seed=1", "loss=ga", "+tracker.more={a: 1}", "hydra.job.name=x"),
    ("loss=ga", "seed=4", "run_name=x${seed}-${hydra:runtime.choices.loss}"),
    ("loss=mollm", "direction.gram=sketch", "+data.forget.filter.a=1", "~evaluation.oracle"),
    ("solver=pcgrad", "data.forget.path=a.jsonl", "gates=[]", "~engine.clip_norm"),
    ("dataset@data.retain=truthfulqa", "data.retain.limit=3"),
    ("+dataset@data.alternate=authors-idk", "hydra/launcher=local"),
    ("loss=ga", "seed=1", "loss=mollm"),
)


def _text(line: tuple[str, ...]) -> str:
    with composing():
        composed = compose_job("config", line)
        text = OmegaConf.to_yaml(composed)
        with open_dict(composed):
            composed.data.forget.clear()  # on a copy
        return text


def test_it_is_what_hydra_composes(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = [_text(line) for line in (*LINES, *LINES)]
    monkeypatch.setattr(composed_once, "_once", lambda repo, asked, make: make())
    assert kept == [_text(line) for line in LINES] * 2


def test_what_jobs_choose_is_composed_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _text((f"hydra.searchpath=[{tmp_path}]",))  # what our own files alone compose is held against it, once
    composed: list[object] = []
    monkeypatch.setattr(composed_once, "_OURS", {})
    monkeypatch.setattr(composed_once, "_compose", lambda *given: composed.append(given) or HYDRAS(*given))
    for line in ([], [f"hydra.searchpath=[{tmp_path}]"]):
        with composing():
            for seed in range(9):
                compose_job("config", [*line, "loss=ga", f"seed={seed}"])
    assert len(composed) == 2


def test_a_group_that_is_wrong_is_refused_each_time() -> None:
    for _ in range(2):
        with pytest.raises(RequestError, match="loss must be one of its choices, found 'gaa'"):
            _text(("loss=gaa",))


def test_a_folder_of_the_users_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "loss").mkdir()
    for weight in (2, 3):
        text = f"_target_: mollm_cli.losses.grad_diff.grad_diff\nretain_weight: {weight}\n"
        (tmp_path / "loss" / "mine.yaml").write_text(text)
        assert f"retain_weight: {weight}\n" in _text((f"hydra.searchpath=[{tmp_path}]", "loss=mine"))


def test_no_more_than_so_many_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(composed_once, "_OURS", {})
    monkeypatch.setattr(composed_once, "MOST", 4)
    for loss in ("ga", "mollm", "npo", "ga"):
        _text((f"loss={loss}",))
        assert len(composed_once._OURS) <= 4
