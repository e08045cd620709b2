"""A headless browser, where the machine has one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER = next((found for name in NAMES if (found := shutil.which(name))), None)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--virtual-time-budget=2000",
)  # fmt: skip


def rendered(page: Path, profile: Path, *flags: str) -> str:
    """The document of ``page`` after its scripts, if any, have run for two seconds; every address but files is dead."""
    assert BROWSER is not None
    dead = "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE localhost"
    line = [BROWSER, *FLAGS, dead, f"--user-data-dir={profile}", *flags, "--dump-dom", page.as_uri()]
    done = subprocess.run(line, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout
