"""The settings of the model: its source, its type, its adapter, and the way its starting state is kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Model:
    """The description of a model; ``conf/model/*.yaml`` builds it, models/load_model.py loads it.

    path: a folder, embedded:NAME, or a Hub id.
    dtype: of the weights; always explicit, a checkpoint's own type is never taken silently.
    adapter: "lora" trains low-rank matrices on every linear layer but the head, "dora" a magnitude per row as well
        (arXiv 2402.09353), "qlora" is "lora" over weights kept in 4 bits (CUDA and bitsandbytes).
    adapter_path: a saved adapter to go on with, in place of a new one; its own rank and alpha count then.
    reference: "copy" is a second frozen model, "adapter_off" the same model with its adapter switched off, "cache" the
        states that enter its head at the targets, stored once (run/run_reference.py says where). "auto" takes the
        cheapest that is the starting model; with adapter_path that is not "adapter_off", as the start is not the bare
        model.
    weights: "random" builds the architecture from config.json with fresh, seeded weights.
    template_options: names and values for the tokenizer's chat template, such as {enable_thinking: false}, wherever it
        writes a conversation.

    Raises ValueError.
    """

    path: str
    dtype: Literal["float32", "bfloat16", "float16", "float64"] = "float32"
    revision: str | None = None
    adapter: Literal["none", "lora", "dora", "qlora"] = "none"
    adapter_path: str | None = None
    lora_rank: int = 8
    lora_alpha: int = 16
    lora_dropout: float = 0.0
    reference: Literal["auto", "copy", "adapter_off", "cache"] = "auto"
    weights: Literal["pretrained", "random"] = "pretrained"
    trust_remote_code: bool = False
    attn_implementation: str | None = None
    activation_checkpointing: bool = False
    template_options: dict[str, Any] | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        """Refuse what cannot be, before anything is loaded."""
        if not self.path:
            raise ValueError(
                "model.path must name a folder or a Hub id, found nothing; e.g. model.path=facebook/opt-125m"
            )
        if self.lora_rank < 1:
            raise ValueError(f"model.lora_rank must be >= 1, found {self.lora_rank}")
        if self.lora_alpha < 1:
            raise ValueError(f"model.lora_alpha must be >= 1, found {self.lora_alpha}")
        if not 0 <= self.lora_dropout < 1:
            raise ValueError(f"model.lora_dropout must be in [0, 1), found {self.lora_dropout}")
        if self.reference == "adapter_off" and self.adapter == "none":
            raise ValueError(
                "model.reference=adapter_off needs an adapter; set model.adapter=lora or model.reference=copy"
            )
        if self.adapter_path is not None:
            self._check_continued()
        if self.adapter == "qlora" and self.weights == "random":
            raise ValueError("model.adapter=qlora quantises weights that exist; set model.weights=pretrained")

    def _check_continued(self) -> None:
        if self.adapter == "none":
            raise ValueError(f"model.adapter_path={self.adapter_path} continues an adapter; set model.adapter=lora")
        if self.reference == "adapter_off":
            raise ValueError(
                "model.reference=adapter_off is the bare model, and a run with model.adapter_path starts from "
                "another; set model.reference=copy"
            )
