"""`assay env`: a package made, installed, checked, played; and what the checks find."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from configs.errors import ConfigError
from launch.env_check import examine
from launch.env_new import write_package
from launch.env_play import play, read_arguments
from tests.integration.environments import OneTask
from tests.integration.runs import ROOT

HERE = "tests.integration.environments"
TASKS = "tasks are the same for ever, and splits are apart"
REPLIES = "the same calls bring the same replies"


def broken_promises(name: str) -> dict[str, str]:
    findings = examine(f"{HERE}:{name}", {}, num_tasks=2)
    return {finding.promise: finding.problem for finding in findings if finding.problem}


def test_an_environment_that_keeps_its_promises() -> None:
    assert broken_promises("OneTask") == {}


def test_worlds_that_are_told_apart_by_their_seed_are_different_tasks() -> None:
    findings = examine("object", {"factory": f"{HERE}:Dice", "size": 4}, num_tasks=2)
    problems = {finding.promise: finding.problem for finding in findings}
    assert problems[TASKS] == ""
    assert problems[REPLIES] == ""


@pytest.mark.parametrize(
    ("name", "promise", "problem"),
    [
        ("GoldIsWrong", "a perfect episode scores the maximum", "'grounding': 0.0"),
        ("Leaks", "nothing is left behind", "2 processes behind"),
        ("Overlaps", TASKS, "in training, too"),
        ("Changes", REPLIES, "the reply to turn 1 differs"),
        ("Gives", "an empty answer scores less", "an empty answer scores 1"),
        ("Salted", TASKS, "another task in a fresh process; does it use hash()"),
        ("SaltedReplies", REPLIES, "the reply to turn 1 differs in a fresh process"),
        ("Rambles", "results are short", "a result of ramble has 5000 bytes, of which the"),
        ("Litters", "nothing is left behind", "4 files are left behind: "),
        ("LittersByChild", "nothing is left behind", "4 files are left behind: "),
        ("LittersByTask", "nothing is left behind", "2 files are left behind: "),
    ],
)
def test_what_the_checks_find(
    name: str, promise: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LITTER", str(tmp_path))
    assert problem in broken_promises(name)[promise]


def test_an_answer_that_no_tool_tells_is_doubted_and_no_failure() -> None:
    findings = {finding.promise: finding for finding in examine(f"{HERE}:Mumbles", {}, 2)}
    found = findings["answers follow from results"]
    assert "of 2 of 2 tasks, such as '3', appear in no result" in found.doubt
    assert found.problem == ""


def test_a_hang_is_found_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("launch.env_check.TOOL_S", 0.5)
    found = broken_promises("GoldHangs")
    assert "did not return within 0.5 s" in found["a perfect episode scores the maximum"]


def test_an_unknown_environment_is_named() -> None:
    with pytest.raises(ConfigError, match="did you mean 'calculator'"):
        examine("calculater", {}, 1)
    with pytest.raises(ConfigError, match="unknown keyword 'lvl'"):
        examine("calculator", {"lvl": 1}, 1)


def test_a_person_plays() -> None:
    typed = iter(["add a=1", 'add {"a": 1, "b": 2}', "add {", "\\boxed{3}"])
    said: list[str] = []
    play(OneTask()[0], said.append, lambda prompt: next(typed))
    text = "\n".join(said)
    assert "user | Question 0 of train?" in text
    assert "tool add(a, b): Add two numbers." in text
    assert "invalid_arguments" in text
    assert "tool | 3" in text
    assert "not JSON" in text
    assert "answer 1" in text


def test_arguments_as_they_are_typed() -> None:
    assert read_arguments(["a=384", "unit=EUR", "levels=[1, 2]", "command=python server.py"]) == {
        **{"a": 384, "unit": "EUR", "levels": [1, 2], "command": "python server.py"}
    }
    assert read_arguments(['{"a": "b c"}']) == {"a": "b c"}
    assert read_arguments([]) == {}
    with pytest.raises(ConfigError, match="is not name=value"):
        read_arguments(["x"])


TAKEN = {
    "rewards": "the installed package assay",
    "numpy": "the installed package numpy",
    "yaml": "PyYAML",
    "pillow": "the installed package pillow",  # its module is PIL
    "tests": "tests",
    "finance": "a task source",
    "json": "Python's standard library",
}


@pytest.mark.parametrize("name", TAKEN)
def test_names_that_others_have(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"is taken by .*{TAKEN[name]}"):
        write_package(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["Rates", "calculator", "class", "../x", "ümlaut"])
def test_names_that_no_package_may_have(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        write_package(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_package_of_ones_own(tmp_path: Path) -> None:
    """Made, installed by pip, listed, checked, and its own tests pass."""
    package = write_package("exotic_rates", tmp_path)
    with pytest.raises(ConfigError, match="is there already"):
        write_package("exotic_rates", tmp_path)
    site = tmp_path / "site"
    python = [sys.executable, "-m"]
    quiet = ["-q", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    subprocess.run([*python, "pip", "install", *quiet, "--target", site, package], check=True)
    environment = {**os.environ, "PYTHONPATH": f"{site}:{ROOT}"}

    def assay(*arguments: str) -> str:
        command = [*python, "launch.cli", *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert "exotic_rates  installed  exotic_rates.env:Tasks" in assay("env", "list")
    assert "no " not in [line[:3] for line in assay("env", "check", "exotic_rates").splitlines()]
    shown = assay("config", "show", "quickstart", "envs.exotic_rates.seed=1")
    assert "exotic_rates:" in shown
    subprocess.run([*python, "pytest", "-q", package], cwd=tmp_path, env=environment, check=True)
