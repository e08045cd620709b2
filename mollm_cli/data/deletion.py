"""A request for deletion: some rows of one big file are to be forgotten, its other rows are to stay."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mollm_cli.core.budget import budget
from mollm_cli.core.errors import RequestError
from mollm_cli.core.types import Example, Role
from mollm_cli.data.columns import ABSENT, look
from mollm_cli.data.dataset import Dataset
from mollm_cli.data.fields import missing, variants
from mollm_cli.data.files import find_files, numbered_lines
from mollm_cli.data.limits import EXAMPLE_BYTES, too_many
from mollm_cli.data.load_dataset import Loaded, digest
from mollm_cli.data.perturbed import join_perturbed
from mollm_cli.data.reading import check_count, first_failed, other_answers
from mollm_cli.data.shapes import to_example
from mollm_cli.data.source_row import Source, SourceRow
from mollm_cli.data.streaming import stream_rows

MOST_NAMED = 20
"""The number of rows that a message names."""


@dataclass(slots=True)
class Ids:
    """A list of ids: which line each stands in (1-based), and which of them a row had. The ids are never told."""

    key: str
    lines: Mapping[str, int]
    found: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, given: str | Sequence[str | int], key: str, encoding: str | None = None) -> Ids:
        """The lines of the file ``given``, or the list itself. Raises RequestError where there is none."""
        if isinstance(given, str):
            numbered: Iterable[tuple[int, str]] = numbered_lines(given, key, encoding)
        else:
            numbered = enumerate(map(spelled, given), start=1)
        lines: dict[str, int] = {}
        for number, id in numbered:
            lines.setdefault(id, number)
        if not lines:
            raise RequestError(f"{key} must hold at least one id, found none. Write one a line")
        return cls(key, lines)

    def take(self, id: str) -> bool:
        """True if ``id`` is asked for; if so, it counts as found."""
        if id in self.lines:
            self.found.add(id)
        return id in self.lines

    def note(self) -> dict[str, Any]:
        """For the fingerprint: how many ids were asked for, how many found, and the lines of the others."""
        lost = [line for id, line in self.lines.items() if id not in self.found]
        return {"asked": len(self.lines), "found": len(self.found), "lines_not_found": lost}


def divide(
    forget: Dataset, retain: Dataset | None, id_field: str | None, deleted: str | None, cache: bool
) -> dict[Role, Loaded]:
    """forget, retain (every other row) and deleted (rows of earlier requests, in neither), of one reading of the file.

    Without ``retain`` the other rows are not read further. A row is forgotten where ``forget.ids`` and
    ``forget.filter`` take it; rows that only retain's filter or a limit removes are in neither. Raises RequestError,
    naming data.forget.* or data.retain.*.
    """
    if forget.ids is None and not forget.filter:
        raise RequestError(
            "data.forget must say which rows of data.source are to be forgotten, found neither ids nor filter. Set "
            "data.forget.ids=FILE (one id a line), or +data.forget.filter.FIELD=VALUE"
        )
    division = _Division(
        {"forget": forget, "deleted": forget} | ({"retain": retain} if retain else {}),
        id_field or "id",
        None if forget.ids is None else Ids.of(forget.ids, "data.forget.ids", forget.encoding),
        None if deleted is None else Ids.of(deleted, "data.deleted", forget.encoding),
    )
    division.read()
    return division.loaded(cache)


class _Division:
    def __init__(self, datasets: dict[Role, Dataset], id_field: str, ids: Ids | None, deleted: Ids | None) -> None:
        self.datasets, self.id_field, self.ids, self.deleted = datasets, id_field, ids, deleted
        self.answers = {role: other_answers(dataset, f"data.{role}") for role, dataset in datasets.items()}
        self.examples: dict[Role, list[Example]] = {role: [] for role in datasets}
        self.files: list[dict[str, Any]] = []
        self.total = self.held = self.most = 0

    def read(self) -> None:
        """Every row of the file into the list of its role."""
        forget = self.datasets["forget"]
        path = forget.path or ""
        self.most = budget().bytes_for(sum(file.stat().st_size for file in find_files(path, "data.source")))
        for row in stream_rows(path, "data.source", self.files, forget.windows, forget.encoding):
            self.total += 1
            id = self._id(row)
            asked, before = id is None or self.ids is None or self.ids.take(id), self._was_deleted(id)
            for name, variant in variants(row, forget, "data.forget"):
                if asked and first_failed(variant, forget, "data.forget") is None:
                    self._add("forget", name, variant)
                elif before:
                    self._add("deleted", name, variant)
                elif "retain" in self.datasets:
                    self._keep(name, variant)

    def _keep(self, name: str, row: SourceRow) -> None:
        retain = self.datasets["retain"]
        if first_failed(row, retain, "data.retain") is None:
            self._add("retain", f"{retain.name}:{name.rpartition(':')[2]}", row)

    def _add(self, role: Role, name: str, row: SourceRow) -> None:
        dataset, examples = self.datasets[role], self.examples[role]
        if dataset.limit is None or len(examples) < dataset.limit or role == "deleted":
            example = to_example(name, row, dataset, f"data.{role}", self.answers[role])
            examples.append(example)
            self.held += EXAMPLE_BYTES + len(example.prompt) + len(example.answer)
            if self.held > self.most:
                raise too_many("data.source", row.where, self.most)

    def _id(self, row: SourceRow) -> str | None:
        """The id of a row; None where nobody asks for ids. Raises RequestError where it has no such column."""
        if self.ids is None and self.deleted is None:
            return None
        value = look(row.values, self.id_field)
        if value is ABSENT:
            raise RequestError(f"{missing(self.datasets['forget'], row, self.id_field)}. Set data.id_field=COLUMN")
        return spelled(value)

    def _was_deleted(self, id: str | None) -> bool:
        return self.deleted is not None and id is not None and self.deleted.take(id)

    def loaded(self, cache: bool) -> dict[Role, Loaded]:
        """The sets that were read. Raises RequestError if no row is to be forgotten, or if none is left."""
        for role in ("forget", "retain"):
            if role in self.datasets and not self.examples[role]:
                raise RequestError(self._none(role))
        found = {}
        for role, dataset in self.datasets.items():
            check_count(dataset, Source((), self.total, self.files[0]["path"], {}), f"data.{role}")
            ids = {"forget": self.ids, "deleted": self.deleted}.get(role)
            examples = join_perturbed(self.examples[role], dataset, f"data.{role}") if self.examples[role] else []
            record = {"name": dataset.name, "files": self.files, "rows": len(examples), "sha256": digest(examples)}
            if examples:
                found[role] = Loaded(dataset, examples, record | ({"ids": ids.note()} if ids else {}), cache)
        return found

    def _none(self, role: Role) -> str:
        read = f"{self.total} rows read from {', '.join(file['path'] for file in self.files)}"
        if role == "retain":
            return f"data.retain must have rows, found none beside those to forget: {read}. Set data.retain.path=FILE"
        if self.ids is not None and not self.ids.found:
            return (
                f"data.forget.ids must name rows of data.source, found none of its {len(self.ids.lines)} ids in the "
                f"column '{self.id_field}': {read}. Check the list, or set data.id_field=COLUMN"
            )
        return f"data.forget must have rows, found none that pass: {read}. Change data.forget.filter"


def spelled(value: Any) -> str:
    """An id as it stands in a text file: 4711.0, which a table makes of 4711 where others are absent, is 4711."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else str(value).strip()


