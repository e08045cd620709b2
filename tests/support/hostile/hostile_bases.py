"""The run, the model folder and the adapter that hostile inputs are damaged copies of: small, and made once."""

from __future__ import annotations

import shutil
from pathlib import Path

from mollm_cli.assets.locate import resolve
from tests.support.cli import unlearn
from tests.support.hostile.hostile_input import SHORT, Bases


def made_bases(folder: Path) -> Bases:
    """All three below ``folder``, and all imported that a command needs, so that forks are fast."""
    import datasets  # noqa: F401
    import peft
    import pyarrow.parquet  # noqa: F401
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

    tiny = Path(resolve("embedded:tiny"))
    torch.manual_seed(0)
    config = LlamaConfig.from_pretrained(tiny)
    config.update({"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "head_dim": 4})
    model = folder / "model"
    LlamaForCausalLM(config).save_pretrained(model)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny / name, model / name)
    adapter = folder / "adapter"
    peft.get_peft_model(
        AutoModelForCausalLM.from_pretrained(model), peft.LoraConfig(task_type="CAUSAL_LM", r=2)
    ).save_pretrained(adapter)
    ended = unlearn(folder / "out", f"model.path={model}", *SHORT, "engine.checkpoint_every=1")
    assert ended.code == 0, ended.err
    return Bases(Path(shutil.move(ended.run_dir, folder / "run")), model, adapter)
