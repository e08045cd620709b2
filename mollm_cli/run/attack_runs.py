"""Attacks on what a run left behind: models are loaded, tampered with, measured and let go."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from mollm_cli.configuration.request import Request
from mollm_cli.core.doing import doing
from mollm_cli.core.types import Encoded, Result
from mollm_cli.data.batches import Stream
from mollm_cli.data.mixture import Share
from mollm_cli.engine.step import Stepper
from mollm_cli.evaluation.attacks.attack_protocol import (
    PREFIX,
    Attack,
    Bench,
    Finetuning,
    WeightsAttack,
)
from mollm_cli.evaluation.attacks.comparison import ModelComparison
from mollm_cli.evaluation.attacks.outcome import outcome
from mollm_cli.evaluation.attacks.relearning import robustness
from mollm_cli.evaluation.attacks.tampering import Curve, curve
from mollm_cli.evaluation.clock import Clock
from mollm_cli.evaluation.measuring import Evaluation, Scores
from mollm_cli.evaluation.suite import Suite
from mollm_cli.gradients.direction_settings import Direction
from mollm_cli.losses.finetune import finetune as finetune_loss
from mollm_cli.metrics.rouge_l import RougeL
from mollm_cli.models.load_model import LoadedModel
from mollm_cli.models.model_settings import Model
from mollm_cli.models.reference import Reference
from mollm_cli.optimizers.rules import AdamW
from mollm_cli.run.prepare import Prepared
from mollm_cli.solvers.weighted_sum import WeightedSum

UNSEEN, KEPT = "holdout", "retain"


@dataclass(frozen=True, slots=True)
class Attacker:
    """Runs the attacks of a suite on the judged model and on the oracle, one fresh copy from disk each.

    scores: what the models said unattacked, by moment.
    load: a fresh copy from disk, on the device.
    oracle: its description; None where there is none.
    start: the model from before, for attacks that compare; None where there is none.
    after: the model that is judged.
    """

    request: Request
    prepared: Prepared
    device: torch.device
    scores: Mapping[str, Scores]
    clock: Clock
    load: Callable[[Model], LoadedModel]
    oracle: Model | None
    start: Model | None
    after: Model

    @property
    def suite(self) -> Suite:
        """The suite, which says which attacks are made and on how many rows."""
        return self.request.evaluation

    def run(self, found: dict[str, Evaluation]) -> dict[str, dict[str, Any]]:
        """Add every attack's results to the values of ``found`` (by moment) and return the entries for metrics.json."""
        return {attack.name: self._outcome(attack, found) for attack in self.suite.attacks.values()}

    def _outcome(self, attack: Attack, found: dict[str, Evaluation]) -> dict[str, Any]:
        curves: dict[str, list[Any]] = {}
        with doing(f"attack {attack.name.replace('_', ' ')}"), self.clock.measured(f"attack.{attack.name}"):
            for moment, description in self._models().items():
                if attack.kind == "weights":
                    points = self._tampered(attack, description)
                    curves[moment] = [(x, {k: r.value for k, r in point.items()}) for x, point in points]
                    _add(found[moment], attack.name, points[-1][1])
                elif attack.kind == "comparison" and self.start is not None:
                    _add(found[moment], attack.name, self._compared(attack, self.start, description))
        if getattr(attack, "x", None) == "step":
            _add_robustness(found, attack.name, curves)
        return outcome(attack, found, self.suite.margin, getattr(attack, "x", None), curves)

    def _models(self) -> dict[str, Model]:
        return {"after": self.after} | ({} if self.oracle is None else {"oracle": self.oracle})

    def _tampered(self, attack: WeightsAttack, description: Model) -> Curve:
        prepared, device = self.prepared, self.device
        loaded = self.load(description)
        pad_id = prepared.pad_id
        bench = Bench(prepared.encoded, finetuning(pad_id, device, self.request.seed))
        others = {name: self._few(prepared.encoded[name]) for name in (KEPT, UNSEEN) if name in prepared.encoded}
        forget = prepared.encoded["forget"]
        measured = self._few(attack.measured(forget))
        size = self.suite.batch_size
        return curve(attack, loaded.model, bench, measured, others, pad_id, size, device)

    def _few(self, rows: Sequence[Encoded]) -> Sequence[Encoded]:
        """At most ``attack_limit`` rows, evenly spaced."""
        most = self.suite.attack_limit
        return rows if most is None or len(rows) <= most else [rows[i * len(rows) // most] for i in range(most)]

    def _compared(self, attack: ModelComparison, start: Model, description: Model) -> dict[str, Result]:
        """ROUGE-L of what comes out where both models are at hand; on rows never seen too."""
        from dataclasses import replace

        from mollm_cli.data.encoder import Encoder

        before, after = self.load(start), self.load(description)
        encoder, scores = Encoder(after.tokenizer), self.scores["after"]
        results: dict[str, Result] = {}
        for name, key in (("forget", "rouge_l"), (UNSEEN, f"{UNSEEN}_rouge_l")):
            scored = [s for s in scores.get(name, [])[: self.suite.attack_limit] if s.example.prompt]
            if not scored:
                continue
            template = self.prepared.loaded[name].dataset.template
            asked, hoped = [s.example.prompt for s in scored], [s.example.answer for s in scored]
            prompts, ends = encoder.asking(asked, template, f"data.{name}", hoped)
            most, size = self.suite.generate_tokens, self.suite.batch_size
            texts = attack.answers(before.model, after.model, prompts, after.tokenizer, ends, most, size)
            said = [replace(s, generation=text) for s, text in zip(scored, texts, strict=True)]
            results[key] = RougeL().compute(said, None)
        return results


def _add(evaluation: Evaluation, name: str, results: dict[str, Result]) -> None:
    for key, result in results.items():
        evaluation.add(f"{PREFIX}{name}_{key}", result)


def _add_robustness(found: dict[str, Evaluation], name: str, curves: dict[str, list[Any]]) -> None:
    """The slowness of relearning against the oracle's (arXiv 2506.12618), beside the attacked probability."""
    ends = {moment: (points[0][1]["probability"], points[-1][1]["probability"]) for moment, points in curves.items()}
    if "oracle" not in ends or any(value is None for pair in ends.values() for value in pair):
        return
    gains = {moment: end - start for moment, (start, end) in ends.items()}
    details = found["after"].details.setdefault(f"{PREFIX}{name}_probability", {})
    details["robustness"] = robustness(gains["oracle"], gains["after"])


def finetuning(
    pad_id: int, device: torch.device, seed: int
) -> Callable[[Any, Sequence[Encoded], Finetuning], Iterator[int]]:
    """The shared engine as an attacker's tool: cross-entropy with AdamW at a constant rate."""

    def finetune(model: Any, rows: Sequence[Encoded], plan: Finetuning) -> Iterator[int]:
        parameters = [p for p in model.parameters() if p.requires_grad]
        optimizer = AdamW(lr=plan.learning_rate, update="auto").build(parameters)
        stepper = Stepper(
            model,
            Reference(model, "none"),
            finetune_loss(),
            WeightedSum(),
            Direction(forget_target=None),
            optimizer,
            target=None,
            clip_norm=1.0,
            bf16=False,
        )
        stream = Stream(list(rows), plan.batch_size, seed, pad_id, shares=[Share(len(rows), 1.0)])
        for step in range(1, plan.steps + 1):
            batches = {"retain": [batch.to(device) for batch in stream.batches(step - 1, None)]}
            stepper(batches, plan.learning_rate, record=False)
            if step % plan.every == 0 or step == plan.steps:
                yield step

    return finetune
