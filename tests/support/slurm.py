"""Commands of Slurm's names that keep the script and run its tasks here, one process each, as Slurm would."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

JOB = 4711
_SBATCH = f"""#!{sys.executable}
import os, re, shutil, signal, subprocess, sys
from pathlib import Path
folder = Path(__file__).parent
if Path(sys.argv[0]).name == "sbatch":
    shutil.copy(sys.argv[-1], folder / "script.sh")
    first, last = re.search(r"--array=(\\d+)-(\\d+)", (folder / "script.sh").read_text()).groups()
    tasks = range(int(first), int(last) + 1)
    print("Submitted batch job {JOB}")
else:
    assert sys.argv[1] == "requeue", sys.argv
    tasks = [int(sys.argv[2].split("_")[1])]
    with (folder / "requeued.txt").open("a") as file:
        file.write(f"{{tasks[0]}}\\n")
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(os.getpgrp(), signal.SIGTERM)
for task in tasks:
    told = {{"JOB_ID": {JOB}, "ARRAY_JOB_ID": {JOB}, "ARRAY_TASK_ID": task, "PROCID": 0, "NTASKS": 1,
            "JOB_NUM_NODES": 1, "NODEID": 0, "LOCALID": 0, "JOB_NODELIST": "node"}}
    own = dict(os.environ) | {{f"SLURM_{{key}}": str(value) for key, value in told.items()}}
    quiet = {{"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}}
    subprocess.Popen(["bash", str(folder / "script.sh")], env=own, start_new_session=True, **quiet)
"""
"""sbatch and scontrol: a task that is queued again has its processes told to end, and starts when they have."""
_SRUN = """#!/bin/bash
while [[ "$1" != *python* ]]; do shift; done
folder=$(dirname "$0")
exec 9> "$folder/running-$SLURM_ARRAY_TASK_ID"
flock 9
echo $$ > "$folder/step-$SLURM_ARRAY_TASK_ID"
exec setsid "$@"
"""
_SACCT = '#!/bin/bash\necho "JobID|State|NodeList"\n'


def fake_slurm(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """sbatch, scontrol, srun and sacct in ``folder``, found first from here on."""
    folder.mkdir()
    for name, text in {"sbatch": _SBATCH, "scontrol": _SBATCH, "srun": _SRUN, "sacct": _SACCT}.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o700)
    patch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def signal_step(folder: Path, task: int, number: int) -> None:
    """A signal to every process of the step of a task, as Slurm sends it."""
    os.killpg(int((folder / f"step-{task}").read_text()), number)
