"""The estimate: what every phase of a run holds at its peak, from loading to the last evaluation.

On a CPU a phase is what the process has resident, the interpreter and its libraries included; on a card, what torch
reserves there beside the context. Each is an upper bound: measured peaks are at most 15 % below (docs/BENCHMARKS.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from mollm_cli.core.chunked import chunk_rows
from mollm_cli.core.errors import RequestError
from mollm_cli.core.shared import shared
from mollm_cli.core.types import Role
from mollm_cli.models.head import vocabulary_size
from mollm_cli.models.reference_cache import SHARD_BYTES
from mollm_cli.models.trainable import restrict
from mollm_cli.planning import formulas, rehearsal
from mollm_cli.planning.blueprint import blueprint, quantised
from mollm_cli.planning.capacity import compiles_half
from mollm_cli.planning.formulas import gathered_bytes, part, reduced_bytes
from mollm_cli.planning.memory_plan import MemoryPlan, Phase, Term
from mollm_cli.planning.sizes import Shape, Sizes

MIB = 2**20
LATER = 96 * MIB
"""Libraries that a run loads after its plan is made, memory of kernels, what is remembered of the start: per process on
a CPU."""
ADAPTERS = 32 * MIB
"""The library of adapters, and what it keeps for every layer."""
KERNELS = 96 * MIB
"""Kernels of half precision that a CPU compiles for every shape and keeps, where it has instructions for them."""
TOKENIZER = 1280
"""Bytes per token of a tokenizer: a model that is read from a folder to be judged comes with a second one."""
ALLOCATOR = 0.02
"""Share of the tensors that malloc holds beside them."""
SCATTERED, SCATTERED_HALF = 1.4, 0.7
"""Times the most activations that malloc keeps beside what is there, on a CPU: of each step they have other sizes, and
blocks that are not large are not given back. Of float32 and of half precision, measured on SmolLM2-135M
(docs/BENCHMARKS.md)."""
LARGE = 32 * MIB
"""Bytes from which on glibc's malloc maps a block by itself, and gives it back when it is freed."""
CUDA_CONTEXT = 600 * MIB
"""Bytes that a process takes of a card before and beside torch's allocator: context, kernels, cuBLAS workspaces."""
CUDA_ALLOCATOR = 0.05
"""Share of what is allocated that the caching allocator loses to rounding and to pieces that nothing fits into."""
MEASURED = "a copy of what is trained, while optimizer.lr=auto measures its drift"
JUDGING = ("evaluation", "attacks")
"""Phases in which a checkpoint or an oracle is judged, with the tokenizer of its folder."""
KEPT = 3
"""Weights of evaluations that lie in resume/ at a time where engine.keep chooses among them."""


def estimate(sizes: Sizes) -> MemoryPlan:
    """The estimate of one run.

    Raises RequestError for a loss that does not fit the model, and for a model whose own code cannot run without
    values.
    """
    parts = _Parts(sizes)
    try:
        phases = tuple(parts.phases())
    except (RequestError, MemoryError):
        raise
    except Exception as error:
        first = (str(error).strip().splitlines() or ["no message"])[0][:200]
        raise RequestError(
            f"model.path={sizes.model.path}: to plan a run its code must work on tensors without values, found "
            f"{type(error).__name__}: {first}. Run without --plan"
        ) from error
    parameters = sum(p.numel() for p in parts.model.parameters())
    count = sum(p.numel() for p in parts.trained)
    return MemoryPlan(phases, parts.host(), parts.disk(), parameters, count)


def least_bytes(sizes: Sizes) -> int:
    """The terms of a step without its passes: weights, optimizer state, gradients. Nothing is rehearsed."""
    parts = _Parts(sizes)
    kept = sum(term.size for term in parts.kept())
    return parts.weights.size + parts.state.size + kept + parts.rows()


