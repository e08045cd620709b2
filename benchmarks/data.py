"""Padding and speed with and without bucketing: `python -m benchmarks.data [--steps 40]`.

The rows of TOFU (forget10) and PKU-SafeRLHF (800 prompts, both answers) in ../shared, tokenized by TinyStories-656K,
in the batches of a training stream: shuffled and padded, the same in micro-batches, and by length. Measured are the
share of padding over an epoch, and the tokens per second (padding does not count) of forward and backward of a random
Llama. Rounds are interleaved, medians reported.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import machine
from benchmarks.report import write
from mollm_cli.core.types import Batch, Encoded
from mollm_cli.data.batches import Stream
from mollm_cli.data.dataset import Dataset
from mollm_cli.data.encoder import Encoder
from mollm_cli.data.encoding import encode_all
from mollm_cli.data.load_dataset import load
from mollm_cli.launch.provenance import git_commit

SHARED = Path(__file__).parents[2] / "shared"
TOKENIZER = SHARED / "models" / "TinyStories-656K"
BATCH_SIZE = 16
PKU = [{"answer": f"response_{i}", "safe": f"is_response_{i}_safe"} for i in (0, 1)]
SETS = {
    "TOFU": Dataset(
        "tofu", path=str(SHARED / "data/tofu/forget10.json"), prompt_field="question", answer_field="answer"
    ),
    "PKU": Dataset(
        "pku",
        path=str(SHARED / "data/pku_saferlhf/pku_reconstructed_800.jsonl"),
        prompt_field="prompt",
        answer_field="answer",
        variants=PKU,
        max_tokens=512,
        content="harmful",
    ),
}


@dataclass(frozen=True, slots=True)
class Way:
    """One way to make batches."""

    name: str
    bucket: bool
    micro_batch: int | None = None


WAYS = (
    Way("padded", False),
    Way("padded, micro 4", False, 4),
    Way("bucketed", True),
    Way("bucketed, micro 4", True, 4),
)


def tokens(batches: Sequence[Batch]) -> tuple[int, int]:
    """(positions that hold a token, all positions) of ``batches``."""
    return sum(int(b.attention_mask.sum()) for b in batches), sum(b.input_ids.numel() for b in batches)


def padding_share(stream: Stream, micro_batch: int | None) -> float:
    """The padded positions of one epoch as a share of all."""
    steps = -(-len(stream.encoded) // stream.batch_size)
    counts = [tokens(stream.batches(step, micro_batch)) for step in range(steps)]
    return 1 - sum(real for real, _ in counts) / sum(whole for _, whole in counts)


def model(vocabulary: int) -> Any:
    """A random Llama of a few million parameters, large enough that the matrices are what takes the time."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    shape = {"hidden_size": 256, "intermediate_size": 688, "num_hidden_layers": 4, "num_attention_heads": 4}
    return LlamaForCausalLM(LlamaConfig(vocab_size=vocabulary, max_position_embeddings=512, **shape))


def step_seconds(network: Any, batches: Sequence[Batch], device: str) -> float:
    """Forward and backward of one step."""
    began = time.perf_counter()
    for batch in batches:
        moved = batch.to(torch.device(device))
        network(input_ids=moved.input_ids, attention_mask=moved.attention_mask, labels=moved.labels).loss.backward()
    network.zero_grad(set_to_none=True)
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - began


def measure(name: str, rows: list[Encoded], pad_id: int, network: Any, steps: int, device: str) -> list[dict[str, Any]]:
    """One row of the table per way."""
    streams = {way: Stream(rows, BATCH_SIZE, 0, pad_id, bucket=way.bucket) for way in WAYS}
    spent: dict[Way, list[float]] = {way: [] for way in WAYS}
    real = dict.fromkeys(WAYS, 0)
    for step in range(-1, steps):  # the first one warms up
        for way, stream in streams.items():
            batches = stream.batches(max(step, 0), way.micro_batch)
            seconds = step_seconds(network, batches, device)
            if step >= 0:
                spent[way].append(seconds)
                real[way] += tokens(batches)[0]
    return [
        {
            "name": f"{name}, {way.name}",
            "rows": len(rows),
            "padding_share": padding_share(streams[way], way.micro_batch),
            "tokens_per_second": real[way] / sum(spent[way]),
            "median_seconds": statistics.median(spent[way]),
        }
        for way in WAYS
    ]


def show(result: dict[str, Any]) -> None:
    """Print the table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"Batches of {BATCH_SIZE} rows, {result['steps']} steps", title_justify="left")
    for heading in ("batches", "rows", "padding", "tokens/s", "of padded"):
        table.add_column(heading, justify="left" if heading == "batches" else "right")
    for row in result["rows"]:
        base = row["name"].split(",")[0] + ", padded"
        ratio = result["ratios"].get(f"{row['name']}/{base}", 1.0)
        shown = [str(row["rows"]), f"{row['padding_share']:.1%}", f"{row['tokens_per_second']:.0f}", f"{ratio:.2f}"]
        table.add_row(row["name"], *shown)
    Console(width=100).print(table)


def main(given: Sequence[str] | None = None) -> None:
    """Measure, print the table, write outputs/bench/data.json."""
    from transformers import AutoTokenizer

    parser = argparse.ArgumentParser(prog="python -m benchmarks.data", description=__doc__)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path("outputs/bench/data.json"))
    chosen = parser.parse_args(given)
    if not TOKENIZER.is_dir():
        parser.exit(0, f"skipped: the real rows and the tokenizer are not at {SHARED}\n")
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(TOKENIZER)
    network = model(len(tokenizer)).to(chosen.device)
    rows = []
    for name, dataset in SETS.items():
        encoded = encode_all(load(dataset, "forget"), "forget", tokenizer)
        rows += measure(name, encoded, Encoder(tokenizer).pad_id, network, chosen.steps, chosen.device)
    speed = {row["name"]: row["tokens_per_second"] for row in rows}
    ratios = {
        f"{name}, {way.name}/{name}, padded": speed[f"{name}, {way.name}"] / speed[f"{name}, padded"]
        for name in SETS
        for way in WAYS[1:]
    }
    result = {
        "machine": machine(chosen.device),
        "commit": git_commit(),
        "steps": chosen.steps,
        "rows": rows,
        "ratios": ratios,
    }
    show(result)
    write(result, chosen.out)


if __name__ == "__main__":
    main()
