"""TOFU (Maini et al., arXiv 2401.06121; MIT) on a small real model that has learnt it, beside one that has not.

Both are made by `mollm-finetune` with LoRA, from the same start in the same number of passes, and kept under --out:
the first on the 40 rows of forget01 and 360 of retain90, the oracle on those 360 alone. Then forget01 is forgotten,
with every third of the 360 to retain, until it is as likely as to the oracle; the other two thirds are held out.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.real_fetch import complete
from benchmarks.real_files import spaced, write
from benchmarks.real_models import Shell
from benchmarks.real_task import SETTINGS, Task

RETAINED = 360
"""Rows of retain90, beside the 40 of forget01."""
EPOCHS = 2
BATCH = 8
LOOKED = 20
"""Forget rows that a run reads its probability on, the same as are measured."""
FINETUNE = (
    "data=custom", "data.test_share=0", "data.allow_overlap=true", "data.cache=false", "model.adapter=lora",
    "model.lora_rank=16", "optimizer.lr=2e-3", "optimizer.schedule=cosine", "optimizer.warmup_steps=5", "seed=0",
    f"engine.batch_size={BATCH}", "engine.evaluate_every=null", "engine.checkpoint_every=25", "evaluation.limit=1",
    "evaluation.generate_tokens=1", "evaluation.membership=false",
)  # fmt: skip
FILES = ("forget01", "forget01_perturbed", "retain90", "real_authors", "world_facts")
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Tofu:
    """The rows of the publisher's files: to forget (with other words for it), to retain, and of the world."""

    forget: Sequence[Row]
    paraphrased: Sequence[Row]
    retain: Sequence[Row]
    real_authors: Sequence[Row]
    world_facts: Sequence[Row]

    @classmethod
    def of(cls, folder: Path) -> Tofu:
        """The rows of FILES in ``folder``. Raises FileNotFoundError, json.JSONDecodeError, KeyError."""
        read = {name: _rows(folder / f"{name}.json") for name in FILES}
        others = [{"question": r["question"], "answer": r["paraphrased_answer"]} for r in read["forget01_perturbed"]]
        kept = [[_plain(row) for row in read[name]] for name in ("retain90", "real_authors", "world_facts")]
        return cls([_plain(row) for row in read["forget01"]], others, spaced(kept[0], RETAINED), *kept[1:])

    def write(self, folder: Path, most: int | None) -> None:
        """The files of the task in ``folder``; most: measured rows of a kind that is not forgotten."""
        held, kept = [row for k, row in enumerate(self.retain) if k % 3], self.retain[::3]
        trained = {"learnt": self.retain, "forget": self.forget, "retain": kept}
        measured = {
            "forget": spaced(self.forget, LOOKED), "paraphrased": spaced(self.paraphrased, LOOKED),
            "retain": spaced(kept, most), "retain_test": spaced(held, most),
            "real_authors": spaced(self.real_authors, most), "world_facts": spaced(self.world_facts, most),
        }  # fmt: skip
        for part, files in (("trained", trained), ("measured", measured)):
            for name, rows in files.items():
                write(folder / part / f"{name}.jsonl", [{"prompt": r["question"], "answer": r["answer"]} for r in rows])


def tofu_task(model: Path, source: Path, place: Path, name: str, most: int | None = None) -> tuple[Task, Path]:
    """(forget01 forgotten from ``model`` after it has learnt it, the oracle's folder); makes both where they are not.

    Raises RuntimeError with the last words of a fine-tuning that fails.
    """
    data = (place / "data").resolve()
    rows = Tofu.of(source)
    rows.write(data, most)
    learnt, oracle = (learned(model, data / "trained", place.resolve(), who) for who in ("learnt", "oracle"))
    paths = (f"data.{role}.path={data / 'trained' / role}.jsonl" for role in ("forget", "retain"))
    typed = (*SETTINGS, f"engine.evaluate_limit={LOOKED}", *paths)
    title = f"{model.name} after {len(rows.forget) + len(rows.retain)} rows of TOFU, forget01 forgotten"
    held_out = ("retain_test", "real_authors", "world_facts")
    return Task(name, title, learnt, data, typed, held_out, "retain"), oracle


def learned(model: Path, trained: Path, place: Path, who: str) -> Path:
    """The folder of ``model`` fine-tuned on all rows (``learnt``), or on all but forget01 (``oracle``)."""
    words = finetuning(model, trained, who)
    state = hashlib.sha256(" ".join(words).replace(str(trained), "").replace(str(model), model.name).encode())
    for file in sorted(trained.glob("*.jsonl")):
        state.update(file.read_bytes())
    out = place / "models" / f"{model.name}-{who}-{state.hexdigest()[:12]}"
    if complete(out):
        return out
    run = out.with_suffix(".run")
    said = Shell(Path.cwd(), model.parent).run("finetune", *words, f"run_dir={run}", "resume=auto")
    if said.code != 0:
        raise RuntimeError(f"{said.line}\nended with exit code {said.code}:\n{said.err[-2000:]}")
    (run / "checkpoint").rename(out)
    shutil.rmtree(run)
    return out


def finetuning(model: Path, trained: Path, who: str) -> list[str]:
    """What follows mollm-finetune, but for the directory: both roles have rows, ``train`` says which are read."""
    files = {role: trained / f"{file}.jsonl" for role, file in (("forget", "forget"), ("retain", "learnt"))}
    train = ["forget", "retain"] if who == "learnt" else ["retain"]
    count = sum(len(files[role].read_text(encoding="utf-8").splitlines()) for role in train)
    paths = [f"data.{role}.path={file}" for role, file in files.items()]
    steps = f"engine.max_steps={EPOCHS * count // BATCH}"
    return [f"model.path={model}", *FINETUNE, *paths, f"train=[{','.join(train)}]", steps]


def _rows(path: Path) -> list[Row]:
    text = path.read_text(encoding="utf-8")
    found: list[Row] = json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines()]
    return found


def _plain(row: Row) -> Row:
    return {"question": row["question"], "answer": row["answer"]}
