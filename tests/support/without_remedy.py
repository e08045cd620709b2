"""The messages that name no remedy, and why they need none; keys are "file function" below mollm_cli/."""

from __future__ import annotations

from collections.abc import Mapping

_CALLER = "a caller in Python only: no configuration leads there"
_REASON = "why the reference is a copy, told as such; model.reference=cache adds the remedy"
_PART = "what a field must hold; the message around it names file and row, and says to repair or remove it"
_AROUND = "passes on what was caught, which says it"
_INNER = "a part of a message that says what to do"
_RANGE = "what must hold is the remedy"

WITHOUT: Mapping[str, str] = {
    "configuration/compose.py compose_job": "Hydra's own words",
    "configuration/compose.py _resolved": "Hydra's own words",
    "configuration/resumed_config.py _apply": "Hydra's own words",
    "cli/try_out.py _check": _AROUND,
    "cli/try_out.py _positive": _RANGE,
    "cli/try_out.py _template": _RANGE,
    "core/chunked.py chunk_rows": _CALLER,
    "core/chunked.py chunked": _CALLER,
    "core/crossing.py Crossing._written": _INNER,
    "core/read_back.py _check": _INNER,
    "core/read_back.py check_depth": _INNER,
    "core/read_back.py mapping": _INNER,
    "core/read_back.py read_mapping": _INNER,
    "core/nonnegative.py smallest_correction": _CALLER,
    "core/types.py Loss.__post_init__": _RANGE,
    "data/arrow_rows.py _bytes": _INNER,
    "data/batches.py Stream.__init__": _CALLER,
    "data/batches.py Stream.batches": _CALLER,
    "data/choice.py read_choices": _PART,
    "data/choice.py right_choice": _PART,
    "data/dataset.py Dataset.__post_init__": _AROUND,
    "data/dataset.py Dataset._filter_problem": _AROUND,
    "data/dialogue.py _turn": _PART,
    "data/dialogue.py question_and_answer": _PART,
    "data/dialogue.py read_turns": _PART,
    "data/encoding.py encode_row": _AROUND,
    "data/filters.py _passes": _RANGE,
    "data/filters.py check_rule": _RANGE,
    "data/order.py common_lengths": _CALLER,
    "data/reading.py first_failed": _AROUND,
    "engine/loop.py _step": _AROUND,
    "evaluation/attacks/comparison.py ModelComparison.answers": _CALLER,
    "models/reference.py Reference.__init__": _CALLER,
    "models/reference.py starting_states.states_of": _CALLER,
    "models/reference_shards.py _load": "a torn file is filled again",
    "objectives/preference.py preference": _CALLER,
    "run/evidence.py hold_gates": "exit code 3 is what was asked for; manifest.json and report.html say by how much",
    "run/run_reference.py References._check_start": _REASON,
    "run/run_reference.py References._fill": _REASON,
    "run/run_reference.py References._filled": _REASON,
    "run/run_reference.py References._settle": _REASON,
    "solvers/simplex.py min_norm_point": _CALLER,
    "sweep/ledger.py SweepLedger.read": _INNER,
}
