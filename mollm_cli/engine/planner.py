"""The memory plan of a run: what its phases hold at their peak, predicted from the configuration alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from mollm_cli.core.errors import RequestError
from mollm_cli.core.types import Role
from mollm_cli.engine import memory
from mollm_cli.engine.facts import Facts, Shape
from mollm_cli.engine.rehearsed_step import rehearsed_scoring, rehearsed_step
from mollm_cli.engine.shares import gathered_bytes, part, reduced_bytes
from mollm_cli.engine.terms import Phase, Term
from mollm_cli.engine.traffic import traffic
from mollm_cli.models.blueprint import blueprint, quantised
from mollm_cli.models.head import vocabulary_size
from mollm_cli.models.trainable import restrict

KEPT = 3
"""Weights of evaluations that lie in resume/ at a time where engine.keep chooses among them."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Phases in the order of a run; host: what lies in main memory beside a card; disk: what is written.

    traffic: what each process sends to the others in a step.
    """

    phases: tuple[Phase, ...]
    host: tuple[Term, ...]
    disk: tuple[Term, ...]
    parameters: int
    trained: int
    traffic: tuple[Term, ...] = ()

    @property
    def peak(self) -> Phase:
        """The phase that holds the most."""
        return max(self.phases, key=lambda phase: phase.size)


def plan(facts: Facts) -> Plan:
    """The plan of one run.

    Raises RequestError for a loss that does not fit the model, and for a model whose own code cannot run without
    values.
    """
    try:
        parts = _Parts(facts)
        phases = (*parts.training(), parts.evaluation(), *parts.saving())
    except (RequestError, MemoryError):
        raise
    except Exception as error:
        first = (str(error).strip().splitlines() or ["no message"])[0][:200]
        raise RequestError(
            f"model.path={facts.model.path}: to plan a run its code must work on tensors without values, found "
            f"{type(error).__name__}: {first}. Run without --plan"
        ) from error
    parameters = sum(p.numel() for p in parts.model.parameters())
    count = sum(p.numel() for p in parts.trained)
    return Plan(phases, parts.host(), parts.disk(), parameters, count, traffic(facts, parts.model))


def least_bytes(facts: Facts) -> int:
    """What a step holds at the very least: weights, optimizer state and one gradient. Cheap, nothing is rehearsed."""
    parts = _Parts(facts)
    state = 0 if parts.paged else part(parts.state, facts.shards)
    return parts.weights.size + state + part(memory.tensor_bytes(parts.trained), facts.shards)


class _Parts:
    """The terms of one plan."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self._scored: int | None = None
        self.model = model = blueprint(facts.model, facts.config, facts.model.activation_checkpointing)
        restrict(model, facts.loss)
        self.trained = trained = [p for p in model.parameters() if p.requires_grad]
        packed = quantised(model) if facts.model.adapter == "qlora" else []
        size, cut = memory.weights_bytes(model, packed), facts.shards
        said = facts.model.dtype if cut == 1 else f"{facts.model.dtype}, 1 of {cut} shards"
        self.weights = Term("weights", part(size, cut), said)
        self.state = memory.optimizer_bytes(facts.optimizer, trained)
        self.paged = memory.paged(facts.optimizer) and facts.device == "cuda"

    def training(self) -> tuple[Phase, Phase]:
        """An optimizer step on the largest batches, its record and the guard's correction included, and a look."""
        facts = self.facts
        reference, ledger = rehearsed_step(facts, self.model)
        count = sum(p.numel() for p in self.trained)
        found = {use: ledger.at_peak.get(use, 0) for use in ("gradients", "logits", "activations")}
        cut, twin = facts.shards, facts.reference == "copy"
        copies = found["gradients"] / max(1, part(memory.tensor_bytes(self.trained), cut))
        state = 0 if self.paged else part(self.state, cut)
        held = [
            self.weights,
            Term("optimizer state", state, type(facts.optimizer).__name__),
            Term("reference", part(reference, cut) if twin else reference, facts.reference),
            *self._gathered(twin),
        ]
        own = [
            Term("gradients", found["gradients"], f"rows, direction, guard: {copies:.1f} x {count:,} trained"),
            Term("logits", found["logits"], f"of {vocabulary_size(self.model):,} tokens"),
            Term("activations", found["activations"], _said(facts.shapes)),
        ]
        if facts.shards > 1:
            own.append(Term("reduction", reduced_bytes(self.model), f"of a gradient, over {facts.shards}"))
        return self._phase("step", [*held, *own]), self._phase("progress evaluation", [*held, self._scoring()])

    def evaluation(self) -> Phase:
        """Answers of ``Asking.models`` models, in batches; none of it is kept."""
        facts, asking = self.facts, self.facts.asking
        weights = Term("weights", self.weights.size * asking.models, f"of {asking.models}")
        tokens = asking.tokens + asking.generated
        cache = memory.key_value_bytes(facts.config, asking.rows, tokens, _element(facts.model.dtype))
        written = Term("keys and values", cache, f"{asking.rows} rows of {tokens} tokens")
        return self._phase("evaluation", [weights, *self._gathered(asking.models > 1), self._scoring(), written])

    def _gathered(self, twin: bool) -> list[Term]:
        """What is whole of shards; twin: there is a second model in shards."""
        size = gathered_bytes(self.model, self.facts.shards, twin)
        return [Term("gathered weights", size, "whole: two layers, and what is around the layers")] if size else []

    def _scoring(self) -> Term:
        if self._scored is None:
            self._scored = rehearsed_scoring(self.facts, self.model).peak
        asking = self.facts.asking
        return Term("forward pass", self._scored, f"{asking.rows} x {asking.tokens} tokens")

    def saving(self) -> list[Phase]:
        """An adapter is merged into a copy of the model; of shards, in main memory."""
        if self.facts.model.adapter == "none" or self.facts.shards > 1:
            return []
        return [self._phase("merging the adapter", [self.weights, Term("merged copy", self._checkpoint())])]

    def host(self) -> tuple[Term, ...]:
        """What a run on a card keeps in main memory."""
        facts, found = self.facts, []
        if self.paged:
            found.append(Term("optimizer state", self.state, "paged: on the card only where there is room"))
        if facts.direction.rows == "host" and facts.device == "cuda":
            size = len(facts.loss.objectives) * memory.tensor_bytes(self.trained)
            found.append(Term("gradient rows", part(size, facts.shards), "pinned: direction.rows=host"))
        if facts.shards > 1:
            found.append(
                Term("weights", self._checkpoint(), "whole: while loading in every process, while saving in one")
            )
        return tuple(found)

    def disk(self) -> tuple[Term, ...]:
        """Checkpoint, resume points, and what a reference cache stores."""
        facts, trained = self.facts, memory.tensor_bytes(self.trained)
        adapter = 0 if facts.model.adapter == "none" else trained
        kept = 0 if facts.engine.keep == "last" else KEPT
        carried = len(facts.solver.carries) * trained
        terms = [
            Term("checkpoint/", self._checkpoint() + adapter),
            Term("resume/", memory.resume_bytes(trained, self.state, carried, kept), "two points at a time"),
        ]
        if facts.reference == "cache":
            targets = sum(shape.compared for shape in facts.shapes.values())
            size = targets * self._hidden() * _element(facts.model.dtype)
            terms.append(Term("reference cache", size, f"{targets:,} targets x {self._hidden():,}"))
        return tuple(terms)

    def _phase(self, name: str, terms: Sequence[Term]) -> Phase:
        if self.facts.device != "cuda":
            return Phase(name, tuple(terms))
        lost = int(memory.FRAGMENTATION * sum(term.size for term in terms))
        about = Term("CUDA", memory.CUDA_CONTEXT + lost, f"context, and {memory.FRAGMENTATION:.0%} between blocks")
        return Phase(name, (*terms, about))

    def _checkpoint(self) -> int:
        """The model as it is saved: every parameter but the adapter's, in model.dtype."""
        base = [p for name, p in self.model.named_parameters() if "lora_" not in name]
        count: int = sum(p.numel() for p in base)
        return count * _element(self.facts.model.dtype)

    def _hidden(self) -> int:
        return int(self.facts.config.get_text_config().hidden_size)


def _said(shapes: Mapping[Role, Shape]) -> str:
    return ", ".join(f"{role} {s.rows} x {s.tokens}" for role, s in shapes.items()) + " tokens"


def _element(dtype: str) -> int:
    size: int = getattr(torch, dtype).itemsize
    return size
