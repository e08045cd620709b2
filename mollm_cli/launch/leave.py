"""Ending this process, also where threads of it still wait for others."""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

from mollm_cli.core.endings import CODES


def leave(code: int) -> NoReturn:
    """End this process with ``code``; at once where threads of it still wait for processes that are gone.

    The code is decided: no signal changes it while Python takes itself apart.
    """
    for number in CODES:
        signal.signal(number, signal.SIG_IGN)
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
