"""The embedded model's architecture: a Llama small enough to ship and to train in minutes on two cores.

``python -m embedded.architecture --out DIR`` writes config.json beside the tokenizer that is already there.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any


def architecture(vocabulary: int, end_id: int, pad_id: int) -> dict[str, Any]:
    """config.json of a Llama with 4 layers of width 128 and tied embeddings: about 1.06 M parameters at V = 2,000."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": vocabulary,
        "hidden_size": 128,
        "intermediate_size": 352,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "max_position_embeddings": 256,
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "eos_token_id": end_id,
        "pad_token_id": pad_id,
    }


def main() -> None:
    """Write config.json into --out."""
    from transformers import AutoTokenizer

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the folder with the tokenizer")
    out = parser.parse_args().out
    tokenizer = AutoTokenizer.from_pretrained(out)
    config = architecture(len(tokenizer), tokenizer.eos_token_id, tokenizer.pad_token_id)
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")


if __name__ == "__main__":
    main()
