"""How every command ends: with an exit code, whatever happens."""

from __future__ import annotations

import sys
from collections.abc import Callable

from mollm_cli.core.errors import RequestError
from mollm_cli.core.paths import short_paths
from mollm_cli.core.terminal import plain_streams


def exit_code(program: str, answer: Callable[[], int]) -> int:
    """What ``answer`` returns; of a refusal, which is told on stderr, its own code, of Ctrl-C 130."""
    with plain_streams():
        try:
            with short_paths():
                return answer()
        except RequestError as refused:
            print(f"{program}: {refused}", file=sys.stderr)
            return refused.exit_code
        except KeyboardInterrupt:
            return 130
