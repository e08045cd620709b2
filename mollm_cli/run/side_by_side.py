"""The models of a run, asked the same prompts: before and after, and the oracle on request."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mollm_cli.configuration.nodes import construct
from mollm_cli.configuration.targets import TARGET
from mollm_cli.core.errors import RequestError
from mollm_cli.core.read_back import reading_back
from mollm_cli.data.dataset import Dataset
from mollm_cli.data.dialogue import Turn, as_prompt
from mollm_cli.data.encoder import Encoder
from mollm_cli.data.fields import encodable
from mollm_cli.models.model_settings import Model
from mollm_cli.reporting.run_files import Run, read_run

MAX_TOKENS = 64
"""Length of an answer where the run does not say how long it generates."""


@dataclass(frozen=True, slots=True)
class SideBySide:
    """A prompt is put and answered so. template, system: as in data/dataset.py; seed: None is greedy, else drawn."""

    template: str
    system: str | None
    max_tokens: int
    seed: int | None


@dataclass(frozen=True)
class Speaker:
    """One model with its own tokenizer."""

    model: Any
    encoder: Encoder
    asking: SideBySide

    def prompts(self, prompts: Sequence[str]) -> tuple[list[list[int]], list[int]]:
        """The ids that an answer to each starts from, and those that end it.

        Raises RequestError for a prompt that cannot be asked.
        """
        for prompt in prompts:
            if not prompt.strip():
                raise RequestError("a prompt must be a text that is not empty, found nothing; type one")
        turns = [(Turn("user", encodable(prompt, "a prompt")),) for prompt in prompts]
        whole = [as_prompt(each, self.asking.system) for each in turns]
        found, ends = self.encoder.asking(whole, self.asking.template, "the prompt")
        for ids in found:
            self._check_length(ids)
        return found, ends

    def _check_length(self, ids: Sequence[int]) -> None:
        context = getattr(self.model.config, "max_position_embeddings", None)
        if context is not None and len(ids) >= context:
            raise RequestError(
                f"a prompt must leave room for an answer in the model's context of {context} tokens, found {len(ids)} "
                "tokens; shorten it"
            )

    def answers(self, prompts: Sequence[str], batch_size: int) -> list[str]:
        """One answer a prompt, in order. Raises as ``prompts``."""
        from mollm_cli.evaluation.generation import generate

        asking, tokenizer = self.asking, self.encoder.tokenizer
        ids, ends = self.prompts(prompts)
        return generate(self.model, ids, tokenizer, asking.max_tokens, batch_size, ends, asking.seed)


@dataclass(frozen=True)
class Conversation:
    """The speakers by moment (before, after, oracle); None where a model was left out or could not be loaded."""

    speakers: Mapping[str, Speaker | None]

    def check(self, prompts: Sequence[str]) -> None:
        """Raise RequestError where one of ``prompts`` cannot be put to every model."""
        for speaker in self.speakers.values():
            if speaker is not None:
                speaker.prompts(prompts)

    def answers(self, prompts: Sequence[str], batch_size: int = 1) -> list[dict[str, str | None]]:
        """Per prompt what each moment says, None for a model that is not there. Raises as ``check``."""
        said = {
            moment: [None] * len(prompts) if speaker is None else speaker.answers(prompts, batch_size)
            for moment, speaker in self.speakers.items()
        }
        return [dict(zip(said, row, strict=True)) for row in zip(*said.values(), strict=True)]


def open_trial(
    run_dir: Path,
    *,
    after_only: bool = False,
    oracle: bool = False,
    template: str | None = None,
    max_tokens: int | None = None,
    seed: int | None = None,
    device: str = "auto",
    trust_remote_code: bool = False,
) -> Conversation:
    """Load RUN/checkpoint, the run's starting model unless ``after_only``, and the oracle that its config names.

    template, max_tokens: the run's (data.forget, evaluation.generate_tokens) where None. Of a set of plain text the
    prompt is continued as it is. A starting model that cannot be loaded is told on stderr and left out.
    trust_remote_code: the models may run code of their own; what config.yaml says of it does not count, for whoever
    made the run directory wrote that too. Raises RequestError.
    """
    with reading_back(run_dir, "Restore its config.yaml and manifest.json from the run"):
        return _opened(run_dir, after_only, oracle, template, max_tokens, seed, device, trust_remote_code)


def _opened(
    run_dir: Path,
    after_only: bool,
    oracle: bool,
    template: str | None,
    max_tokens: int | None,
    seed: int | None,
    device: str,
    trust_remote_code: bool,
) -> Conversation:
    run = read_run(run_dir)
    _require_checkpoint(run)
    model, forget = _described(run, trust_remote_code)
    said = run.config.get("evaluation", {})
    if oracle and not said.get("oracle"):
        raise RequestError(f"--oracle asks evaluation.oracle of {run.path}/config.yaml, found none; leave --oracle out")
    asking = SideBySide(
        template or ("none" if forget.kind == "text" else forget.template),
        forget.system,
        max_tokens or said.get("generate_tokens") or MAX_TOKENS,
        seed,
    )
    on = _device(device)
    speakers: dict[str, Speaker | None] = {"before": None, "after": _after(run, model, asking, on)}
    if not after_only:
        speakers["before"] = _before(run, model, asking, on)
    if oracle:
        speakers["oracle"] = _speaker(_plain(said["oracle"], model), None, run, asking, on)
    return Conversation(speakers)


def require_run(run_dir: Path) -> None:
    """Raise RequestError where ``run_dir`` is no run with a model of its own; nothing is loaded."""
    _require_checkpoint(read_run(run_dir))


def _require_checkpoint(run: Run) -> None:
    if (run.path / "checkpoint" / "config.json").is_file():
        return
    status = run.manifest.get("status", "unknown")
    raise RequestError(
        f"{run.path} must hold checkpoint/, the model after the run, found none; its status is '{status}'. Name a run "
        "of mollm-unlearn or mollm-finetune that completed, or go on with this one: mollm-unlearn resume=RUN_DIR"
    )


def _described(run: Run, trust_remote_code: bool) -> tuple[Model, Dataset]:
    """The starting model and the forget set of the run's config.yaml, which names no callable but those of its own."""
    data = run.config.get("data")
    model = _constructed(run.config.get("model"), Model, "model")
    forget = _constructed(data.get("forget") if isinstance(data, Mapping) else None, Dataset, "data.forget")
    for key, found, kind in (("model", model, Model), ("data.forget", forget, Dataset)):
        if not isinstance(found, kind):
            raise RequestError(
                f"{run.path}/config.yaml must describe {key}, found {found!r}. Restore the file from the run"
            )
    if model.trust_remote_code and not trust_remote_code:
        raise RequestError(
            f"{run.path}: a run directory must not decide that its models may run code of their own, found "
            "model.trust_remote_code: true in its config.yaml. Read that code, then add --trust-remote-code"
        )
    return dataclasses.replace(model, trust_remote_code=trust_remote_code), forget