class _Parts:
    """The terms of one estimate."""

    def __init__(self, sizes: Sizes) -> None:
        self.sizes, cut = sizes, sizes.shards
        self.model = model = blueprint(sizes.model, sizes.config)
        restrict(model, sizes.loss)
        self.trained = [p for p in model.parameters() if p.requires_grad]
        self.row = formulas.tensor_bytes(self.trained)
        self.whole_state = formulas.optimizer_bytes(sizes.optimizer, self.trained)
        self.paged = formulas.paged(sizes.optimizer) and sizes.device == "cuda"
        packed = quantised(model) if sizes.model.adapter == "qlora" else []
        said = sizes.model.dtype if cut == 1 else f"{sizes.model.dtype}, 1 of {cut} shards"
        self.weights = Term("weights", part(formulas.weights_bytes(model, packed), cut), said)
        state = 0 if self.paged else part(self.whole_state, cut)
        self.state = Term("optimizer state", state, type(sizes.optimizer).__name__)

    def phases(self) -> list[Phase]:
        """In the order of a run."""
        sizes, score = self.sizes, self._scoring()
        beside = self._gathered(sizes.scoring.models > 1)
        evaluated = [Term("weights", self.weights.size * sizes.scoring.models, f"of {sizes.scoring.models}"), *beside]
        if sizes.scoring.gradients:
            evaluated.append(Term("gradients", self._checkpoint(), "of one row at a time"))
        held = [self.weights, self.state, self._reference(), *self._gathered(sizes.reference == "copy"), *self.kept()]
        found = [
            self._phase("loading", [self.weights, *self._file()]),
            self._phase("evaluation", [*evaluated, *score]),
        ]
        if sizes.reference == "cache":
            kept = 2 * min(SHARD_BYTES, self._states())
            found.append(self._phase("reference", [self.weights, *beside, *score[:1], Term("states", kept)]))
        found += [self._phase("step", [*held, *self._step()]), self._phase("progress evaluation", [*held, *score[:1]])]
        if sizes.model.adapter != "none" and sizes.shards == 1:  # shards are merged in main memory
            found.append(self._phase("saving", [self.weights, Term("merged copy", self._checkpoint())]))
        if sizes.scoring.attacked:
            attacked = Term("weights", self._checkpoint() * sizes.scoring.attacked, "attacked, with what trains them")
            found.append(self._phase("attacks", [attacked, *score]))
        return found

    def _step(self) -> list[Term]:
        """The terms that only a step has: its passes, or the work after them, whichever is more."""
        sizes, count = self.sizes, sum(p.numel() for p in self.trained)
        vocabulary = vocabulary_size(self.model)
        use, most = rehearsal.passes(sizes, self.model)
        rows, passes = part(use["gradients"], sizes.shards), use["logits"] + use["activations"]
        after = self.rows() + part(formulas.moving_bytes(sizes, self.trained), sizes.shards)
        after += 0 if sizes.device == "cpu" else self.copies
        moving = max(0, after - rows - passes)
        summed = formulas.summing_bytes(sizes, self.trained)
        terms = [
            Term("gradients", rows, f"{rows / max(1, part(self.row, sizes.shards)):.1f} x {count:,} trained"),
            Term("logits", use["logits"], f"of {vocabulary:,} tokens"),
            Term("activations", use["activations"], _said(sizes.shapes)),
            Term("direction", moving, "direction, the guard's copy and correction"),
            Term("first step", 0 if sizes.device == "cuda" else self.bracket, MEASURED),
            Term(
                "sketches", formulas.sketch_bytes(sizes, self.model), f"{sizes.direction.sketch_buckets:,} numbers each"
            ),
            Term("factors", formulas.factor_bytes(sizes, self.model), "cotangents that wait for their weights"),
            Term("sums", summed, "of gradients, over processes"),
        ]
        if sizes.shards > 1:
            terms.append(Term("reduction", reduced_bytes(self.model), f"of a gradient, over {sizes.shards}"))
        if sizes.device != "cuda":
            rows_at_once = min(chunk_rows(vocabulary), max(shape.targets for shape in sizes.shapes.values()))
            left = most["activations"] + (most["logits"] if 4 * vocabulary * rows_at_once < LARGE else 0)
            terms.append(
                Term(
                    "scattered",
                    int((SCATTERED_HALF if self.half else SCATTERED) * left),
                    "free pieces between tensors, which malloc keeps",
                )
            )
        return [term for term in terms if term.size or term.name in ("gradients", "logits", "activations")]

    def rows(self) -> int:
        """Gradients of the objectives that are there at the end of the passes, in this process."""
        sizes = self.sizes
        if not sizes.keeps_rows:
            return part(self.row, sizes.shards)
        size = self.row
        if sizes.direction.rows == "bfloat16":
            size = 2 * sum(p.numel() for p in self.trained)
        elif sizes.direction.rows == "host" and sizes.device != "cpu":
            size = 0
        return part(len(sizes.loss.objectives) * size, sizes.shards)

    @property
    def half(self) -> bool:
        """True if products are of half precision."""
        return self.sizes.model.dtype in ("bfloat16", "float16") or self.sizes.engine.precision == "bf16"

    @property
    def bracket(self) -> int:
        """The parameters before the first step, in main memory, where its length is measured by a copy of its own."""
        sizes = self.sizes
        measured = sizes.optimizer.lr == "auto" and any(o.divergence for o in sizes.loss.objectives)
        kept = sizes.keeps_rows and sizes.device == "cpu"
        return part(self.row, sizes.shards) if measured and not kept else 0

    @property
    def copies(self) -> int:
        """The direction, and the parameters before the step, in this process."""
        return part(2 * self.row, self.sizes.shards) if self.sizes.keeps_rows else 0

    def kept(self) -> list[Term]:
        """Memory that stays from step to step beside the optimizer's: engine/buffers.py, and the solver's rows."""
        carries = self.sizes.solver.carries
        copies = self.copies if self.sizes.device == "cpu" else 0
        carried = part(2 * len(carries) * self.row, self.sizes.shards)
        terms = [
            Term("direction and copy", copies, "kept from step to step on a CPU"),
            Term("carried rows", carried, f"{', '.join(carries)}, old and new"),
        ]
        return [term for term in terms if term.size]

    def _file(self) -> list[Term]:
        """The weight file, where it is of another type than the model will be: both are there at once."""
        stored = str(getattr(self.sizes.config, "dtype", None)).removeprefix("torch.")
        if stored in ("None", self.sizes.model.dtype) or self.sizes.model.weights == "random":
            return []
        return [Term("weight file", self._checkpoint() * _element(stored) // _element(self.sizes.model.dtype), stored)]

    def _reference(self) -> Term:
        sizes, head = self.sizes, self.model.get_output_embeddings()
        size = self.weights.size if sizes.reference == "copy" else 0
        reads_logits = all(objective.layer is None for objective in sizes.loss.objectives)
        if sizes.reference == "cache" and reads_logits and head is not None:
            trained = any(p.requires_grad for p in head.parameters())
            size = formulas.tensor_bytes(head.parameters()) if trained or sizes.shards > 1 else 0
        return Term("reference", size, sizes.reference)

    def _gathered(self, twin: bool) -> list[Term]:
        """The groups of weights that are whole in a sharded model; twin: there is a second model in shards."""
        size = gathered_bytes(self.model, self.sizes.shards, twin)
        return [Term("gathered weights", size, "whole: two layers, and what is around the layers")] if size else []

    def _scoring(self) -> list[Term]:
        """A teacher-forced pass over one batch; keys and values of a generation, with logits of one token per row."""
        asked, config = self.sizes.scoring, self.sizes.config
        tokens = asked.tokens + asked.generated
        cache = formulas.key_value_bytes(config, asked.rows, tokens, _element(self.sizes.model.dtype))
        cache += 3 * 4 * asked.rows * vocabulary_size(self.model)
        key = ("scoring", repr(self.sizes.model), asked, id(config), repr(self.sizes.loss.trainable))
        scored, _ = shared(key, lambda: rehearsal.scoring(self.sizes, self.model))
        return [
            Term("forward pass", scored.total(), f"{asked.rows} x {asked.tokens} tokens"),
            Term("keys and values", cache, f"{asked.rows} rows of {tokens} tokens"),
        ]

    def host(self) -> tuple[Term, ...]:
        """The main memory of a run on a card, and that of a run in shards while it loads and saves."""
        sizes, found = self.sizes, []
        if self.paged:
            found.append(Term("optimizer state", self.whole_state, "paged: on the card only where there is room"))
        if sizes.direction.rows == "host" and sizes.device == "cuda":
            size = len(sizes.loss.objectives) * self.row
            found.append(Term("gradient rows", part(size, sizes.shards), "pinned: direction.rows=host"))
        if sizes.shards > 1:
            why = "whole: while loading in every process, while saving in one"
            found.append(Term("weights", self._checkpoint(), why))
        if sizes.device == "cuda" and self.bracket:
            found.append(Term("first step", self.bracket, MEASURED))
        return tuple(found)

    def disk(self) -> tuple[Term, ...]:
        """Checkpoint, resume points, and what a reference cache stores."""
        sizes = self.sizes
        adapter = 0 if sizes.model.adapter == "none" else self.row
        kept = 0 if sizes.engine.keep == "last" else KEPT
        carried = len(sizes.solver.carries) * self.row
        resume = formulas.resume_bytes(self.row, self.whole_state, carried, kept)
        terms = [
            Term("checkpoint/", self._checkpoint() + adapter),
            Term("resume/", resume, "two points at a time"),
        ]
        if sizes.reference == "cache":
            targets = sum(shape.compared for shape in sizes.shapes.values())
            terms.append(Term("reference cache", self._states(), f"{targets:,} targets x {self._hidden():,}"))
        return tuple(terms)

    def _phase(self, name: str, terms: Sequence[Term]) -> Phase:
        """``terms``, and what a process and its allocator take beside them."""
        total = sum(term.size for term in terms)
        if self.sizes.device == "cuda":
            about = Term("CUDA", CUDA_CONTEXT + int(CUDA_ALLOCATOR * total), f"context, {CUDA_ALLOCATOR:.0%} of slack")
            return Phase(name, (*terms, about))
        size = self.sizes.base + LATER + (TOKENIZER * vocabulary_size(self.model) if name in JUDGING else 0)
        size += KERNELS if self.half and compiles_half() else 0
        size += ADAPTERS if self.sizes.model.adapter != "none" else 0
        own = [Term("process", size, "interpreter, libraries, rows, tokenizers")] if self.sizes.base else []
        return Phase(name, (*own, *terms, Term("allocator", int(ALLOCATOR * total), f"{ALLOCATOR:.0%} of slack")))

    def _checkpoint(self) -> int:
        """The model as it is saved: every parameter but the adapter's, in model.dtype."""
        count = sum(p.numel() for name, p in self.model.named_parameters() if "lora_" not in name)
        return int(count * _element(self.sizes.model.dtype))

    def _states(self) -> int:
        """The bytes that a cached reference stores of all rows."""
        targets = sum(shape.compared for shape in self.sizes.shapes.values())
        return targets * self._hidden() * _element(self.sizes.model.dtype)

    def _hidden(self) -> int:
        return int(self.sizes.config.get_text_config().hidden_size)


def _said(shapes: Mapping[Role, Shape]) -> str:
    return ", ".join(f"{role} {s.rows} x {s.tokens}" for role, s in shapes.items()) + " tokens"


def _element(dtype: str) -> int:
    size: int = getattr(torch, dtype).itemsize
    return size
