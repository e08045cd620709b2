"""A memory plan: terms, in phases."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Term:
    """One line of a plan: bytes and what they are, in words and numbers."""

    name: str
    size: int
    why: str = ""


@dataclass(frozen=True, slots=True)
class Phase:
    """The memory of each process at the peak of one part of a run."""

    name: str
    terms: tuple[Term, ...]

    @property
    def size(self) -> int:
        """Bytes on the device."""
        return sum(term.size for term in self.terms)


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Phases in the order of a run.

    host: what lies in main memory beside a card.
    disk: what is written.
    """

    phases: tuple[Phase, ...]
    host: tuple[Term, ...]
    disk: tuple[Term, ...]
    parameters: int
    trained: int

    @property
    def peak(self) -> Phase:
        """The phase that holds the most."""
        return max(self.phases, key=lambda phase: phase.size)
