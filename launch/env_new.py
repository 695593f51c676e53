"""`assay env new`: a package with an environment that works, to be changed into one's own."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import keyword
import re
import sys
from pathlib import Path

from configs.errors import ConfigError
from configs.registry import TASK_SOURCES

PROJECT = """\
[build-system]
requires = ["setuptools>=78"]
build-backend = "setuptools.build_meta"

[project]
name = "NAME"
version = "0.1.0"
requires-python = ">=3.11"

[project.entry-points."assay.envs"]
NAME = "NAME.env:Tasks"

[tool.setuptools]
packages = ["NAME"]
"""

README = """\
# NAME

An environment for Assay: `NAME/env.py` has its tools and tasks, `tests/` what it promises.

    pip install -e .
    assay env check NAME          # what training relies on
    assay env play NAME           # be the policy
    assay train PRESET envs.NAME={}

The last line adds the tasks to every rl stage of the preset, and to its evaluation, whose
`max_turns` is over 1. Arguments of `Tasks` are keys: `envs.NAME.seed=1`. For demonstrations name
the environment as the source of an sft stage's task set: `stages.sft.tasks.NAME.source=NAME`.
"""

ENV = '''\
"""Exchange rates of currencies nobody has heard of: they have to be looked up."""

from __future__ import annotations

from hashlib import blake2b

from envs.tools import ToolEnv
from envs.types import Env, Message, Task

NUM_CURRENCIES = 2000
HELD_OUT_EVERY = 10  # every tenth currency is asked for in evaluations alone


def rate(currency: str) -> str:
    """Units of a currency that one dollar buys.

    Args:
        currency: its code, such as C7
    """
    number = currency.removeprefix("C")
    if not number.isdigit() or not 0 <= int(number) < NUM_CURRENCIES:
        raise ValueError(f"no currency {currency!r}; there are C0 to C{NUM_CURRENCIES - 1}")
    digest = blake2b(f"rate of {int(number)}".encode(), digest_size=4).digest()
    return f"{10 + int.from_bytes(digest) % 90000 / 100:.2f}"


def environment() -> Env:
    """Makes an environment: one instance plays one episode."""
    return ToolEnv([rate])


class Tasks:
    """Which currency buys how much: the same index is the same task for ever."""

    def __init__(self, split: str = "train", seed: int = 0) -> None:
        held_out = [n for n in range(NUM_CURRENCIES) if n % HELD_OUT_EVERY == seed % HELD_OUT_EVERY]
        train = [n for n in range(NUM_CURRENCIES) if n % HELD_OUT_EVERY != seed % HELD_OUT_EVERY]
        self.split, self.seed = split, seed
        self.numbers = {"train": train, "heldout": held_out}[split]

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> Task:
        currency = f"C{self.numbers[index]}"
        question = f"How many {currency} does one dollar buy? Answer in \\\\boxed{{}}."
        return Task(
            id=f"NAME/{self.split}/{self.seed}/{currency}",
            env="NAME.env:environment",
            prompt=(Message("user", question),),
            answer=rate(currency),
            labels={"scene": "NAME", "task": "look-up", "level": "1"},
            # The calls of a perfect policy, turn by turn: for demonstrations and for the checks.
            metadata={"gold_calls": [[{"name": "rate", "arguments": {"currency": currency}}]]},
        )

    @property
    def fingerprint(self) -> str:
        """Changes when the tasks do: a run of other tasks is not resumed."""
        return f"NAME-1-{self.split}-{self.seed}-{len(self)}"
'''

TEST = '''\
"""What the environment promises, played without a model."""

import pytest

from envs.tools import gold_episode
from envs.types import Message, ToolCall
from NAME.env import Tasks, environment, rate


def test_the_gold_calls_find_the_answer() -> None:
    task = Tasks()[7]
    env = environment()
    assert env.reset(task).tools[0].name == "rate"
    calls, answer = gold_episode(task)
    assert env.step(calls).messages[0].content == task.answer
    assert env.step(answer).done


def test_a_wrong_call_is_answered() -> None:
    env = environment()
    env.reset(Tasks()[0])
    [record] = env.step(Message("assistant", "", (ToolCall("rate", {"currency": "gold"}),))).calls
    assert record.error == "refused"


def test_splits_are_apart() -> None:
    assert not set(Tasks("train").numbers) & set(Tasks("heldout").numbers)


def test_rates_stay_as_they_are() -> None:
    assert rate("C7") == rate("C07")
    with pytest.raises(ValueError, match="no currency"):
        rate("C2000")
'''


def write_package(name: str, folder: Path) -> Path:
    """Write the package and return its folder.

    Raises:
        ConfigError: the name is no package's, is taken, or the folder is there already.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise ConfigError(f"{name!r} is no name of a package: lower-case letters, digits and '_'")
    package = folder / name
    if package.exists():
        raise ConfigError(f"{package} is there already; choose another name, or --folder")
    if holder := _holder(name):
        raise ConfigError(f"{name!r} is taken by {holder}; choose a name that nothing has yet")
    for path, text in {
        "pyproject.toml": PROJECT,
        "README.md": README,
        f"{name}/__init__.py": "",
        f"{name}/env.py": ENV,
        f"tests/test_{name}.py": TEST,
    }.items():
        (package / path).parent.mkdir(parents=True, exist_ok=True)
        (package / path).write_text(text.replace("NAME", name), encoding="utf-8")
    return package


def _holder(name: str) -> str:
    """What a package of this name would hide, or be hidden by, or ""; imports nothing of it."""
    if name in TASK_SOURCES:
        return "a task source of Assay or of an installed package (`assay env list`)"
    if name in sys.stdlib_module_names:
        return "Python's standard library"
    importlib.invalidate_caches()
    if spec := importlib.util.find_spec(name):
        packages = importlib.metadata.packages_distributions().get(name)
        if packages:
            return f"the installed package {packages[0]}"
        return f"the module at {spec.origin or next(iter(spec.submodule_search_locations or ()))}"
    try:
        return f"the installed package {importlib.metadata.distribution(name).name}"
    except importlib.metadata.PackageNotFoundError:
        return ""
