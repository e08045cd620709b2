"""A checkpoint in the hands of those who have not gone on to transformers 5: the same logits, the same tokens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from mollm_cli.models.load_model import load_model
from mollm_cli.models.model_settings import Model
from mollm_cli.models.save import rehearse_saving, save_checkpoint
from tests.support.older_transformers import VARIANTS, asked, install, logits

pytestmark = pytest.mark.slow
TOLERANCE = 2e-5
"""Of logits up to about 5, float32, from two versions' order of operations."""


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """Starting models as 4.57 wrote them, the same as 5 writes them, and a checkpoint of each, all read."""
    library = install(tmp_path_factory.mktemp("library"))
    found = {what: tmp_path_factory.mktemp(what) for what in ("old", "new", "old-checkpoint", "new-checkpoint")}
    asked(library, "make", found["old"])
    for name in VARIANTS:
        AutoModelForCausalLM.from_pretrained(found["old"] / name).save_pretrained(found["new"] / name)
        for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json"):
            (found["new"] / name / file).write_bytes((found["old"] / name / file).read_bytes())
        for what in ("old", "new"):
            loaded = load_model(Model(str(found[what] / name)), 0)
            rehearse_saving(loaded)
            save_checkpoint(loaded, found[f"{what}-checkpoint"] / name)
    for what in ("old", "old-checkpoint", "new-checkpoint"):
        asked(library, "read", found[what])
    yield found


def _read(root: Path, name: str) -> tuple[torch.Tensor, Any]:
    return load_file(root / f"{name}.safetensors")["logits"], json.loads((root / f"{name}.json").read_text())


@pytest.mark.parametrize("writer", ["old", "new"])
@pytest.mark.parametrize("name", VARIANTS)
def test_a_checkpoint_says_there_what_the_starting_model_says(name: str, writer: str, roots: dict[str, Path]) -> None:
    expected, words = _read(roots["old"], name)
    assert expected.std() > 0.01
    checkpoint = roots[f"{writer}-checkpoint"]
    found, found_words = _read(checkpoint, name)
    assert torch.allclose(found, expected, atol=TOLERANCE, rtol=TOLERANCE)
    assert found_words == words
    here = logits(AutoModelForCausalLM.from_pretrained(checkpoint / name, dtype=torch.float32))
    assert torch.allclose(here, expected, atol=TOLERANCE, rtol=TOLERANCE)
