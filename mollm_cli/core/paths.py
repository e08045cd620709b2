"""Paths as somebody typed them."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from mollm_cli.core.errors import RequestError

SHOWN = 80
"""Characters of a path that is too long to be shown."""


@contextmanager
def short_paths() -> Iterator[None]:
    """Within the block a path that no filesystem takes is refused: Python asks the system even whether it exists."""
    try:
        yield
    except OSError as failed:
        if failed.errno != errno.ENAMETOOLONG:
            raise
        found = str(failed.filename)[:SHOWN]
        raise RequestError(
            f"a path must not be longer than a filesystem takes, found one that begins with '{found}'; shorten it"
        ) from failed
