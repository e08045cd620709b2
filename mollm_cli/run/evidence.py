"""The evidence of a run: the scores of its models, moment by moment, and metrics.json and samples.jsonl."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from mollm_cli.configuration.request import Request, TrainRequest
from mollm_cli.core.atomic import whole, write_text
from mollm_cli.core.doing import doing
from mollm_cli.core.errors import GateError
from mollm_cli.core.manifest import Manifest
from mollm_cli.core.world import ALONE, World, after_first
from mollm_cli.data.load_dataset import Loaded
from mollm_cli.data.token_cache import tokenizer_fingerprint
from mollm_cli.evaluation.clock import Clock
from mollm_cli.evaluation.drift import Drift
from mollm_cli.evaluation.harness import harness_results
from mollm_cli.evaluation.judging import judged, with_fluency
from mollm_cli.evaluation.measuring import Evaluation, Scores, compute, measured, passes, score_sets
from mollm_cli.evaluation.metric_plan import needs_by_set
from mollm_cli.evaluation.records import metrics_record, mixed_into_retain, sample_rows
from mollm_cli.evaluation.score_store import ScoreStore, forget_scores
from mollm_cli.evaluation.suite import decoding
from mollm_cli.evaluation.verdict import sides, yardstick
from mollm_cli.evaluation.work_sharing import WorkSharing
from mollm_cli.metrics.probability import answer_probability
from mollm_cli.models.load_model import LoadedModel, fingerprint, load_model, source
from mollm_cli.models.model_settings import Model
from mollm_cli.models.own_ends import name_ends
from mollm_cli.models.sharding import shard
from mollm_cli.reporting.console import Summary, stderr_console
from mollm_cli.reporting.descent_record import descent_summary
from mollm_cli.reporting.gate_reports import GateTable
from mollm_cli.reporting.model_card import write_model_card
from mollm_cli.reporting.run_files import read_run
from mollm_cli.run.attack_runs import Attacker
from mollm_cli.run.nothing_to_forget import OF, Standing
from mollm_cli.run.prepare import Prepared, check_context
from mollm_cli.run.remembered import Remembered

MOMENTS = {"before": "before", "after": "after", "oracle": "the oracle", "start": "the starting model"}
SCORES = Path("resume") / "scores"
"""The folder in which a run keeps its scores until it has ended."""


def plain_model(path: str, like: Model) -> Model:
    """The description of a model folder without adapter or reference: what is only evaluated."""
    return dataclasses.replace(
        like,
        path=path,
        revision=None,
        adapter="none",
        adapter_path=None,
        reference="auto",
        weights="pretrained",
        activation_checkpointing=False,
    )


@dataclass(frozen=True, slots=True)
class Evidence:
    """Scores by moment (before, after, oracle) as they are taken; ``record`` turns them into metrics.json.

    start: the model from before, where a finished one is evaluated; it is asked only what the attacks ask. Of several
    processes each has all scores and computes all metrics; the first writes.
    """

    request: Request
    prepared: Prepared
    run_dir: Path
    device: torch.device
    manifest: Manifest
    world: World = ALONE
    scores: dict[str, Scores] = field(default_factory=dict)
    clock: Clock = field(default_factory=Clock)

    @property
    def oracle(self) -> Model | None:
        """The oracle's description, None where none was named."""
        path = self.request.evaluation.oracle
        return None if path is None else plain_model(path, self.request.model)

    @property
    def sharded(self) -> bool:
        """True if models lie in shards, one per process."""
        training = isinstance(self.request, TrainRequest) and self.request.engine.parallel == "fsdp"
        return self.world.size > 1 and training

    @property
    def sharing(self) -> WorkSharing:
        """The share of the evaluation that each process takes."""
        return WorkSharing(self.world, together=self.sharded)

    @property
    def forgetting(self) -> dict[str, float]:
        """The forget probability by moment, as far as models were scored; without moments that have no such rows."""
        rows = {moment: scores.get("forget", ()) for moment, scores in self.scores.items()}
        return {moment: fmean(map(answer_probability, scored)) for moment, scored in rows.items() if scored}

    def place(self, model: Any) -> None:
        """Bring ``model`` to where it computes: the device, or one shard of it."""
        if self.sharded:
            shard(model, self.world)
        else:
            model.to(self.device)

    def score(self, moment: str, loaded: LoadedModel) -> None:
        """Score every set with a model that is loaded, with its own tokenizer."""
        suite, sets = self.request.evaluation, self._sets(moment)
        settings = {"files": loaded.files, "seed": self.request.seed, "model": dataclasses.asdict(loaded.description)}
        settings |= {"tokenizer": tokenizer_fingerprint(loaded.tokenizer)}
        settings |= {"metrics": sorted(measured(suite, sets, self.oracle is not None)), "decoding": decoding(suite)}
        store = ScoreStore(self.run_dir / SCORES / moment, settings, sets, suite.keep_text, self.world)
        has_oracle = self.oracle is not None
        with doing(f"measuring {MOMENTS[moment]}", passes(sets, suite, has_oracle)):
            self.scores[moment] = score_sets(
                loaded.model, loaded.tokenizer, sets, suite, has_oracle, self.clock, store, self.sharing
            )

    def _sets(self, moment: str) -> dict[str, Loaded]:
        return dict(self.prepared.attacked) if moment == "start" else self.prepared.sets

    def score_folder(self, moment: str, description: Model, start: Remembered | None = None) -> Drift | None:
        """Load a model, score it, and let it go; returns its drift from ``start``, where that is remembered."""
        loaded = self.load(description, whole=False)
        self.score(moment, loaded)
        if start is None:
            return None
        with self.clock.measured("drift"):
            return start.against(loaded.model)

    def remember(self, model: Any) -> Remembered | None:
        """The memory of the starting ``model``, which has been scored; None where nobody asks."""
        suite, sets = self.request.evaluation, self.prepared.sets
        if not self.unlearning or not suite.kept_rows:
            return None
        unseen, _ = sides(self.scores["before"], suite, mixed_into_retain(sets))
        with self.clock.measured("drift"):
            return Remembered.of(model, self.prepared, suite, unseen)

    @property
    def unlearning(self) -> bool:
        """True where a model is moved away from forget rows."""
        return isinstance(self.request, TrainRequest) and "forget" in self.request.loss.roles

    def score_oracle(self) -> None:
        """Score the oracle, where there is one."""
        if self.oracle is not None:
            self.manifest.set(oracle={"path": self.oracle.path, "files": fingerprint(source(self.oracle))})
            self.score_folder("oracle", self.oracle)

    def load(self, description: Model, whole: bool = True) -> LoadedModel:
        """A model on the run's device, once its context is known to hold the rows.

        whole: also where models lie in shards, for what changes weights or reads them by itself.
        """
        with after_first(self.world), doing("loading the model"):
            loaded = load_model(description, self.request.seed)
        check_context(self.prepared, loaded.model, description.path)
        if whole:
            loaded.model.to(self.device)
        else:
            self.place(loaded.model)
        return loaded

    def record(self, start: Model | None, after: Model, drift: Drift | None = None) -> dict[str, Any]:
        """Judge what was said, compute, attack, write metrics.json and samples.jsonl; returns the former's content.

        start: the model from before, for fluency and for the attack that compares; after: the one that is judged;
        drift: how far that has moved from its start.
        """
        suite, oracle = self.request.evaluation, self.scores.get("oracle")
        self._read_generations(start)
        with doing("computing the metrics"):
            found = {m: compute(s, self._sets(m), suite, oracle, self.clock) for m, s in self.scores.items()}
        attacker = Attacker(
            self.request, self.prepared, self.device, self.scores, self.clock, self.load, self.oracle, start, after
        )
        attacks = attacker.run(found)
        if suite.harness is not None:
            for moment, description in {"before": start, "after": after, "oracle": self.oracle}.items():
                if moment in found and description is not None:
                    self._ask_harness(found[moment], description)
        self.manifest.set(evaluation_seconds={k: round(v, 3) for k, v in self.clock.seconds.items()})
        return self._write(found, attacks, drift)

    def _ask_harness(self, evaluation: Evaluation, description: Model) -> None:
        loaded = self.load(description)
        name_ends(loaded.model, self.prepared.ends)  # the harness generates as the model's own settings say
        with self.clock.measured("lm_eval"):
            evaluation.values.update(harness_results(loaded.model, loaded.tokenizer, self.request.evaluation.harness))

    def _read_generations(self, start: Model | None) -> None:
        """Give the generations of every moment to the judges, and to the starting model for their fluency."""
        suite, sets = self.request.evaluation, self.prepared.sets
        needs = needs_by_set(measured(suite, sets, self.oracle is not None), suite.rows(sets))
        wanted = set().union(*needs.values()) if needs else set()
        if "judged" in wanted and suite.judges:
            for moment, scores in self.scores.items():
                self.scores[moment] = judged(scores, sets, suite, self.device, self.clock)
        if "fluency" in wanted and start is not None:
            loaded = self.load(start, whole=False)
            for moment, scores in self.scores.items():
                self.scores[moment] = with_fluency(
                    scores, sets, suite, loaded.model, loaded.tokenizer, self.clock, self.sharing
                )

    def _write(
        self, found: dict[str, Evaluation], attacks: dict[str, dict[str, Any]], drift: Drift | None
    ) -> dict[str, Any]:
        """Rank 0's results, as written; every process gets them, and holds its gates against the same numbers."""
        record = self._written(found, attacks, drift) if self.world.first else None
        written: dict[str, Any] = self.world.from_first(record)
        return written

    def _nothing(self, before: Evaluation | None, oracle: Evaluation | None) -> dict[str, Any] | None:
        """The state of the forget rows before the first step of an unlearning with nothing to forget; else None."""
        if not self.unlearning or before is None:
            return None
        name, target = yardstick(before, oracle)
        now = before.values.get("forget_probability")
        noted: dict[str, Any] | None = self.manifest.facts.get("nothing_to_forget")
        if noted is not None or now is None or target is None:
            return noted
        found = Standing(now, target, OF[name])
        return dataclasses.asdict(found) if found.nothing else None

    def _written(
        self, found: dict[str, Evaluation], attacks: dict[str, dict[str, Any]], drift: Drift | None
    ) -> dict[str, Any]:
        before, after, oracle = found.get("before"), found["after"], found.get("oracle")
        suite, sets = self.request.evaluation, self.prepared.sets
        run = read_run(self.run_dir)
        nothing = self._nothing(before, oracle)
        record = metrics_record(before, after, oracle, suite, sets, attacks, nothing, drift)
        record["descent"] = descent_summary(run.steps, run.objectives)
        write_text(self.run_dir / "metrics.json", json.dumps(record, indent=2) + "\n")
        with whole(self.run_dir / "samples.jsonl") as temporary, temporary.open("w") as file:
            for row in sample_rows(before, after, oracle, sets, suite.keep_text):
                file.write(json.dumps(row) + "\n")
        forget_scores(self.run_dir / SCORES)
        return record


def publish(run_dir: Path, record: dict[str, Any], checkpoint: Path | None) -> None:
    """The model card, and the table on the terminal."""
    if checkpoint is not None:
        write_model_card(run_dir, checkpoint)
    stderr_console().print(Summary(record))


def hold_gates(request: Request, record: dict[str, Any], manifest: Manifest) -> None:
    """Check every gate, tell which held, and raise GateError where one did not."""
    results = [gate.check(record) for gate in request.gates]
    manifest.set(gates=[dataclasses.asdict(result) for result in results])
    if results:
        stderr_console().print(GateTable(manifest.facts["gates"]))
    failed = [result.gate for result in results if not result.held]
    if failed:
        raise GateError(f"{len(failed)} of {len(results)} gates failed: {'; '.join(failed)}")
