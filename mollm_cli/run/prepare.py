"""Files, tokenizer and rows: everything that can be refused before a model is loaded."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from mollm_cli.configuration.request import Request, TrainRequest
from mollm_cli.core.discretion import telling
from mollm_cli.core.errors import RequestError
from mollm_cli.core.shared import shared
from mollm_cli.core.types import COUNTERFACTUAL, MADE_PROBES, PROBES, ROLES, Encoded, Role
from mollm_cli.data.chat_template import is_chat
from mollm_cli.data.counterfactual import counterfactual
from mollm_cli.data.deletion import report
from mollm_cli.data.doubled import doubled, without_ends
from mollm_cli.data.encoder import Encoder
from mollm_cli.data.encoding import encode_all
from mollm_cli.data.held_back import held_back
from mollm_cli.data.load_dataset import Loaded
from mollm_cli.data.mixture import Share
from mollm_cli.data.ordinary import ORDINARY, SHARE, ordinary_prompts
from mollm_cli.data.pairing import MIX, SETS, load_roles, mixture
from mollm_cli.data.probes import made_probes
from mollm_cli.data.reworded import REWORDED, none_made, reworded
from mollm_cli.data.wordless import wordless
from mollm_cli.evaluation.attacks import rewriting
from mollm_cli.evaluation.attacks.attack_protocol import PREFIX
from mollm_cli.evaluation.gates import check_names
from mollm_cli.evaluation.judging import check_judges
from mollm_cli.evaluation.measuring import measured
from mollm_cli.evaluation.membership import check_membership
from mollm_cli.evaluation.suite import Suite
from mollm_cli.models.load_model import load_tokenizer
from mollm_cli.run.generated import Answers, Asks

SPARE_BYTES = 64 << 20
"""Bytes that a run writes beside weights: log, samples, report."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """Rows by role and set, their token ids, and the tokenizer they were made with.

    retained: what the role retain is made of in training, with weights; {} where it is alone.
    ordinary_share: of the rows of a retain batch that are ordinary prompts.
    attacked: what the suite's rewriting attacks made of the forget rows.
    """

    tokenizer: Any
    loaded: Mapping[str, Loaded]
    encoded: Mapping[str, list[Encoded]]
    retained: Mapping[str, float] = field(default_factory=dict)
    attacked: Mapping[str, Loaded] = field(default_factory=dict)
    ordinary_share: float = 0.0

    @property
    def sets(self) -> dict[str, Loaded]:
        """The rows that are evaluated: all but those that only serve training."""
        own = {name: rows for name, rows in self.loaded.items() if name not in ("alternate", ORDINARY, REWORDED)}
        return own | dict(self.attacked)

    @property
    def pad_id(self) -> int:
        """The token that batches are filled with."""
        return Encoder(self.tokenizer).pad_id

    @property
    def ends(self) -> Sequence[int]:
        """The tokens at which a checkpoint's generations are over; none to be named where nothing ends a turn."""
        encoder = Encoder(self.tokenizer)
        return encoder.end_ids if is_chat(self.tokenizer, "auto") else ()

    def sets_of(self, role: Role) -> Mapping[str, float]:
        """The sets that a role is made of in training, with their weights."""
        return self.retained if role == "retain" and self.retained else {role: 1.0}

    def training(self, *roles: Role) -> tuple[list[Encoded], list[Share]]:
        """The rows that are trained on as ``roles``, and the sets that they are, one after the other."""
        weights = dict(chain.from_iterable(self.sets_of(role).items() for role in roles))
        rows = list(chain.from_iterable(self.encoded[name] for name in weights))
        return rows, [Share(len(self.encoded[name]), weight) for name, weight in weights.items()]

    def sample(self, role: Role, most: int) -> list[Encoded]:
        """At most ``most`` rows of a role, evenly spaced, for progress evaluations."""
        rows = self.encoded[role]
        return rows if len(rows) <= most else [rows[i * len(rows) // most] for i in range(most)]


def prepare(request: Request, asks: Asks = "model") -> Prepared:
    """Read and encode every role and set, and hold them against the request: ``read_rows``, ``require_in_order``."""
    prepared = read_rows(request, asks)
    require_in_order(request, prepared)
    return prepared


def read_rows(request: Request, asks: Asks = "model") -> Prepared:
    """Read and encode every role and set. Raises RequestError for the first thing that is wrong with rows or tokens.

    asks: the place where answers come from that are the model's (run/generated.py).

    Messages hold texts of data files where ``evaluation.keep_text=true`` asks for it.
    """
    with telling(request.evaluation.keep_text is True):
        return shared(_key(request, asks), lambda: _prepared(request, asks))


def require_in_order(request: Request, prepared: Prepared) -> None:
    """Raise RequestError for attacks, judges and gates that these rows do not fit, or for a missing forget target."""
    with telling(request.evaluation.keep_text is True):
        shared(("suite", id(prepared)), lambda: _check_suite(request.evaluation, prepared))
        _check_gates(request, prepared)
        _check_target(request, prepared)


def _key(request: Request, asks: Asks) -> str:
    trained = asks, ordinary_share(request), asks_otherwise(request)
    return repr((request.model, request.data, request.evaluation, request.seed, *trained))


def _prepared(request: Request, asks: Asks) -> Prepared:
    """Rows and tokens, which do not depend on how the model is trained."""
    tokenizer = shared(("tokenizer", request.model), lambda: load_tokenizer(request.model))
    encoder, answers = Encoder(tokenizer), Answers(request, tokenizer, asks)
    loaded, share = load_roles(request.data, request.seed, answer=answers), ordinary_share(request)
    if share > 0:
        loaded[ORDINARY] = answers(ordinary_prompts(loaded["forget"]), ORDINARY)
    for line in (*report(loaded), *wordless(loaded), *doubled(loaded, encoder), *_beyond(encoder)):
        print(line, file=sys.stderr)
    loaded = _with_yardstick(without_ends(loaded, encoder))
    loaded |= _probes(loaded, encoder, request.evaluation.limit)
    if asks_otherwise(request):
        loaded |= _reworded(loaded["forget"], encoder)
    if held := held_back({name: rows.fingerprint for name, rows in loaded.items()}):
        print(f"warning: {held}", file=sys.stderr)
    retained = mixture(request.data)
    encoded = {name: encode_all(rows, _place(name, retained), tokenizer) for name, rows in loaded.items()}
    suite = request.evaluation
    attacked = rewriting.rewritten(suite.attacks, loaded, suite.attack_limit, suite.oracle is None, tokenizer)
    prepared = Prepared(tokenizer, loaded, encoded, retained, attacked, share)
    if tokenizer.pad_token_id is None:
        print("the tokenizer has no padding token: batches are filled with its end token, under masks", file=sys.stderr)
    return prepared


def _with_yardstick(loaded: Mapping[Role, Loaded]) -> dict[Role, Loaded]:
    """``loaded``, with counterfactual rows where there are no holdout rows; sets.counterfactual may have the user's."""
    if "forget" not in loaded or {"holdout", COUNTERFACTUAL} & loaded.keys():
        return dict(loaded)
    rows = counterfactual(loaded["forget"].examples)
    return {**loaded, COUNTERFACTUAL: loaded["forget"].keep(rows)} if rows else dict(loaded)


def _probes(loaded: Mapping[Role, Loaded], encoder: Encoder, limit: int | None) -> dict[str, Loaded]:
    """Probes of the forget rows, where no set is one; sets.probes_... may have the user's."""
    if "forget" not in loaded or any(name.startswith(PROBES) for name in loaded):
        return {}
    return made_probes(loaded["forget"], encoder, limit)


def _reworded(forget: Loaded, encoder: Encoder) -> dict[str, Loaded]:
    """The forget rows in the manners that they are trained on in beside their own; says which came to nothing."""
    made = reworded(forget, encoder)
    for line in none_made(forget, made):
        print(line, file=sys.stderr)
    return {} if made is None else {REWORDED: made}


def asks_otherwise(request: Request) -> bool:
    """True where the forget rows are trained on in other manners too."""
    return isinstance(request, TrainRequest) and "forget" in request.loss.roles and bool(request.data.forget.manners)


def _beyond(encoder: Encoder) -> Iterator[str]:
    """A line where a template's generation prompt goes on beyond where it writes answers."""
    if beyond := encoder.turn_end.beyond:
        yield (
            f"the chat template's generation prompt ends in {beyond!r}, which it does not write before an answer: rows "
            "are trained on and asked without it (an option of the template may leave it out: model.template_options)"
        )


def ordinary_share(request: Request) -> float:
    """The share of retain's rows in a step that are ordinary prompts: as asked, or half where retain is held."""
    if not isinstance(request, TrainRequest) or not {"forget", "retain"} <= set(request.loss.roles):
        return 0.0
    if request.data.retain.sampled_share is not None:
        return request.data.retain.sampled_share
    compared = any(o.divergence and "retain" in o.roles for o in request.loss.objectives)
    return SHARE if compared and request.direction.holds(request.solver) else 0.0


def _check_suite(suite: Suite, prepared: Prepared) -> None:
    """Check a suite's needs beside the rows that it fits, so that it is refused now and not after the training."""
    check_membership(suite, prepared.loaded)
    check_judges(suite)
    if suite.harness is not None:
        suite.harness.check()
    for attack in suite.attacks.values():
        if attack.kind == "weights":
            attack.check(prepared.encoded)


def _place(name: str, retained: Mapping[str, float]) -> str:
    """The key under ``data`` where a role or set is described."""
    if name in ROLES:
        return name
    if name in (COUNTERFACTUAL, REWORDED, *MADE_PROBES):
        return "forget"
    return f"{MIX if name in retained else SETS}{name}"


def _check_gates(request: Request, prepared: Prepared) -> None:
    suite = request.evaluation
    names = [*measured(suite, prepared.sets, suite.oracle is not None), *_attacked_names(request, prepared)]
    try:
        check_names(request.gates, names)
    except ValueError as refused:
        raise RequestError(str(refused)) from refused


def _attacked_names(request: Request, prepared: Prepared) -> list[str]:
    """The flat names that attacks on weights, and by comparison, will give."""
    sets = ["", *(f"{name}_" for name in ("retain", "holdout") if name in prepared.encoded)]
    attacks = [attack for attack in request.evaluation.attacks.values() if attack.kind != "rewrite"]
    return [f"{PREFIX}{attack.name}_{each}{attack.headline}" for attack in attacks for each in sets]


def _check_target(request: Request, prepared: Prepared) -> None:
    """``direction.forget_target=auto`` needs a yardstick, where the solver would use it."""
    if (
        not isinstance(request, TrainRequest)
        or "gram" not in request.solver.needs
        or "forget" not in request.loss.roles
    ):
        return
    direction = request.direction
    if direction.forget_target == "auto" and not direction.paper and not finds_target(request, prepared):
        raise RequestError(
            "direction.forget_target=auto needs something to compare the forget rows with, found no holdout rows, no "
            "oracle, and no name, number or prompt in data.forget to make other rows of. Set data.holdout.path=FILE "
            "(rows of the forget set's kind that the model never saw), or direction.forget_target=P (a probability in "
            "(0, 1)), or direction.forget_target=null (never rest)"
        )


def finds_target(request: TrainRequest, prepared: Prepared) -> bool:
    """True where ``direction.forget_target=auto`` has something to be measured on."""
    return bool({"holdout", COUNTERFACTUAL} & prepared.encoded.keys()) or request.evaluation.oracle is not None


def check_context(prepared: Prepared, model: Any, path: str) -> None:
    """Refuse a row that is longer than the model's context, which some models crash on and others read as noise."""
    context = getattr(model.config, "max_position_embeddings", None)
    for name, rows in prepared.encoded.items():
        longest = max(rows, key=lambda row: len(row.input_ids))
        if context is not None and len(longest.input_ids) > context:
            key = f"data.{_place(name, prepared.retained)}.max_tokens"
            raise RequestError(
                f"{key} must fit into the context of model.path={path}, which is {context} tokens; found "
                f"{len(longest.input_ids)} in row '{longest.id}'. Set {key}={context}"
            )
    rewriting.check_context(prepared.attacked, prepared.tokenizer, context)


def written_bytes(parameter_bytes: int, trainable_bytes: int) -> int:
    """The most that a run writes: checkpoint/, resume/ with two points (weights and two moments), kept weights."""
    return parameter_bytes + (2 * 3 + 3) * trainable_bytes + SPARE_BYTES


def check_disk(run_dir: Path, parameter_bytes: int, trainable_bytes: int) -> None:
    """Refuse a folder without room for what the run writes."""
    needed = written_bytes(parameter_bytes, trainable_bytes)
    free = shutil.disk_usage(run_dir).free
    if free < needed:
        raise RequestError(
            f"output_root: {run_dir} has {free / 2**30:.2f} GiB free, the run writes up to {needed / 2**30:.2f} GiB. "
            "Free some space, or set output_root to another disk"
        )
