from __future__ import annotations

import pytest

from mollm_cli.configuration.choices import config_dir
from mollm_cli.configuration.first_look import first_look
from mollm_cli.configuration.programs import COMMANDS


@pytest.mark.parametrize("override", ["hydra/launcher=local", "hydra.launcher.n_jobs=2", "+hydra.run.dir=x"])
@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_hydras_is_left_to_hydra(command: str, override: str) -> None:
    first_look(COMMANDS[command], ["seed=0,1", override], config_dir())
