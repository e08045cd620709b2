"""Rows that two roles must not share: both forgotten and retained, or both trained on and tested."""

from __future__ import annotations

from mollm_cli.core.errors import RequestError
from mollm_cli.core.types import Role
from mollm_cli.data.identity import pair, subject
from mollm_cli.data.load_dataset import Loaded


def refuse_overlap(forget: Loaded, retain: Loaded, key: str = "data.retain") -> None:
    """Raise RequestError where a row is to be forgotten and retained at once, naming the first such pair."""
    seen = {pair(example): example.id for example in forget.examples}
    shared = [(seen[pair(example)], example.id) for example in retain.examples if pair(example) in seen]
    if shared:
        first, second = shared[0]
        raise RequestError(
            f"data.forget and {key} must share no row, found {len(shared)} of the same prompt and answer: the "
            f"first is '{first}' of forget and '{second}' of retain. Remove them from one of the files, or set "
            "data.drop_overlap=true (leave them out of retain) or data.allow_overlap=true (train on both)"
        )


def drop_overlap(forget: Loaded, retain: Loaded, key: str = "data.retain") -> Loaded:
    """``retain`` without the rows of ``forget``; how many stands in the fingerprint. Raises RequestError if all are."""
    seen = {pair(example) for example in forget.examples}
    kept = [example for example in retain.examples if pair(example) not in seen]
    if not kept:
        raise RequestError(
            f"{key} must hold rows that are not in data.forget, found all {len(retain.examples)} there. "
            f"Set {key}.path to another file"
        )
    return retain.keep(kept, left_out=len(retain.examples) - len(kept))


def unseen(test: Loaded, training: Loaded, name: Role, role: Role) -> Loaded:
    """The rows of ``test`` whose prompts are not trained on; how many were left out is in the fingerprint."""
    seen = {subject(example) for example in training.examples}
    kept = [example for example in test.examples if subject(example) not in seen]
    if not kept:
        raise RequestError(
            f"data.{name} must hold prompts that data.{role} does not train on, found all {len(test.examples)} there. "
            f"Set data.{name}.path to other rows, or data.{name}=null to carve some"
        )
    return test.keep(kept, left_out=len(test.examples) - len(kept))


def untested(rows: Loaded, test: Loaded, key: str) -> Loaded:
    """``rows`` that are trained on, without prompts that ``test`` asks; how many stands in the fingerprint.

    Raises RequestError where none is left.
    """
    asked = {subject(example) for example in test.examples}
    kept = [example for example in rows.examples if subject(example) not in asked]
    if not kept:
        raise RequestError(
            f"{key} must hold prompts that data.retain_test does not ask, found all {len(rows.examples)} there. "
            f"Set {key}.path to another file, or data.test_share=0"
        )
    return rows.keep(kept, tested=len(rows.examples) - len(kept))
