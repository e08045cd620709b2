"""Models in shards: what is refused, and what they give back whole."""

from __future__ import annotations

import copy

import pytest
import torch

from mollm_cli.core.errors import RequestError
from mollm_cli.core.world import ALONE, World
from mollm_cli.data.batches import collate
from mollm_cli.models.adapter import with_adapter
from mollm_cli.models.forward import forward
from mollm_cli.models.model_settings import Model
from mollm_cli.models.reference import Reference, starting_states
from mollm_cli.models.reference_cache import Forward, StateCache, fingerprint
from mollm_cli.models.sharding import gathered, is_sharded, shard
from tests.support.processes import together
from tests.support.shares import numbers, rows
from tests.support.tiny import batch, llama, opt

LORA = Model(path="none", adapter="lora")


def test_alone_a_model_stays_whole():
    model = llama()
    assert shard(model, ALONE) is model
    assert not is_sharded(model)
    assert gathered(model) is model


def test_what_cannot_be_a_shard_is_refused():
    model = llama()
    model.scale = torch.nn.Parameter(torch.ones(()))
    with pytest.raises(RequestError, match=r"needs weights that are tables .* found scale .*; set engine.parallel=ddp"):
        shard(model, World(0, 2))


def given_back(world: World):
    """Of a tied model, an adapter's and an untied one: names, values, ties, and what the whole one says."""
    found = []
    for model in (opt(dtype=torch.float64), with_adapter(llama(), LORA, 0), llama()):
        before, whole = numbers(model), copy.deepcopy(model)
        shard(model, world)
        forward(model, batch(1))
        again = gathered(model)
        if again is None:
            found.append(None)
            continue
        said = [forward(x, batch(1)).logits.detach() for x in (whole, again)]
        tied = again.get_output_embeddings().weight is again.get_input_embeddings().weight
        found.append([numbers(again) == before, torch.equal(*said), tied, type(again).__name__])
    return found


def test_a_model_is_whole_again_on_the_first_process():
    first, second = together(2, given_back)
    assert first == [
        [True, True, True, "OPTForCausalLM"],
        [True, True, False, "PeftModelForCausalLM"],
        [True, True, False, "LlamaForCausalLM"],
    ]
    assert second == [None] * 3


def referred(folder, world: World):
    """What each kind of reference says after the model has moved, against that of a whole model."""
    encoded, found = rows("r", 7, 4), {}
    asked = collate(encoded[2:5], 0)
    plain = opt(dtype=torch.float64)
    right = forward(plain, asked).logits.detach()
    for kind in ("copy", "cache", "memory"):
        model = shard(opt(dtype=torch.float64), world)
        print_of = fingerprint(model, Forward("cpu"))
        assert print_of == fingerprint(plain, Forward("cpu"))
        cache = None
        if kind != "copy":
            cache = StateCache(encoded, folder if kind == "cache" else None)
            world.barrier()
            cache.fill(starting_states(model, Forward("cpu")), lambda part: collate(part, 0), 2, world)
            assert not cache.missing()
        reference = Reference(model, "copy" if cache is None else "cache", cache)
        model.reshard()
        for parameter in model.parameters():
            parameter.data.to_local().add_(0.1)
        moved = forward(model, asked).logits.detach()
        found[kind] = [(reference.logits(asked) - right).abs().max().item(), (moved - right).abs().max().item()]
    return found


@pytest.mark.slow
def test_references_of_a_sharded_model_are_its_start(tmp_path):
    folder = tmp_path / "reference"
    folder.mkdir()
    for found in together(3, lambda world: referred(folder, world)):
        for kind, (off, moved) in found.items():
            assert off < 1e-12 < 1e-3 < moved, kind
    assert len(list(folder.iterdir())) == 3


def test_a_folder_that_one_process_cannot_write_to_is_everyones_problem(tmp_path, monkeypatch):
    def refused(world: World):
        model = shard(opt(dtype=torch.float64), world)
        cache = StateCache(rows("r", 7, 4), tmp_path)
        if world.rank == 1:
            monkeypatch.setattr(cache, "_kept", _full)
        with pytest.raises(OSError, match="no room"):
            cache.fill(starting_states(model, Forward("cpu")), lambda part: collate(part, 0), 2, world)

    together(2, refused)


def _full(*told):
    raise OSError("no room")
