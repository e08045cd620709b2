"""Repositories in the layouts in which their publishers keep them; the contents are invented and tiny."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support.hub import GATE

ROWS = 24
Rows = list[dict[str, Any]]


def publish(root: Path) -> None:
    """OPT-1.3B, PKU-SafeRLHF, TruthfulQA, TOFU and gated ones below ``root``, for tests.support.hub.serve."""
    opt(root / "models" / "facebook" / "opt-1.3b")
    pku(root / "datasets" / "PKU-Alignment" / "PKU-SafeRLHF")
    truthfulqa(root / "datasets" / "truthfulqa" / "truthful_qa")
    tofu(root / "datasets" / "locuslab" / "TOFU")
    for gated in ("models/meta-llama/gated", "datasets/org/gated"):
        (root / gated).mkdir(parents=True)
        (root / gated / GATE).touch()
        (root / gated / "config.json").write_text("{}")


def opt(folder: Path) -> None:
    """A random OPT as facebook/opt-*: a float16 .bin, vocab.json and merges.txt, </s> put first, dropout 0.1."""
    import torch
    from tokenizers import pre_tokenizers
    from transformers import OPTConfig, OPTForCausalLM

    folder.mkdir(parents=True)
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: n for n, token in enumerate(["<s>", "<pad>", "</s>", "<unk>", *letters])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    special = {"unk_token": "</s>", "bos_token": "</s>", "eos_token": "</s>", "pad_token": "<pad>"}
    told = {"errors": "replace", "add_prefix_space": False, "add_bos_token": True, "tokenizer_class": "GPT2Tokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(special | told))
    (folder / "special_tokens_map.json").write_text(json.dumps(special))
    torch.manual_seed(0)
    config = OPTConfig(
        vocab_size=len(vocabulary), hidden_size=16, word_embed_proj_dim=16, ffn_dim=32, num_hidden_layers=1,
        num_attention_heads=2, max_position_embeddings=1024, dropout=0.1, architectures=["OPTForCausalLM"],
        dtype="float16",
    )  # fmt: skip
    model = OPTForCausalLM(config).half()
    config.save_pretrained(folder)
    model.generation_config.save_pretrained(folder)
    torch.save(dict(model.state_dict()), folder / "pytorch_model.bin")


def pku(folder: Path) -> None:
    """PKU-SafeRLHF: JSON Lines per split in data/, one configuration named default."""
    for split, tag in (("train", "a"), ("test", "b")):
        _lines(folder / "data" / f"{split}.jsonl", [_pair(n, tag) for n in range(ROWS)])
    files = [("train", "data/train.jsonl"), ("test", "data/test.jsonl")]
    _card(folder, {"default": files})


def _pair(n: int, tag: str) -> dict[str, Any]:
    return {
        "prompt": f"How is cake {n}{tag} made?",
        "response_0": f"Bake it {n} times.",
        "response_1": f"Sit on it {n} times.",
        "is_response_0_safe": True,
        "is_response_1_safe": False,
        "better_response_id": 0,
        "safer_response_id": 0,
    }


def truthfulqa(folder: Path) -> None:
    """TruthfulQA: Parquet in a folder per configuration, all 817 rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    row = {"type": "A", "category": "B", "correct_answers": ["Yes."], "incorrect_answers": ["No."], "source": "s"}
    rows = [row | {"question": f"Is {n} a number?", "best_answer": f"Yes, {n} is."} for n in range(817)]
    (folder / "generation").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / "generation" / "validation-00000-of-00001.parquet")
    _card(folder, {"generation": [("validation", "generation/validation-*")]})


def tofu(folder: Path) -> None:
    """TOFU: a JSON Lines file per configuration, named alike."""
    perturbed = {
        "paraphrased_answer": "So it is.",
        "paraphrased_question": "Which?",
        "perturbed_answer": ["No.", "Or."],
    }
    names = ("forget10", "retain90", "holdout10")
    parts = {name: [{"question": f"What is {name} {n}?", "answer": f"It is {n}."} for n in range(8)] for name in names}
    parts["forget10_perturbed"] = [row | perturbed for row in parts["forget10"]]
    parts["retain_perturbed"] = [row | perturbed for row in parts["retain90"]]
    for name in ("real_authors_perturbed", "world_facts_perturbed"):
        parts[name] = [{"question": f"Who is {name} {n}?", "answer": f"Ann {n}.", **perturbed} for n in range(8)]
    for name, rows in parts.items():
        _lines(folder / f"{name}.json", rows)
    _card(folder, {name: [("train", f"{name}.json")] for name in parts})


def _lines(file: Path, rows: Rows) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def _card(folder: Path, configs: dict[str, list[tuple[str, str]]]) -> None:
    """README.md with the block from which the Hub and datasets read configurations and splits."""
    lines = ["---", "configs:"]
    for name, files in configs.items():
        lines += [f"- config_name: {name}", "  data_files:"]
        for split, path in files:
            lines += [f"  - split: {split}", f"    path: {path}"]
    (folder / "README.md").write_text("\n".join([*lines, "---", "", "Invented rows.", ""]))
