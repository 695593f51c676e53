"""Plain Python objects as environments: TRL's `environment_factory` contract.

An object is made for each episode. Its documented public methods are tools. `reset(**row)` begins
the episode and may return text, which is added to the last message; `get_reward()`, where there is
one, is the environment's reward. What a method raises is told to the policy, as TRL does.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from configs.errors import ConfigError
from configs.registry import resolve
from envs.datasets import HELD_OUT_SHARE
from envs.played import ASK, PlayedTasks, rows_or_numbers, with_observation
from envs.tool_schema import Tool, make_tool, tool_of
from envs.tools import EpisodeLoop, ToolEnv
from envs.types import Message, Step, Task

RESERVED = ("reset", "get_reward", "close")


def load_object(
    factory: str,
    split: str = "train",
    path: str = "",
    size: int = 0,
    prompt: str = ASK,
    held_out_share: float = HELD_OUT_SHARE,
) -> PlayedTasks:
    """Tasks of the object that `factory`, "package.module:attribute", makes.

    Rows of `path` are the tasks; without it `size` of them, which `reset(seed=...)` tells apart.
    Raises ConfigError where there is no such factory, DataError for an unusable file.
    """
    tools_of(resolve(factory, {}, "factory")())
    tasks = rows_or_numbers("object", split, path, size, prompt, held_out_share)
    return PlayedTasks(tasks, "envs.objects:ObjectEnv", {"factory": factory})


class ObjectEnv:
    """Plays one episode in an object of its own."""

    def __init__(self) -> None:
        self._tools: ToolEnv
        self._object: Any = None
        self._loop = EpisodeLoop()

    def reset(self, task: Task) -> Step:
        self._object = resolve(task.metadata["settings"]["factory"], {}, f"task {task.id}")()
        methods = dict(_methods(self._object))
        said = self._called(methods["reset"], _accepted(methods["reset"], _row(task)))
        reward = methods.get("get_reward")
        score = (lambda: float(self._called(reward))) if reward else None
        self._tools = ToolEnv(tools_of(self._object), score=score, loop=self._loop)
        return with_observation(self._tools.reset(task), said if isinstance(said, str) else "")

    def step(self, reply: Message) -> Step:
        return self._tools.step(reply)

    def close(self) -> None:
        try:
            if close := dict(_methods(self._object)).get("close"):
                self._called(close)
        finally:
            self._loop.close()

    def _called(
        self, method: Callable[..., Any], arguments: Mapping[str, Any] | None = None
    ) -> Any:
        """What a method returns; one that is a coroutine is waited for."""
        result = method(**(arguments or {}))
        return self._loop.run(result) if inspect.iscoroutine(result) else result


def tools_of(made: Any) -> list[Tool]:
    """Its public methods as tools. Raises ConfigError where it cannot be reset, or a method lacks
    type hints or a docstring."""
    methods = dict(_methods(made))
    if "reset" not in methods:
        raise ConfigError(f"{type(made).__name__} has no method reset: it is no environment")
    return [_told(method) for name, method in methods.items() if name not in RESERVED]


def _methods(made: Any) -> list[tuple[str, Callable[..., Any]]]:
    """Name and bound method; listed on the class, because asking an object runs its properties."""
    found = inspect.getmembers(type(made), predicate=inspect.isfunction)
    return [(name, function.__get__(made)) for name, function in found if not name.startswith("_")]


def _told(method: Callable[..., Any]) -> Tool:
    """A tool whose mistakes are answers, whatever they are: that is the contract."""

    @wraps(method)
    def called(**arguments: Any) -> Any:
        try:
            return method(**arguments)
        except Exception as error:
            raise ValueError(f"{type(error).__name__}: {error}") from error

    @wraps(method)
    async def awaited(**arguments: Any) -> Any:
        try:
            return await method(**arguments)
        except Exception as error:
            raise ValueError(f"{type(error).__name__}: {error}") from error

    waits = inspect.iscoroutinefunction(method)
    return make_tool(tool_of(method).spec, awaited if waits else called)


def _row(task: Task) -> dict[str, Any]:
    prompt = [message.as_dict() for message in task.prompt]
    columns = {name: value for name, value in task.metadata.items() if name != "settings"}
    return {"prompt": prompt, "answer": task.answer, **columns}


def _accepted(method: Callable[..., Any], row: Mapping[str, Any]) -> dict[str, Any]:
    parameters = inspect.signature(method).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return dict(row)
    return {name: value for name, value in row.items() if name in parameters}
