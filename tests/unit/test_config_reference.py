"""The page that documents every key."""

from __future__ import annotations

import re
import shlex

import pytest

from configs.reference import TARGET, render
from launch import cli

BLOCKS = re.findall(r"```bash\n(.*?)```", render(), re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.splitlines()]


def test_the_page_is_up_to_date() -> None:
    assert TARGET.read_text(encoding="utf-8") == render(), "run `make docs`"


@pytest.mark.parametrize("key", ["`gpu_memory_utilization`", "`stages.NAME.tasks.NAME`", "`rloo`"])
def test_the_page_has_keys_and_presets(key: str) -> None:
    assert key in render()


@pytest.mark.parametrize("command", COMMANDS)
def test_its_commands_work(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", shlex.split(command))
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
