"""Stored states are found by row in any batch, filled once, and anew where anything that they depend on changed."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from mollm_cli.core.types import IGNORE, Encoded
from mollm_cli.models import reference_cache
from mollm_cli.models.reference import starting_states
from mollm_cli.models.reference_cache import Forward, StateCache, digest, fingerprint
from tests.support.references import CPU, rows_of, together
from tests.support.tiny import batch, llama, opt

ROWS = rows_of(batch(1, rows=7))


class Counting:
    """The states of a model, with the rows that were asked for."""

    def __init__(self, model, forward: Forward = CPU) -> None:
        self._states, self.rows = starting_states(model, forward), []

    def __call__(self, rows):
        self.rows += rows.ids
        return self._states(rows)


def test_rows_are_filled_once_and_the_longest_first(tmp_path: Path) -> None:
    asked = Counting(llama())
    rows = [*ROWS, ROWS[2]]
    cache = StateCache(rows, tmp_path)
    cache.fill(asked, together, 3)
    lengths = {row.id: len(row.input_ids) for row in rows}
    assert sorted(asked.rows) == sorted(lengths)
    assert [lengths[id] for id in asked.rows] == sorted(lengths.values(), reverse=True)
    assert (cache.rows, cache.filled, cache.missing()) == (7, 7, [])
    again = StateCache(rows, tmp_path)
    again.fill(asked, together, 3)
    assert (again.filled, len(asked.rows)) == (0, 7)
    assert torch.equal(again.states(together(ROWS)), cache.states(together(ROWS)))


def test_only_what_is_missing_is_filled(tmp_path: Path) -> None:
    StateCache(ROWS[:4], tmp_path).fill(Counting(opt()), together, 2)
    asked, cache = Counting(opt()), StateCache(ROWS, tmp_path)
    cache.fill(asked, together, 2)
    assert sorted(asked.rows) == ["r4", "r5", "r6"]
    whole = StateCache(ROWS)
    whole.fill(Counting(opt()), together, 7)
    assert torch.allclose(cache.states(together(ROWS)), whole.states(together(ROWS)), rtol=1e-12, atol=1e-14)
    assert len(cache.files) == 2


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4, 5, 6], [6, 2], [3], [5, 5, 0]])
def test_any_batch_finds_its_rows_in_its_order(tmp_path: Path, order: list[int]) -> None:
    model = opt()
    cache = StateCache(ROWS, tmp_path)
    cache.fill(starting_states(model, CPU), together, 3)
    wanted = together([ROWS[i] for i in order])
    expected = starting_states(model, CPU)(wanted)
    assert torch.allclose(cache.states(wanted), expected, rtol=1e-12, atol=1e-14)
    assert expected.shape == (sum(ROWS[i].targets for i in order), 32)


def test_a_row_without_targets_has_no_states(tmp_path: Path) -> None:
    silent = Encoded("silent", (5, 6, 7), (7, IGNORE, IGNORE))
    model, asked = opt(), Counting(opt())
    cache = StateCache([ROWS[0], silent, ROWS[1]], tmp_path)
    cache.fill(asked, together, 3)
    assert "silent" not in asked.rows
    mixed = together([ROWS[1], silent, ROWS[0]])
    assert torch.allclose(cache.states(mixed), starting_states(model, CPU)(mixed), rtol=1e-12, atol=1e-14)
    assert cache.states(together([silent])).shape == (0, 32)


def test_rows_of_one_id_are_told_apart_by_their_tokens() -> None:
    """DPO's alternate answers are read from the forget rows and carry their ids."""
    rows = [dataclasses.replace(row, id="same") for row in ROWS[:3]]
    cache = StateCache(rows)
    cache.fill(starting_states(opt(), CPU), together, 3)
    for order in ([0, 1, 2], [2, 0], [1]):
        wanted = together([rows[i] for i in order])
        assert torch.allclose(cache.states(wanted), starting_states(opt(), CPU)(wanted), rtol=1e-12, atol=1e-14)


def test_a_row_that_was_not_filled_is_an_error() -> None:
    cache = StateCache(ROWS[:2])
    cache.fill(starting_states(opt(), CPU), together, 3)
    with pytest.raises(KeyError, match="r3"):
        cache.states(together(ROWS[3:4]))


@pytest.mark.parametrize(("limit", "files"), [(1, 3), (1 << 20, 1)])
def test_states_are_written_shard_by_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int, files: int
) -> None:
    monkeypatch.setattr(reference_cache, "SHARD_BYTES", limit)
    cache = StateCache(ROWS, tmp_path)
    cache.fill(starting_states(opt(), CPU), together, 3)
    assert len(cache.files) == len(list(tmp_path.iterdir())) == files
    assert cache.disk_bytes == sum(row.targets for row in ROWS) * 32 * 8
    assert cache.memory_bytes == 0


