"""Low-rank adapters: made, continued from a folder, merged."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from mollm_cli.core.errors import RequestError
from mollm_cli.models.model_settings import Model

FILE = "adapter_config.json"
"""The file by which a folder is known as a saved adapter."""


def check_adapter(description: Model) -> None:
    """Refuse an adapter that cannot be, before any weight is read. Raises RequestError."""
    folder = description.adapter_path
    if folder is not None and not (Path(folder).expanduser() / FILE).is_file():
        raise RequestError(
            f"model.adapter_path={folder}: must be a folder that holds {FILE}, found none. "
            "Set it to what a run with an adapter wrote, RUN/adapter"
        )
    if description.adapter == "qlora":
        _check_four_bits()


def _check_four_bits() -> None:
    import torch

    wanted = "model.adapter=qlora keeps the weights in 4 bits, which needs"
    if importlib.util.find_spec("bitsandbytes") is None:
        raise RequestError(
            f"{wanted} the package bitsandbytes, found none. "
            "Install it (pip install bitsandbytes), or set model.adapter=lora"
        )
    if not torch.cuda.is_available():
        raise RequestError(f"{wanted} a CUDA device, found none. Set model.adapter=lora")


def four_bits(description: Model) -> dict[str, Any]:
    """The options with which from_pretrained loads weights as QLoRA does (Dettmers et al., arXiv 2305.14314).

    Weights are 4-bit NormalFloat, their scales quantised as well; products are taken in ``description.dtype``.
    """
    import torch
    from transformers import BitsAndBytesConfig

    settings = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=getattr(torch, description.dtype),
    )
    return {"quantization_config": settings, "device_map": {"": torch.cuda.current_device()}}


def with_adapter(model: Any, description: Model, seed: int) -> Any:
    """``model`` with an adapter on every linear layer but the head, which alone is trained.

    It is a new one, drawn from ``seed``, or the one of ``adapter_path``. Raises RequestError for a folder whose adapter
    does not fit.
    """
    import torch
    from peft import LoraConfig, PeftModel, get_peft_model, prepare_model_for_kbit_training

    if description.adapter == "qlora":
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    if description.adapter_path is not None:
        try:
            return PeftModel.from_pretrained(model, str(Path(description.adapter_path).expanduser()), is_trainable=True)
        except MemoryError:
            raise
        except Exception as error:  # peft reads a stranger's JSON as it comes
            first = (str(error).strip().splitlines() or [""])[0][:300]
            raise RequestError(
                f"model.adapter_path={description.adapter_path}: must be an adapter of model.path={description.path}, "
                f"found {type(error).__name__}: {first}. Set model.path to the model that the adapter was trained on"
            ) from error
    torch.manual_seed(seed)
    settings = LoraConfig(
        r=description.lora_rank,
        lora_alpha=description.lora_alpha,
        lora_dropout=description.lora_dropout,
        use_dora=description.adapter == "dora",
        fan_in_fan_out=_transposed(model),
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, settings)


def _transposed(model: Any) -> bool:
    """True where linear layers keep their weights as [in, out], as GPT-2's do."""
    from transformers.pytorch_utils import Conv1D

    return any(isinstance(layer, Conv1D) for layer in model.modules())


def merged(model: Any, folder: Path, plain: Any) -> Any:
    """A plain model with the adapter's change in its weights; ``model`` itself keeps its adapter.

    folder: the saved adapter.
    plain: called for the base model in its full type, where ``model`` holds 4-bit weights.
    """
    import copy

    from peft import PeftModel

    if getattr(model, "is_loaded_in_4bit", False):
        # Merging into 4-bit weights would round them a second time.
        return PeftModel.from_pretrained(plain(), str(folder)).merge_and_unload()
    return copy.deepcopy(model).merge_and_unload()
