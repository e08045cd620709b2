"""The shell script of the README, run as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli import ROOT

BLOCK = re.compile(r"<!-- executed by tests/e2e/test_readme\.py -->\s*```bash\n(?P<script>.*?)```", re.DOTALL)


@pytest.mark.slow
def test_the_script_of_the_readme(tmp_path: Path) -> None:
    blocks = BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(blocks) == 1, "README.md must have one ```bash block below <!-- executed by tests/e2e/test_readme.py -->"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", blocks[0]], cwd=tmp_path, env=os.environ | {"PATH": path, "HF_HUB_OFFLINE": "1"},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("outputs/*/*/metrics.json")), "the script must leave a run under outputs/"
