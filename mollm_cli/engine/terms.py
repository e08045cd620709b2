"""Lines of a plan."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Term:
    """One line: bytes and what they are, in words and numbers."""

    name: str
    size: int
    why: str = ""


@dataclass(frozen=True, slots=True)
class Phase:
    """What each process holds at the peak of one part of a run."""

    name: str
    terms: tuple[Term, ...]

    @property
    def size(self) -> int:
        """Bytes on the device."""
        return sum(term.size for term in self.terms)
