"""Built-ins, plug-ins, and what is said when their names or keywords are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from configs.errors import ConfigError
from configs.registry import (
    ADVANTAGES,
    DEMONSTRATION_SOURCES,
    LOSSES,
    TASK_SOURCES,
    VERIFIERS,
    bind,
    nearest,
    resolve,
)

TABLES = (ADVANTAGES, LOSSES, VERIFIERS, TASK_SOURCES, DEMONSTRATION_SOURCES)


@pytest.mark.parametrize(("name", "table"), [(name, table) for table in TABLES for name in table])
def test_every_built_in_is_there(name: str, table: dict[str, str]) -> None:
    assert callable(resolve(name, table, "key"))


def test_a_plugin_is_an_import_path() -> None:
    assert resolve("os.path:join", LOSSES, "key")("a", "b") == "a/b"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gspoo", "did you mean 'gspo'?"),
        ("nope", "neither one of ppo_clip, gspo, cispo, reinforce"),
        ("os.path", 'nor "package.module:attribute"'),
        ("no_such_package:thing", "cannot import 'no_such_package': No module named"),
        ("os.path:joint", "module 'os.path' has no 'joint'; did you mean 'join'?"),
        (":x", "neither"),
    ],
)
def test_a_wrong_name_is_one_line(name: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(name, LOSSES, "stages.rl.algorithm.loss")
    assert str(caught.value).startswith("stages.rl.algorithm.loss: ")
    assert expected in str(caught.value)


def test_a_plugin_that_does_not_parse_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_plugin.py").write_text("def f(:\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError, match="cannot import 'broken_plugin'"):
        resolve("broken_plugin:f", {}, "key")


def scorer(trajectory: object, *, tolerance: float = 0.1, strict: bool = False) -> float:
    return tolerance if strict else 0.0


def test_keywords_are_checked_against_the_signature() -> None:
    assert bind(scorer, {"strict": True}, "reward.args")(None) == 0.1
    with pytest.raises(ConfigError) as caught:
        bind(scorer, {"tolerence": 1}, "reward.args")
    assert str(caught.value) == (
        "reward.args: unknown keyword 'tolerence'; did you mean 'tolerance'?; "
        "valid are trajectory, tolerance, strict"
    )


def test_a_target_that_takes_any_keyword_is_not_checked() -> None:
    def anything(**options: int) -> dict[str, int]:
        return options

    assert bind(anything, {"x": 1}, "key")(y=2) == {"x": 1, "y": 2}


def test_nearest_is_silent_when_nothing_is_near() -> None:
    assert nearest("zzz", ["loss", "advantage"]) == ""
    assert nearest("los", ["loss", "advantage"]) == "; did you mean 'loss'?"
    assert nearest("x", []) == ""
