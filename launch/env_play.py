"""`assay env play`: be the policy yourself, in the terminal."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from configs.errors import ConfigError
from envs.episodes import make_env
from envs.types import Message, Step, Task, ToolCall, ToolSpec
from launch.console import printable
from launch.env_check import trajectory_of
from rewards.tool_use import ToolUseVerifier
from rollout.tool_format import read_calls

Say = Callable[[str], None]
Ask = Callable[[str], str]
"""Reads a line after a prompt; raises EOFError at the end."""

LINE_CHARS = 2000


def play(task: Task, say: Say, ask: Ask) -> None:
    """Play one episode: what the environment says is shown, what is typed is the policy's."""
    env = make_env(task)
    try:
        opening = env.reset(task)
        _show(opening, say)
        for tool in opening.tools:
            say(_signature(tool))
        say("Type TOOL {JSON} or TOOL name=value ... to call a tool; anything else is the answer.")
        replies: list[Message] = []
        steps: list[Step] = []
        while not steps or not steps[-1].done:
            reply = _read(ask("> "), opening.tools, say)
            if reply is None:
                continue
            replies.append(reply)
            steps.append(env.step(reply))
            _show(steps[-1], say)
    finally:
        env.close()
    score = ToolUseVerifier()(trajectory_of(task, opening, replies, steps))
    terms = ", ".join(f"{name} {value:g}" for name, value in score.terms.items())
    say(
        f"reward {score.reward} ({terms}); {printable(score.reason)}; gold {printable(task.answer)}"
    )


def _read(line: str, tools: Sequence[ToolSpec], say: Say) -> Message | None:
    """What was typed as a message; None where it is no call, but was meant as one."""
    if calls := read_calls(line):
        return Message("assistant", line, calls)
    name, _, rest = line.strip().partition(" ")
    if name not in {tool.name for tool in tools}:
        return Message("assistant", line)
    words = [rest] if rest.lstrip().startswith("{") else rest.split()
    try:
        return Message("assistant", "", (ToolCall(name, read_arguments(words)),))
    except ConfigError as error:
        say(str(error))
        return None


def read_arguments(words: Sequence[str]) -> dict[str, object]:
    """Arguments as one JSON object, or as words name=value, a value being JSON where it is, else
    text.

    Example: `read_arguments(["a=384", "unit=EUR"])` is {"a": 384, "unit": "EUR"}. Raises
    ConfigError.
    """
    if words and words[0].lstrip().startswith("{"):
        try:
            given: dict[str, object] = json.loads(" ".join(words))
            return given
        except ValueError as error:
            raise ConfigError(f"not JSON: {error}") from error
    arguments: dict[str, object] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise ConfigError(
                f"{word!r} is not name=value; one with spaces is quoted for a shell, else JSON"
            )
        try:
            arguments[name] = json.loads(value)
        except ValueError:
            arguments[name] = value
    return arguments


def _signature(tool: ToolSpec) -> str:
    parameters = ", ".join(tool.parameters.get("properties", {}))
    return f"tool {printable(tool.name)}({printable(parameters)}): {printable(tool.description)}"


def _show(step: Step, say: Say) -> None:
    for message in step.messages:
        for line in message.content.split("\n"):
            say(f"{printable(message.role)} | {printable(line, LINE_CHARS)}")