def test_without_a_folder_states_are_held_in_memory() -> None:
    cache = StateCache(ROWS)
    cache.fill(starting_states(opt(), CPU), together, 3)
    assert (cache.files, cache.disk_bytes) == ([], 0)
    assert cache.memory_bytes == sum(row.targets for row in ROWS) * 32 * 8


def test_a_damaged_file_is_filled_again(tmp_path: Path) -> None:
    first = StateCache(ROWS, tmp_path)
    first.fill(starting_states(opt(), CPU), together, 3)
    expected = first.states(together(ROWS)).clone()
    (file,) = first.files
    file.write_bytes(file.read_bytes()[:-8])
    asked, again = Counting(opt()), StateCache(ROWS, tmp_path)
    assert again.damaged == [file]
    again.fill(asked, together, 3)
    assert len(asked.rows) == 7 and torch.equal(again.states(together(ROWS)), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_states_keep_the_type_that_the_model_computes_in(dtype: torch.dtype) -> None:
    cache = StateCache(ROWS)
    cache.fill(starting_states(llama(dtype=dtype), CPU), together, 3)
    assert cache.states(together(ROWS)).dtype == dtype


def test_states_under_autocast_are_those_that_the_head_gets() -> None:
    cache = StateCache(ROWS)
    cache.fill(starting_states(llama(), Forward("cpu", bf16=True)), together, 3)
    assert cache.states(together(ROWS)).dtype == torch.bfloat16


def test_filling_is_in_evaluation_mode_and_leaves_the_mode_as_it_was() -> None:
    model, modes = llama().train(), []
    model.model.layers[0].register_forward_hook(lambda module, *_: modes.append(module.training))
    states = starting_states(model, CPU)(together(ROWS))
    assert modes == [False] and model.training and not states.requires_grad


def test_the_digest_is_of_tokens_and_labels() -> None:
    row = digest((1, 2, 3), (IGNORE, 2, 3))
    assert row == digest([1, 2, 3], [IGNORE, 2, 3]) and len(row) == 32
    assert (
        len({row, digest((1, 2, 4), (IGNORE, 2, 3)), digest((1, 2, 3), (IGNORE, IGNORE, 3)), digest((1, 2), (1, 2))})
        == 4
    )


def changed(model):
    with torch.no_grad():
        model.lm_head.weight[3, 5] += 1e-6
    return model


def test_the_fingerprint_is_that_of_the_model_and_its_forward() -> None:
    same = [fingerprint(llama(), CPU), fingerprint(llama().train(), CPU)]
    capped = llama()
    capped.config.rope_parameters = {"rope_type": "default", "rope_theta": 5.0}
    eager = llama()
    eager.set_attn_implementation("eager")
    others = [
        fingerprint(llama(seed=1), CPU),
        fingerprint(changed(llama()), CPU),
        fingerprint(llama(dtype=torch.float64), CPU),
        fingerprint(capped, CPU),
        fingerprint(eager, CPU),
        fingerprint(llama(), Forward("cuda")),
        fingerprint(llama(), Forward("cpu", bf16=True)),
        fingerprint(llama(), Forward("cpu", layer=1)),
        fingerprint(llama(), Forward("cpu", layer=0)),
    ]
    assert same[0] == same[1] and len({*same, *others}) == 10


def test_where_a_model_came_from_does_not_count(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    llama().save_pretrained(tmp_path / "a")
    llama().save_pretrained(tmp_path / "b")
    read = [AutoModelForCausalLM.from_pretrained(tmp_path / name) for name in ("a", "b")]
    assert fingerprint(read[0], CPU) == fingerprint(read[1], CPU)


def test_the_fingerprint_of_an_adapter() -> None:
    from peft import LoraConfig, get_peft_model

    def adapted(alpha: int, seed: int = 0):
        plain = llama()
        torch.manual_seed(seed)
        return get_peft_model(plain, LoraConfig(r=2, lora_alpha=alpha, target_modules="all-linear"))

    found = [fingerprint(adapted(*given), CPU) for given in ((2,), (2,), (4,), (2, 1))]
    assert found[0] == found[1] and len({*found, fingerprint(llama(), CPU)}) == 4


def test_the_weights_of_tied_layers_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model, read = opt(), []
    cpu = torch.Tensor.cpu
    monkeypatch.setattr(torch.Tensor, "cpu", lambda self: read.append(self.data_ptr()) or cpu(self))
    fingerprint(model, CPU)
    assert len(read) == len(set(read)) == len(list(model.parameters()))
