"""The commands that run something: what each is called, what it composes, and what its help shows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Command:
    """One console script. config: the primary YAML of conf/. groups: what its defaults list chooses from.

    examples: (command line without the program's name, what it does).
    """

    name: str
    about: str
    config: str
    groups: tuple[str, ...]
    examples: tuple[tuple[str, str], ...]

    @property
    def program(self) -> str:
        """The console script's name."""
        return f"mollm-{self.name}"


_MEASURED = ("metric", "attack", "judge", "harness")
_JUDGED = ("model", "data", "dataset", "evaluation", *_MEASURED, "experiment")
_TRAINED = ("model", "data", "dataset", "optimizer", "engine", "evaluation", *_MEASURED, "tracker", "experiment")

UNLEARN = Command(
    "unlearn",
    "Move a language model away from a forget set while it stays where it was on a retain set.",
    "config",
    ("model", "data", "dataset", "loss", "solver", "direction", *_TRAINED[3:], "sweep"),
    (
        ("", "the embedded model forgets the embedded authors, offline, in about a minute"),
        ("model=opt-1.3b data=pku-harmful", "a real model forgets harmful answers"),
        ("loss=ga_kl engine.max_steps=60 optimizer.lr=3e-5", "another loss, other settings"),
        ("data=custom data.forget.path=forget.jsonl data.retain.path=retain.jsonl", "two files of yours"),
        ("-m loss=ga,ga_kl,mollm seed=0,1,2", "nine runs and one summary"),
    ),
)
FINETUNE = Command(
    "finetune",
    "Fine-tune a language model with the same engine: the model that has learnt a dataset, or the oracle.",
    "finetune",
    _TRAINED,
    (
        ("data=tofu", "a model that knows the forget and the retain rows"),
        ("data=tofu 'train=[retain]'", "the oracle: it never saw the forget rows"),
        ("model.path=facebook/opt-125m data=tofu", "any Hub id or folder"),
        ("model.adapter=lora engine.max_steps=500", "low-rank matrices only"),
        ("resume=auto run_dir=outputs/learnt data=tofu", "starts, goes on, or is done: for Slurm and loops"),
    ),
)
EVALUATE = Command(
    "evaluate",
    "Judge a model as it is: every metric on forget and retain rows, beside the oracle where one is given.",
    "evaluate",
    _JUDGED,
    (
        ("", "the embedded model on the embedded authors"),
        ("model.path=RUN/checkpoint data=tofu", "what a run left behind"),
        ("model.path=RUN/checkpoint evaluation.oracle=ORACLE/checkpoint", "with the oracle beside it"),
        ("model=opt-125m data=pku-harmful data.forget.limit=64", "on the first rows only"),
        ("'gates=[\"forget_probability<=0.6\"]'", "exit code 3 where the gate fails"),
    ),
)
COMMANDS = {command.name: command for command in (UNLEARN, FINETUNE, EVALUATE)}
