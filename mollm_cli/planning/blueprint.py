"""A model without its weights: the architecture that its config.json, or this package, describes."""

from __future__ import annotations

import copy
import json
import sys
import warnings
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from mollm_cli.assets.locate import resolve
from mollm_cli.models.adapter import with_adapter
from mollm_cli.models.hub_models import cache_only, reading
from mollm_cli.models.load_model import rehearse_architecture, snapshot, source
from mollm_cli.models.model_settings import Model
from mollm_cli.models.quiet import quieten

SHIPPED = "embedded:architectures.json"
"""The numbers of the architectures in conf/model, by Hub id; they stand in for a config.json that is not there."""


def architecture(description: Model) -> Any:
    """The configuration of a model: its config.json, or else what the package knows of it. Raises RequestError."""
    from transformers import AutoConfig

    path = source(description)
    if not here(description) and path in shipped():
        print(
            f"model.path={path} is not in the local cache; planned from the architecture that is known", file=sys.stderr
        )
        return AutoConfig.for_model(**shipped()[path])
    rehearse_architecture(description, path)
    with reading(description.path, "configuration"):
        return AutoConfig.from_pretrained(
            path,
            revision=description.revision,
            trust_remote_code=description.trust_remote_code,
            local_files_only=cache_only(path),
        )


def here(description: Model) -> bool:
    """True if the files of a model are on this machine."""
    return snapshot(source(description), description.revision) is not None


@cache
def shipped() -> dict[str, dict[str, Any]]:
    """By Hub id what a configuration of transformers is made from; what is left out is the default of its type."""
    found: dict[str, dict[str, Any]] = json.loads(resolve(SHIPPED).read_text(encoding="utf-8"))
    return found


def blueprint(description: Model, config: Any, checkpointing: bool = False) -> Any:
    """The model that load_model gives, adapter and types included, on the meta device: shapes, and no storage.

    Weights in 4 bits are there in ``description.dtype``: what is trained, and what a forward pass keeps, is the same.
    checkpointing: activations are computed again in the backward pass.
    """
    with reading(description.path, "architecture"):
        return _laid_out(description, config, checkpointing)


def _laid_out(description: Model, config: Any, checkpointing: bool) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    config = copy.deepcopy(config)  # transformers writes the type of the weights into it
    quieten(config)
    options: dict[str, Any] = {"trust_remote_code": description.trust_remote_code}
    # What keeps its own memory in order (flash_attention_2) allocates as torch's fused kernel does.
    wanted = description.attn_implementation
    options |= {} if wanted is None else {"attn_implementation": "eager" if wanted == "eager" else "sdpa"}
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of transformers and peft, about each other
        model = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, description.dtype), **options)
        if checkpointing:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
            model.enable_input_require_grads()
        if description.adapter != "none":
            model = _adapted(model, description)
    return model.train()


def quantised(model: Any) -> list[Any]:
    """The weights that model.adapter=qlora keeps in 4 bits: the frozen matrices of all linear layers but the head."""
    import torch

    head = model.get_output_embeddings()
    linear = (m for m in model.modules() if isinstance(m, torch.nn.Linear) and m is not head)
    return [m.weight for m in linear if not m.weight.requires_grad]


def _adapted(model: Any, description: Model) -> Any:
    if description.adapter_path is None:
        like = "lora" if description.adapter == "qlora" else description.adapter
        return with_adapter(model, replace(description, adapter=like), seed=0)
    from peft import PeftConfig, get_peft_model

    saved = PeftConfig.from_pretrained(str(Path(description.adapter_path).expanduser()))
    saved.inference_mode = False
    return get_peft_model(model, saved)