def _constructed(node: object, kind: type, key: str) -> Any:
    """``node`` built, where its target is ``kind``; else ``node``."""
    named = node.get(TARGET) if isinstance(node, Mapping) else None
    return construct(node, key) if named == f"{kind.__module__}.{kind.__qualname__}" else node


def _device(wanted: str) -> Any:
    from mollm_cli.engine.device import pick

    try:
        return pick(wanted)
    except RequestError as refused:
        raise RequestError(f"--device {wanted} must be on this machine, found none; leave --device out") from refused


def _plain(path: str, like: Model) -> Model:
    from mollm_cli.run.evidence import plain_model

    return plain_model(path, like)


def _after(run: Run, model: Model, asking: SideBySide, device: Any) -> Speaker:
    written = run.manifest.get("checkpoint", {}).get("files")
    return _speaker(_plain(str(run.path / "checkpoint"), model), written, run, asking, device)


def _before(run: Run, model: Model, asking: SideBySide, device: Any) -> Speaker | None:
    """The model that the run started from: a new adapter changes nothing, one to go on with belongs to it."""
    read = run.manifest.get("model", {})
    start = dataclasses.replace(
        model,
        revision=model.revision or read.get("commit"),
        adapter="none" if model.adapter_path is None else model.adapter,
        reference="auto",
        activation_checkpointing=False,
    )
    try:
        return _speaker(start, read.get("files"), run, asking, device)
    except RequestError as refused:
        print(f"the model before is left out: {refused}", file=sys.stderr)
        return None


def _speaker(description: Model, recorded: object, run: Run, asking: SideBySide, device: Any) -> Speaker:
    """Load one model; say first, for it may run code, where its weights are not those ``recorded`` in the manifest."""
    from mollm_cli.models.load_model import fingerprint, load_model, source

    there = fingerprint(source(description), description.revision) if recorded else []
    if there and recorded != there:
        print(f"warning: the weights of {description.path} are not those in the run's manifest.json", file=sys.stderr)
    loaded = load_model(description, run.config.get("seed", 0))
    if recorded and not there and recorded != loaded.files:  # fetched just now
        print(f"warning: the weights of {description.path} are not those in the run's manifest.json", file=sys.stderr)
    return Speaker(loaded.model.to(device).eval(), Encoder(loaded.tokenizer), asking)
