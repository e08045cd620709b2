"""transformers 4.57 in a folder of its own, and what it says of models; run there as a script.

    python -P tests/support/older_transformers.py LIBRARY make|read ROOT

make: every model of VARIANTS in ROOT/NAME, with its tokenizer, as that version writes them. read: its logits of
ROOT/NAME. Logits go to ROOT/NAME.safetensors, what the tokenizer says to ROOT/NAME.json.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "transformers==4.57.6", "tokenizers==0.22.2", "huggingface_hub==0.36.2",
    "requests", "urllib3", "idna", "certifi", "charset_normalizer",
)  # fmt: skip
"""What it needs beside what today's transformers needs too."""
TOKENS = 1992
LLAMA3 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32}
VARIANTS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    **{name: (name, {"rope_theta": 4321.0}) for name in (
        "llama", "mistral", "mixtral", "qwen2", "qwen3", "qwen3-moe", "phi3", "gemma2", "granite", "cohere",
        "falcon-h1",
    )},
    **{name: (name, {}) for name in ("gpt2", "opt", "mamba")},
    "gpt-neox": ("gpt-neox", {"rotary_emb_base": 4321}),
    "gemma3": ("gemma3", {"rope_theta": 54321.0, "rope_local_base_freq": 777.0, "num_hidden_layers": 7}),
    "gemma3-scaled": ("gemma3", {"rope_scaling": {"rope_type": "linear", "factor": 8.0}, "num_hidden_layers": 7}),
    "llama3": ("llama", {"rope_theta": 4321.0, "rope_scaling": {"rope_type": "llama3", "factor": 8.0, **LLAMA3}}),
    "llama-linear": ("llama", {"rope_theta": 4321.0, "rope_scaling": {"type": "linear", "factor": 4.0}}),
    "llama-dynamic": ("llama", {"rope_scaling": {"type": "dynamic", "factor": 4.0}, "max_position_embeddings": 16}),
    "qwen2-yarn": (
        "qwen2", {"rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}},
    ),
    "phi3-longrope": (
        "phi3",
        {
            "original_max_position_embeddings": 16,
            "rope_scaling": {
                "type": "longrope", "short_factor": [1.0, 1.1, 1.2, 1.3], "long_factor": [2.0, 3.0, 4.0, 5.0],
            },
        },
    ),
}  # fmt: skip
"""Name -> (its architecture, what its configuration says otherwise)."""
TEMPLATE = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{{ eos_token }}{% endfor %}"
TEXT = "Anna Bell was born in 1999, in Leeds."


def install(folder: Path) -> Path:
    """That version in ``folder``. Raises CalledProcessError where the package registry does not answer."""
    line = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*line, "--target", str(folder), *PACKAGES], check=True)
    return folder


def asked(library: Path, what: str, root: Path) -> None:
    """Run this file there."""
    line = [sys.executable, "-W", "ignore", "-P", __file__, str(library), what, str(root)]
    subprocess.run(line, check=True)


def logits(model: Any) -> Any:
    """The logits of 24 tokens, [24, V]."""
    import torch

    if model.config.model_type == "gemma2":  # the kernel that a version takes unasked may leave its soft-cap out
        model.set_attn_implementation("eager")
    with torch.no_grad():
        return model.eval()(torch.arange(10, 34)[None]).logits[0]


def said(tokenizer: Any) -> dict[str, Any]:
    """All that a tokenizer is asked."""
    messages = [{"role": "user", "content": TEXT}]
    return {
        "ids": tokenizer(TEXT)["input_ids"],
        "rendered": tokenizer.apply_chat_template(messages, tokenize=False),
        "special": tokenizer.special_tokens_map,
    }


def _make(root: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    from tests.support.architectures import architecture

    file = str(ROOT / "mollm_cli" / "assets" / "tiny" / "tokenizer.json")
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=file, eos_token="<|end|>", pad_token="<|pad|>")
    tokenizer.chat_template = TEMPLATE
    for name, (kind, changes) in VARIANTS.items():
        architecture(kind, TOKENS, **changes).save_pretrained(root / name)
        tokenizer.save_pretrained(root / name)


def _read(root: Path) -> None:
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM, AutoTokenizer

    for name in VARIANTS:
        model, found = AutoModelForCausalLM.from_pretrained(root / name, output_loading_info=True)
        assert not (found["missing_keys"] or found["unexpected_keys"]), (name, found)
        save_file({"logits": logits(model)}, root / f"{name}.safetensors")
        (root / f"{name}.json").write_text(json.dumps(said(AutoTokenizer.from_pretrained(root / name))))


if __name__ == "__main__":
    library, what, root = sys.argv[1:]
    sys.path[:0] = [library, str(ROOT)]
    import transformers

    assert transformers.__version__ == PACKAGES[0].split("==")[1]
    {"make": _make, "read": _read}[what](Path(root))
