"""Ending this process: also where threads of it still wait for others, and when what has started it is gone."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from typing import NoReturn

from mollm_cli.core.endings import CODES

ORPHANED_SECONDS = 60.0
"""Seconds in which a process finishes its step and saves, once the process that started it is gone."""
LAST_SECONDS = 5.0
"""Seconds it then has after a second signal, which ends it without a point, and a third, which is written down."""
LOOK_SECONDS = 0.5


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


def end_with_parent() -> None:
    """Of several processes none outlives what has started it, torchrun too: then as if it had been asked to end."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK_SECONDS)
        for patience in (ORPHANED_SECONDS, LAST_SECONDS, LAST_SECONDS):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(patience)
        os._exit(143)

    threading.Thread(target=watch, daemon=True).start()