def report(loaded: Mapping[Role, Loaded]) -> list[str]:
    """Notes on a division for people: ids not found, duplicates left out. Rows by number, no text, no id."""
    lines = []
    for role, key in (("forget", "data.forget.ids"), ("deleted", "data.deleted")):
        ids = loaded[role].fingerprint.get("ids") if role in loaded else None
        if ids and ids["lines_not_found"]:
            lost = ids["lines_not_found"]
            lines.append(f"{key}: {len(lost)} of {ids['asked']} ids stand in no row, those of the lines {_named(lost)}")
    for name, rows in loaded.items():
        if name == "retain" or "mixed_into" in rows.fingerprint:
            key = "data.retain" if name == "retain" else f"data.mix.retain.{name}"
            lines += _left_out(key, rows.fingerprint)
    return lines


def _left_out(key: str, retain: Mapping[str, Any]) -> list[str]:
    lines = []
    near = retain.get("near_duplicates", {"left_out": []})
    if retain.get("left_out"):
        lines.append(f"{key}: left out, because they are also to be forgotten: {retain['left_out']} rows")
    if near["left_out"]:
        lines.append(
            f"{key}: left out as near duplicates of rows to forget (similarity {near['threshold']} or more): "
            f"{len(near['left_out'])} rows, {_named(near['left_out'])}"
        )
    return lines


def _named(things: Sequence[Any]) -> str:
    more = f" and {len(things) - MOST_NAMED} more" if len(things) > MOST_NAMED else ""
    return ", ".join(map(str, things[:MOST_NAMED])) + more
