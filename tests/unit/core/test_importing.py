"""Garbage is not looked for while libraries are imported, and is again afterwards."""

from __future__ import annotations

import gc

from mollm_cli.core.importing import importing


def test_once_in_a_process():
    gc.unfreeze()
    try:
        with importing():
            assert not gc.isenabled()
            with importing():
                pass
            assert not gc.isenabled() and not gc.get_freeze_count()
        assert gc.isenabled() and gc.get_freeze_count()
        with importing():
            assert gc.isenabled()
    finally:
        gc.unfreeze()
